/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every kind of output looks like from above: a thing with one value, which functions set by a message
 * to $output/NAME (proto/kinds.h). triggers/outputs.c owns them all, on one thread of its own: it orders,
 * repeats what could not be done (the device is away), and tells the outbox what was done.
 *
 * Safe state. An output that has one (option safe) goes there when the gateway ends (close), when the
 * function that set it last is quarantined (outputs_release), and when penstockd dies: penstock-guard
 * (triggers/guard.h) holds what it needs for that from the beginning.
 *
 * Threads: open and guard by the owner before the thread starts; the rest by that thread, one at a time.
 * A call may take as long as the device needs, bounded by OUTPUT_MS; none waits for a device to come.
 */
#ifndef TRIGGERS_OUTPUT_H
#define TRIGGERS_OUTPUT_H

#include <stdbool.h>

#include "base/rd.h"
#include "base/why.h"

enum { OUTPUT_MS = 2000 };

struct output;
/* The numbers that a thing takes; 0 to 1: a bit. */
struct output_range {
	double least, most; /* the same: not known yet */
	bool whole;         /* nothing between whole numbers */
};
struct guard_action;

struct output_ops {
	const char *kind; /* of proto/kinds.def */
	/* target, options: as the table has them, checked; borrowed. -E_INVALID: they make no sense. A device
	 * that is not there is no error: set() says so. config: of the kind's own section, or NULL. */
	int (*open)(const char *target, struct span options, const void *config,
		    struct output **ret, struct why *why);
	/* The value now. -EAGAIN: the device is away or busy, to be tried again (why says what is wrong, and
	 * what to do); -E_INVALID, -ERANGE: this value makes no sense here; other errors: it refuses. */
	int (*set)(struct output *o, struct span value, struct why *why);
	/* Like set, of the option `initial` or `safe`; 0 at once where that is `keep`. */
	int (*initial)(struct output *o, struct why *why);
	int (*safe)(struct output *o, struct why *why);
	/* Is the device there? 0, or -EAGAIN with the reason and what to do. Does not change it. */
	int (*probe)(struct output *o, struct why *why);
	/* Which values it takes; false: the device has not said yet. May be NULL: nobody knows. */
	bool (*range)(struct output *o, struct output_range *ret);
	/* What the guard has to do; false: nothing, or it cannot be done from there. Descriptors in it are
	 * borrowed. Asked again after each set that opened the device anew. */
	bool (*guard)(struct output *o, struct guard_action *ret);
	void (*close)(struct output *o); /* leaves the level as it is */
};

struct output { /* the first member of every kind's struct */
	const struct output_ops *ops;
};

#endif
