/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an event learns of time and chance, kept so that it can be run again to the same end: clocks read,
 * and the seed that its random bytes come from (ChaCha20; one getrandom(2) per event that asks at all).
 * Travels in RESULT and, for a replay, back in INVOKE; nobody but this file looks inside.
 *
 *	'C' u64    a clock was read
 *	'R' 32     the seed
 *	'X'        more clocks were read than are kept: this event cannot be replayed
 */
#ifndef RUNTIME_TRACE_H
#define RUNTIME_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rd.h"
#include "base/util.h"
#include "proto/ipc.h"

enum { TRACE_SEED_BYTES = 32 };

struct trace {
	uint8_t *bytes;
	uint32_t len, cap;
	bool cut, seeded;
	uint8_t seed[TRACE_SEED_BYTES];
	uint64_t drawn;   /* how often */
	struct rd replay; /* what comes next, when is_replay */
	bool is_replay;
};

void trace_reset(struct trace *t);
void trace_fini(struct trace *t);
/* What was kept is to happen again; the bytes are borrowed. They may be anything: what does not fit is
 * replaced by what is now, and the two runs differ. */
void trace_replay(struct trace *t, struct span kept);

/* The clock's reading for the event, which is now or what it was then. */
uint64_t trace_clock(struct trace *t, uint64_t now);
/* Random bytes; 0 or -errno. */
int trace_random(struct trace *t, uint8_t *to, size_t n) MUST_USE;
/* What is to be kept. */
struct span trace_span(const struct trace *t);

#endif
