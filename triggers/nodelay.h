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
 *   - hold back what the reader writes (acknowledgements, what the sink publishes) until it has
 *     used up what it read ahead: a batch in is a batch out, one system call each. It goes out
 *     before the next recv() and before the reader sleeps. A further writer can cork itself;
 *   - remember whether the last write was cut short, because writing to such a socket from Paho's
 *     own receiving thread would wait for that thread, for ever. What is held back is never cut.
 * Other descriptors pass through untouched. TLS sockets read through OpenSSL: they get the options
 * but no read-ahead.
 *
 * Invariants. (1) An entry belongs to an open descriptor: made by connect, ended by close. (2) Only
 * the thread that reads a socket (Paho's one receiving thread, or a connecting one, never both at a
 * time) touches its buffer. (3) poll reports POLLIN for a socket with bytes in its buffer. (4) Bytes
 * leave in the order of the calls of writev: one that is not held back goes behind what is, or, if that
 * is stuck, says EAGAIN, upon which Paho keeps it and tries again. (5) While bytes are held that the
 * socket did not take, the reader polls for POLLOUT; they are at most HOLD_BYTES, then (4).
 *
 * Locks: Paho's own may be held in connect, recv, writev and close, so these take none that is held
 * while Paho is called (watch.lock); held_lock is innermost. poll is called by the reader without
 * Paho's locks, so what runs from there (the watch, the drains) may publish.
 */
#ifndef TRIGGERS_NODELAY_H
#define TRIGGERS_NODELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Can a write of this size, at most 4 KiB, be expected to go out whole and at once? */
bool nodelay_writable(int fd, size_t bytes);
/* The reader's: bytes written to this connection, and how many of them have reached the far side's system.
 * False: not known, or Paho has a write to finish, or more to read. */
bool nodelay_sent(int fd, uint64_t *ret_written, uint64_t *ret_there);
/* For the thread that reads, when it is about to sleep: before_sleep may do something else first, and
 * name a further descriptor to sleep on (-1: none); ready is called when that can be read, and then
 * before_sleep again. NULL ends this: neither is running nor will be called when it returns. */
struct nodelay_watch {
	int (*before_sleep)(void *arg);
	void (*ready)(void *arg);
	void *arg;
};
void nodelay_set_watch(const struct nodelay_watch *w);
/* Called by the reader before it sleeps and once for each batch that it read: the place to publish
 * from what acknowledgements have made room for. False: there are too many. When remove returns, it is
 * neither running nor will be called. */
bool nodelay_add_drain(void (*run)(void *arg), void *arg);
void nodelay_remove_drain(void *arg);
/* Is this the thread that reads, and runs the drains? */
bool nodelay_reads(void);
/* The reader has more bytes of this connection at hand: it will not sleep now. */
bool nodelay_more(int fd);
/* In between, what this thread writes is held back; it goes out at uncork at the latest. */
void nodelay_cork(void);
void nodelay_uncork(int fd);
/* The descriptor that this thread connected last; -1. */
int nodelay_last_connected(void);
/* What this thread connects from now on belongs to owner (NULL: nobody); and whose a descriptor is. */
void nodelay_own(void *owner);
void *nodelay_owner(int fd);
bool nodelay_connecting(void); /* this thread has an owner for what it connects */
/* The reader looks again: it runs the drains soon. */
void nodelay_wake(void);
/* On the reader: it runs the watch and the drains again in a millisecond at the latest. */
void nodelay_sleep_briefly(void);

#endif
