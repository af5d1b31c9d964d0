/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An exported event, as `penstock run --replay` hands it to the sandbox: what it saw, and what came of it.
 *
 *	u32 status, i32 code
 *	u32 length, attributes (ipc_attr_next)
 *	u32 length, payload
 *	u32 length, what it was told (told.h)
 *	u32 length, what came of it (outcome.h)
 */
#ifndef PROTO_KEPT_EVENT_H
#define PROTO_KEPT_EVENT_H

#include "base/why.h"
#include "proto/outcome.h"
#include "proto/told.h"

/* Of all of it; more is refused. */
enum { KEPT_EVENT_BYTES_MAX = 64 << 20 };

struct kept_event { /* spans are borrowed */
	struct span attrs, payload, trace, output;
	struct told told;       /* of trace */
	struct outcome outcome; /* of output */
};

size_t kept_event_bytes(const struct kept_event *e);
/* attrs, payload, trace, output, outcome.status and .code. */
void kept_event_put(struct wr *w, const struct kept_event *e);
/* Everything is checked. -E_INVALID; -E_LIMIT: it was told more than was kept. */
int kept_event_parse(struct span bytes, struct kept_event *ret, struct why *why) MUST_USE;

#endif
