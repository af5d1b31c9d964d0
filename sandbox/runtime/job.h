/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One event for one function, from INVOKE to RESULT; or the _initialize of a function, from LOAD to
 * LOADED. It owns copies of what came with the message, and the buffers of its host calls.
 */
#ifndef RUNTIME_JOB_H
#define RUNTIME_JOB_H

#include "proto/ipc.h"
#include "sandbox/runtime/answers.h"
#include "sandbox/runtime/function.h"
#include "sandbox/runtime/handover.h"
#include "sandbox/runtime/host.h"
#include "sandbox/runtime/task.h"

enum job_kind { JOB_EVENT, JOB_INIT };
enum job_state {
	JOB_READY,
	JOB_RUNNING,
	JOB_SLEEPING,
	JOB_WAITING /* for an instance, until its deadline: in a line, and among the sleepers */
};

struct job {
	struct task task;
	struct host host;
	enum job_kind kind;
	_Atomic enum job_state state; /* SLEEPING and WAITING come and go under the serve lock */
	struct function *function;
	struct job *next;                   /* free, or waiting for an instance */
	struct job *next_live, **prev_live; /* all that are in flight */
	size_t heap_at;
	ck_stack_entry_t inbox; /* sched.h */
	uint64_t urgency;
	unsigned home; /* whose queue it is in, or which worker runs it */
	uint64_t event, seq;
	uint64_t arrived_ns, taken_ns, started_ns, deadline_ns; /* taken: by a worker, for good */
	uint8_t *copy;                                          /* of attributes and payload */
	size_t copy_cap;
	const void *map; /* payload that came by memfd */
	size_t map_len;
	union aot_value result[1];
	atomic_bool cancelled; /* no RESULT wanted */
};

/* Fills a zeroed or reset job from a message; fd is its memfd or -1, borrowed. -ENOMEM, -E_PROTO
 * (an unsealed memfd). */
int job_set_event(struct job *j, struct function *f, const struct ipc_invoke *m, int fd,
		  uint64_t now_ns) MUST_USE;
void job_set_init(struct job *j, struct function *f, uint64_t now_ns);
/* With an instance like the image, before the first run. */
void job_start(struct job *j, struct instance *in, uint64_t now_ns);
/* Releases what belongs to the event; buffers of usual size stay for the next one. */
void job_reset(struct job *j);
void job_fini(struct job *j);

/* Puts its RESULT into `to` (LOADED is serve.c's). After the last worker_run(). */
int job_answer(struct job *j, struct answers *to) MUST_USE;

#endif
