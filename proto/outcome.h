/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What came of an event, as the journal and exported events keep it, and what is different when it is run
 * again. The bytes:
 *
 *	u32 length, reply
 *	u32 length, messages (ipc_effect_next)
 *	    changes of state (ipc_state_next), without reads
 */
#ifndef PROTO_OUTCOME_H
#define PROTO_OUTCOME_H

#include "base/rd.h"
#include "base/util.h"
#include "base/wr.h"
#include "proto/ipc.h"

struct outcome { /* all borrowed */
	uint32_t status;
	int32_t code;
	struct span reply, effects, state; /* of the two lists; state may have reads in it */
};

struct outcome outcome_of(const struct ipc_result *m);
size_t outcome_bytes_most(const struct outcome *o);
void outcome_put(struct wr *w, const struct outcome *o);
/* Lists are checked to their end. False: damaged. Leaves status and code alone. */
bool outcome_parse(struct span bytes, struct outcome *ret) MUST_USE;

/* then or now empty with at NULL: it was not there. Both are text to show, cut at OUTCOME_SHOWN bytes. */
enum { OUTCOME_SHOWN = 2048 };
typedef void outcome_differ(void *arg, const char *what, struct span then, struct span now);
/* How many differences; 0: the same. What an event that did not end well had wanted does not count. */
unsigned outcome_compare(const struct outcome *then, const struct outcome *now,
			 outcome_differ *differ, void *arg);

#endif
