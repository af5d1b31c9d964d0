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
#include "sandbox/runtime/serve.h"

enum {
	SERVE_JOBS_MAX = 4096,        /* in flight, waiting ones included */
	SERVE_INITS_MAX = 64,         /* of these, kept for loading functions */
	SERVE_FUNCTION_BUCKETS = 256, /* by handle */
	SERVE_SLOTS = 512,            /* instances in all, each 4 GiB of address space */
	SERVE_SLOTS_SMALL = 64,       /* where addresses have 39 bits */
};

struct serve {
	int sock, wake_fd;
	unsigned nworkers;
	uint64_t spin_ns;
	struct loader loader;
	pthread_barrier_t confined;

	pthread_mutex_t lock;
	pthread_cond_t more; /* CLOCK_MONOTONIC */
	bool has_leader, leader_waits;
	unsigned unlooked;   /* jobs taken since somebody looked at the socket */
	unsigned nfollowers; /* that wait on `more` */
	struct function *functions[SERVE_FUNCTION_BUCKETS];
	unsigned nslots, slots_max;
	struct heap ready, asleep;
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

void serve_make_ready(struct serve *s, struct job *j);
void serve_put_asleep(struct serve *s, struct job *j);
struct job *serve_take_ready(struct serve *s);
/* The next one to take will hardly be noticed; false as well when there is none. */
bool serve_next_is_quick(const struct serve *s);
/* Readies those whose time has come; returns when the next one's will, UINT64_MAX = none. */
uint64_t serve_wake_sleepers(struct serve *s, uint64_t now_ns);
void serve_wake_another(struct serve *s);

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
