/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/admission.h"

#include <errno.h>

#include "base/why.h"

enum {
	FINE_SHIFT = 24,           /* 16.8 ms */
	COARSE_SHIFT = 28,         /* 268 ms */
	EVENT_NS = 20000,          /* of the sandbox, for each event beside its run */
	RATE_SLACK_NS = 250000000, /* events come in bursts */
	SECOND_NS = 1000000000,
	HURRY_PERCENT = 80,
};
/* How far ahead of now a ring may be filled: the rest of it is for what is overdue. */
#define FINE_NS   ((uint64_t)(ADMISSION_FINE * 3 / 4) << FINE_SHIFT)
#define COARSE_NS ((uint64_t)(ADMISSION_COARSE * 3 / 4) << COARSE_SHIFT)
enum { RING_FINE, RING_COARSE, RING_LATER };

const struct refusal_text refusal_texts[REFUSALS] = {
#define REFUSAL(id, name, err, reason) { name, err, reason },
#include "gateway/refusal.def"
#undef REFUSAL
};

/* By enum criticality: how much room there must be, in percent of what is estimated, and how much of
 * the common queue it may find taken, and how far those in a hurry may be ahead of their share. */
static const struct {
	unsigned room, queue;
	unsigned hurry_slack_ns;
} terms[] = {
	[CRITICALITY_LOW] = { 200, 50, 50000000 },
	[CRITICALITY_NORMAL] = { 125, 90, 150000000 },
	[CRITICALITY_HIGH] = { 110, 100, 250000000 },
};

static uint64_t load(const _Atomic uint64_t *at)
{
	return atomic_load_explicit(at, memory_order_relaxed);
}

void admission_learn(struct admission_estimate *e, uint64_t run_ns)
{
	/* Two threads at once may lose one of their measurements. */
	uint64_t mean = load(&e->run_ns), deviation = load(&e->deviation_ns);
	run_ns = run_ns > 0 ? run_ns : 1;
	if (mean == 0) {
		mean = run_ns;
		deviation = run_ns / 2;
	} else {
		int64_t off = (int64_t)(run_ns - mean);
		mean = (uint64_t)((int64_t)mean + off / 8);
		deviation = (uint64_t)((int64_t)deviation +
				       ((off < 0 ? -off : off) - (int64_t)deviation) / 4);
	}
	atomic_store_explicit(&e->run_ns, mean > 0 ? mean : 1, memory_order_relaxed);
	atomic_store_explicit(&e->deviation_ns, deviation, memory_order_relaxed);
}

static uint64_t ring_sum(const uint64_t *ring, unsigned n, unsigned shift, uint64_t now_ns,
			 uint64_t until_ns)
{
	uint64_t first = (now_ns >> shift) - n / 4, last = until_ns >> shift, sum = 0;
	if (last - first >= n)
		last = first + n - 1;
	for (uint64_t i = first; i <= last; i++)
		sum += ring[i % n];
	return sum;
}

uint64_t admission_before_ns(const struct admission *a, uint64_t now_ns, uint64_t deadline_ns)
{
	if (deadline_ns - now_ns >= COARSE_NS)
		return a->all_ns;
	return ring_sum(a->fine_ns, ADMISSION_FINE, FINE_SHIFT, now_ns, deadline_ns) +
	       ring_sum(a->coarse_ns, ADMISSION_COARSE, COARSE_SHIFT, now_ns, deadline_ns);
}

/* Generic cell rate algorithm: a bucket that leaks, kept as one time. */
static bool rate_ok(struct admission_estimate *e, const struct admission_wish *w)
{
	if (w->events_per_s == 0)
		return true;
	uint64_t gap = 1000000000u / w->events_per_s;
	uint64_t at = e->next_ns > w->now_ns ? e->next_ns : w->now_ns;
	if (at - w->now_ns > RATE_SLACK_NS)
		return false;
	e->next_ns = at + gap;
	return true;
}

/* The share of the processors, of 1000, that is not used by those in a hurry. */
static uint64_t rest_per_mille(const struct admission *a, uint64_t now_ns)
{
	uint64_t age = now_ns - a->hurried_at_ns;
	uint64_t used = age < SECOND_NS ? a->hurried_ns / 1000 * (SECOND_NS - age) / SECOND_NS : 0;
	uint64_t per_mille = used / (SECOND_NS / 1000000) / a->workers;
	return per_mille < HURRY_PERCENT * 10 ? 1000 - per_mille : 1000 - HURRY_PERCENT * 10;
}

static bool hurry_ok(struct admission *a, const struct admission_wish *w, uint64_t cost_ns)
{
	if (!w->hurried || a->workers == 0)
		return true;
	uint64_t at = a->hurry_ns > w->now_ns ? a->hurry_ns : w->now_ns;
	if (at - w->now_ns > terms[w->criticality].hurry_slack_ns)
		return false;
	a->hurry_ns = at + cost_ns * 100 / HURRY_PERCENT / a->workers;
	uint64_t age = w->now_ns - a->hurried_at_ns;
	a->hurried_ns = age < SECOND_NS
				? a->hurried_ns - a->hurried_ns / 1000 * age / (SECOND_NS / 1000)
				: 0;
	a->hurried_ns += cost_ns;
	a->hurried_at_ns = w->now_ns;
	return true;
}

static bool in_time(const struct admission *a, const struct admission_estimate *e,
		    const struct admission_wish *w)
{
	uint64_t run = load(&e->run_ns);
	if (run == 0 || a->workers == 0 || a->all_ns == 0)
		return true; /* nothing is known, or nothing is before it */
	if (w->deadline_ns <= w->now_ns)
		return false;
	uint64_t before = admission_before_ns(a, w->now_ns, w->deadline_ns) / a->workers;
	if (!w->hurried)
		before = before / rest_per_mille(a, w->now_ns) * 1000;
	uint64_t needs = before + run + 2 * load(&e->deviation_ns) + EVENT_NS;
	return needs / 100 * terms[w->criticality].room <= w->deadline_ns - w->now_ns;
}

enum refusal admission_check(struct admission *a, struct admission_estimate *e,
			     const struct admission_wish *w, uint64_t *ret_cost_ns)
{
	if ((uint64_t)w->queued * 100 >= (uint64_t)w->queue_events * terms[w->criticality].queue)
		return terms[w->criticality].queue < 100 ? REFUSE_SHARE : REFUSE_FULL;
	if (!in_time(a, e, w))
		return REFUSE_DEADLINE;
	if (!rate_ok(e, w))
		return REFUSE_RATE;
	uint64_t cost_ns = load(&e->run_ns) + EVENT_NS;
	if (!hurry_ok(a, w, cost_ns))
		return REFUSE_HURRY;
	*ret_cost_ns = cost_ns;
	return ADMITTED;
}

static uint64_t *place(struct admission *a, uint8_t ring, uint64_t deadline_ns)
{
	if (ring == RING_FINE)
		return &a->fine_ns[(deadline_ns >> FINE_SHIFT) % ADMISSION_FINE];
	if (ring == RING_COARSE)
		return &a->coarse_ns[(deadline_ns >> COARSE_SHIFT) % ADMISSION_COARSE];
	return &a->later_ns;
}

uint8_t admission_charge(struct admission *a, uint64_t now_ns, uint64_t deadline_ns,
			 uint64_t cost_ns)
{
	uint64_t ahead = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
	uint8_t ring = ahead < FINE_NS ? RING_FINE : ahead < COARSE_NS ? RING_COARSE : RING_LATER;
	*place(a, ring, deadline_ns) += cost_ns;
	a->all_ns += cost_ns;
	return ring;
}

void admission_discharge(struct admission *a, uint8_t ring, uint64_t deadline_ns, uint64_t cost_ns)
{
	*place(a, ring, deadline_ns) -= cost_ns;
	a->all_ns -= cost_ns;
}
