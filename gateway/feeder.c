/* SPDX-License-Identifier: Apache-2.0 */
/* Events that are in the journal only, back into the queues: at the start, after a pause, when there is room. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gateway/durable_impl.h"

/* FEED_NS: the loop's thread has more to do, however fast the queues empty themselves meanwhile. */
enum { ROWS_AT_ONCE = 256, FEED_NS = 20 * 1000 * 1000 };

/* Half of the queues is left to what comes. */
static bool has_room(struct dispatch *d)
{
	(void)pthread_mutex_lock(&d->lock);
	bool room = !d->closed && d->pool.used < (d->config->queue_events + 1) / 2;
	(void)pthread_mutex_unlock(&d->lock);
	return room;
}

struct feeding {
	struct durable_store *store;
	unsigned seen, left;
	bool full;        /* no more of anything now */
	uint64_t due, id; /* of the last row */
};

static void done_free(struct journal_op *op, int err)
{
	(void)err;
	free(CONTAINER_OF(op, struct journal_finish, op));
}

/* It can never run: nothing of it is in memory. */
static void bury(struct durable_store *s, const struct journal_row *r, const char *reason)
{
	struct journal_finish *f = calloc(1, sizeof(*f));
	if (!f)
		return; /* the next round meets it again */
	*f = (struct journal_finish){
		.id = r->id,
		.stored = true,
		.state = EVENT_DEAD,
		.finished_wall_ms = now_wall_ms(),
		.attempts = r->attempts,
		.status = IPC_REFUSED,
		.reason = { (const uint8_t *)reason, strlen(reason) },
		.event_bytes = r->topic.len + r->attrs.len + r->payload.len,
	};
	f->op.done = done_free;
	journal_finish_put(s->journal, f);
	LOG(LOG_ERR, "event put aside as dead letter", F_U64("event", r->id),
	    F_STR("function", r->function), F_STR("reason", reason));
}

static uint32_t count_attrs(struct span list)
{
	struct rd r = rd_from(list.at, list.len);
	struct ipc_attr a;
	uint32_t n = 0;
	while (n < IPC_ATTRS_MAX && ipc_attr_next(&r, &a))
		n++;
	return n;
}

static int take_off(struct durable_store *s, const struct journal_row *r, struct binding *b,
		    struct flight *f)
{
	struct dispatch *d = s->dispatch;
	f->binding = binding_ref(b);
	int err = flight_encode_again(f, f->version->handle, r->topic, r->attrs,
				      count_attrs(r->attrs), r->payload);
	struct durable *x = err == 0 ? durable_make(s, f, r->id) : NULL;
	if (!x) {
		dispatch_release(d, f);
		return -ENOMEM;
	}
	x->attempts = r->attempts;
	x->bytes = r->topic.len + r->attrs.len + r->payload.len;
	x->event.op.power = b->durability == DURABLE_POWER;
	f->durable = x;
	durable_fly(s, x);
	dispatch_send(d, f);
	return 0;
}

/* 0: it runs. Else an enum refusal. */
static enum refusal admit(struct durable_store *s, const struct journal_row *r, struct binding *b)
{
	enum refusal why = REFUSE_SYSTEM;
	const struct event e = {
		.topic = r->topic, .payload = r->payload, .hops = r->hops, .arrived_ns = now_ns()
	};
	if (!durable_hold_fed(s, b, r->topic, r->id))
		return ADMITTED; /* its turn comes */
	struct flight *f = dispatch_admit(s->dispatch, b->function, &e, b, r->id, &why);
	if (f && take_off(s, r, b, f) == 0)
		return ADMITTED;
	durable_let_go(s, b, r->topic, r->id, !durable_is_for_good(why));
	return why;
}

static int feed_row(void *arg, const struct journal_row *r)
{
	struct feeding *f = arg;
	struct durable_store *s = f->store;
	f->seen++;
	f->due = r->due_wall_ms;
	f->id = r->id;
	if (durable_is_in_flight(s, r->id))
		return 0;
	struct binding *b = s->find(s->find_arg, r->binding);
	if (!b) {
		bury(s, r, "its binding was removed while it waited");
		return 0;
	}
	enum refusal why = admit(s, r, b);
	binding_unref(b);
	if (why != ADMITTED && durable_is_for_good(why))
		bury(s, r, refusal_texts[why].reason);
	else if (why != ADMITTED)
		f->left++;
	f->full = why == REFUSE_FULL || why == REFUSE_BYTES || why == REFUSE_CLOSED ||
		  why == REFUSE_SYSTEM || !has_room(s->dispatch);
	return f->full;
}

static int round_of(struct durable_store *s, struct feeding *f, uint64_t until, uint64_t due,
		    uint64_t id)
{
	struct why why = { 0 };
	*f = (struct feeding){ .store = s };
	durable_feeding_begin(s);
	int err = journal_due(s->journal, until, due, id, ROWS_AT_ONCE, feed_row, f, &why);
	durable_feeding_end(s);
	if (err < 0)
		LOG(LOG_ERR, "cannot read events that wait", F_STR("reason", why_text(&why, err)));
	return err;
}

/* What was open when the gateway started and is due. A pause goes on where it was; one that would take longer
 * than any does was noted by a clock that has been set since, and is over. */
static void feed_first(struct durable_store *s, uint64_t end_ns)
{
	struct feeding f;
	while (s->starting && has_room(s->dispatch)) {
		if (now_ns() >= end_ns) {
			dispatch_wants_food(s->dispatch);
			return;
		}
		const uint64_t now = durable_now_ms(s), longest = now + BACKOFF_MAX_MS;
		const bool odd = s->due > longest;
		if (round_of(s, &f, odd ? INT64_MAX : now, s->due, s->id) < 0)
			return;
		if (f.full || f.left > 0)
			return; /* those that run are passed over when this is looked at again */
		if (f.seen > 0) {
			s->due = f.due;
			s->id = f.id;
		}
		if (f.seen == ROWS_AT_ONCE)
			continue;
		s->starting = !odd;
		if (!odd) { /* then those beyond all pauses */
			s->due = longest + 1;
			s->id = 0;
		}
	}
}

/* Those whose pause is not over have to be looked for again: as many as are open and not in flight. */
static unsigned retries_pending(struct durable_store *s)
{
	struct journal_status st;
	journal_load(s->journal, &st);
	return st.open > 0;
}

void durable_feed(struct durable_store *s)
{
	struct feeding f;
	const uint64_t end_ns = now_ns() + FEED_NS;
	if (s->starting)
		feed_first(s, end_ns);
	unsigned aside = atomic_load(&s->aside), rows = s->part;
	if (s->starting || aside == 0 || !has_room(s->dispatch))
		return;
	/* Those put aside have a due; those that went straight on have none. */
	uint64_t due = 0, id = INT64_MAX, now = durable_now_ms(s);
	if (s->part) {
		due = s->due;
		id = s->id;
	}
	do {
		if (round_of(s, &f, now, due, id) < 0)
			return;
		due = f.due;
		id = f.id;
		rows += f.seen;
	} while (f.seen == ROWS_AT_ONCE && !f.full && now_ns() < end_ns);
	s->part = f.seen == ROWS_AT_ONCE && !f.full;
	if (s->part) {
		s->due = due;
		s->id = id;
		dispatch_wants_food(s->dispatch);
	}
	if (rows == 0) /* none is left, unless one came since */
		(void)atomic_compare_exchange_strong(&s->aside, &aside, retries_pending(s));
	journal_commit(s->journal);
}

void durable_tick(struct durable_store *s)
{
	journal_tick(s->journal);
	durable_feed(s);
	outbox_tick(s->outbox);
	journal_commit(s->journal);
}

/* ---- the start ---- */

static int note_key(void *arg, const struct journal_row *r)
{
	struct feeding *f = arg;
	struct durable_store *s = f->store;
	struct binding *b = s->find(s->find_arg, r->binding);
	f->seen++;
	f->due = r->due_wall_ms;
	f->id = r->id;
	if (b)
		durable_key_found(s, b, r->topic, r->id);
	binding_unref(b);
	return 0;
}

void durable_start(struct durable_store *s)
{
	struct journal_status st;
	struct why why = { 0 };
	struct feeding f = { .store = s };
	journal_load(s->journal, &st);
	if (st.open == 0)
		return;
	LOG(LOG_NOTE, "events of an earlier run wait in the journal", F_U64("events", st.open));
	/* Every key is known before the first new event comes. */
	do {
		uint64_t due = f.due, id = f.id;
		f = (struct feeding){ .store = s };
		if (journal_due_heads(s->journal, due, id, ROWS_AT_ONCE * 16, note_key, &f, &why) <
		    0)
			break;
	} while (f.seen == ROWS_AT_ONCE * 16);
	s->starting = true;
	atomic_fetch_add(&s->aside, 1); /* those whose pause is not over */
	durable_feed(s);
}

static int first_row(void *arg, const struct journal_row *r)
{
	(void)r;
	*(bool *)arg = true;
	return 0;
}

int durable_retry(struct durable_store *s, uint64_t id, bool finished, struct why *why)
{
	bool there = false;
	int err = journal_events(s->journal, &(struct journal_query){ .id = id }, first_row, &there,
				 why);
	if (err == 0 && !there)
		err = why_set(why, -E_UNKNOWN, "there is no event %llu", (unsigned long long)id);
	if (err == 0)
		err = finished ? journal_again(s->journal, id, durable_now_ms(s), why)
			       : journal_dead_retry(s->journal, id, durable_now_ms(s), why);
	if (err == 0)
		atomic_fetch_add(&s->aside, 1);
	if (err == 0)
		durable_feed(s);
	return err;
}
