/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times, counted in buckets that grow with them: four to each doubling, so that a quantile is at
 * most a fifth too high. Adding is one atomic addition and may happen on any thread; who reads while
 * others add sees some of it.
 */
#ifndef GATEWAY_HISTOGRAM_H
#define GATEWAY_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

enum {
	HISTOGRAM_STEPS = 4,      /* to a doubling */
	HISTOGRAM_FIRST = 7,      /* the first bucket ends at 2^7 ns */
	HISTOGRAM_DOUBLINGS = 31, /* the last but one at 2^38 ns, four and a half minutes */
	HISTOGRAM_BUCKETS = HISTOGRAM_STEPS * HISTOGRAM_DOUBLINGS + 2,
};

struct histogram {
	_Atomic uint64_t sum_ns;
	_Atomic uint32_t n[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t ns);
/* Where a bucket ends, in ns; UINT64_MAX for the last. */
uint64_t histogram_bound(unsigned bucket);
uint64_t histogram_count(const struct histogram *h);
/* The end of the bucket in which the q-th part of all lies, 0 < q <= 1; 0 when there are none. */
uint64_t histogram_quantile(const struct histogram *h, double q);

#endif
