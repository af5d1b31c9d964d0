/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which job a worker runs next: one queue per worker, earliest deadline first, and each worker takes
 * the most urgent of all queues, its own or another's.
 *
 * Urgency is a time; the smaller, the more urgent. A job whose deadline is at most a second after its
 * arrival has that deadline. One that has more time begins as if it had a second, and each
 * millisecond of processor time that it uses puts it off by another second, at most to its
 * deadline: so who loops under a generous deadline does not delay who answers at once, and who
 * declared a short deadline is delayed by neither. With POLICY_FIFO it is the order of arrival, and
 * nobody is taken off a worker before the end.
 *
 * 1. A put is lock-free (a stack of Concurrency Kit per queue) and good on any thread. Whoever takes
 *    moves a queue's inbox to its heap, under that queue's lock.
 * 2. `queued` counts before the put and after the take, so a worker that sees 0 may sleep if it
 *    announced that first (serve.c), and nobody sleeps over a job.
 * 3. `first` of a queue is never later than its most urgent job: a put lowers it after having put; who
 *    takes sets it to "none" BEFORE emptying the inbox and lowers it to what is left after. In
 *    between it is "none" though there are jobs: then somebody is taking, who offers the rest (4).
 * 4. Who takes a job while others are left wakes a sleeping worker, or interrupts the one whose guest is
 *    less urgent than the most urgent of the rest (sched_victim).
 * 5. A worker publishes `running` before it looks at all queues a last time and enters the guest; a put
 *    comes before the look at `running`. So either the worker sees the job or the other the guest.
 */
#ifndef RUNTIME_SCHED_H
#define RUNTIME_SCHED_H

#include <pthread.h>
#include <stdatomic.h>

#include "sandbox/runtime/handover.h"
#include "sandbox/runtime/heap.h"
#include "sandbox/runtime/worker.h"

enum sched_policy { POLICY_EDF, POLICY_FIFO };
#define SCHED_PATIENT_NS UINT64_C(1000000000)
#define SCHED_NONE       UINT64_MAX
enum { SCHED_NOBODY = 1 << 16 }; /* for `me`: not a worker */

struct sched_queue {
	ck_stack_t inbox;
	pthread_mutex_t lock;
	struct heap heap; /* under lock */
	_Alignas(64) _Atomic uint64_t first;
	/* Its worker's guest: the urgency when last looked at, SCHED_NONE = no guest; and whether it
	 * runs without ticks though it becomes less urgent with time. */
	_Alignas(64) _Atomic uint64_t running;
	atomic_bool relaxed;
	struct worker *worker;
};

struct sched {
	enum sched_policy policy;
	unsigned n;
	struct sched_queue *queues;
	atomic_uint queued;
};

int sched_init(struct sched *s, enum sched_policy policy, unsigned workers,
	       size_t jobs_max) MUST_USE; /* -ENOMEM */
void sched_fini(struct sched *s);

/* Into queue `at`. Computes its urgency. Any thread, any lock may be held. */
void sched_put(struct sched *s, unsigned at, struct job *j);
/* The most urgent of all; NULL. *ret_more: others are left. */
struct job *sched_take(struct sched *s, unsigned me, bool *ret_more);

/* Around each stay in a guest, on its worker's thread. False: something more urgent has come; put the
 * job back and take again. */
bool sched_enter(struct sched *s, unsigned me, struct job *j);
void sched_left(struct sched *s, unsigned me);
/* In the signal handler: what the guest's worker shall do (worker.h). */
enum worker_wish sched_wish(struct sched *s, unsigned me, struct job *j);

/* The worker whose guest should make room for the most urgent job that waits; NULL. */
struct worker *sched_victim(struct sched *s, unsigned me);
/* Which queue a job belongs in that no worker brings itself. */
unsigned sched_least_urgent(const struct sched *s, unsigned except);

#endif
