/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/sched.h"

#include <errno.h>
#include <stdlib.h>

#include "sandbox/runtime/job.h"

static bool more_urgent(const struct job *a, const struct job *b)
{
	return a->urgency != b->urgency ? a->urgency < b->urgency : a->seq < b->seq;
}

int sched_init(struct sched *s, enum sched_policy policy, unsigned workers, size_t jobs_max)
{
	*s = (struct sched){ .policy = policy, .n = workers };
	s->queues =
		aligned_alloc(_Alignof(struct sched_queue), workers * sizeof(struct sched_queue));
	if (!s->queues)
		return -ENOMEM;
	for (unsigned i = 0; i < workers; i++) {
		struct sched_queue *q = &s->queues[i];
		*q = (struct sched_queue){ .first = SCHED_NONE, .running = SCHED_NONE };
		ck_stack_init(&q->inbox);
		(void)pthread_mutex_init(&q->lock, NULL);
		if (heap_init(&q->heap, jobs_max, more_urgent) < 0) {
			s->n = i;
			sched_fini(s);
			return -ENOMEM;
		}
	}
	return 0;
}

void sched_fini(struct sched *s)
{
	for (unsigned i = 0; i < s->n; i++)
		heap_fini(&s->queues[i].heap);
	free(s->queues);
	*s = (struct sched){ 0 };
}

static bool patient(const struct sched *s, const struct job *j)
{
	return s->policy == POLICY_EDF &&
	       (j->deadline_ns == 0 || j->deadline_ns - j->arrived_ns > SCHED_PATIENT_NS);
}

static uint64_t urgency(const struct sched *s, const struct job *j)
{
	uint64_t end = j->deadline_ns ? j->deadline_ns : SCHED_NONE - 1;
	if (s->policy == POLICY_FIFO)
		return j->seq;
	if (!patient(s, j))
		return end;
	uint64_t at = j->arrived_ns + SCHED_PATIENT_NS * (1 + j->task.cpu_ns / WORKER_SLICE_NS);
	return at < end ? at : end;
}

static void lower(_Atomic uint64_t *at, uint64_t to)
{
	uint64_t have = atomic_load(at);
	while (to < have && !atomic_compare_exchange_weak(at, &have, to))
		;
}

void sched_put(struct sched *s, unsigned at, struct job *j)
{
	struct sched_queue *q = &s->queues[at];
	uint64_t u = j->urgency = urgency(s, j);
	atomic_fetch_add(&s->queued, 1);
	handover_put(&q->inbox, &j->inbox);
	lower(&q->first, u); /* j may be running already */
}

static struct job *take_from(struct sched *s, struct sched_queue *q)
{
	ENSURE(pthread_mutex_lock(&q->lock) == 0);
	atomic_store(&q->first, SCHED_NONE);
	ck_stack_entry_t *e = handover_take(&q->inbox);
	while (e) {
		struct job *in = CONTAINER_OF(e, struct job, inbox);
		e = e->next;
		heap_put(&q->heap, in);
	}
	struct job *j = heap_first(&q->heap);
	if (j)
		heap_remove(&q->heap, j);
	const struct job *next = heap_first(&q->heap);
	if (next)
		lower(&q->first, next->urgency);
	ENSURE(pthread_mutex_unlock(&q->lock) == 0);
	if (j)
		atomic_fetch_sub(&s->queued, 1);
	return j;
}

/* The queue with the most urgent job; NULL = all are empty. Its own among equals: me. */
static struct sched_queue *most_urgent(const struct sched *s, unsigned me, uint64_t *ret)
{
	struct sched_queue *best = NULL;
	*ret = SCHED_NONE;
	for (unsigned i = 0; i < s->n; i++) {
		struct sched_queue *q = &s->queues[(me % s->n + i) % s->n];
		uint64_t first = atomic_load(&q->first);
		if (first < *ret) {
			*ret = first;
			best = q;
		}
	}
	return best;
}

struct job *sched_take(struct sched *s, unsigned me, bool *ret_more)
{
	struct job *j = NULL;
	struct sched_queue *q;
	uint64_t first;
	while (!j && (q = most_urgent(s, me, &first)) != NULL)
		j = take_from(s, q);
	*ret_more = atomic_load(&s->queued) > 0;
	return j;
}

bool sched_enter(struct sched *s, unsigned me, struct job *j)
{
	uint64_t first;
	atomic_store(&s->queues[me].running, j->urgency);
	return s->policy == POLICY_FIFO || !most_urgent(s, me, &first) || first >= j->urgency;
}

void sched_left(struct sched *s, unsigned me)
{
	atomic_store_explicit(&s->queues[me].relaxed, false, memory_order_relaxed);
	atomic_store_explicit(&s->queues[me].running, SCHED_NONE, memory_order_relaxed);
}

enum worker_wish sched_wish(struct sched *s, unsigned me, struct job *j)
{
	struct sched_queue *own = &s->queues[me];
	uint64_t first;
	if (s->policy == POLICY_FIFO)
		return WORKER_GO_ON;
	j->urgency = urgency(s, j);
	atomic_store(&own->running, j->urgency);
	atomic_store(&own->relaxed, patient(s, j));
	if (!most_urgent(s, me, &first))
		return WORKER_GO_ON;
	if (first < j->urgency)
		return WORKER_YIELD;
	atomic_store(&own->relaxed, false);
	return patient(s, j) ? WORKER_TICK : WORKER_GO_ON;
}

unsigned sched_least_urgent(const struct sched *s, unsigned except)
{
	unsigned found = 0;
	uint64_t latest = 0;
	for (unsigned i = 0; i < s->n; i++) {
		uint64_t running = atomic_load(&s->queues[i].running);
		if (i == except)
			continue;
		if (atomic_load(&s->queues[i].relaxed) && running != SCHED_NONE)
			running = SCHED_NONE - 1; /* it may be later by now */
		if (running >= latest) {
			latest = running;
			found = i;
		}
	}
	return found;
}

struct worker *sched_victim(struct sched *s, unsigned me)
{
	uint64_t first;
	if (s->policy == POLICY_FIFO || !most_urgent(s, me, &first))
		return NULL;
	unsigned at = sched_least_urgent(s, me);
	struct sched_queue *q = &s->queues[at];
	uint64_t running = atomic_load(&q->running);
	bool gives_way =
		at != me && running != SCHED_NONE && (first < running || atomic_load(&q->relaxed));
	return gives_way ? q->worker : NULL;
}
