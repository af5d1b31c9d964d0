/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/task.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sandbox/runtime/fiber.h"
#include "sandbox/runtime/park.h"
#include "sandbox/runtime/worker.h"

static const char *const trap_texts[] = {
#define TRAP(name, text) text,
	AOT_TRAPS(TRAP)
#undef TRAP
};

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;
	(void)clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t task_now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t task_thread_cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

void task_init(struct task *t, struct instance *in, struct host *host)
{
	/* Tickets go on: a late wake for an earlier event must not fit. */
	uint32_t slot = t->ticket_slot, round = t->ticket_round;
	memset(t, 0, sizeof(*t));
	t->instance = in;
	t->host = host;
	t->host_calls_left = UINT64_MAX;
	t->ticket_slot = slot;
	t->ticket_round = round;
}

void task_fini(struct task *t)
{
	free((void *)(uintptr_t)t->answer.at);
	t->answer = (struct span){ 0 };
}

void task_add_call(struct task *t, uint32_t func, union aot_value *values)
{
	ENSURE(t->ncalls < TASK_CALLS_MAX);
	t->calls[t->ncalls++] = func;
	t->values = values;
}

void task_trap_text(const struct task *t, struct wr *w)
{
	wr_str(w, trap_texts[t->trap]);
	if (instance_at(t->instance, t->trap_pc)) {
		wr_str(w, " at ");
		backtrace_place(t->instance, t->trap_pc, w);
	}
	if (t->trap_note)
		wr_fmt(w, ": %s", t->trap_note);
}

/* Gives the worker up; returns when some worker goes on with the task. */
static void pause_as(struct task *t, enum task_outcome outcome)
{
	struct worker *w = t->worker;
	t->outcome = outcome;
	fiber_leaving(w->stack_low, w->stack_bytes);
	fiber_switch(w->fiber);
	context_switch(&t->ctx, &w->ctx);
	fiber_arrived();
}

static void __attribute__((noreturn)) leave_as(struct task *t, enum task_outcome outcome)
{
	struct worker *w = t->worker;
	t->outcome = outcome;
	fiber_leaving(w->stack_low, w->stack_bytes);
	fiber_switch(w->fiber);
	context_leave(&w->ctx);
}

void task_exit(struct task *t, int32_t code)
{
	t->exit_code = code;
	leave_as(t, TASK_EXITED);
}

void task_trap(struct task *t, enum aot_trap kind, uintptr_t pc, const char *note)
{
	t->trap = kind;
	t->trap_pc = pc;
	t->trap_note = note;
	t->trap_fp = (uintptr_t)__builtin_frame_address(0);
	leave_as(t, TASK_TRAPPED);
}

static const char *over_budget(const struct task *t)
{
	if (t->cancelled && atomic_load_explicit(t->cancelled, memory_order_relaxed))
		return "cancelled";
	if (t->cpu_budget_ns > 0 && t->cpu_ns >= t->cpu_budget_ns)
		return "the CPU budget is used up";
	if (t->deadline_ns > 0 && task_now_ns() >= t->deadline_ns)
		return "the deadline is over";
	return NULL;
}

void task_tick(struct task *t, uintptr_t pc)
{
	t->tick_pending = 0;
	t->ticks++;
	worker_book(t->worker, t);
	const char *over = over_budget(t);
	if (over)
		task_trap(t, AOT_TRAP_TIME, pc, over);
	if (worker_shall_yield(t->worker, t))
		pause_as(t, TASK_YIELDED);
}

void task_checkpoint(struct task *t)
{
	if (UNLIKELY(t->tick_pending))
		task_tick(t, t->host_pc);
}

uint64_t task_ticket(struct task *t)
{
	if (t->ticket_slot == 0)
		return 0;
	task_fini(t); /* the last answer: nobody has a ticket to bring another */
	t->woken = false;
	uint64_t ticket = (uint64_t)++t->ticket_round << 32 | t->ticket_slot;
	atomic_store(&t->ticket, ticket);
	return ticket;
}

int task_park(struct task *t, struct span ask, uint64_t until_ns, struct span *ret_answer)
{
	t->ask = ask;
	t->wake_ns = until_ns;
	if (t->deadline_ns > 0 && t->deadline_ns < until_ns)
		t->wake_ns = t->deadline_ns;
	pause_as(t, TASK_SLEEPING);
	const char *over = over_budget(t);
	if (over)
		task_trap(t, AOT_TRAP_TIME, t->host_pc, over);
	if (!t->woken)
		return -ETIMEDOUT;
	t->woken = false;
	*ret_answer = t->answer;
	return t->answer.at ? 0 : -ENOMEM;
}

struct task *task_current(void)
{
	const struct worker *w = worker_current();
	return w ? w->running : NULL;
}
