/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the outputs: outputs.c (what is asked of them, from any thread), outputs_work.c (their thread). */
#ifndef TRIGGERS_OUTPUTS_IMPL_H
#define TRIGGERS_OUTPUTS_IMPL_H

#include <pthread.h>

#include "triggers/guard.h"
#include "triggers/limiter.h"
#include "triggers/outputs.h"

/* Something that an output is to do. */
struct wish {
	struct wish *next;
	enum wish_kind { WISH_SET, WISH_INITIAL, WISH_SAFE } what;
	uint64_t token; /* 0: nobody waits for it */
	uint64_t ticket;
	const char *refused; /* ended: NULL = it was done; a constant */
	char function[64];
	size_t len;
	uint8_t value[];
};

struct outlet {
	const struct output_config *c;
	const struct output_ops *ops;
	struct output *o;
	char initial[32], safe[32]; /* the options' text; "" = keep */
	struct wish *line, **line_last;
	unsigned in_line;
	bool busy;         /* one of it is under way, */
	char doing[64];    /* of this function */
	unsigned failures; /* in a row; > 0: the device is away */
	uint64_t due_ns;   /* not before */
	uint64_t tickets;
	uint64_t looked; /* for doctor, up to which outputs.looks; what was seen */
	int seen_err;
	struct why seen;
	struct output_status status; /* its strings are c's */
};

struct outputs {
	struct trigger base;
	const struct output_config *config; /* of outputs_options */
	unsigned n;
	void (*changed)(void *arg); /* of outputs_options, as its arg */
	void *changed_arg;
	char *guard_program; /* NULL: none */
	pthread_t thread;
	bool has_thread;
	int wake_fd; /* eventfd */

	pthread_mutex_t lock; /* all below up to the next lock */
	struct outlet outlet[OUTPUTS_MAX];
	struct wish *ended, **ended_last; /* to be acknowledged by the thread */
	uint64_t looks;                   /* that doctor asked for */
	bool stop;
	uint64_t stop_ns;

	pthread_mutex_t
		sink_lock; /* held during the sink's calls; never with another of these held */
	bool deaf;

	/* the thread's, as all calls of output_ops; before it, the owner's */
	struct guard *guard;
	bool guarded[OUTPUTS_MAX]; /* it was told something */
	unsigned guard_failures;
	uint64_t guard_due_ns; /* it is renewed, or started again */
	unsigned turn;         /* whose is next */
	struct limiter refusals;
};

/* outputs_new with other kinds. */
int outputs_new_of(const struct outputs_options *o, const struct output_ops *const *ops,
		   const struct trigger_sink *sink, struct trigger **ret, struct why *why) MUST_USE;

uint64_t outputs_now_ns(void);
/* lock held */
void outputs_line_add(struct outputs *t, struct outlet *o, struct wish *w);
void outputs_end(struct outputs *t, struct outlet *o, struct wish *w, const char *refused);
void outputs_newest_only(struct outputs *t, struct outlet *o);
/* without locks */
void *outputs_run(void *arg);
int outputs_guard_begin(struct outputs *t, struct why *why) MUST_USE;

#endif
