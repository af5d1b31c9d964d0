/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads of penstock-sandbox: workers, all alike, and the watch. At any time at most one of them
 * is the leader: it alone reads the socket. A worker without work becomes the leader if there is
 * none; else it waits on `more`. So one message costs at most one thread's waking, and none where the
 * leader is still looking. The watch leads only when all workers have been in guests for longer than
 * a slice: a worker that goes on with such a guest while nobody leads appoints a waiting worker or
 * the watch, and the next worker without work takes over from it.
 *
 * 1. Every job in flight is in exactly one place: a queue of sched.h, `asleep`, or in the hands of one
 *    thread (RUNNING). Those that wait for an instance are in `asleep` until their deadline, and in
 *    a line besides. Whoever leaves a line without using an instance passes the word on.
 * 2. A worker goes to wait only after it added itself to `nidle` and then found no job queued. Who
 *    queues a job looks at `nidle` after that (offer). So no job waits while a worker sleeps.
 * 3. The leader waits until the earliest time in `asleep` at most; who adds an earlier one while it
 *    waits wakes it. Sleepers are woken by whoever passes, a slice late at most.
 * 4. Who holds answers (answers.h) takes a quick job next, or sends them.
 */
#include "sandbox/runtime/serve.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "sandbox/runtime/jail.h"
#include "sandbox/runtime/park.h"
#include "sandbox/runtime/serve_impl.h"

enum { UNLOOKED_MAX = 8 /* jobs */ };

/* Work is left: a worker without any gets to know, or else one whose guest is less urgent. */
static void offer(struct serve *s, unsigned me)
{
	if (atomic_load(&s->nidle) > 0) {
		serve_lock(s);
		serve_rouse_worker(s);
		serve_unlock(s);
		return;
	}
	struct worker *w = sched_victim(&s->sched, me);
	if (w)
		worker_kick(w);
}

bool serve_wake(struct serve *s, uint64_t ticket, struct span answer)
{
	bool woken = serve_wake_parked(s, ticket, answer);
	if (woken)
		offer(s, SCHED_NOBODY);
	return woken;
}

/* ---- the leader ---- */

/* Polls for the next message; true when one came. That pays when events come one at a time, each
 * soon after the answer to the last. It does not when many are on their way (they come in batches
 * while this thread sleeps), nor when somebody else needs the processor to send the next one. */
static bool spin(struct thread *th, uint64_t until_ns)
{
	struct serve *s = th->s;
	uint64_t now = task_now_ns(), end = now + s->spin_ns;
	if (s->no_spins > 0) {
		s->no_spins--;
		return false;
	}
	if (s->gap_ns >= s->spin_ns) /* the best guess at the next gap is the last one */
		return false;
	for (; now < end && now < until_ns; now = task_now_ns())
		if (serve_intake(th) > 0) {
			s->spins_failed = 0;
			return true;
		}
	s->no_spins = s->spins_failed = s->spins_failed * 2 + 1;
	if (s->spins_failed > SERVE_NO_SPINS_MAX)
		s->spins_failed = SERVE_NO_SPINS_MAX;
	return false;
}

/* Waits for a message, a wake-up, or until then. */
static void wait_for_message(struct serve *s, int wake_fd, bool leading, uint64_t until_ns)
{
	uint64_t now = task_now_ns(), count;
	struct pollfd fds[] = { { .fd = leading ? s->sock : -1, .events = POLLIN },
				{ .fd = wake_fd, .events = POLLIN } };
	struct timespec ts = { 0 };
	if (until_ns != UINT64_MAX) {
		uint64_t wait = until_ns > now ? until_ns - now : 0;
		ts.tv_sec = (time_t)(wait / 1000000000u);
		ts.tv_nsec = (long)(wait % 1000000000u);
	}
	if (ppoll(fds, ARRAY_LEN(fds), until_ns == UINT64_MAX ? NULL : &ts, NULL) > 0 &&
	    fds[1].revents)
		(void)!read(wake_fd, &count, sizeof(count));
}

/* A look at the socket, if nobody else has the lead. */
static void look(struct thread *th, bool just_ran)
{
	struct serve *s = th->s;
	int none = LEADER_NONE;
	if (!atomic_compare_exchange_strong(&s->leader, &none, (int)th->me))
		return;
	th->unlooked = 0;
	if (serve_intake(th) > 0 && just_ran)
		s->no_spins = SERVE_NO_SPINS_MAX; /* it lay there already */
	atomic_store(&s->leader, LEADER_NONE);
}

/* Nothing to do: leads, or follows. */
static void idle(struct thread *th)
{
	struct serve *s = th->s;
	serve_lock(s);
	atomic_fetch_add(&s->nidle, 1);
	bool leads = serve_take_lead(s, (int)th->me);
	uint64_t until_ns = serve_next_wake_ns(s);
	if (atomic_load(&s->sched.queued) > 0) {
		leads = leads && (atomic_store(&s->leader, LEADER_NONE), false);
	} else if (!leads) {
		s->nfollowers++;
		(void)pthread_cond_wait(&s->more, &s->lock);
		s->nfollowers--;
	} else {
		s->leader_waits = true;
		s->leader_until_ns = until_ns;
	}
	if (leads) {
		serve_unlock(s);
		if (!spin(th, until_ns))
			wait_for_message(s, s->wake_fd, true, until_ns);
		serve_lock(s);
		s->leader_waits = false;
		atomic_store(&s->leader, LEADER_NONE);
	}
	atomic_fetch_sub(&s->nidle, 1);
	serve_unlock(s);
}

/* ---- a worker ---- */

static bool is_quick(const struct job *j)
{
	return j->kind == JOB_EVENT && j->task.ticks == 0 && j->function->quick;
}

/* Before j is run; false: there is something more urgent, j is queued again. */
static bool settle(struct thread *th, struct job *j, bool more)
{
	struct serve *s = th->s;
	bool quick = is_quick(j);
	j->state = JOB_RUNNING;
	j->home = th->me;
	th->more_quick = more && quick;
	if (more)
		offer(s, th->me);
	if (th->out.n > 0 && !quick)
		serve_send_or_die(answers_flush(&th->out));
	if (j->task.ticks > 0 && atomic_load(&s->leader) == LEADER_NONE) {
		serve_lock(s);
		serve_appoint(s);
		serve_unlock(s);
	}
	if (sched_enter(&s->sched, th->me, j))
		return true;
	sched_left(&s->sched, th->me);
	serve_make_ready(s, j, th->me);
	return false;
}

/* The next job to run; waits for one. */
static struct job *next_job(struct thread *th)
{
	struct serve *s = th->s;
	for (bool just_ran = true;; just_ran = false) {
		bool more;
		/* A look at the socket costs as much as a quick job: not before each of them. */
		if (!th->more_quick || ++th->unlooked >= UNLOOKED_MAX)
			look(th, just_ran);
		serve_wake_sleepers(s, task_now_ns());
		struct job *j = sched_take(&s->sched, th->me, &more);
		if (j && settle(th, j, more))
			return j;
		if (j)
			continue;
		th->more_quick = false;
		if (th->out.n > 0)
			serve_send_or_die(answers_flush(&th->out));
		else
			idle(th);
	}
}

/* At a tick, in the signal handler. */
static enum worker_wish wish(void *arg, struct task *t)
{
	struct thread *th = arg;
	struct serve *s = th->s;
	if (atomic_load(&s->leader) == LEADER_NONE)
		return WORKER_YIELD; /* somebody must look at the socket */
	return sched_wish(&s->sched, th->me, CONTAINER_OF(t, struct job, task));
}

static void confine(struct serve *s, int err, struct why *why)
{
	if (err == 0)
		err = jail_thread(why);
	if (err < 0) {
		LOG(LOG_ERR, "a worker cannot start; ending", F_STR("reason", why_text(why, err)));
		_exit(1);
	}
	/* Nobody touches a message before everybody is confined. */
	if (pthread_barrier_wait(&s->confined) == PTHREAD_BARRIER_SERIAL_THREAD)
		serve_send_or_die(serve_send_hello(s));
}

static void *worker_main(void *arg)
{
	struct serve *s = arg;
	struct thread th = { .s = s, .me = atomic_fetch_add(&s->nthreads, 1), .out.sock = s->sock };
	struct why why = { 0 };
	int err = worker_init(&th.worker, &why);
	th.worker.wish = wish;
	th.worker.wish_arg = &th;
	s->sched.queues[th.me].worker = &th.worker;
	confine(s, err, &why);
	for (;;)
		serve_run_job(&th, next_job(&th));
	return NULL;
}

/* ---- the watch ---- */

static void *watch_main(void *arg)
{
	struct serve *s = arg;
	struct thread th = { .s = s, .me = SCHED_NOBODY, .out.sock = s->sock };
	struct why why = { 0 };
	confine(s, 0, &why);
	for (;;) {
		uint64_t until_ns = UINT64_MAX;
		serve_lock(s);
		bool leads = atomic_load(&s->leader) == LEADER_WATCH;
		if (leads)
			s->leader_until_ns = until_ns = serve_next_wake_ns(s);
		serve_unlock(s);
		wait_for_message(s, s->watch_fd, leads, until_ns);
		int watch = LEADER_WATCH;
		if (!atomic_compare_exchange_strong(&s->leader, &watch, LEADER_WATCH_READS))
			continue;
		(void)serve_intake(&th);
		serve_send_or_die(answers_flush(&th.out));
		serve_wake_sleepers(s, task_now_ns());
		serve_lock(s);
		/* A worker that has found no work meanwhile leads from here. */
		atomic_store(&s->leader, s->nfollowers > 0 ? LEADER_NONE : LEADER_WATCH);
		serve_rouse_worker(s);
		serve_unlock(s);
		offer(s, SCHED_NOBODY);
	}
	return NULL;
}

int serve(const struct serve_options *o, struct why *why)
{
	struct serve *s = NULL;
	int err = serve_state_new(o, &s, why);
	if (err < 0)
		return err;
	const int keep[] = { o->sock, s->wake_fd, s->watch_fd };
	err = jail_process(keep, ARRAY_LEN(keep), why);
	if (err == 0)
		err = worker_signals(why);
	for (unsigned i = 0; err == 0 && i < o->workers; i++) {
		pthread_t thread;
		err = pthread_create(&thread, NULL, i == 0 ? watch_main : worker_main, s);
		if (err > 0)
			err = why_set(why, -err, "worker threads");
	}
	if (err == 0)
		(void)worker_main(s);
	return err;
}
