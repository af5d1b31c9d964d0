/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an event was told while it ran: time and chance (sandbox/runtime/trace.h) and what it read of state. With
 * attributes and payload that is all that a function can see, so that the event can be run again, by this
 * version or another, to the same end. As the journal and exported events keep it:
 *
 *	u16 length, time and chance
 *	u8  1: it was told more than is kept, and this is not all
 *	    questions and answers: u32 length, STATE_ASK; u32 length, STATE_TELL
 *
 * Empty: it was told nothing.
 */
#ifndef PROTO_TOLD_H
#define PROTO_TOLD_H

#include "base/rd.h"
#include "base/util.h"
#include "proto/ipc.h"

struct told {
	struct span trace, answers; /* borrowed */
};

/* -E_INVALID: damaged; -E_LIMIT: it is not all there. */
int told_parse(struct span kept, struct told *ret) MUST_USE;
/* What was answered to this question. False: it was not asked then. */
bool told_find(const struct told *t, const struct ipc_state_ask *q,
	       struct ipc_state_tell *ret) MUST_USE;

#endif
