/* SPDX-License-Identifier: Apache-2.0 */
/* A compiled function in this process, run event by event as a thread of serve.c does it, with the
 * same code, but without the queue and the socket around it. */
#ifndef BENCH_EVENTS_H
#define BENCH_EVENTS_H

#include "sandbox/runtime/function.h"
#include "sandbox/runtime/job.h"
#include "sandbox/runtime/worker.h"

struct events {
	struct worker worker;
	struct loader loader;
	struct answers answers;
};

/* A fresh process only: it sets signal handlers. */
void events_init(struct events *e);
/* Ends the program when the file is none, or traps in _initialize. */
struct function *events_open(struct events *e, const char *so);
/* A sealed memfd of the file. */
int events_seal(const char *so);
/* One event from a warm instance to an instance ready for the next, its RESULT built, not sent. */
void events_run(struct events *e, struct function *f, struct job *j, struct span payload);
/* The same with an instance that is made for it and goes away afterwards: a rush, the pool is empty. */
void events_run_cold(struct events *e, struct function *f, struct job *j, struct span payload);
void die(const char *what, const char *why) __attribute__((noreturn));

#endif
