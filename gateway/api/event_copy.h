/* SPDX-License-Identifier: Apache-2.0 */
/* An event out of the journal, to be kept beyond the call that read it. */
#ifndef GATEWAY_API_EVENT_COPY_H
#define GATEWAY_API_EVENT_COPY_H

#include "gateway/api/request.h"
#include "gateway/journal.h"
#include "proto/outcome.h"

struct event_copy {
	uint64_t id, arrived_wall_ms;
	enum journal_state state;
	unsigned revision, attempts;
	char function[MANIFEST_NAME_MAX + 1];
	struct span topic, attrs, payload, output, trace, reason;
	uint32_t nattrs;
	struct outcome outcome; /* spans into output */
	uint8_t *bytes;         /* of all spans */
};

/* The one that the path names. -E_UNKNOWN: it is not there, or has not run to an end that is kept; -E_INVALID. */
int event_copy(const struct api_request *q, struct event_copy *ret, struct why *why) MUST_USE;
void event_copy_fini(struct event_copy *c);

#endif
