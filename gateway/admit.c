/* SPDX-License-Identifier: Apache-2.0 */
/* Which events are taken, and what becomes of the others. */
#include <string.h>

#include "base/log.h"
#include "gateway/dispatch_impl.h"

/* fn was looked up again by name, under the lock, so it is alive; NULL: there is none. */
int dispatch_refuse(struct dispatch *d, struct span name, const struct event *e, struct binding *b,
		    enum refusal why)
{
	uint64_t held_back = 0;
	bool say = true;
	(void)pthread_mutex_lock(&d->lock);
	struct function *fn = function_find(&d->functions, name);
	if (fn) {
		fn->counts[FUNCTION_REFUSED]++;
		metrics_refused(&fn->metrics, why);
		say = limiter_pass(&fn->refusals, 5, &held_back);
	} else {
		say = limiter_pass(&d->strays, 5, &held_back);
	}
	(void)pthread_mutex_unlock(&d->lock);
	atomic_fetch_add_explicit(&d->counts[EVENTS_REFUSED], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&d->refused[why], 1, memory_order_relaxed);
	if (b)
		b->counts[BINDING_REFUSED]++;
	if (e->caller) {
		e->caller->refused = refusal_texts[why].name;
		e->caller->reason = refusal_texts[why].reason;
	}
	if (say)
		LOG(LOG_WARN, "event refused", F_BYTES("function", name.at, name.len),
		    F_BYTES_SOME("topic", e->topic.at, e->topic.len < 256 ? e->topic.len : 256),
		    F_STR("reason", refusal_texts[why].reason),
		    F_U64_SOME("not_logged", held_back));
	return refusal_texts[why].err;
}

/* What holds whatever there is to do. */
static enum refusal no_way(const struct dispatch *d, const struct function *fn,
			   const struct version *v, const struct event *e)
{
	if (d->closed)
		return REFUSE_CLOSED;
	if (!v)
		return REFUSE_UNKNOWN;
	if (fn->quarantined)
		return REFUSE_QUARANTINED;
	if (v->state == VERSION_FAILED)
		return REFUSE_FAILED;
	if (e->hops >= DISPATCH_HOPS_MAX)
		return REFUSE_LOOP;
	if (e->payload.len > d->config->payload_bytes)
		return REFUSE_LARGE;
	return ADMITTED;
}

static enum refusal no_room(const struct dispatch *d, const struct version *v,
			    const struct event *e)
{
	if (v->refs >= d->config->queue_per_function)
		return REFUSE_FUNCTION_FULL;
	if (e->payload.len > d->config->queue_bytes - d->bytes)
		return REFUSE_BYTES;
	return d->pool.used >= d->config->queue_events ? REFUSE_FULL : ADMITTED;
}

static struct admission_wish wish_of(const struct dispatch *d, const struct version *v,
				     const struct binding *b, uint64_t arrived_ns)
{
	uint64_t deadline_ms = v->limits.deadline_ms;
	uint32_t criticality = v->limits.criticality;
	if (b && b->deadline_ms > 0 && b->deadline_ms < deadline_ms)
		deadline_ms = b->deadline_ms;
	if (b && b->criticality < CRITICALITIES)
		criticality = b->criticality;
	return (struct admission_wish){ .now_ns = now_ns(),
					.deadline_ns = arrived_ns + deadline_ms * 1000000u,
					.hurried = deadline_ms * 1000000u <= HURRY_NS,
					.events_per_s = v->limits.events_per_s,
					.criticality = (enum criticality)criticality,
					.queued = d->pool.used,
					.queue_events = d->config->queue_events };
}

REQUIRES(lock)
static struct flight *take(struct dispatch *d, struct version *v, const struct event *e,
			   uint64_t id, const struct admission_wish *w, uint64_t cost_ns)
{
	struct flight *f = flight_new(&d->pool);
	if (!f)
		return NULL;
	f->id = id ? id : d->next_id++;
	f->version = v;
	f->hops = e->hops;
	f->charge_bytes = e->payload.len;
	f->arrived_ns = e->arrived_ns ? e->arrived_ns : w->now_ns;
	f->deadline_ns = w->deadline_ns;
	f->cost_ns = cost_ns;
	f->ring = admission_charge(&d->admission, w->now_ns, w->deadline_ns, cost_ns);
	d->bytes += f->charge_bytes;
	v->refs++;
	return f;
}

struct flight *dispatch_admit(struct dispatch *d, struct span name, const struct event *e,
			      const struct binding *b, uint64_t id, enum refusal *ret_why)
{
	struct flight *f = NULL;
	uint64_t cost_ns = 0;
	(void)pthread_mutex_lock(&d->lock);
	struct function *fn = function_find(&d->functions, name);
	struct version *v = fn && !fn->removed ? function_choose(fn, id ? id : d->next_id) : NULL;
	*ret_why = no_way(d, fn, v, e);
	if (*ret_why == ADMITTED)
		*ret_why = no_room(d, v, e);
	if (*ret_why == ADMITTED) {
		const struct admission_wish w =
			wish_of(d, v, b, e->arrived_ns ? e->arrived_ns : now_ns());
		d->admission.workers = d->workers;
		*ret_why = admission_check(&d->admission, &fn->estimate, &w, &cost_ns);
		if (*ret_why == ADMITTED && !(f = take(d, v, e, id, &w, cost_ns)))
			*ret_why = REFUSE_FULL;
	}
	(void)pthread_mutex_unlock(&d->lock);
	return f;
}
