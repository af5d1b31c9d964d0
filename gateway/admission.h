/* SPDX-License-Identifier: Apache-2.0 */
/*
 * May an event be taken? It is refused at once when it could not end before its deadline behind what
 * was taken already, when its function gets more events than its manifest says, or when the common
 * queue is kept for more critical ones. Refusing early is the kindest: what is taken is then in time,
 * and nothing is spent on what would come too late.
 *
 * How long a function runs is measured: a moving mean and a moving deviation, as TCP estimates
 * round-trip times. The work that is due is kept by deadline, since the sandbox runs the earliest
 * deadline first: before an event lies what is due before it, and nothing else. Two rings of buckets
 * do that: 16 ms each for the next seconds, 256 ms each for the next minute; what is due later counts
 * for later events alone.
 *
 * Who is in a hurry (a deadline of a second or less) goes before everybody who is not, so a function that
 * only declares a short deadline and burns could starve the others. Hence all that are in a hurry
 * may use HURRY_PERCENT of the processors together, and what they use at present is taken off what
 * the others are promised.
 *
 * No locking here; the dispatcher's lock is held around every call. Estimates are fed from any thread.
 */
#ifndef GATEWAY_ADMISSION_H
#define GATEWAY_ADMISSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/manifest.h"

enum refusal {
#define REFUSAL(id, name, err, reason) REFUSE_##id,
#include "gateway/refusal.def"
#undef REFUSAL
	REFUSALS,
	ADMITTED = REFUSALS
};

struct refusal_text {
	const char *name; /* in metrics */
	int err;
	const char *reason; /* for people */
};
extern const struct refusal_text refusal_texts[REFUSALS];

enum { ADMISSION_FINE = 256, ADMISSION_COARSE = 256 };

struct admission {
	uint64_t fine_ns[ADMISSION_FINE], coarse_ns[ADMISSION_COARSE], later_ns; /* of work */
	uint64_t all_ns;
	uint64_t hurry_ns;      /* when those in a hurry have used their share until then */
	uint64_t hurried_ns;    /* work of theirs in the last second, about */
	uint64_t hurried_at_ns; /* when that was so */
	unsigned workers;       /* 0: not known yet, nothing is refused for its deadline */
};

/* Of one function. All zero at first. */
struct admission_estimate {
	_Atomic uint64_t run_ns, deviation_ns; /* run_ns 0: it has not run yet */
	uint64_t next_ns; /* when its next event is due, if they come as fast as they may */
};

/* A run took that long. Any thread. */
void admission_learn(struct admission_estimate *e, uint64_t run_ns);

struct admission_wish {
	uint64_t now_ns, deadline_ns;
	bool hurried;          /* the function's deadlines are that short */
	uint32_t events_per_s; /* most; 0 = no bound */
	enum criticality criticality;
	unsigned queued, queue_events; /* events in flight of all functions, and most */
};

/* ADMITTED: *ret_cost_ns is to be given to admission_charge(). */
enum refusal admission_check(struct admission *a, struct admission_estimate *e,
			     const struct admission_wish *w, uint64_t *ret_cost_ns);
/* Its work is before others from here, until it is discharged with the same values (the ring it is in
 * depends on when it was taken: *ret_ring). */
uint8_t admission_charge(struct admission *a, uint64_t now_ns, uint64_t deadline_ns,
			 uint64_t cost_ns);
void admission_discharge(struct admission *a, uint8_t ring, uint64_t deadline_ns, uint64_t cost_ns);
/* Work that is due until then. */
uint64_t admission_before_ns(const struct admission *a, uint64_t now_ns, uint64_t deadline_ns);

#endif
