/* SPDX-License-Identifier: Apache-2.0 */
/* What an event was told while it ran (proto/told.h is how the journal keeps it, column `trace`), and
 * its repetition. */
#ifndef GATEWAY_REPLAY_H
#define GATEWAY_REPLAY_H

#include <stdbool.h>

#include "base/rd.h"
#include "base/util.h"
#include "proto/ipc.h"
#include "proto/told.h"

enum { REPLAY_BYTES_MAX = 256 << 10 };

struct replay {         /* of a flight */
	uint8_t *bytes; /* questions and answers of this run */
	size_t len, cap;
	bool cut;
	/* This run is a repetition: what the first one was told. */
	bool is_replay, strayed; /* strayed: it asked what the first run did not ask */
	struct told told;
	uint8_t *given; /* owns it */
};

void replay_fini(struct replay *r);
/* A question of this run was answered. packet: the whole STATE_TELL. */
void replay_note(struct replay *r, const struct ipc_state_ask *q, struct span packet);
/* The answer of the first run, with this question's ticket. False: it was not asked then. */
bool replay_tell(struct replay *r, const struct ipc_state_ask *q, struct wr *packet) MUST_USE;
/* r becomes a repetition of what `kept` (the column) holds; copies it. -E_INVALID: damaged, -E_LIMIT: it is
 * not all there; -ENOMEM. */
int replay_of(struct replay *r, struct span kept) MUST_USE;
/* The column, malloc'd, from a run's trace and its questions. NULL: there is nothing, or no memory. */
uint8_t *replay_pack(const struct replay *r, struct span trace, size_t *ret_len);

/* A digest of what an event wanted: status, reply, messages, changes of state. */
uint64_t replay_digest(const struct ipc_result *m);

#endif
