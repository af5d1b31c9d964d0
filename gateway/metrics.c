/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/metrics.h"

#include <inttypes.h>

static const char *const stages[METRICS_STAGES] = { "queue", "instantiate", "run" };

static uint64_t get(const _Atomic uint64_t *at)
{
	return atomic_load_explicit(at, memory_order_relaxed);
}

static void add(_Atomic uint64_t *at, uint64_t n)
{
	atomic_fetch_add_explicit(at, n, memory_order_relaxed);
}

void metrics_result(struct metrics *m, const struct ipc_result *r, uint64_t before_ns, bool late)
{
	add(&m->outcome[r->status], 1);
	if (late)
		add(&m->late, 1);
	if (r->status == IPC_REFUSED)
		return; /* it did not run */
	histogram_add(&m->stage[METRICS_QUEUE], before_ns + r->queue_ns);
	histogram_add(&m->stage[METRICS_INSTANTIATE], r->instantiate_ns);
	histogram_add(&m->stage[METRICS_RUN], r->run_ns);
	add(&m->cpu_ns, r->cpu_ns);
	uint32_t most = atomic_load_explicit(&m->memory_bytes, memory_order_relaxed);
	while (r->memory_bytes > most &&
	       !atomic_compare_exchange_weak_explicit(&m->memory_bytes, &most, r->memory_bytes,
						      memory_order_relaxed, memory_order_relaxed))
		;
}

static json_t *stage_json(const struct histogram *h)
{
	uint64_t n = histogram_count(h);
	double mean = n ? (double)get(&h->sum_ns) / 1e3 / (double)n : 0;
	return json_pack("{s:I, s:f, s:f, s:f, s:f}", "count", (json_int_t)n, "mean_us", mean,
			 "p50_us", (double)histogram_quantile(h, 0.5) / 1e3, "p99_us",
			 (double)histogram_quantile(h, 0.99) / 1e3, "p999_us",
			 (double)histogram_quantile(h, 0.999) / 1e3);
}

json_t *metrics_json(const struct metrics *m)
{
	json_t *outcomes = json_object(), *refused = json_object();
	for (uint32_t i = 0; i < IPC_STATUS_COUNT; i++)
		(void)json_object_set_new(outcomes, ipc_status_name(i),
					  json_integer((json_int_t)get(&m->outcome[i])));
	for (unsigned i = 0; i < REFUSALS; i++)
		if (get(&m->refused[i]) > 0)
			(void)json_object_set_new(refused, refusal_texts[i].name,
						  json_integer((json_int_t)get(&m->refused[i])));
	json_t *o = json_pack("{s:o, s:o, s:f, s:I, s:I}", "outcomes", outcomes, "refused", refused,
			      "cpu_s", (double)get(&m->cpu_ns) / 1e9, "memory_bytes",
			      (json_int_t)atomic_load(&m->memory_bytes), "deadline_misses",
			      (json_int_t)get(&m->late));
	for (unsigned i = 0; i < METRICS_STAGES; i++)
		(void)json_object_set_new(o, stages[i], stage_json(&m->stage[i]));
	return o;
}

json_t *metrics_json_short(const struct metrics *m)
{
	uint64_t refused = get(&m->outcome[IPC_REFUSED]);
	for (unsigned i = 0; i < REFUSALS; i++)
		refused += get(&m->refused[i]);
	return json_pack("{s:o, s:o, s:I, s:I}", "queue", stage_json(&m->stage[METRICS_QUEUE]),
			 "run", stage_json(&m->stage[METRICS_RUN]), "deadline_misses",
			 (json_int_t)get(&m->late), "refused", (json_int_t)refused);
}

static const struct {
	const char *name, *type, *help;
} groups[METRICS_TEXT_GROUPS] = {
	{ "penstock_function_events_total", "counter", "Events that ended, by outcome." },
	{ "penstock_function_refused_total", "counter",
	  "Events refused before they ran, by reason." },
	{ "penstock_function_cpu_seconds_total", "counter", "Processor time of its events." },
	{ "penstock_function_deadline_misses_total", "counter", "Events that ended too late." },
	{ "penstock_function_memory_bytes", "gauge", "Most linear memory that an event had." },
	{ "penstock_function_seconds", "histogram", "Time of events by stage." },
};

void metrics_text_head(struct wr *w, unsigned group)
{
	wr_fmt(w, "# HELP %s %s\n# TYPE %s %s\n", groups[group].name, groups[group].help,
	       groups[group].name, groups[group].type);
}

/* One bound per doubling is enough for a graph. */
static void histogram_text(struct wr *w, const char *function, const char *stage,
			   const struct histogram *h)
{
	const char *name = groups[METRICS_TEXT_GROUPS - 1].name;
	uint64_t seen = 0;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += atomic_load_explicit(&h->n[i], memory_order_relaxed);
		if (i % HISTOGRAM_STEPS == 0 && i < HISTOGRAM_BUCKETS - 1)
			wr_fmt(w,
			       "%s_bucket{function=\"%s\",stage=\"%s\",le=\"%.9g\"} %" PRIu64 "\n",
			       name, function, stage, (double)histogram_bound(i) / 1e9, seen);
	}
	wr_fmt(w, "%s_bucket{function=\"%s\",stage=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name,
	       function, stage, seen);
	wr_fmt(w, "%s_sum{function=\"%s\",stage=\"%s\"} %.9g\n", name, function, stage,
	       (double)get(&h->sum_ns) / 1e9);
	wr_fmt(w, "%s_count{function=\"%s\",stage=\"%s\"} %" PRIu64 "\n", name, function, stage,
	       seen);
}

/* A function's name has no character that would have to be escaped (manifest_name_ok). */
void metrics_text(struct wr *w, unsigned group, const char *function, const struct metrics *m)
{
	const char *name = groups[group].name;
	switch (group) {
	case 0:
		for (uint32_t i = 0; i < IPC_STATUS_COUNT; i++)
			wr_fmt(w, "%s{function=\"%s\",outcome=\"%s\"} %" PRIu64 "\n", name,
			       function, ipc_status_name(i), get(&m->outcome[i]));
		return;
	case 1:
		for (unsigned i = 0; i < REFUSALS; i++)
			wr_fmt(w, "%s{function=\"%s\",reason=\"%s\"} %" PRIu64 "\n", name, function,
			       refusal_texts[i].name, get(&m->refused[i]));
		return;
	case 2:
		wr_fmt(w, "%s{function=\"%s\"} %.9g\n", name, function,
		       (double)get(&m->cpu_ns) / 1e9);
		return;
	case 3:
		wr_fmt(w, "%s{function=\"%s\"} %" PRIu64 "\n", name, function, get(&m->late));
		return;
	case 4:
		wr_fmt(w, "%s{function=\"%s\"} %" PRIu32 "\n", name, function,
		       atomic_load(&m->memory_bytes));
		return;
	default:
		for (unsigned i = 0; i < METRICS_STAGES; i++)
			histogram_text(w, function, stages[i], &m->stage[i]);
		return;
	}
}
