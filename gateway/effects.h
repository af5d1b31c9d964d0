/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a function wants to have happened, checked against what it was granted and then made to
 * happen: all of it, or, when one thing is not permitted, nothing.
 */
#ifndef GATEWAY_EFFECTS_H
#define GATEWAY_EFFECTS_H

#include "gateway/flight.h"
#include "triggers/trigger.h"

/* Every message to a named topic is to one that is valid and granted. -E_INVALID, and why names
 * topic and function. */
int effects_check(const struct flight *f, const struct ipc_result *m, struct why *why) MUST_USE;

/* For a flight with a binding, after effects_check: hands its messages, and its reply to the binding's own
 * topic, to `take`, all in one call, borrowed for it; not at all when there are none. -E_INVALID: no own
 * topic, or the template gives no valid one; else what take says. */
typedef int effects_take(void *arg, const struct flight *f, const struct trigger_message *m,
			 unsigned n, struct why *why);
int effects_collect(const struct flight *f, const struct ipc_result *m, effects_take *take,
		    void *arg, struct why *why) MUST_USE;
/* A take: publishes at once, or queues in memory. -E_LIMIT: the way out has no room for all of them; none
 * was published. */
int effects_publish(void *arg, const struct flight *f, const struct trigger_message *m, unsigned n,
		    struct why *why);

#endif
