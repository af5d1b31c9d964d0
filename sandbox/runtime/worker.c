/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/worker.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/runtime/fiber.h"
#include "sandbox/runtime/ucontext_arch.h"

enum { TICK_SIGNAL = SIGVTALRM, SIGNAL_STACK_BYTES = 64 << 10 };

/* Signal handlers get no argument. */
static _Thread_local struct worker *self;

/* Not inlined, so that no caller keeps the address of one thread's `self` across a switch. */
__attribute__((noinline)) struct worker *worker_current(void)
{
	__asm__ volatile("" ::: "memory");
	return self;
}

/* Safe in signal handlers. */
static void arm(struct worker *w, uint64_t now_ns, uint64_t after_ns)
{
	if (!w->has_timer || FIBER_NO_TICKS)
		return;
	after_ns = after_ns > 0 ? after_ns : 1;
	w->armed_ns = now_ns + after_ns;
	const struct itimerspec one = { .it_value = { .tv_sec = (time_t)(after_ns / 1000000000u),
						      .tv_nsec = (long)(after_ns % 1000000000u) } };
	(void)timer_settime(w->timer, 0, &one, NULL);
}

/* Begins a slice, unless one is under way. */
static void arm_slice(struct worker *w, uint64_t now_ns)
{
	if (w->armed_ns == 0 || w->armed_ns > now_ns + WORKER_SLICE_NS)
		arm(w, now_ns, WORKER_SLICE_NS);
}

void worker_kick(struct worker *w)
{
	/* The thread may be arming it, too; then it looks again after that (worker_shall_yield). */
	const struct itimerspec now = { .it_value = { .tv_nsec = 1 } };
	if (w->has_timer && !FIBER_NO_TICKS)
		(void)timer_settime(w->timer, 0, &now, NULL);
}

static uint64_t first_charge_ns(const struct worker *w)
{
	uint64_t wall_ns = task_now_ns() - w->entered_ns;
	return wall_ns < TASK_FIRST_CHARGE_NS ? wall_ns : TASK_FIRST_CHARGE_NS;
}

uint64_t worker_cpu_since_ns(const struct worker *w)
{
	if (w->cpu_known)
		return task_thread_cpu_ns() - w->cpu_since_ns;
	return first_charge_ns(w);
}

void worker_book(struct worker *w, struct task *t)
{
	uint64_t wall_ns = first_charge_ns(w);
	bool known = atomic_exchange_explicit(&w->cpu_known, true, memory_order_relaxed);
	uint64_t cpu_ns = task_thread_cpu_ns(); /* after that: a signal here finds it known */
	t->cpu_ns += known ? cpu_ns - w->cpu_since_ns : wall_ns;
	w->cpu_since_ns = cpu_ns;
}

/* How long it may go on before its budget or its deadline is over; UINT64_MAX = for ever. */
static uint64_t may_use_ns(const struct task *t, uint64_t now_ns)
{
	uint64_t left = UINT64_MAX;
	if (t->cpu_budget_ns > 0)
		left = t->cpu_budget_ns - t->cpu_ns;
	if (t->deadline_ns > 0 && t->deadline_ns - now_ns < left)
		left = t->deadline_ns - now_ns;
	return left;
}

bool worker_shall_yield(struct worker *w, struct task *t)
{
	uint64_t now_ns = task_now_ns(), left = may_use_ns(t, now_ns);
	if (left != UINT64_MAX)
		arm(w, now_ns, left);
	/* Asked after arming: who kicks has first made known why. */
	enum worker_wish wish = w->wish ? w->wish(w->wish_arg, t) : WORKER_GO_ON;
	if (wish == WORKER_TICK && left > WORKER_SLICE_NS)
		arm(w, now_ns, WORKER_SLICE_NS);
	return wish == WORKER_YIELD;
}

/* From here to the end of the handler the thread may change: t->worker says which one it is. */
static void tick_in_guest(struct task *t, ucontext_t *uc)
{
	t->worker->in_tick = true;
	task_tick(t, ucontext_pc(uc));
	t->worker->in_tick = false;
	uc->uc_stack = t->worker->signal_stack;
}

static void on_tick(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	ucontext_t *uc = context;
	struct worker *w = worker_current();
	struct task *t = w ? w->running : NULL;
	if (!w)
		return;
	w->armed_ns = 0;
	if (!t)
		return;
	if (instance_at(t->instance, ucontext_pc(uc))) {
		tick_in_guest(t, uc);
		return;
	}
	int saved = errno;
	t->tick_pending = 1;
	if (!w->cpu_known)
		worker_book(w, t); /* a long host call costs what it costs */
	if (!t->blocked)
		arm(w, task_now_ns(), WORKER_SLICE_NS);
	errno = saved;
}

static enum aot_trap trap_of_fault(const struct instance *in, uintptr_t address,
				   const struct stack *stack)
{
	if (stack_has_guard_at(stack, address))
		return AOT_TRAP_STACK;
	const struct aot_memory *m = in->aot.memory;
	if (m && memory_reserves(CONTAINER_OF(m, struct memory, aot), address))
		return AOT_TRAP_MEMORY;
	return AOT_TRAP_NONE;
}

/* A first write to a page, by the guest or by a host call for it. */
static bool opened(struct task *t, uintptr_t address)
{
	int saved = errno;
	bool again = memory_write_fault(&t->instance->memory, address);
	errno = saved;
	return again;
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	struct worker *w = worker_current();
	struct task *t = w ? w->running : NULL;
	uintptr_t pc = ucontext_pc(uc);
	if (t && info->si_code == SEGV_ACCERR && opened(t, (uintptr_t)info->si_addr))
		return;
	struct instance *in = t && info->si_code > 0 ? instance_at(t->instance, pc) : NULL;
	enum aot_trap kind = AOT_TRAP_NONE;
	if (in)
		kind = trap_of_fault(in, (uintptr_t)info->si_addr, &t->instance->stack);
	if (kind == AOT_TRAP_NONE) {
		/* Our bug, or somebody's kill(): die of it, where a debugger can see the place.
		 * The instruction faults again when the handler returns; a sent signal does not. */
		(void)signal(sig, SIG_DFL);
		if (info->si_code <= 0)
			(void)raise(sig);
		return;
	}
	t->trap = kind;
	t->trap_pc = pc;
	t->trap_fp = ucontext_fp(uc);
	t->trap_note = NULL;
	t->outcome = TASK_TRAPPED;
	fiber_leaving(w->stack_low, w->stack_bytes);
	ucontext_leave(uc, &w->ctx);
}

int worker_signals(struct why *why)
{
	struct sigaction fault = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	struct sigaction tick = { .sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART };
	(void)sigemptyset(&fault.sa_mask);
	(void)sigemptyset(&tick.sa_mask);
	/* No tick on the signal stack: it would look at a guest that is just being left. */
	(void)sigaddset(&fault.sa_mask, TICK_SIGNAL);
	if (sigaction(SIGSEGV, &fault, NULL) < 0 || sigaction(SIGBUS, &fault, NULL) < 0 ||
	    sigaction(TICK_SIGNAL, &tick, NULL) < 0)
		return why_set(why, -errno, "signal handlers");
	return 0;
}

int worker_init(struct worker *w, struct why *why)
{
	*w = (struct worker){ 0 };
	void *low = mmap(NULL, SIGNAL_STACK_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (low == MAP_FAILED)
		return why_set(why, -errno, "a stack for signals");
	w->signal_stack = (stack_t){ .ss_sp = low, .ss_size = SIGNAL_STACK_BYTES };
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = TICK_SIGNAL };
	ev._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	int err = 0;
	if (sigaltstack(&w->signal_stack, NULL) < 0)
		err = why_set(why, -errno, "sigaltstack");
	else if (timer_create(CLOCK_MONOTONIC, &ev, &w->timer) < 0)
		err = why_set(why, -errno, "a timer for slices");
	if (err < 0) {
		worker_fini(w);
		return err;
	}
	w->has_timer = true;
	fiber_thread_stack(&w->stack_low, &w->stack_bytes);
	w->fiber = fiber_of_thread();
	self = w;
	return 0;
}

void worker_fini(struct worker *w)
{
	self = NULL;
	if (w->has_timer)
		(void)timer_delete(w->timer);
	if (w->signal_stack.ss_sp) {
		const stack_t off = { .ss_flags = SS_DISABLE };
		(void)sigaltstack(&off, NULL);
		(void)munmap(w->signal_stack.ss_sp, w->signal_stack.ss_size);
	}
	*w = (struct worker){ 0 };
}

/* The first frame on a guest's stack. */
static void task_main(void *arg)
{
	struct task *t = arg;
	struct instance *in = t->instance;
	const struct aot_module *a = in->module->aot;
	fiber_arrived();
	for (uint32_t i = 0; i < t->ncalls; i++) {
		const struct aot_funcref *f = &in->funcs[t->calls[i]];
		union aot_value none[1] = { 0 };
		bool last = i + 1 == t->ncalls;
		a->invoke[a->func_types[t->calls[i]]](f->code, f->instance,
						      last && t->values ? t->values : none);
	}
	t->outcome = TASK_DONE;
	fiber_leaving(t->worker->stack_low, t->worker->stack_bytes);
	fiber_switch(t->worker->fiber);
	context_leave(&t->worker->ctx);
}

static void start(struct task *t)
{
	t->started = true;
	t->fiber = fiber_new();
	instance_set_stack(t->instance, &t->instance->stack);
	context_make(&t->ctx, stack_top(&t->instance->stack), task_main, t);
}

/* A guest that left inside the tick's handler left the signal blocked. */
static void unblock_tick(struct worker *w)
{
	if (LIKELY(!w->in_tick))
		return;
	w->in_tick = false;
	sigset_t tick;
	(void)sigemptyset(&tick);
	(void)sigaddset(&tick, TICK_SIGNAL);
	(void)pthread_sigmask(SIG_UNBLOCK, &tick, NULL);
}

enum task_outcome worker_run(struct worker *w, struct task *t)
{
	if (!t->started)
		start(t);
	t->worker = w;
	w->entered_ns = task_now_ns();
	w->cpu_known = t->ticks > 0;
	if (w->cpu_known)
		w->cpu_since_ns = task_thread_cpu_ns();
	w->running = t;
	arm_slice(w, w->entered_ns);
	fiber_leaving(t->instance->stack.low, t->instance->stack.bytes);
	fiber_switch(t->fiber);
	context_switch(&w->ctx, &t->ctx); /* from here the thread is preemptible */
	fiber_arrived();
	fiber_switch(w->fiber); /* a fault handler could not */
	w->running = NULL;
	unblock_tick(w);
	t->run_ns += task_now_ns() - w->entered_ns;
	t->cpu_ns += worker_cpu_since_ns(w);
	if (t->outcome > TASK_SLEEPING) {
		if (t->outcome == TASK_TRAPPED)
			backtrace_take(&t->trace, t->instance, t->trap_pc, t->trap_fp);
		stack_forget(&t->instance->stack);
		fiber_free(t->fiber);
		t->fiber = NULL;
	}
	return t->outcome;
}
