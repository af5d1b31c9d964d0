/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads of penstock-sandbox, all alike, and one lock. At any time at most one of them is the
 * leader: it alone reads the socket. A thread without work becomes the leader if there is none;
 * else it waits on `more`. So one message costs at most one thread's waking, and none where the
 * leader is still looking.
 *
 * 1. Every job in flight is in exactly one place: `ready`, `asleep`, or in the hands of one thread
 *    (RUNNING). Those that wait for an instance are in `asleep` until their deadline, and in a
 *    line besides. Whoever leaves a line without using an instance passes the word on.
 * 2. A thread goes to wait only with `ready` empty, under the lock, and until the earliest wake time
 *    of `asleep`. Who adds a sleeper has no work either or will look at `asleep` within a slice,
 *    so none is overslept.
 * 3. Who leaves work in `ready` when taking one wakes one more: a follower, else the leader by
 *    wake_fd. Each woken thread does the same, so no job waits while a thread sleeps.
 * 4. Who holds answers (answers.h) takes a quick job next, or sends them.
 * 5. A running guest comes back at the end of its slice at the latest, so with one thread, too, the
 *    socket is looked at once per slice.
 */
#include "sandbox/runtime/serve.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "sandbox/runtime/jail.h"
#include "sandbox/runtime/serve_state.h"
#include "sandbox/runtime/worker.h"

enum {
	EXIT_PROTOCOL = 70,
	QUICK_NS = 50000,  /* an answer may wait this long for the next one, to go out with it */
	NO_SPINS_MAX = 16, /* waits */
	UNLOOKED_MAX = 8,  /* jobs */
};

static void lock(struct serve *s)
{
	ENSURE(pthread_mutex_lock(&s->lock) == 0);
}

static void unlock(struct serve *s)
{
	ENSURE(pthread_mutex_unlock(&s->lock) == 0);
}

static void __attribute__((noreturn)) gateway_broke_protocol(const char *what)
{
	LOG(LOG_ERR, "the gateway sent what it must not; ending", F_STR("reason", what));
	_exit(EXIT_PROTOCOL);
}

static void send_or_die(int err)
{
	if (err == 0)
		return;
	if (err == -EPIPE || err == -ECONNRESET)
		_exit(0); /* the gateway is gone; nobody waits for results */
	LOG(LOG_ERR, "a message to the gateway could not be sent; ending", F_ERR(err));
	_exit(EXIT_PROTOCOL);
}

/* ---- messages ---- */

static void on_load(struct serve *s, const struct ipc_load *m, int fd)
{
	struct why why = { 0 };
	struct function *f = NULL;
	struct instance *first = NULL;
	lock(s);
	bool taken = serve_function(s, m->function) != NULL;
	unlock(s);
	if (taken)
		gateway_broke_protocol("LOAD of a handle that is in use");
	int err = function_open(&s->loader, m, fd, &f, &first, &why);
	if (err < 0) {
		(void)close(fd);
		send_or_die(serve_send_loaded(s, m->function, err, why_text(&why, err), false));
		return;
	}
	lock(s);
	struct job *j = serve_new_job(s, JOB_INIT);
	if (j) {
		serve_add_function(s, f);
		job_set_init(j, f, task_now_ns());
		f->njobs++;
		job_start(j, first, task_now_ns());
		serve_make_ready(s, j);
	}
	unlock(s);
	if (!j) {
		function_put_idle(f, first);
		function_close(f);
		send_or_die(serve_send_loaded(s, m->function, -E_LIMIT,
					      "too many functions are being loaded", false));
	}
}

static void on_invoke(struct serve *s, const struct ipc_invoke *m, int fd, struct answers *out)
{
	const char *refused = NULL;
	lock(s);
	struct function *f = serve_function(s, m->function);
	struct job *j = f && f->ready ? serve_new_job(s, JOB_EVENT) : NULL;
	if (!f || !f->ready)
		refused = "no such function is loaded";
	else if (!j)
		refused = "the sandbox's queue is full";
	unlock(s);
	if (j) { /* only this thread knows of it yet; the leader alone unloads */
		int err = job_set_event(j, f, m, fd, task_now_ns());
		if (err == -E_PROTO)
			gateway_broke_protocol("a payload that is not in a sealed memfd");
		lock(s);
		if (err < 0) {
			refused = "no memory for the payload";
			serve_free_job(s, j);
		} else {
			f->njobs++;
			serve_make_ready(s, j);
		}
		unlock(s);
	}
	if (refused)
		send_or_die(answers_refuse(out, m->event, refused));
}

static void free_all(struct instance *idle)
{
	while (idle) {
		struct instance *next = idle->next_idle;
		instance_free(idle);
		idle = next;
	}
}

static void on_unload(struct serve *s, uint32_t handle)
{
	lock(s);
	struct function *f = serve_function(s, handle);
	struct instance *idle = f ? serve_remove_function(s, f) : NULL;
	bool unused = f && f->njobs == 0;
	unlock(s);
	free_all(idle);
	if (unused)
		function_close(f);
}

static void on_cancel(struct serve *s, uint64_t event)
{
	lock(s);
	serve_cancel(s, event);
	unlock(s);
}

static void on_packet(struct serve *s, const struct ipc_packet *p, struct answers *out)
{
	struct ipc_msg m;
	struct why why = { 0 };
	int err = ipc_parse(IPC_GATEWAY, p->bytes, p->len, &m, &why);
	if (p->err < 0)
		gateway_broke_protocol("a packet that is too long, or with several descriptors");
	if (err < 0)
		gateway_broke_protocol(why_text(&why, err));
	if (m.nfds != (p->fd >= 0))
		gateway_broke_protocol("a message without the descriptor that it names");
	switch (m.type) {
	case IPC_LOAD:
		on_load(s, &m.load, p->fd); /* takes the descriptor over */
		return;
	case IPC_INVOKE:
		on_invoke(s, &m.invoke, p->fd, out);
		break;
	case IPC_UNLOAD:
		on_unload(s, m.unload);
		break;
	case IPC_CANCEL:
		on_cancel(s, m.cancel);
		break;
	default: /* QUIT; a gateway's message cannot be another */
		_exit(0);
	}
	if (p->fd >= 0)
		(void)close(p->fd);
}

/* Reads what is there, without waiting. Only the leader. Returns how many messages. */
static int intake(struct serve *s, struct answers *out)
{
	struct ipc_packet p[IPC_BATCH];
	int n = ipc_inbox_recv(s->inbox, s->sock, p);
	if (n == -EAGAIN)
		return 0;
	if (n <= 0)
		_exit(0); /* the gateway is gone */
	for (int i = 0; i < n; i++)
		on_packet(s, &p[i], out);
	uint64_t now = task_now_ns();
	s->gap_ns = now - s->last_message_ns;
	s->last_message_ns = now;
	if (n > 1)
		s->no_spins = NO_SPINS_MAX;
	return n;
}

/* ---- the end of a job ---- */

static void end_init(struct serve *s, struct job *j)
{
	struct why why = { 0 };
	struct function *f = j->function;
	const struct task *t = &j->task;
	int err = 0;
	if (t->outcome == TASK_TRAPPED) {
		uint8_t text[400];
		struct wr w = wr_into(text, sizeof(text));
		task_trap_text(t, &w);
		err = why_set(&why, -E_TRAP, "trap while it was initialised: %.*s", (int)w.len,
			      (const char *)text);
	} else if (t->outcome == TASK_EXITED) {
		err = why_set(&why, -E_INVALID, "it exited with code %d while it was initialised",
			      t->exit_code);
	}
	if (err == 0)
		err = image_take(t->instance, &f->image, &why);
	/* Before the gateway hears of it: its next message may use the function, or the handle. */
	lock(s);
	f->ready = err == 0;
	struct instance *idle = err < 0 && !f->dying ? serve_remove_function(s, f) : NULL;
	unlock(s);
	ENSURE(!idle); /* its only instance is in use */
	send_or_die(serve_send_loaded(s, f->handle, err, err < 0 ? why_text(&why, err) : "",
				      f->is_reactor));
}

/* The instance goes back to its function, fresh, or to the next job that waits for one. */
static void release_instance(struct serve *s, struct function *f, struct instance *in,
			     uint64_t run_ns)
{
	bool fresh = f->image && image_reset(f->image, in, run_ns) == 0;
	lock(s);
	fresh = fresh && !f->dying;
	if (fresh)
		function_put_idle(f, in);
	else
		serve_drop_instance(s, f);
	serve_instance_came_free(s, f);
	unlock(s);
	if (!fresh)
		instance_free(in);
}

static void forget_job(struct serve *s, struct job *j)
{
	struct function *f = j->function;
	if (j->task.ticket_round > 0) { /* it may have ended without waiting for an answer */
		lock(s);
		serve_close_ticket(j);
		unlock(s);
	}
	job_reset(j);
	lock(s);
	serve_free_job(s, j);
	bool unused = --f->njobs == 0 && f->dying;
	unlock(s);
	if (unused)
		function_close(f);
}

/* The answer goes out before the instance is cleaned, unless more are about to go with it. */
static void answer(struct serve *s, struct job *j, struct answers *out)
{
	bool quick = j->task.run_ns < QUICK_NS;
	if (!j->cancelled)
		send_or_die(job_answer(j, out));
	lock(s);
	j->function->quick = quick;
	bool hold = quick && serve_next_is_quick(s);
	unlock(s);
	if (!hold)
		send_or_die(answers_flush(out));
}

static void end_job(struct serve *s, struct job *j, struct answers *out)
{
	struct function *f = j->function;
	struct instance *in = j->task.instance;
	if (j->kind == JOB_INIT)
		end_init(s, j);
	else
		answer(s, j, out);
	if (j->task.run_ns >= QUICK_NS) /* who was quick has not touched much of it */
		stack_trim(&in->stack);
	release_instance(s, f, in, j->task.run_ns);
	forget_job(s, j);
}

/* A job that never got an instance. */
static void refuse_job(struct serve *s, struct job *j, const char *why, struct answers *out)
{
	if (!j->cancelled)
		send_or_die(answers_refuse(out, j->event, why));
	lock(s);
	serve_instance_came_free(s, j->function); /* whatever this one was let go on for */
	unlock(s);
	forget_job(s, j);
}

/* ---- one thread ---- */

/* An instance for a job that has none yet; false when it has to wait, or was refused. */
static bool begin_job(struct serve *s, struct job *j, struct answers *out)
{
	struct function *f = j->function;
	struct instance *in = NULL, *victim = NULL;
	struct why why = { 0 };
	if (j->cancelled || (j->deadline_ns > 0 && task_now_ns() >= j->deadline_ns)) {
		refuse_job(s, j, "its deadline was over before it could start", out);
		return false;
	}
	lock(s);
	enum slot slot = serve_take_slot(s, j, &in, &victim);
	unlock(s);
	instance_free(victim);
	if (slot == SLOT_WAIT)
		return false;
	if (slot == SLOT_NEW && function_instance(&s->loader, f, &in, &why) < 0) {
		lock(s);
		serve_slot_failed(s, f);
		unlock(s);
		refuse_job(s, j, why_text(&why, -ENOMEM), out);
		return false;
	}
	job_start(j, in, task_now_ns());
	return true;
}

static void run_job(struct serve *s, struct worker *w, struct job *j, struct answers *out)
{
	if (!j->task.instance && !begin_job(s, j, out))
		return;
	enum task_outcome outcome = j->task.ncalls > 0 ? worker_run(w, &j->task) : TASK_DONE;
	if (outcome > TASK_SLEEPING) {
		end_job(s, j, out);
		return;
	}
	if (outcome == TASK_SLEEPING && j->task.ask.len > 0) {
		const struct wr ask = { .buf = (uint8_t *)(uintptr_t)j->task.ask.at,
					.len = j->task.ask.len,
					.cap = j->task.ask.len };
		send_or_die(ipc_send(s->sock, &ask, NULL, 0, true));
	}
	lock(s);
	if (outcome == TASK_YIELDED)
		serve_make_ready(s, j);
	else
		serve_put_asleep(s, j);
	unlock(s);
}

/* Polls for the next message; true when one came. That pays when events come one at a time, each
 * soon after the answer to the last. It does not when many are on their way (they come in batches
 * while this thread sleeps), nor when somebody else needs the processor to send the next one. */
static bool spin(struct serve *s, uint64_t until_ns, struct answers *out)
{
	uint64_t now = task_now_ns(), end = now + s->spin_ns;
	if (s->no_spins > 0) {
		s->no_spins--;
		return false;
	}
	if (s->gap_ns >= s->spin_ns) /* the best guess at the next gap is the last one */
		return false;
	for (; now < end && now < until_ns; now = task_now_ns())
		if (intake(s, out) > 0) {
			s->spins_failed = 0;
			return true;
		}
	s->no_spins = s->spins_failed = s->spins_failed * 2 + 1;
	if (s->spins_failed > NO_SPINS_MAX)
		s->spins_failed = NO_SPINS_MAX;
	return false;
}

/* Waits for a message, a wake-up, or the next sleeper. Only the leader, without the lock. */
static void wait_for_message(struct serve *s, uint64_t until_ns, struct answers *out)
{
	if (spin(s, until_ns, out))
		return;
	uint64_t now = task_now_ns();
	struct pollfd fds[] = { { .fd = s->sock, .events = POLLIN },
				{ .fd = s->wake_fd, .events = POLLIN } };
	struct timespec ts = { 0 };
	if (until_ns != UINT64_MAX) {
		uint64_t wait = until_ns > now ? until_ns - now : 0;
		ts.tv_sec = (time_t)(wait / 1000000000u);
		ts.tv_nsec = (long)(wait % 1000000000u);
	}
	if (ppoll(fds, ARRAY_LEN(fds), until_ns == UINT64_MAX ? NULL : &ts, NULL) > 0 &&
	    fds[1].revents) {
		uint64_t count;
		(void)!read(s->wake_fd, &count, sizeof(count));
	}
}

static void wait_as_follower(struct serve *s, uint64_t until_ns)
{
	struct timespec ts = { .tv_sec = (time_t)(until_ns / 1000000000u),
			       .tv_nsec = (long)(until_ns % 1000000000u) };
	s->nfollowers++;
	if (until_ns == UINT64_MAX)
		(void)pthread_cond_wait(&s->more, &s->lock);
	else
		(void)pthread_cond_timedwait(&s->more, &s->lock, &ts);
	s->nfollowers--;
}

/* The leader's part of next_job(): with the lock, which it drops meanwhile. */
static void lead(struct serve *s, bool just_ran, struct answers *out)
{
	s->has_leader = true;
	s->unlooked = 0;
	unlock(s);
	if (intake(s, out) > 0 && just_ran)
		s->no_spins = NO_SPINS_MAX; /* it lay there already */
	lock(s);
	s->has_leader = false;
}

/* The next job to run; waits for one. */
static struct job *next_job(struct serve *s, struct answers *out)
{
	lock(s);
	for (bool just_ran = true;; just_ran = false) {
		/* A look at the socket costs as much as a quick job: not before each of them. */
		if (!s->has_leader && (!serve_next_is_quick(s) || ++s->unlooked >= UNLOOKED_MAX))
			lead(s, just_ran, out);
		uint64_t next_wake_ns = serve_wake_sleepers(s, task_now_ns());
		if (out->n > 0 && !serve_next_is_quick(s)) {
			unlock(s);
			send_or_die(answers_flush(out));
			lock(s);
			continue;
		}
		struct job *j = serve_take_ready(s);
		if (j) {
			serve_wake_another(s);
			unlock(s);
			return j;
		}
		if (s->has_leader) {
			wait_as_follower(s, next_wake_ns);
			continue;
		}
		s->has_leader = s->leader_waits = true;
		unlock(s);
		wait_for_message(s, next_wake_ns, out);
		lock(s);
		s->has_leader = s->leader_waits = false;
	}
}

static void *thread_main(void *arg)
{
	struct serve *s = arg;
	struct worker w;
	struct answers out = { .sock = s->sock };
	struct why why = { 0 };
	int err = worker_init(&w, &why);
	if (err == 0)
		err = jail_thread(&why);
	if (err < 0) {
		LOG(LOG_ERR, "a worker cannot start; ending", F_STR("reason", why_text(&why, err)));
		_exit(1);
	}
	/* Nobody touches a message before everybody is confined. */
	if (pthread_barrier_wait(&s->confined) == PTHREAD_BARRIER_SERIAL_THREAD)
		send_or_die(serve_send_hello(s));
	for (;;)
		run_job(s, &w, next_job(s, &out), &out);
	return NULL;
}

int serve(const struct serve_options *o, struct why *why)
{
	struct serve *s = NULL;
	int err = serve_state_new(o, &s, why);
	if (err < 0)
		return err;
	const int keep[] = { o->sock, s->wake_fd };
	err = jail_process(keep, ARRAY_LEN(keep), why);
	if (err == 0)
		err = worker_signals(why);
	for (unsigned i = 1; err == 0 && i < o->workers; i++) {
		pthread_t thread;
		err = pthread_create(&thread, NULL, thread_main, s);
		if (err > 0)
			err = why_set(why, -err, "worker threads");
	}
	if (err == 0)
		(void)thread_main(s);
	return err;
}
