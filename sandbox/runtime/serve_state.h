/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the threads of serve.c share. Each function below is called with the lock held, except
 * serve_state_new() and the two that send. None of them blocks.
 */
#ifndef RUNTIME_SERVE_STATE_H
#define RUNTIME_SERVE_STATE_H

#include <pthread.h>

#include "sandbox/runtime/function.h"
#include "sandbox/runtime/heap.h"
#include "sandbox/runtime/job.h"
#include "sandbox/runtime/sched.h"
#include "sandbox/runtime/serve.h"

enum {
	SERVE_JOBS_MAX = 16384,       /* in flight, waiting ones included */
	SERVE_INITS_MAX = 64,         /* of these, kept for loading functions */
	SERVE_FUNCTION_BUCKETS = 256, /* by handle */
};

enum leader { LEADER_NONE = -1, LEADER_WATCH = -2, LEADER_WATCH_READS = -3 };

struct serve {
	int sock;
	int wake_fd, watch_fd; /* eventfds: of a leader that waits, of the watch */
	unsigned nworkers;
	uint64_t spin_ns;
	struct loader loader;
	pthread_barrier_t confined;

	pthread_mutex_t lock;
	pthread_cond_t more; /* CLOCK_MONOTONIC */
	atomic_int
		leader; /* a worker, or one of enum leader; taken with the lock by who will wait */
	atomic_uint nidle, nthreads;
	bool leader_waits; /* a worker that leads */
	uint64_t leader_until_ns;
	unsigned nfollowers; /* that wait on `more` */
	struct sched sched;
	struct function *functions[SERVE_FUNCTION_BUCKETS];
	unsigned nslots, slots_max;
	struct heap asleep;
	_Atomic uint64_t next_wake_ns; /* of the first in asleep; UINT64_MAX */
	struct job *free_jobs, *live_jobs;
	struct job **jobs; /* by ticket_slot - 1; malloc'd as they are needed, njobs_made of them */
	unsigned njobs, njobs_made;
	uint64_t seq;
	struct line starved; /* wait because all slots are taken */

	/* the leader's */
	struct ipc_inbox *inbox;
	uint64_t last_message_ns, gap_ns;
	unsigned no_spins;     /* that many waits are not worth polling first */
	unsigned spins_failed; /* lately */
};

int serve_state_new(const struct serve_options *o, struct serve **ret, struct why *why) MUST_USE;
void serve_state_free(struct serve *s);

struct function *serve_function(struct serve *s, uint32_t handle); /* NULL = none */
void serve_add_function(struct serve *s, struct function *f);      /* with its first instance */
/* Marks it dying. Returns its idle instances, linked by next_idle, which are the caller's to free. */
struct instance *serve_remove_function(struct serve *s, struct function *f) MUST_USE;

struct job *serve_new_job(struct serve *s, enum job_kind kind); /* NULL = too many, no memory */
void serve_free_job(struct serve *s, struct job *j);
/* No answer comes for it any more. */
void serve_close_ticket(struct job *j);
void serve_cancel(struct serve *s, uint64_t event);

/* Into the queue of a worker. No lock needed. */
void serve_make_ready(struct serve *s, struct job *j, unsigned at);
void serve_put_asleep(struct serve *s, struct job *j);
uint64_t serve_next_wake_ns(const struct serve *s); /* UINT64_MAX = none */
/* Readies those whose time has come. Takes the lock itself, if there are any. */
void serve_wake_sleepers(struct serve *s, uint64_t now_ns);
/* See park.h; takes the lock itself. Who calls it lets a worker know. */
bool serve_wake_parked(struct serve *s, uint64_t ticket, struct span answer);

/* The lead for a worker that is about to wait: there is none, or the watch has it and only waits. */
bool serve_take_lead(struct serve *s, int worker);
/* Nobody leads: a follower shall, or the watch. */
void serve_appoint(struct serve *s);
/* A worker that waits shall look at the queues, if there is one. */
void serve_rouse_worker(struct serve *s);

enum slot { SLOT_HAVE, SLOT_NEW, SLOT_WAIT };
/* An instance for a job: an idle one; or leave to make a new one (perhaps in the place of *victim,
 * another function's idle one, now the caller's to free); or the job waits in line. */
enum slot serve_take_slot(struct serve *s, struct job *j, struct instance **ret,
			  struct instance **ret_victim);
void serve_slot_failed(struct serve *s, struct function *f);
void serve_drop_instance(struct serve *s, struct function *f);
/* Somebody may go on who waited for an instance of f, or for any slot. */
void serve_instance_came_free(struct serve *s, struct function *f);

int serve_send_hello(struct serve *s) MUST_USE;
int serve_send_loaded(struct serve *s, uint32_t handle, int err, const char *why,
		      bool is_reactor) MUST_USE;

#endif
