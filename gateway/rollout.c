/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/rollout.h"

#include <inttypes.h>
#include <stdio.h>

struct rollout_counts rollout_counts(const struct rollout_tally *t)
{
#define GET(field) atomic_load_explicit(&t->field, memory_order_relaxed)
	return (struct rollout_counts){ GET(ended), GET(failed), GET(late), GET(compared),
					GET(differing) };
#undef GET
}

struct rollout_counts rollout_since(const struct rollout_tally *t,
				    const struct rollout_counts *before)
{
	const struct rollout_counts now = rollout_counts(t);
	return (struct rollout_counts){ now.ended - before->ended, now.failed - before->failed,
					now.late - before->late, now.compared - before->compared,
					now.differing - before->differing };
}

bool rollout_picks(uint64_t event, unsigned percent)
{
	/* Numbers in a row must not fall in with a sensor's rhythm: splitmix64's finaliser. */
	event = (event ^ (event >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	event = (event ^ (event >> 27)) * UINT64_C(0x94d049bb133111eb);
	event ^= event >> 31;
	return event % 100 < percent;
}

static double rate(uint64_t part, uint64_t of)
{
	return of ? (double)part / (double)of : 0;
}

static bool is_above(double candidate, uint64_t n, double active)
{
	double beyond = candidate - active - 0.05;
	return beyond > 0 && beyond * beyond * (double)n > 4;
}

bool rollout_is_worse(const struct rollout_counts *active, const struct rollout_counts *candidate,
		      char *reason, size_t reason_bytes)
{
	const struct {
		uint64_t bad, of;
		double active;
		const char *what;
	} rows[] = {
		{ candidate->failed, candidate->ended, rate(active->failed, active->ended),
		  "events failed" },
		{ candidate->late, candidate->ended, rate(active->late, active->ended),
		  "events missed their deadline" },
		{ candidate->differing, candidate->compared, 0, "events had other effects" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!is_above(rate(rows[i].bad, rows[i].of), rows[i].of, rows[i].active))
			continue;
		(void)snprintf(reason, reason_bytes,
			       "%" PRIu64 " of its %" PRIu64 " %s (active version: %.1f %%)",
			       rows[i].bad, rows[i].of, rows[i].what, 100 * rows[i].active);
		return true;
	}
	return false;
}
