/* SPDX-License-Identifier: Apache-2.0 */
/* What the event path tells about itself (doc/API.md). */
#include <stdlib.h>
#include <string.h>

#include "gateway/outbox.h"
#include "gateway/path_impl.h"
#include "gateway/text.h"

/* A broker's or a guest's words, cut somewhere: one bad byte must not cost the whole answer. */
static json_t *text_of(const char *s, size_t cap)
{
	return text_json((struct span){ (const uint8_t *)s, strnlen(s, cap) });
}

static json_t *outbox_status_json(struct path *p, struct trigger *t)
{
	struct outbox_status s;
	if (!p->outbox)
		return json_null();
	outbox_status(p->outbox, t, &s);
	return json_pack("{s:I, s:I, s:b, s:I, s:I, s:I, s:I, s:I}", "waiting",
			 (json_int_t)s.waiting, "waiting_bytes", (json_int_t)s.waiting_bytes,
			 "more_on_disk", (int)s.on_disk, "sent", (json_int_t)s.sent, "delivered",
			 (json_int_t)s.delivered, "dropped_full", (json_int_t)s.dropped_quota,
			 "dropped_old", (json_int_t)s.dropped_age, "refused",
			 (json_int_t)s.refused_by_far_side);
}

static json_t *brokers_status(struct path *p, uint64_t *ret_dropped)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < p->nsources; i++) {
		struct path_source *b = p->sources[i];
		struct trigger_status s;
		if (!b->config)
			continue;
		b->trigger->ops->status(b->trigger, &s);
		*ret_dropped += s.dropped;
		json_t *one =
			json_pack("{s:s, s:s, s:s, s:o, s:i, s:i, s:I, s:I, s:I, s:I}", "name",
				  b->config->name, "url", b->config->url, "state", s.state,
				  "detail", text_of(s.detail, sizeof(s.detail)), "subscriptions",
				  (int)s.subscriptions, "pending", (int)s.pending, "received",
				  (json_int_t)s.received, "published", (json_int_t)s.published,
				  "dropped", (json_int_t)s.dropped, "queued", (json_int_t)s.queued);
		(void)json_object_set_new(one, "outbox", outbox_status_json(p, b->trigger));
		if (one)
			(void)json_array_append_new(list, one);
	}
	return list;
}

/* What is no broker: devices, timers. */
static json_t *things_status(struct path *p)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < p->nsources; i++) {
		struct path_source *b = p->sources[i];
		struct trigger_status s;
		if (b->config)
			continue;
		b->trigger->ops->status(b->trigger, &s);
		(void)json_array_append_new(
			list, json_pack("{s:s, s:s, s:s, s:o, s:i, s:I, s:I, s:I}", "kind",
					b->kind->name, "name", b->name, "state", s.state, "detail",
					text_of(s.detail, sizeof(s.detail)), "subscriptions",
					(int)s.subscriptions, "received", (json_int_t)s.received,
					"dropped", (json_int_t)s.dropped, "missed",
					(json_int_t)s.missed));
	}
	return list;
}

static json_t *events_status(struct path *p, const struct dispatch_status *d, uint64_t dropped)
{
	static const char *const name[EVENTS_COUNTS] = {
		[EVENTS_INVOKED] = "invoked", [EVENTS_OK] = "ok",
		[EVENTS_FAILED] = "failed",   [EVENTS_TRAPPED] = "trapped",
		[EVENTS_REFUSED] = "refused", [EVENTS_RETRIED] = "retried",
	};
	json_t *o = json_object();
	(void)json_object_set_new(o, "received",
				  json_integer((json_int_t)atomic_load(&p->received)));
	for (unsigned i = 0; i < EVENTS_COUNTS; i++)
		(void)json_object_set_new(o, name[i], json_integer((json_int_t)d->counts[i]));
	(void)json_object_set_new(o, "dropped", json_integer((json_int_t)dropped));
	(void)json_object_set_new(o, "in_flight", json_integer((json_int_t)d->in_flight));
	return o;
}

static json_t *journal_status_json(struct path *p)
{
	struct journal_status s;
	if (!p->journal)
		return json_null();
	journal_status(p->journal, &s);
	return json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "state",
			 s.state, "reason", text_of(s.reason, sizeof(s.reason)), "open",
			 (json_int_t)s.open, "dead", (json_int_t)s.dead, "effects",
			 (json_int_t)s.effects, "open_bytes", (json_int_t)s.open_bytes,
			 "file_bytes", (json_int_t)s.file_bytes, "commits", (json_int_t)s.commits,
			 "operations", (json_int_t)s.operations, "syncs", (json_int_t)s.syncs,
			 "refused", (json_int_t)s.refused, "duplicates", (json_int_t)s.duplicates);
}

json_t *path_status(struct path *p)
{
	struct dispatch_status d;
	uint64_t dropped = atomic_load(&p->unbound);
	dispatch_status(p->dispatch, &d);
	json_t *brokers = brokers_status(p, &dropped);
	return json_pack("{s:o, s:o, s:{s:i, s:s, s:i, s:i, s:o}, s:i, s:i, s:o, s:o, s:o}",
			 "brokers", brokers, "things", things_status(p), "sandbox", "pid",
			 (int)d.sandbox.pid, "state", d.sandbox.state, "restarts",
			 (int)d.sandbox.restarts, "workers", (int)d.workers, "last_death",
			 text_of(d.sandbox.last_death, sizeof(d.sandbox.last_death)), "functions",
			 (int)d.functions, "bindings", (int)p->nbindings, "events",
			 events_status(p, &d, dropped), "times", dispatch_times(p->dispatch),
			 "journal", journal_status_json(p));
}

static json_t *counts_json(const uint64_t *counts)
{
	/* The same order for functions and bindings. */
	_Static_assert(FUNCTION_COUNTS == 5 && BINDING_COUNTS == 5, "invoked ok failed ...");
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "invoked", (json_int_t)counts[0], "ok",
			 (json_int_t)counts[1], "failed", (json_int_t)counts[2], "trapped",
			 (json_int_t)counts[3], "refused", (json_int_t)counts[4]);
}

static json_t *tally_json(const struct rollout_counts *c)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "ended", (json_int_t)c->ended, "failed",
			 (json_int_t)c->failed, "late", (json_int_t)c->late, "compared",
			 (json_int_t)c->compared, "differing", (json_int_t)c->differing);
}

json_t *path_function_counts(struct path *p, const char *name)
{
	struct dispatch_function f;
	if (dispatch_function_status(p->dispatch, name, &f) < 0)
		return NULL;
	json_t *last = json_null();
	if (f.last_error_wall_ms) {
		char at[TIME_TEXT_BYTES];
		time_text(f.last_error_wall_ms, at);
		last = json_pack("{s:s, s:o}", "at", at, "reason",
				 text_of(f.last_error, sizeof(f.last_error)));
	}
	json_t *trial = NULL;
	if (f.candidate_revision)
		trial = json_pack("{s:i, s:o, s:o}", "revision", (int)f.candidate_revision,
				  "candidate", tally_json(&f.candidate), "active",
				  tally_json(&f.active));
	return json_pack("{s:s, s:o, s:o, s:f, s:o, s:o*}", "state", f.state, "reason",
			 text_of(f.reason, sizeof(f.reason)), "counts", counts_json(f.counts),
			 "cpu_us_mean", (double)(int64_t)(f.cpu_us_mean * 10 + 0.5) / 10,
			 "last_error", last, "trial", trial);
}

json_t *path_binding_counts(struct path *p, uint64_t id)
{
	const struct binding_entry *e = *path_binding_find(p, id);
	if (!e)
		return NULL;
	uint64_t counts[BINDING_COUNTS];
	for (unsigned i = 0; i < BINDING_COUNTS; i++)
		counts[i] = atomic_load(&e->binding->counts[i]);
	return counts_json(counts);
}

json_t *path_function_metrics(struct path *p, const char *name)
{
	return dispatch_function_metrics(p->dispatch, name);
}

/* As large as it has to be: a function has some 10 KiB of lines. */
char *path_metrics_text(struct path *p, size_t *ret_len)
{
	enum { FIRST_BYTES = 64 << 10, MOST_BYTES = 64 << 20 };
	for (size_t cap = FIRST_BYTES; cap <= MOST_BYTES; cap *= 2) {
		char *text = malloc(cap);
		if (!text)
			return NULL;
		struct wr w = wr_into(text, cap);
		if (dispatch_metrics_text(p->dispatch, &w) && path_outputs_text(p, &w)) {
			*ret_len = w.len;
			return text;
		}
		free(text);
	}
	return NULL;
}
