/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A candidate version beside the active one: which events it gets, and whether it does as well.
 *
 * It is ended when its rate of failures (failed, trapped or refused by the sandbox), of missed
 * deadlines or, in a shadow, of other effects than the active version's lies more than 5 percentage
 * points and 2/sqrt(n), four times the largest possible standard error of n events, above the active
 * version's rate in the same time: 5 of 5 events, 26 of 100, 7 % of 10,000. What chance does to a
 * few events ends nothing, and a version that always fails costs five of them.
 */
#ifndef GATEWAY_ROLLOUT_H
#define GATEWAY_ROLLOUT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"

struct rollout_tally {
	_Atomic uint64_t ended, failed, late; /* of ended */
	_Atomic uint64_t compared, differing; /* of compared: a shadow's */
};

struct rollout_counts {
	uint64_t ended, failed, late, compared, differing;
};

struct rollout_counts rollout_counts(const struct rollout_tally *t);
/* What came since `before`. */
struct rollout_counts rollout_since(const struct rollout_tally *t,
				    const struct rollout_counts *before);

/* Does the candidate get this event? Percent of them do, chosen by the event's number alone, so that
 * an event that is run again goes to the same version. */
bool rollout_picks(uint64_t event, unsigned percent);

/* True: the candidate is worse; reason says in what. */
bool rollout_is_worse(const struct rollout_counts *active, const struct rollout_counts *candidate,
		      char *reason, size_t reason_bytes);

#endif
