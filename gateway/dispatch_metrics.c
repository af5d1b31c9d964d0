/* SPDX-License-Identifier: Apache-2.0 */
/* What the dispatcher has measured, for people and for Prometheus. */
#include <inttypes.h>
#include <string.h>

#include "gateway/dispatch_impl.h"

json_t *dispatch_function_metrics(struct dispatch *d, const char *name)
{
	json_t *metrics = NULL;
	(void)pthread_mutex_lock(&d->lock);
	const struct function *f =
		function_find(&d->functions, (struct span){ (const uint8_t *)name, strlen(name) });
	if (f && !f->removed)
		metrics = metrics_json(&f->metrics);
	(void)pthread_mutex_unlock(&d->lock);
	return metrics;
}

json_t *dispatch_times(struct dispatch *d)
{
	json_t *list = json_array();
	(void)pthread_mutex_lock(&d->lock);
	for (struct function *f = function_next(&d->functions, NULL); f;
	     f = function_next(&d->functions, f)) {
		json_t *one = f->removed ? NULL : metrics_json_short(&f->metrics);
		if (one && json_object_set_new(one, "name", json_string(f->name)) == 0)
			(void)json_array_append_new(list, one);
	}
	(void)pthread_mutex_unlock(&d->lock);
	return list;
}

static void all_text(struct dispatch *d, struct wr *w)
{
	static const char *const outcome[EVENTS_COUNTS] = {
		[EVENTS_OK] = "ok",
		[EVENTS_FAILED] = "failed",
		[EVENTS_TRAPPED] = "trapped",
		[EVENTS_REFUSED] = "refused",
	};
	struct dispatch_status s;
	dispatch_status(d, &s);
	wr_fmt(w, "# HELP penstock_events_total Events that ended, by outcome.\n"
		  "# TYPE penstock_events_total counter\n");
	for (unsigned i = 0; i < EVENTS_COUNTS; i++)
		if (outcome[i])
			wr_fmt(w, "penstock_events_total{outcome=\"%s\"} %" PRIu64 "\n", outcome[i],
			       s.counts[i]);
	wr_fmt(w, "# HELP penstock_refused_total Events refused before they ran, by reason.\n"
		  "# TYPE penstock_refused_total counter\n");
	for (unsigned i = 0; i < REFUSALS; i++)
		wr_fmt(w, "penstock_refused_total{reason=\"%s\"} %" PRIu64 "\n",
		       refusal_texts[i].name, atomic_load(&d->refused[i]));
	wr_fmt(w,
	       "# HELP penstock_in_flight Events between arrival and end.\n"
	       "# TYPE penstock_in_flight gauge\npenstock_in_flight %u\n"
	       "# HELP penstock_sandbox_restarts_total Deaths of the sandbox.\n"
	       "# TYPE penstock_sandbox_restarts_total counter\n"
	       "penstock_sandbox_restarts_total %u\n",
	       s.in_flight, s.sandbox.restarts);
}

bool dispatch_metrics_text(struct dispatch *d, struct wr *w)
{
	all_text(d, w);
	for (unsigned group = 0; group < METRICS_TEXT_GROUPS; group++) {
		metrics_text_head(w, group);
		(void)pthread_mutex_lock(&d->lock);
		for (struct function *f = function_next(&d->functions, NULL); f;
		     f = function_next(&d->functions, f))
			if (!f->removed)
				metrics_text(w, group, f->name, &f->metrics);
		(void)pthread_mutex_unlock(&d->lock);
	}
	return wr_ok(w);
}

void dispatch_status(struct dispatch *d, struct dispatch_status *ret)
{
	*ret = (struct dispatch_status){ 0 };
	for (unsigned i = 0; i < EVENTS_COUNTS; i++)
		ret->counts[i] = atomic_load(&d->counts[i]);
	(void)pthread_mutex_lock(&d->lock);
	ret->in_flight = d->pool.used;
	ret->workers = d->workers;
	for (struct function *f = function_next(&d->functions, NULL); f;
	     f = function_next(&d->functions, f))
		ret->functions += !f->removed;
	(void)pthread_mutex_unlock(&d->lock);
	sandbox_peer_status(d->peer, &ret->sandbox);
}

int dispatch_function_status(struct dispatch *d, const char *name, struct dispatch_function *ret)
{
	*ret = (struct dispatch_function){ .state = "active" };
	(void)pthread_mutex_lock(&d->lock);
	struct function *f =
		function_find(&d->functions, (struct span){ (const uint8_t *)name, strlen(name) });
	if (!f || f->removed) {
		(void)pthread_mutex_unlock(&d->lock);
		return -E_UNKNOWN;
	}
	if (f->quarantined)
		ret->state = "quarantined";
	else if (!f->active || f->active->state == VERSION_FAILED)
		ret->state = "failed";
	(void)snprintf(ret->reason, sizeof(ret->reason), "%s", f->reason);
	(void)snprintf(ret->last_error, sizeof(ret->last_error), "%s", f->last_error);
	ret->last_error_wall_ms = f->last_error_wall_ms;
	for (unsigned i = 0; i < FUNCTION_COUNTS; i++)
		ret->counts[i] = atomic_load(&f->counts[i]);
	uint64_t n = atomic_load(&f->cpu_events);
	ret->cpu_us_mean = n ? (double)atomic_load(&f->cpu_ns) / 1e3 / (double)n : 0;
	const struct version *c = f->candidate;
	if (c && f->active) {
		ret->candidate_revision = c->revision;
		ret->candidate = rollout_counts(&c->tally);
		ret->active = rollout_since(&f->active->tally, &c->before);
	}
	(void)pthread_mutex_unlock(&d->lock);
	return 0;
}
