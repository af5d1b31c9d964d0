/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row is in one place at a time: planned (its transaction is under way), in line (to be sent, by id), sent
 * (the far side has to say something; by id in buckets), or on disk only, behind last_id.
 *
 * Lock order: the way's, then the trigger's, the journal's queue. Deliveries come without any.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/own.h"
#include "gateway/outbox_impl.h"
#include "gateway/wall.h"

enum { RESERVED_AT_ONCE = 64, DROPS_PER_S = 5 };

static char *put_number(char *at, uint64_t n)
{
	char digit[20];
	unsigned k = 0;
	do
		digit[k++] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	while (k > 0)
		*at++ = digit[--k];
	return at;
}

/* By hand: it is made of each message, and printf takes ten times as long. */
void effect_id_text(const struct journal_effect *e, char ret[EFFECT_ID_BYTES])
{
	enum { NUMBERS_BYTES = 20 + 1 + 1 + 10 + 1 + 10 + 1 };
	size_t most = EFFECT_ID_BYTES - NUMBERS_BYTES;
	size_t len = e->function.len < most ? e->function.len : most;
	char *at = put_number(ret, e->event);
	*at++ = '.';
	memcpy(at, e->function.at, len);
	at += len;
	*at++ = '@';
	at = put_number(at, e->revision);
	*at++ = '.';
	at = put_number(at, e->position);
	*at = '\0';
}

uint64_t outbox_size_of(const struct row *r)
{
	return r->e.topic.len + r->e.payload.len + r->e.attrs.len;
}

struct way *outbox_way_of(struct outbox *o, const struct trigger *t)
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

struct row *outbox_row_of(const struct way *w, const struct journal_effect *e)
{
	struct row *r = calloc(1, sizeof(*r) + e->topic.len + e->payload.len + e->attrs.len +
					  e->function.len);
	if (!r)
		return NULL;
	uint8_t *at = r->bytes;
	r->e = *e;
	r->e.out = (struct span){ (const uint8_t *)w->out, strlen(w->out) };
	r->e.topic = copy(&at, e->topic);
	r->e.payload = copy(&at, e->payload);
	r->e.attrs = copy(&at, e->attrs);
	r->e.function = copy(&at, e->function);
	return r;
}

/* ---- notes in the journal ---- */

struct note {
	struct journal_progress p;
	struct way *way;
	struct row *row; /* SENT: the row that waits for it, in line */
};

static void noted(struct journal_op *op, int err)
{
	struct note *n = CONTAINER_OF(op, struct note, p.op);
	if (n->row && err == 0) {
		(void)pthread_mutex_lock(&n->way->lock);
		n->row->ready = true;
		outbox_pump(n->way);
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
					  .effect_bytes = outbox_size_of(r),
					  .state = state,
					  .packet = r->e.packet,
					  .reason = reason };
	n->p.op.done = noted;
	n->p.op.lazy = state == EFFECT_DELIVERED && !w->exact;
	journal_progress_put(w->box->journal, &n->p);
}

/* ---- sending; the way's lock held ---- */

void outbox_line_add(struct way *w, struct row *r)
{
	r->next = NULL;
	*w->line_last = r;
	w->line_last = &r->next;
	w->in_line++;
	atomic_fetch_add(&w->waiting, 1);
	atomic_fetch_add(&w->waiting_bytes, outbox_size_of(r));
	if (r->e.id > w->last_id)
		w->last_id = r->e.id;
}

struct row *outbox_line_take(struct way *w)
{
	struct row *r = w->line;
	w->line = r->next;
	if (!w->line)
		w->line_last = &w->line;
	w->in_line--;
	atomic_fetch_sub(&w->waiting, 1);
	atomic_fetch_sub(&w->waiting_bytes, outbox_size_of(r));
	return r;
}

void outbox_sent_add(struct way *w, struct row *r)
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

void outbox_lost(struct way *w, struct row *r, _Atomic uint64_t *counter, const char *reason)
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

struct trigger_message outbox_message_of(const struct row *r, char id[EFFECT_ID_BYTES],
					 char source[SOURCE_BYTES])
{
	static const char head[] = "/penstock/functions/";
	size_t most = SOURCE_BYTES - sizeof(head);
	size_t len = r->e.function.len < most ? r->e.function.len : most;
	effect_id_text(&r->e, id);
	memcpy(source, head, sizeof(head) - 1);
	memcpy(source + sizeof(head) - 1, r->e.function.at, len);
	source[sizeof(head) - 1 + len] = '\0';
	return (struct trigger_message){ .topic = r->e.topic,
					 .payload = r->e.payload,
					 .attrs = r->e.attrs,
					 .time_wall_ms = r->e.created_wall_ms,
					 .qos = r->e.qos,
					 .retain = r->e.retain,
					 .hops = r->e.hops,
					 .token = r->e.id,
					 .packet = r->e.packet,
					 .function = source + sizeof(head) - 1,
					 .id = id,
					 .source = source };
}

static int send_row(struct way *w, const struct row *r)
{
	char id[EFFECT_ID_BYTES], source[SOURCE_BYTES];
	const struct trigger_message m = outbox_message_of(r, id, source);
	return w->trigger->ops->send(w->trigger, &m);
}

void outbox_pump(struct way *w)
{
	while (w->line && !atomic_load(&w->box->stopped)) {
		struct row *r = w->line;
		if (r->e.qos == 2 && !r->ready) {
			if (!r->noted)
				reserve(w);
			return; /* noted() goes on, or writable */
		}
		/* First where its answer finds it, which may come before send has returned. */
		(void)outbox_line_take(w);
		outbox_sent_add(w, r);
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
			atomic_fetch_add(&w->waiting_bytes, outbox_size_of(r));
			return;
		} else {
			bool late = rc == -ETIME;
			outbox_lost(w, r, late ? &w->dropped_age : &w->refused,
				    late ? "its expiry passed while it waited"
					 : "it cannot be sent: topic or QoS are not valid");
		}
	}
}

/* ---- from answers.c ---- */

/* The rows of a batch that go by this way. */
static void plan(struct way *w, const struct outbox_batch *b)
{
	(void)pthread_mutex_lock(&w->lock);
	bool free_way = !w->line && !w->on_disk && !w->planned;
	for (unsigned i = 0; i < b->n; i++) {
		struct row *r = CONTAINER_OF(b->effects[i], struct row, e);
		if ((const void *)w->out != r->e.out.at)
			continue;
		if (r->e.qos == 2 && free_way)
			r->e.packet = w->trigger->ops->reserve(w->trigger);
		r->noted = r->ready = r->e.packet != 0;
		r->e.state = r->e.packet ? EFFECT_SENT : EFFECT_WAITING;
		r->next = w->planned;
		w->planned = r;
	}
	(void)pthread_mutex_unlock(&w->lock);
}

int outbox_plan(struct outbox *o, const struct trigger_message *m, unsigned n, uint64_t event,
		unsigned revision, const char *function, struct outbox_batch *ret)
{
	uint64_t now = wall_ms();
	*ret = (struct outbox_batch){ 0 };
	if (n == 0)
		return 0;
	ret->effects = calloc(n, sizeof(struct journal_effect *));
	for (unsigned i = 0; ret->effects && i < n; i++) {
		struct way *w = outbox_way_of(o, m[i].to);
		ENSURE(w);
		const struct journal_effect e = {
			.event = event,
			.revision = revision,
			.position = i,
			.function = { (const uint8_t *)function, strlen(function) },
			.topic = m[i].topic,
			.payload = m[i].payload,
			.attrs = m[i].attrs,
			.qos = m[i].qos,
			.retain = m[i].retain,
			.hops = m[i].hops,
			.created_wall_ms = now,
		};
		struct row *r = outbox_row_of(w, &e);
		if (!r) {
			outbox_batch_free(o, ret);
			return -ENOMEM;
		}
		ret->effects[ret->n++] = &r->e;
	}
	if (!ret->effects)
		return -ENOMEM;
	for (unsigned i = 0; i < o->nways; i++)
		plan(&o->ways[i], ret);
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
	outbox_line_add(w, r);
}

/* The first of the batch, from `from` on, that goes by this way; n: none. */
static unsigned next_of(const struct way *w, const struct outbox_batch *b, unsigned from)
{
	while (from < b->n &&
	       (!b->effects[from] || (const void *)w->out != b->effects[from]->out.at))
		from++;
	return from;
}

/* Those of the batch that go by this way; they are not the batch's any more. */
static void take_all(struct way *w, struct outbox_batch *b)
{
	unsigned i = next_of(w, b, 0);
	if (i == b->n)
		return;
	(void)pthread_mutex_lock(&w->lock);
	for (; i < b->n; i = next_of(w, b, i + 1))
		take(w, CONTAINER_OF(ptr_steal(&b->effects[i]), struct row, e));
	outbox_load(w); /* it may have stopped at these */
	outbox_pump(w);
	(void)pthread_mutex_unlock(&w->lock);
}

void outbox_committed(struct outbox *o, struct outbox_batch *b, int err)
{
	if (err < 0) {
		outbox_batch_free(o, b);
		return;
	}
	for (unsigned i = 0; i < o->nways; i++)
		take_all(&o->ways[i], b);
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
		outbox_lost(w, r, &w->refused, refused);
	} else {
		atomic_fetch_add(&w->delivered, 1);
		note(w, r, EFFECT_DELIVERED, NULL, NULL);
		free(r);
	}
	outbox_load(w);
	outbox_pump(w);
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
	outbox_sent_add(w, r);
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
	atomic_fetch_add(&w->waiting_bytes, outbox_size_of(r));
	outbox_pump(w);
	(void)pthread_mutex_unlock(&w->lock);
	journal_commit(o->journal);
}

void outbox_writable(struct outbox *o, struct trigger *way)
{
	struct way *w = outbox_way_of(o, way);
	if (!w)
		return;
	(void)pthread_mutex_lock(&w->lock);
	outbox_load(w);
	outbox_pump(w);
	(void)pthread_mutex_unlock(&w->lock);
	journal_commit(o->journal);
}
