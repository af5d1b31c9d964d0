/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row is in one place at a time: planned (its transaction is under way), in line (to be sent, by id), sent
 * (the far side has to say something; by id in buckets), or on disk only, behind last_id.
 *
 * Lock order: the way's, then the trigger's, the journal's queue. Deliveries come without any.
 */
#include "gateway/outbox.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/own.h"
#include "gateway/wall.h"
#include "triggers/limiter.h"

enum { BUCKETS = 1024, RESERVED_AT_ONCE = 64, SOURCE_BYTES = 160, DROPS_PER_S = 5 };

struct row {
	struct journal_effect e; /* its spans lie in bytes */
	struct row *next;
	bool noted; /* QoS 2: its packet identifier is in the journal, or is on the way there */
	bool ready; /* it may be sent */
	uint8_t bytes[];
};

struct way {
	struct outbox *box;
	struct trigger *trigger;
	const char *out;
	pthread_mutex_t lock;
	struct row *line, **line_last;
	unsigned in_line;
	struct row *planned;
	struct row *sent[BUCKETS];
	uint64_t last_id; /* highest that was ever in memory */
	bool on_disk;     /* there are more behind last_id */
	_Atomic uint64_t waiting, waiting_bytes, n_sent;
	_Atomic uint64_t delivered, dropped_quota, dropped_age, refused;
};

struct outbox {
	struct outbox_options o;
	struct journal *journal;
	struct way ways[OUTBOX_WAYS_MAX];
	unsigned nways;
	atomic_bool stopped;
	pthread_mutex_t load_lock; /* one reader of open effects at a time */
	struct limiter drops;
};

void effect_id_text(const struct journal_effect *e, char ret[EFFECT_ID_BYTES])
{
	(void)snprintf(ret, EFFECT_ID_BYTES, "%" PRIu64 ".%.*s@%u.%u", e->event,
		       (int)e->function.len, (const char *)e->function.at, e->revision,
		       e->position);
}

static uint64_t size_of(const struct row *r)
{
	return r->e.topic.len + r->e.payload.len;
}

static struct way *way_of(struct outbox *o, const struct trigger *t)
{
	for (unsigned i = 0; i < o->nways; i++)
		if (o->ways[i].trigger == t)
			return &o->ways[i];
	return NULL;
}

static struct span copy(uint8_t **to, struct span from)
{
	struct span s = { *to, from.len };
	if (from.len)
		memcpy(*to, from.at, from.len);
	*to += from.len;
	return s;
}

static struct row *row_of(const struct way *w, const struct journal_effect *e)
{
	struct row *r = calloc(1, sizeof(*r) + e->topic.len + e->payload.len + e->function.len);
	if (!r)
		return NULL;
	uint8_t *at = r->bytes;
	r->e = *e;
	r->e.out = (struct span){ (const uint8_t *)w->out, strlen(w->out) };
	r->e.topic = copy(&at, e->topic);
	r->e.payload = copy(&at, e->payload);
	r->e.function = copy(&at, e->function);
	return r;
}

/* ---- notes in the journal ---- */

struct note {
	struct journal_progress p;
	struct way *way;
	struct row *row; /* SENT: the row that waits for it, in line */
};

static void pump(struct way *w);

static void noted(struct journal_op *op, int err)
{
	struct note *n = CONTAINER_OF(op, struct note, p.op);
	if (n->row && err == 0) {
		(void)pthread_mutex_lock(&n->way->lock);
		n->row->ready = true;
		pump(n->way);
		(void)pthread_mutex_unlock(&n->way->lock);
	}
	free(n);
}

/* lazy: nothing waits for it. Without memory the row stays as it is, and is sent again after a restart. */
static void note(struct way *w, const struct row *r, enum effect_state state, const char *reason,
		 struct row *waits)
{
	struct note *n = calloc(1, sizeof(*n));
	if (!n)
		return;
	n->way = w;
	n->row = waits;
	n->p = (struct journal_progress){ .effect = r->e.id,
					  .effect_bytes = size_of(r),
					  .state = state,
					  .packet = r->e.packet,
					  .reason = reason };
	n->p.op.done = noted;
	n->p.op.lazy = state == EFFECT_DELIVERED;
	journal_progress_put(w->box->journal, &n->p);
}

/* ---- sending; the way's lock held ---- */

static void line_add(struct way *w, struct row *r)
{
	r->next = NULL;
	*w->line_last = r;
	w->line_last = &r->next;
	w->in_line++;
	atomic_fetch_add(&w->waiting, 1);
	atomic_fetch_add(&w->waiting_bytes, size_of(r));
	if (r->e.id > w->last_id)
		w->last_id = r->e.id;
}

static struct row *line_take(struct way *w)
{
	struct row *r = w->line;
	w->line = r->next;
	if (!w->line)
		w->line_last = &w->line;
	w->in_line--;
	atomic_fetch_sub(&w->waiting, 1);
	atomic_fetch_sub(&w->waiting_bytes, size_of(r));
	return r;
}

static void sent_add(struct way *w, struct row *r)
{
	struct row **bucket = &w->sent[r->e.id % BUCKETS];
	r->next = *bucket;
	*bucket = r;
	atomic_fetch_add(&w->n_sent, 1);
}

static struct row *sent_take(struct way *w, uint64_t id)
{
	struct row **at = &w->sent[id % BUCKETS];
	while (*at && (*at)->e.id != id)
		at = &(*at)->next;
	struct row *r = *at;
	if (r) {
		*at = r->next;
		atomic_fetch_sub(&w->n_sent, 1);
	}
	return r;
}

static void lost(struct way *w, struct row *r, _Atomic uint64_t *counter, const char *reason)
{
	uint64_t held_back;
	char id[EFFECT_ID_BYTES];
	effect_id_text(&r->e, id);
	atomic_fetch_add(counter, 1);
	note(w, r, EFFECT_LOST, reason, NULL);
	if (limiter_pass(&w->box->drops, DROPS_PER_S, &held_back))
		LOG(LOG_WARN, "message dropped from the outbox", F_STR("broker", w->out),
		    F_STR("effect", id), F_U64("event", r->e.event),
		    F_BYTES("topic", r->e.topic.at, r->e.topic.len < 256 ? r->e.topic.len : 256),
		    F_STR("reason", reason), F_U64_SOME("not_logged", held_back));
	free(r);
}

/* QoS 2: identifiers for the next in line, noted in one transaction before any of them goes. */
static void reserve(struct way *w)
{
	unsigned n = 0;
	for (struct row *r = w->line; r && n < RESERVED_AT_ONCE; r = r->next) {
		if (r->e.qos < 2 || r->noted)
			continue;
		r->e.packet = w->trigger->ops->reserve(w->trigger);
		if (r->e.packet == 0)
			break;
		r->noted = true;
		n++;
		note(w, r, EFFECT_SENT, NULL, r);
	}
}

static int send_row(struct way *w, const struct row *r)
{
	char id[EFFECT_ID_BYTES], source[SOURCE_BYTES];
	effect_id_text(&r->e, id);
	(void)snprintf(source, sizeof(source), "/penstock/functions/%.*s", (int)r->e.function.len,
		       (const char *)r->e.function.at);
	const struct trigger_message m = { .topic = r->e.topic,
					   .payload = r->e.payload,
					   .qos = r->e.qos,
					   .retain = r->e.retain,
					   .hops = r->e.hops,
					   .token = r->e.id,
					   .packet = r->e.packet,
					   .id = id,
					   .source = source };
	return w->trigger->ops->send(w->trigger, &m);
}

static void pump(struct way *w)
{
	while (w->line && !atomic_load(&w->box->stopped)) {
		struct row *r = w->line;
		if (r->e.qos == 2 && !r->ready) {
			if (!r->noted)
				reserve(w);
			return; /* noted() goes on, or writable */
		}
		/* First where its answer finds it, which may come before send has returned. */
		(void)line_take(w);
		sent_add(w, r);
		int rc = send_row(w, r);
		if (rc == 0)
			continue;
		ENSURE(sent_take(w, r->e.id) == r);
		if (rc == 1) {
			atomic_fetch_add(&w->delivered, 1);
			note(w, r, EFFECT_DELIVERED, NULL, NULL);
			free(r);
		} else if (rc == -EAGAIN) {
			r->next = w->line;
			if (!w->line)
				w->line_last = &r->next;
			w->line = r;
			w->in_line++;
			atomic_fetch_add(&w->waiting, 1);
			atomic_fetch_add(&w->waiting_bytes, size_of(r));
			return;
		} else {
			lost(w, r, &w->refused, "it cannot be sent: topic or QoS are not valid");
		}
	}
}

/* ---- from disk ---- */

static bool is_planned(const struct way *w, const struct journal_effect *e)
{
	for (const struct row *r = w->planned; r; r = r->next)
		if (r->e.event == e->event && r->e.position == e->position)
			return true;
	return false;
}

struct loading {
	struct way *way;
	unsigned n;
	bool no_memory;
};

static int load_row(void *arg, const struct journal_effect *e, const char *reason)
{
	struct loading *l = arg;
	(void)reason;
	l->n++;
	if (is_planned(l->way, e)) { /* whoever committed it brings it */
		l->way->last_id = e->id;
		return 0;
	}
	struct row *r = row_of(l->way, e);
	if (!r) {
		l->no_memory = true;
		return 1;
	}
	line_add(l->way, r);
	return 0;
}

/* The way's lock held. */
static void load(struct way *w)
{
	struct why why = { 0 };
	struct loading l = { .way = w };
	if (!w->on_disk || w->in_line >= OUTBOX_LOADED / 2)
		return;
	(void)pthread_mutex_lock(&w->box->load_lock);
	int err = journal_effects_open(w->box->journal, w->out, false, w->last_id,
				       OUTBOX_LOADED - w->in_line, load_row, &l, &why);
	(void)pthread_mutex_unlock(&w->box->load_lock);
	if (err < 0)
		LOG(LOG_ERR, "cannot read what is to be published", F_STR("broker", w->out),
		    F_STR("reason", why_text(&why, err)));
	w->on_disk = err < 0 || l.no_memory || w->in_line >= OUTBOX_LOADED;
}

/* What an earlier run had begun: the trigger goes on with it. */
static int resume_row(void *arg, const struct journal_effect *e, const char *reason)
{
	struct way *w = arg;
	char id[EFFECT_ID_BYTES], source[SOURCE_BYTES];
	struct row *r = row_of(w, e);
	(void)reason;
	if (!r)
		return -ENOMEM;
	r->noted = r->ready = true;
	if (r->e.id > w->last_id)
		w->last_id = r->e.id;
	effect_id_text(&r->e, id);
	(void)snprintf(source, sizeof(source), "/penstock/functions/%.*s", (int)r->e.function.len,
		       (const char *)r->e.function.at);
	const struct trigger_resume begun = {
		.kind = e->state == EFFECT_RELEASED ? RESUME_RELEASED : RESUME_SENT,
		.m = { .topic = r->e.topic,
		       .payload = r->e.payload,
		       .qos = r->e.qos,
		       .retain = r->e.retain,
		       .hops = r->e.hops,
		       .token = r->e.id,
		       .packet = r->e.packet,
		       .id = id,
		       .source = source },
	};
	if (w->trigger->ops->resume && w->trigger->ops->resume(w->trigger, &begun) == 0) {
		sent_add(w, r);
		return 0;
	}
	r->noted = r->ready = false; /* anew */
	r->e.packet = 0;
	line_add(w, r);
	return 0;
}

int outbox_attach(struct outbox *o, const char *out, struct trigger *t, struct why *why)
{
	if (o->nways == OUTBOX_WAYS_MAX)
		return why_set(why, -E_LIMIT, "more than %d ways out", OUTBOX_WAYS_MAX);
	struct way *w = &o->ways[o->nways++];
	w->box = o;
	w->trigger = t;
	w->out = out;
	w->line_last = &w->line;
	(void)pthread_mutex_init(&w->lock, NULL);
	int err = journal_effects_open(o->journal, out, true, 0, INT32_MAX, resume_row, w, why);
	if (err < 0)
		return err;
	w->last_id = 0; /* what was sent and what waits do not follow one another */
	w->on_disk = true;
	load(w);
	return 0;
}

/* ---- from answers.c ---- */

int outbox_plan(struct outbox *o, struct trigger *way, const struct trigger_message *m, unsigned n,
		uint64_t event, unsigned revision, const char *function, struct outbox_batch *ret)
{
	struct way *w = way_of(o, way);
	uint64_t now = wall_ms();
	*ret = (struct outbox_batch){ 0 };
	if (n == 0)
		return 0;
	ENSURE(w);
	ret->effects = calloc(n, sizeof(struct journal_effect *));
	for (unsigned i = 0; ret->effects && i < n; i++) {
		const struct journal_effect e = {
			.event = event,
			.revision = revision,
			.position = i,
			.function = { (const uint8_t *)function, strlen(function) },
			.topic = m[i].topic,
			.payload = m[i].payload,
			.qos = m[i].qos,
			.retain = m[i].retain,
			.hops = m[i].hops,
			.created_wall_ms = now,
		};
		struct row *r = row_of(w, &e);
		if (!r) {
			outbox_batch_free(o, ret);
			return -ENOMEM;
		}
		ret->effects[ret->n++] = &r->e;
	}
	if (!ret->effects)
		return -ENOMEM;
	(void)pthread_mutex_lock(&w->lock);
	bool free_way = !w->line && !w->on_disk && !w->planned;
	for (unsigned i = 0; i < n; i++) {
		struct row *r = CONTAINER_OF(ret->effects[i], struct row, e);
		if (r->e.qos == 2 && free_way)
			r->e.packet = w->trigger->ops->reserve(w->trigger);
		r->noted = r->ready = r->e.packet != 0;
		r->e.state = r->e.packet ? EFFECT_SENT : EFFECT_WAITING;
		r->next = w->planned;
		w->planned = r;
	}
	(void)pthread_mutex_unlock(&w->lock);
	return 0;
}

static struct way *way_of_effect(struct outbox *o, const struct journal_effect *e)
{
	for (unsigned i = 0; i < o->nways; i++)
		if ((const void *)o->ways[i].out == e->out.at)
			return &o->ways[i];
	return NULL;
}

static void unplan(struct way *w, struct row *r)
{
	struct row **at = &w->planned;
	while (*at && *at != r)
		at = &(*at)->next;
	if (*at)
		*at = r->next;
}

static void give_up(struct way *w, struct row *r)
{
	if (r->e.packet && !atomic_load(&w->box->stopped))
		w->trigger->ops->unreserve(w->trigger, r->e.packet);
	free(r);
}

void outbox_batch_free(struct outbox *o, struct outbox_batch *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		struct row *r = CONTAINER_OF(b->effects[i], struct row, e);
		struct way *w = way_of_effect(o, &r->e);
		(void)pthread_mutex_lock(&w->lock);
		unplan(w, r);
		give_up(w, r);
		(void)pthread_mutex_unlock(&w->lock);
	}
	free(b->effects);
	*b = (struct outbox_batch){ 0 };
}

/* What has an identifier must go on from memory; else, while there are others on disk before it, it has
 * its place there. */
static void take(struct way *w, struct row *r)
{
	bool later = w->on_disk || w->in_line >= OUTBOX_LOADED;
	unplan(w, r);
	if (later && r->e.packet == 0 && r->e.id > w->last_id) {
		w->on_disk = true;
		free(r);
		return;
	}
	line_add(w, r);
}

void outbox_committed(struct outbox *o, struct outbox_batch *b, int err)
{
	struct way *w = b->n > 0 ? way_of_effect(o, b->effects[0]) : NULL;
	if (err < 0 || !w) {
		outbox_batch_free(o, b);
		return;
	}
	(void)pthread_mutex_lock(&w->lock); /* an event publishes one way */
	for (unsigned i = 0; i < b->n; i++)
		take(w, CONTAINER_OF(b->effects[i], struct row, e));
	pump(w);
	(void)pthread_mutex_unlock(&w->lock);
	free(b->effects);
	*b = (struct outbox_batch){ 0 };
}

int outbox_admit(struct outbox *o, struct why *why)
{
	struct journal_status s;
	if (o->o.full != OUTBOX_REFUSE)
		return 0;
	journal_load(o->journal, &s);
	if (s.effects < o->o.quota_rows && s.open_bytes < o->o.quota_bytes)
		return 0;
	return why_set(why, -E_LIMIT,
		       "the outbox is full (outbox.rows, outbox.bytes): %" PRIu64
		       " messages wait for their broker",
		       s.effects);
}

/* ---- from the triggers ---- */

static struct way *sent_find(struct outbox *o, uint64_t id, struct row **ret)
{
	for (unsigned i = 0; i < o->nways; i++) {
		struct way *w = &o->ways[i];
		(void)pthread_mutex_lock(&w->lock);
		*ret = sent_take(w, id);
		if (*ret)
			return w; /* locked */
		(void)pthread_mutex_unlock(&w->lock);
	}
	return NULL;
}

void outbox_acknowledged(struct outbox *o, uint64_t effect, const char *refused)
{
	struct row *r;
	struct way *w = sent_find(o, effect, &r);
	if (!w)
		return;
	if (refused) {
		lost(w, r, &w->refused, refused);
	} else {
		atomic_fetch_add(&w->delivered, 1);
		note(w, r, EFFECT_DELIVERED, NULL, NULL);
		free(r);
	}
	load(w);
	pump(w);
	(void)pthread_mutex_unlock(&w->lock);
	journal_commit(o->journal);
}

void outbox_received(struct outbox *o, uint64_t effect)
{
	struct row *r;
	struct way *w = sent_find(o, effect, &r);
	if (!w)
		return;
	note(w, r, EFFECT_RELEASED, NULL, NULL);
	sent_add(w, r);
	(void)pthread_mutex_unlock(&w->lock);
}

/* It goes to the head of the line: it was before all that is there. */
void outbox_again(struct outbox *o, uint64_t effect)
{
	struct row *r;
	struct way *w = sent_find(o, effect, &r);
	if (!w)
		return;
	r->e.packet = 0;
	r->noted = r->ready = false;
	if (r->e.qos == 2)
		note(w, r, EFFECT_WAITING, NULL, NULL);
	struct row **at = &w->line;
	while (*at && (*at)->e.id < r->e.id)
		at = &(*at)->next;
	r->next = *at;
	*at = r;
	if (!r->next)
		w->line_last = &r->next;
	w->in_line++;
	atomic_fetch_add(&w->waiting, 1);
	atomic_fetch_add(&w->waiting_bytes, size_of(r));
	pump(w);
	(void)pthread_mutex_unlock(&w->lock);
	journal_commit(o->journal);
}

void outbox_writable(struct outbox *o, struct trigger *way)
{
	struct way *w = way_of(o, way);
	if (!w)
		return;
	(void)pthread_mutex_lock(&w->lock);
	load(w);
	pump(w);
	(void)pthread_mutex_unlock(&w->lock);
	journal_commit(o->journal);
}

/* ---- time ---- */

static void drop_head(struct way *w, _Atomic uint64_t *counter, const char *reason)
{
	struct row *r = line_take(w);
	if (r->e.packet)
		w->trigger->ops->unreserve(w->trigger, r->e.packet);
	r->e.packet = 0;
	lost(w, r, counter, reason);
}

static bool too_old(const struct outbox *o, const struct row *r, uint64_t now)
{
	return o->o.max_age_s > 0 && r->e.created_wall_ms + o->o.max_age_s * 1000 < now;
}

static bool above(struct outbox *o, uint64_t dropped)
{
	struct journal_status s;
	journal_load(o->journal, &s);
	return o->o.full == OUTBOX_DROP_OLDEST &&
	       (s.effects > o->o.quota_rows + dropped || s.open_bytes > o->o.quota_bytes);
}

void outbox_tick(struct outbox *o)
{
	uint64_t now = wall_ms(), dropped = 0;
	for (unsigned i = 0; i < o->nways; i++) {
		struct way *w = &o->ways[i];
		(void)pthread_mutex_lock(&w->lock);
		/* A row whose identifier is being noted is pointed at. */
		while (w->line && (w->line->ready || !w->line->noted) && too_old(o, w->line, now))
			drop_head(w, &w->dropped_age, "older than outbox.max_age_s");
		while (w->line && (w->line->ready || !w->line->noted) && above(o, dropped)) {
			drop_head(w, &w->dropped_quota,
				  "the outbox is full, and the oldest make room");
			dropped++;
		}
		load(w);
		pump(w);
		(void)pthread_mutex_unlock(&w->lock);
		journal_commit(o->journal);
	}
}

void outbox_status(struct outbox *o, struct trigger *way, struct outbox_status *ret)
{
	struct way *w = way_of(o, way);
	*ret = (struct outbox_status){ 0 };
	if (!w)
		return;
	ret->waiting = atomic_load(&w->waiting);
	ret->waiting_bytes = atomic_load(&w->waiting_bytes);
	ret->sent = atomic_load(&w->n_sent);
	ret->delivered = atomic_load(&w->delivered);
	ret->dropped_quota = atomic_load(&w->dropped_quota);
	ret->dropped_age = atomic_load(&w->dropped_age);
	ret->refused_by_far_side = atomic_load(&w->refused);
	(void)pthread_mutex_lock(&w->lock);
	ret->oldest_wall_ms = w->line ? w->line->e.created_wall_ms : 0;
	ret->on_disk = w->on_disk;
	(void)pthread_mutex_unlock(&w->lock);
}

/* ---- begin and end ---- */

int outbox_new(const struct outbox_options *o, struct journal *j, struct outbox **ret,
	       struct why *why)
{
	struct outbox *box = calloc(1, sizeof(*box));
	if (!box)
		return why_set(why, -ENOMEM, "out of memory");
	box->o = *o;
	box->journal = j;
	(void)pthread_mutex_init(&box->load_lock, NULL);
	*ret = box;
	return 0;
}

static void free_rows(struct row *r)
{
	for (struct row *next; r; r = next) {
		next = r->next;
		free(r);
	}
}

void outbox_stop(struct outbox *o)
{
	atomic_store(&o->stopped, true);
}

void outbox_free(struct outbox *o)
{
	for (unsigned i = 0; o && i < o->nways; i++) {
		struct way *w = &o->ways[i];
		free_rows(w->line);
		for (unsigned k = 0; k < BUCKETS; k++)
			free_rows(w->sent[k]);
		(void)pthread_mutex_destroy(&w->lock);
	}
	if (o)
		(void)pthread_mutex_destroy(&o->load_lock);
	free(o);
}
