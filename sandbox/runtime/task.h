/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task: calls into one instance, on that instance's stack, under a CPU budget and a deadline.
 * A worker runs it (worker.h) until it ends, sleeps or has had its slice.
 *
 * The functions of the second half are called on the guest's stack by host calls and helpers. Those
 * that leave never return and run no cleanup: nothing on such a frame may own anything.
 */
#ifndef RUNTIME_TASK_H
#define RUNTIME_TASK_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/rd.h"
#include "base/wr.h"
#include "sandbox/runtime/backtrace.h"
#include "sandbox/runtime/context.h"
#include "sandbox/runtime/instance.h"

struct host;
struct worker;

enum task_outcome {
	TASK_YIELDED,  /* others have more right to the worker; run it again */
	TASK_SLEEPING, /* until wake_ns, or until its ticket is woken (park.h); then run it again */
	TASK_DONE,     /* all calls returned; results are in values */
	TASK_EXITED,   /* proc_exit(exit_code) */
	TASK_TRAPPED,  /* trap, trap_pc, trap_note */
};

enum { TASK_CALLS_MAX = 3 };

struct task {
	struct context ctx;    /* where it goes on while it does not run */
	struct worker *worker; /* that runs it now, or ran it last */
	struct instance *instance;
	struct host *host;                      /* what host calls work on */
	uint32_t calls[TASK_CALLS_MAX], ncalls; /* function indices, called in order */
	union aot_value
		*values; /* of the last call; the others have neither arguments nor results */
	uint64_t cpu_budget_ns, deadline_ns; /* 0 = none; the deadline is CLOCK_MONOTONIC */

	uint64_t cpu_ns, run_ns; /* used so far */
	uint64_t wake_ns;
	/* park.h. Only the task opens a ticket; whoever wakes it for another reason, or with an
	 * answer, closes it, under the serve lock. */
	uint32_t ticket_slot;    /* 1 + which of the gateway's jobs it is; 0 = nobody can wake it */
	uint32_t ticket_round;   /* how many it has had */
	_Atomic uint64_t ticket; /* the open one, or 0 */
	bool woken;              /* by its ticket */
	struct span ask, answer; /* answer: malloc'd, freed by task_fini() */
	uint32_t ticks;          /* how often it was interrupted */
	int32_t exit_code;
	enum aot_trap trap;
	uintptr_t trap_pc, trap_fp; /* frame pointer: backtrace.h */
	struct backtrace trace;     /* after TASK_TRAPPED */
	const char *trap_note;      /* static text or NULL */
	enum task_outcome outcome;
	uint64_t host_calls_left; /* task_init(): as many as it likes */
	uintptr_t host_pc;        /* where the guest called the host */
	void *fiber;              /* fiber.h */
	bool started;
	bool blocked;                       /* in a system call that may wait: no ticks meanwhile */
	volatile sig_atomic_t tick_pending; /* a tick came while the host worked for it */
	const atomic_bool *cancelled;       /* NULL, or set by any thread: ends at the next tick */
};

/* Zeroes it. The instance must be fresh: populated or reset, its stack free. */
void task_init(struct task *t, struct instance *in, struct host *host);
/* Frees what an answer left. NULL-safe for a zeroed one. */
void task_fini(struct task *t);
/* Appends a call. values (may be NULL) must hold the larger of parameters and results. */
void task_add_call(struct task *t, uint32_t func, union aot_value *values);
/* "memory at overheat.c:41 check_limit" (backtrace_place()) and where there is one, ": note". After
 * TASK_TRAPPED, before the instance is freed. */
void task_trap_text(const struct task *t, struct wr *w);

uint64_t task_now_ns(void);        /* CLOCK_MONOTONIC */
uint64_t task_thread_cpu_ns(void); /* CLOCK_THREAD_CPUTIME_ID */

/* ---- on the guest's stack ---- */

/* The task that this thread runs; NULL outside of guests. Safe in signal handlers. Ask again after
 * anything that may switch: another thread may have gone on with the task. */
struct task *task_current(void);
void task_exit(struct task *t, int32_t code) __attribute__((noreturn));
void task_trap(struct task *t, enum aot_trap kind, uintptr_t pc, const char *note)
	__attribute__((noreturn));
/* If a tick is due: ends the task when its budget is used up, else lets others run that have more
 * right to. Called by every
 * host call before it returns, and inside long ones. */
void task_checkpoint(struct task *t);
/* Ends it if it may not go on, else gives the worker up where others wait. pc is for the trap. */
void task_tick(struct task *t, uintptr_t pc);

#endif
