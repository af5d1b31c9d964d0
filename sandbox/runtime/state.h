/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one event reads and changes of the functions' state. Reads come from the gateway once and are
 * kept with their version; changes stay here and leave with the RESULT (proto/ipc.h, enum
 * ipc_state_what), so that they are committed with the event, or not at all. The event sees its own
 * changes.
 *
 * Bounds: IPC_STATE_OPS_MAX keys, STATE_MEMORY_MAX bytes of what was read and written, and what is to
 * leave fits IPC_STATE_BYTES.
 */
#ifndef RUNTIME_STATE_H
#define RUNTIME_STATE_H

#include <stdbool.h>

#include "base/rd.h"
#include "base/util.h"
#include "proto/ipc.h"

enum { STATE_MEMORY_MAX = 256 << 10 };

struct state_bytes { /* offset and length in state.bytes */
	uint32_t at, len;
};

struct state_entry {
	uint8_t what; /* enum ipc_state_what */
	bool there;   /* it has a value, after the changes */
	uint64_t version, ttl_ms;
	struct state_bytes bucket, key, value;
};

struct state {
	struct state_entry *entries;
	uint32_t n, cap;
	uint8_t *bytes;
	size_t len, bytes_cap;
	size_t leaving; /* bytes of the list in the RESULT */
	/* The last names read: of this bucket, with this prefix, behind these. */
	struct state_bytes page, page_bucket, page_prefix, page_after;
	bool has_page, page_more; /* more: the gateway has further ones */
};

void state_reset(struct state *s);
void state_fini(struct state *s);

/* NULL: not read or changed yet. LISTED entries have an empty key. */
struct state_entry *state_find(const struct state *s, struct span bucket, struct span key);
struct span state_span(const struct state *s, struct state_bytes b);

/* What a read found: value.at NULL = not there (version 0). NULL when a bound is reached. */
struct state_entry *state_read(struct state *s, struct span bucket, struct span key,
			       uint64_t version, struct span value) MUST_USE;
/* what: PUT with a value, or DELETE. False when a bound is reached, and nothing has changed then. */
bool state_change(struct state *s, struct span bucket, struct span key, enum ipc_state_what what,
		  struct span value, uint64_t ttl_ms) MUST_USE;
/* The names of a page were read. False when a bound is reached. */
bool state_page(struct state *s, struct span bucket, struct span prefix, struct span after,
		uint64_t version, struct span names) MUST_USE;
/* The next name behind `after`, changes included. *ret.at NULL: there is none. False: the names behind
 * *ret must be read first. *ret may lie in s->bytes. */
bool state_next(const struct state *s, struct span bucket, struct span prefix, struct span after,
		struct span *ret) MUST_USE;

/* The list for the RESULT. */
void state_put(const struct state *s, struct wr *w);

#endif
