/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paho hides its sockets, and treats them badly: it never sets TCP_NODELAY, so that small writes
 * wait for delayed acknowledgements (44 ms where 0.1 would do), and it reads a packet with three
 * recv() calls between two polls. The linker hands us its calls instead (-Wl,--wrap=..., Makefile,
 * LIBS_triggers); on sockets that went through our connect() we
 *   - set TCP_NODELAY;
 *   - re-arm TCP_QUICKACK whenever the reader is about to sleep: a broker that does not set
 *     TCP_NODELAY itself (mosquitto as Debian ships it) holds its next packet back until our
 *     acknowledgement, which the kernel would delay by 40 ms;
 *   - read ahead: one recv() takes what is there, the next calls are served from memory;
 *   - remember whether the last write was cut short, because writing to such a socket from Paho's
 *     own receiving thread would wait for that thread, for ever.
 * Other descriptors pass through untouched. TLS sockets read through OpenSSL: they get the options
 * but no read-ahead.
 *
 * Invariants. (1) An entry belongs to an open descriptor: made by connect, ended by close. (2) Only
 * the thread that reads a socket (Paho's one receiving thread, or a connecting one, never both at a
 * time) touches its buffer. (3) poll reports POLLIN for a socket with bytes in its buffer.
 */
#ifndef TRIGGERS_NODELAY_H
#define TRIGGERS_NODELAY_H

#include <stdbool.h>
#include <stddef.h>

/* Can a write of this size, at most 4 KiB, be expected to go out whole and at once? */
bool nodelay_writable(int fd, size_t bytes);
/* For the thread that reads, when it is about to sleep: before_sleep may do something else first, and
 * name a further descriptor to sleep on (-1: none); ready is called when that can be read, and then
 * before_sleep again. NULL ends this: neither is running nor will be called when it returns. */
struct nodelay_watch {
	int (*before_sleep)(void *arg);
	void (*ready)(void *arg);
	void *arg;
};
void nodelay_set_watch(const struct nodelay_watch *w);
/* The descriptor that this thread connected last; -1. */
int nodelay_last_connected(void);
/* While on, Paho's pauses on this thread are short: it sleeps 100 ms when it starts its receiving
 * thread, and between looks at a write that was cut. */
void nodelay_hurry(bool on);
/* errno of this thread's last connect() that failed at once; 0. */
int nodelay_last_error(void);

#endif
