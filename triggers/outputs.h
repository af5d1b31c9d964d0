/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All outputs as one way out (trigger.h): messages to $output/NAME. Order is kept per output. One whose device is
 * away is tried again, with growing pauses, and only the newest value waits (older ones are counted as
 * acknowledged: a lamp has one state); the others go on. The same where more than OUTPUT_LINE_MAX values wait for one
 * that is slow.
 *
 * A planned end: what has a token stays the outbox's and is set at the next start; the rest is set if it can be set
 * at once; then all go to their safe state.
 */
#ifndef TRIGGERS_OUTPUTS_H
#define TRIGGERS_OUTPUTS_H

#include "triggers/output.h"
#include "triggers/trigger.h"

enum { OUTPUTS_MAX = 64, OUTPUT_VALUE_MAX = 256, OUTPUT_LINE_MAX = 256 };

struct output_config {
	const char *name;    /* output_name_ok() */
	const char *kind;    /* of proto/kinds.def */
	const char *target;  /* what that row calls its argument */
	const char *options; /* canonical */
};

struct outputs_options {
	const struct output_config *outputs; /* borrowed while it lives */
	unsigned noutputs;
	const void *(*kind_config)(void *arg,
				   const char *kind); /* for output_ops.open; may be NULL */
	/* Values were set or refused: outputs_status may say something new. Called by their thread, not
	 * after deafen; may be NULL. */
	void (*changed)(void *arg);
	void *arg;
	const char *guard_program; /* penstock-guard, absolute; copied; NULL: none (tests) */
};

/* -E_CONFIG: a target or an option makes no sense, or this program has no such kind. */
int outputs_new(const struct outputs_options *o, const struct trigger_sink *sink,
		struct trigger **ret, struct why *why) MUST_USE;
/* This function is quarantined: what it set last goes to its safe state, what of it still waits is dropped. May be
 * said again and again. Any thread. */
void outputs_release(struct trigger *t, const char *function);

/* Which one has this name? -E_UNKNOWN. Any thread, as the rest. */
int outputs_find(struct trigger *t, struct span name, unsigned *ret_i, struct why *why) MUST_USE;
/* By hand. *ret_ticket: struct output_status says when it is over. -ENOMEM, -E_LIMIT: the value is too long. */
int outputs_set(struct trigger *t, unsigned i, struct span value, uint64_t *ret_ticket,
		struct why *why) MUST_USE;

struct output_status {
	const char *name, *kind, *target;
	char value[64];    /* last one set, "" = none yet */
	char function[64]; /* who set it; "" = by hand, or the gateway (initial, safe) */
	bool ok;
	bool waits;       /* a value that is not set yet */
	char detail[256]; /* why not, and what to do; with ok: why the last value was refused */
	uint64_t set, refused, replaced;
	struct output_range range; /* of its device, when that was there last */
	uint64_t ended;            /* tickets up to this one are over, */
	uint64_t ended_refused;    /* and this is the last of them that was refused */
};
/* i < noutputs */
void outputs_status(struct trigger *t, unsigned i, struct output_status *ret);
unsigned outputs_count(const struct trigger *t);
/* For doctor: has the outputs' thread look at all devices, each of which may keep it waiting. Does not wait. The number
 * of this look. */
uint64_t outputs_look(struct trigger *t);
/* False: it has not come to this device yet. *ret_err: what it saw, 0 or an error with its reason. */
bool outputs_looked(struct trigger *t, unsigned i, uint64_t look, int *ret_err, struct why *ret);

#endif
