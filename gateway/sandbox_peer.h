/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penstock-sandbox as a process: start it, notice its death, start it again, at once the first time
 * and with growing pauses when it dies again and again. What is said over the socket is
 * dispatch.c's business.
 *
 * The descriptor of our end keeps its number for as long as the peer object lives: a restart puts
 * the new socket in its place with dup3(), so a thread that is about to use it can meet the old
 * socket (closed at the far end) or the new one, but never somebody else's file.
 *
 * Threads: kill from any, the rest from the loop's. Callbacks come on the loop's thread.
 */
#ifndef GATEWAY_SANDBOX_PEER_H
#define GATEWAY_SANDBOX_PEER_H

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#include "base/why.h"

struct sandbox_peer;

enum { SANDBOX_SOCKET_FD = 3 }; /* where penstock-sandbox finds its end */

struct sandbox_peer_spec {
	const char *program; /* absolute */
	unsigned workers, spin_us;
	bool fifo;
	void (*started)(void *arg); /* a new process: it owes a HELLO, and knows no function */
	void (*died)(void *arg, const char *how); /* it is gone and reaped: "killed by signal 9" */
	void *arg;
};

int sandbox_peer_new(uv_loop_t *loop, const struct sandbox_peer_spec *spec,
		     struct sandbox_peer **ret, struct why *why) MUST_USE;
/* The first start; a failure is logged and tried again like a death. */
void sandbox_peer_start(struct sandbox_peer *p);
/* Ends the process (no restart, no callback). Its handles close in the next turns of the loop, which
 * must run once more before the loop is closed; the memory is freed then. NULL is fine. */
void sandbox_peer_free(struct sandbox_peer *p);

int sandbox_peer_socket(const struct sandbox_peer *p);
/* SIGKILL, because it broke a rule; reason is kept for the log and for how in died(). */
void sandbox_peer_kill(struct sandbox_peer *p, const char *reason);
/* It said HELLO. */
void sandbox_peer_ready(struct sandbox_peer *p);

struct sandbox_peer_status {
	pid_t pid;         /* 0: none */
	const char *state; /* "up", "starting", "down" */
	unsigned restarts;
	char last_death[160];
};
void sandbox_peer_status(const struct sandbox_peer *p, struct sandbox_peer_status *ret);

#endif
