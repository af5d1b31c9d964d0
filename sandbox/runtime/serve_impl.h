/* SPDX-License-Identifier: Apache-2.0 */
/* Inside `penstock-sandbox serve`: serve.c (threads), serve_intake.c (messages), serve_job.c (one stay of
 * a job on a worker). Not for others. */
#ifndef RUNTIME_SERVE_IMPL_H
#define RUNTIME_SERVE_IMPL_H

#include "sandbox/runtime/serve_state.h"
#include "sandbox/runtime/worker.h"

enum {
	QUICK_NS = 50000, /* an answer may wait this long for the next one, to go out with it */
	SERVE_NO_SPINS_MAX = 16, /* waits */
};

struct thread {
	struct serve *s;
	unsigned me;       /* which worker; SCHED_NOBODY: the watch */
	unsigned unlooked; /* jobs taken since it looked at the socket */
	bool more_quick;   /* the next job will hardly be noticed, either */
	struct worker worker;
	struct answers out;
};

static inline void serve_lock(struct serve *s)
{
	ENSURE(pthread_mutex_lock(&s->lock) == 0);
}

static inline void serve_unlock(struct serve *s)
{
	ENSURE(pthread_mutex_unlock(&s->lock) == 0);
}

/* The process ends when the gateway has gone, or could not be told. */
void serve_send_or_die(int err);

/* Reads what is there, without waiting. Only the leader. Returns how many messages. */
int serve_intake(struct thread *th);

/* The job's next stay on this worker, to its end or until it gives way. */
void serve_run_job(struct thread *th, struct job *j);

#endif
