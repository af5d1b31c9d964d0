/* SPDX-License-Identifier: Apache-2.0 */
/* A job on a worker: it gets an instance, runs, and is answered. */
#include <errno.h>

#include "sandbox/runtime/serve_impl.h"

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
	serve_lock(s);
	f->ready = err == 0;
	struct instance *idle = err < 0 && !f->dying ? serve_remove_function(s, f) : NULL;
	serve_unlock(s);
	ENSURE(!idle); /* its only instance is in use */
	serve_send_or_die(serve_send_loaded(s, f->handle, err, err < 0 ? why_text(&why, err) : "",
					    f->is_reactor));
}

/* The instance goes back to its function, fresh, or to the next job that waits for one. */
static void release_instance(struct serve *s, struct function *f, struct instance *in,
			     uint64_t run_ns)
{
	bool fresh = f->image && atomic_load(&f->nidle) < FUNCTION_IDLE_MAX &&
		     image_reset(f->image, in, run_ns) == 0;
	serve_lock(s);
	fresh = fresh && !f->dying;
	if (fresh)
		function_put_idle(f, in);
	else
		serve_drop_instance(s, f);
	serve_instance_came_free(s, f);
	serve_unlock(s);
	if (!fresh)
		instance_free(in);
}

static void forget_job(struct serve *s, struct job *j)
{
	struct function *f = j->function;
	if (j->task.ticket_round > 0) { /* it may have ended without waiting for an answer */
		serve_lock(s);
		serve_close_ticket(j);
		serve_unlock(s);
	}
	job_reset(j);
	serve_lock(s);
	serve_free_job(s, j);
	bool unused = --f->njobs == 0 && f->dying;
	serve_unlock(s);
	if (unused)
		function_close(f);
}

/* The answer goes out before the instance is cleaned, unless more are about to go with it. */
/* Only what ran to its end says how long that takes (t: NULL = it did not begin); and a little less than the mean, so that an
 * event which might just make it is let begin, and a function that has become faster is found out. */
static void learn(struct function *f, const struct task *t)
{
	uint64_t mean = atomic_load_explicit(&f->run_ns, memory_order_relaxed);
	mean -= mean / 8;
	if (t && t->outcome != TASK_TRAPPED)
		mean += t->run_ns / 10;
	atomic_store_explicit(&f->run_ns, mean, memory_order_relaxed);
}

static void answer(struct thread *th, struct job *j)
{
	bool quick = j->task.run_ns < QUICK_NS;
	if (!j->cancelled)
		serve_send_or_die(job_answer(j, &th->out));
	j->function->quick = quick;
	learn(j->function, &j->task);
	if (!quick || !th->more_quick)
		serve_send_or_die(answers_flush(&th->out));
}

static void end_job(struct thread *th, struct job *j)
{
	struct serve *s = th->s;
	struct function *f = j->function;
	struct instance *in = j->task.instance;
	if (j->kind == JOB_INIT)
		end_init(s, j);
	else
		answer(th, j);
	if (j->task.run_ns >= QUICK_NS) /* who was quick has not touched much of it */
		stack_trim(&in->stack);
	release_instance(s, f, in, j->task.run_ns);
	forget_job(s, j);
}

/* A job that never got an instance. */
static void refuse_job(struct thread *th, struct job *j, const char *why)
{
	struct serve *s = th->s;
	if (!j->cancelled)
		serve_send_or_die(answers_refuse(&th->out, j->event, why));
	serve_lock(s);
	serve_instance_came_free(s, j->function); /* whatever this one was let go on for */
	serve_unlock(s);
	forget_job(s, j);
}

/* ---- its beginning ---- */

/* An instance for a job that has none yet; false when it has to wait, or was refused. */
/* Neither it nor those behind it gain by its beginning what it will not end. */
static bool too_late(const struct job *j)
{
	uint64_t run_ns = atomic_load_explicit(&j->function->run_ns, memory_order_relaxed);
	return j->deadline_ns > 0 && j->taken_ns + run_ns >= j->deadline_ns;
}

static bool begin_job(struct thread *th, struct job *j)
{
	struct serve *s = th->s;
	struct function *f = j->function;
	struct instance *in = NULL, *victim = NULL;
	struct why why = { 0 };
	j->taken_ns = task_now_ns();
	if (j->cancelled || too_late(j)) {
		learn(f, NULL);
		refuse_job(th, j,
			   j->deadline_ns > j->taken_ns
				   ? "it could not end before its deadline any more"
				   : "its deadline was over before it could start");
		return false;
	}
	serve_lock(s);
	enum slot slot = serve_take_slot(s, j, &in, &victim);
	serve_unlock(s);
	instance_free(victim);
	if (slot == SLOT_WAIT)
		return false;
	if (slot == SLOT_NEW && function_instance(&s->loader, f, &in, &why) < 0) {
		serve_lock(s);
		serve_slot_failed(s, f);
		serve_unlock(s);
		refuse_job(th, j, why_text(&why, -ENOMEM));
		return false;
	}
	job_start(j, in, task_now_ns());
	return true;
}

void serve_run_job(struct thread *th, struct job *j)
{
	struct serve *s = th->s;
	if (!j->task.instance && !begin_job(th, j)) {
		sched_left(&s->sched, th->me);
		return;
	}
	enum task_outcome outcome = TASK_DONE;
	if (j->task.ncalls > 0)
		outcome = worker_run(&th->worker, &j->task);
	sched_left(&s->sched, th->me);
	if (outcome == TASK_YIELDED) {
		serve_make_ready(s, j, th->me);
		return;
	}
	if (outcome > TASK_SLEEPING) {
		end_job(th, j);
		return;
	}
	/* Before it can be woken: its question may lie on its stack. */
	if (j->task.ask.len > 0) {
		const struct wr ask = { .buf = (uint8_t *)(uintptr_t)j->task.ask.at,
					.len = j->task.ask.len,
					.cap = j->task.ask.len };
		serve_send_or_die(ipc_send(s->sock, &ask, NULL, 0, true));
	}
	serve_lock(s);
	serve_put_asleep(s, j);
	serve_unlock(s);
}
