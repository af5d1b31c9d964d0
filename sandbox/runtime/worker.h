/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that runs guests, and the signals that take a guest off it.
 *
 * Where a signal may find a worker:
 *
 *   state | pc and stack                          | a fault is       | a tick
 *   ------+---------------------------------------+------------------+---------------------------
 *   IDLE  | running == NULL, the thread's stack   | ours: die        | ignored
 *   GUEST | guest code, guest stack               | the guest's, if  | kill, switch away or go on,
 *         |                                       | the address is   | inside the handler, on the
 *         |                                       | its memory or    | guest's stack
 *         |                                       | stack guard      |
 *   HOST  | running != NULL, pc elsewhere: host   | ours: die        | noted in tick_pending, seen
 *         | call, helper, context switch, handler |                  | by the next task_checkpoint
 *
 * 1. Guest code holds no lock and calls nothing but the host's functions, so in GUEST any
 *    instruction is a safe place to stop for ever or for a while.
 * 2. The state is decided by the pc alone, so there is no window between "set a flag" and "jump".
 * 3. A tick that finds HOST arms the timer again: if the host call returned after its last
 *    checkpoint, the next tick finds GUEST. So no budget is overrun by more than a slice, or the
 *    longest stretch of host code without a checkpoint.
 * 4. The tick handler runs on the guest's stack (no SA_ONSTACK; AOT_STACK_RESERVE_BYTES are free
 *    there), so it can switch to the worker from inside; the kernel's frame keeps every register.
 *    The signal is blocked meanwhile: with SA_NODEFER signals that come faster than handlers end
 *    pile their frames up until the stack is full. Where the guest leaves inside the handler, the
 *    worker unblocks it. Who goes on does so unblocked, so on a stack lie two frames at most: that of
 *    the tick that switched, and one that finds HOST and returns.
 * 5. When the guest goes on, perhaps on another thread, the handler first puts that thread's signal
 *    stack into the frame: sigreturn would install the old thread's.
 * 6. The fault handler runs on the thread's signal stack and never switches: it edits the frame so
 *    that "returning" is context_leave(worker). The guest's frames are forgotten.
 *
 * The tick is a CLOCK_MONOTONIC timer, not the thread's CPU clock: CPU-clock timers are only looked
 * at by the scheduler's tick (4 ms on Debian's kernels), and budgets are compared with the CPU
 * clock anyway. One shot of a slice's length, armed when a guest is entered and none is under way;
 * nobody stops it: that would cost two timer programmings per event (8 us in a virtual machine), and
 * the shot that finds the worker asleep wakes it for nothing once per slice at most. At that tick the
 * worker's owner says how it goes on (worker_wish): a guest that nobody waits for is not interrupted
 * again before its budget or its deadline is over, unless somebody sets the timer off (worker_kick).
 *
 * The CPU clock costs a system call to read. Until its first tick a stay in the guest is charged by
 * wall time instead, up to TASK_FIRST_CHARGE_NS, and from then on by the CPU clock.
 */
#ifndef RUNTIME_WORKER_H
#define RUNTIME_WORKER_H

#include <signal.h>
#include <time.h>

#include "sandbox/runtime/task.h"

enum { WORKER_SLICE_NS = 1000000, TASK_FIRST_CHARGE_NS = 2 * WORKER_SLICE_NS };

enum worker_wish {
	WORKER_GO_ON, /* until the budget or the deadline is over, or a kick */
	WORKER_TICK,  /* for another slice */
	WORKER_YIELD
};

struct worker {
	struct context ctx; /* of the thread, while a guest runs */
	struct task *volatile running;
	/* Asked at a tick, on the guest's stack and mostly in the signal handler, with what the task
	 * has used booked: atomics only. NULL: WORKER_GO_ON. */
	enum worker_wish (*wish)(void *arg, struct task *t);
	void *wish_arg;
	/* This stay in the guest, or since it was last booked. */
	uint64_t entered_ns, cpu_since_ns;
	atomic_bool cpu_known; /* cpu_since_ns is */
	bool in_tick;          /* in its handler, for a guest */
	timer_t timer;
	bool has_timer;
	volatile uint64_t
		armed_ns; /* when the timer goes off, as far as this thread knows; 0 = never */
	stack_t signal_stack;
	const void *stack_low; /* for sanitizers */
	size_t stack_bytes;
	void *fiber;
};

/* Once per process, before the first worker. */
int worker_signals(struct why *why) MUST_USE;
/* On the thread that will run it: signal stack, timer. */
int worker_init(struct worker *w, struct why *why) MUST_USE;
void worker_fini(struct worker *w);

/* Runs a task, new or continued. */
enum task_outcome worker_run(struct worker *w, struct task *t) MUST_USE;
/* What the running task has used since it was entered. Safe in signal handlers. */
uint64_t worker_cpu_since_ns(const struct worker *w);
/* Adds it to the task, and begins anew by the CPU clock. */
void worker_book(struct worker *w, struct task *t);
/* At a tick, after the task was found to have the right to go on: true = it shall not. Arms the timer. */
bool worker_shall_yield(struct worker *w, struct task *t);
/* From any thread: its guest comes to a tick at once. */
void worker_kick(struct worker *w);
struct worker *worker_current(void);

#endif
