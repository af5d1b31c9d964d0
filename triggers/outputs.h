/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All outputs as one way out (trigger.h): messages to $output/NAME. Order is kept per output. One whose device is
 * away is tried again, with growing pauses, and only the newest value waits (older ones are counted as
 * acknowledged: a lamp has one state); the others go on.
 */
#ifndef TRIGGERS_OUTPUTS_H
#define TRIGGERS_OUTPUTS_H

#include "triggers/output.h"
#include "triggers/trigger.h"

enum { OUTPUTS_MAX = 64 };

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
	void *arg;
	const char *guard_program; /* penstock-guard, absolute; NULL: none (tests) */
};

int outputs_new(const struct outputs_options *o, const struct trigger_sink *sink,
		struct trigger **ret, struct why *why) MUST_USE;
/* This function is quarantined: what it set last goes to its safe state. Any thread. */
void outputs_release(struct trigger *t, const char *function);

struct output_status {
	const char *name, *kind, *target;
	char value[64];    /* last one set, "" = none yet */
	char function[64]; /* who set it */
	bool ok;
	char detail[256]; /* why not, and what to do */
	uint64_t set, refused, replaced;
};
/* i < noutputs */
void outputs_status(struct trigger *t, unsigned i, struct output_status *ret);
/* For doctor: looks at the device now. */
int outputs_probe(struct trigger *t, unsigned i, struct why *why) MUST_USE;

#endif
