/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RESULTs on their way to the gateway. Each thread has its own: small ones are held until the
 * thread has nothing quick to do any more, and then go out with one system call. Where a function
 * that was quick last time is not this time, they wait for the end of its first slice.
 */
#ifndef RUNTIME_ANSWERS_H
#define RUNTIME_ANSWERS_H

#include "proto/ipc.h"

enum { ANSWERS_HELD_BYTES = 4096 }; /* a larger one goes out by itself, at once */

struct answers {
	int sock;
	unsigned n;
	struct span held[IPC_BATCH];
	uint8_t bytes[IPC_BATCH][ANSWERS_HELD_BYTES];
};

/* Copies what it needs of *r. 0 or -errno. */
int answers_put(struct answers *a, const struct ipc_result *r) MUST_USE;
int answers_refuse(struct answers *a, uint64_t event, const char *why) MUST_USE;
/* Sends what is held; waits while the gateway's queue is full. */
int answers_flush(struct answers *a) MUST_USE;

#endif
