/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/histogram.h"

static unsigned bucket_of(uint64_t ns)
{
	if (ns <= UINT64_C(1) << HISTOGRAM_FIRST)
		return 0;
	uint64_t below = ns - 1; /* a bucket holds its bound */
	unsigned top = 63 - (unsigned)__builtin_clzll(below);
	unsigned step = (unsigned)(below >> (top - 2)) & (HISTOGRAM_STEPS - 1);
	unsigned at = (top - HISTOGRAM_FIRST) * HISTOGRAM_STEPS + step + 1;
	return at < HISTOGRAM_BUCKETS ? at : HISTOGRAM_BUCKETS - 1;
}

void histogram_add(struct histogram *h, uint64_t ns)
{
	atomic_fetch_add_explicit(&h->n[bucket_of(ns)], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&h->sum_ns, ns, memory_order_relaxed);
}

uint64_t histogram_bound(unsigned bucket)
{
	if (bucket == 0)
		return UINT64_C(1) << HISTOGRAM_FIRST;
	if (bucket >= HISTOGRAM_BUCKETS - 1)
		return UINT64_MAX;
	unsigned top = HISTOGRAM_FIRST + (bucket - 1) / HISTOGRAM_STEPS;
	unsigned step = (bucket - 1) % HISTOGRAM_STEPS;
	return (UINT64_C(1) << top) + ((uint64_t)(step + 1) << (top - 2));
}

uint64_t histogram_count(const struct histogram *h)
{
	uint64_t n = 0;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		n += atomic_load_explicit(&h->n[i], memory_order_relaxed);
	return n;
}

uint64_t histogram_quantile(const struct histogram *h, double q)
{
	uint64_t all = histogram_count(h), seen = 0;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS && all > 0; i++) {
		seen += atomic_load_explicit(&h->n[i], memory_order_relaxed);
		if ((double)seen >= q * (double)all)
			return histogram_bound(i);
	}
	return 0;
}
