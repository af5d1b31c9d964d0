/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/durable.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/own.h"
#include "gateway/dedupe.h"
#include "gateway/durable_impl.h"
#include "proto/outcome.h"

enum {
	POSTPONED_MS = 100,
	REFUSALS_PER_S = 5,
	CONTENDED_COMMITS = 64,
	RERUNS_MAX = 1000, /* each time another event was faster, so this is no livelock */
};

/* Time for pauses: the wall clock at the start, and from then on a clock that is not set. */
uint64_t durable_now_ms(const struct durable_store *s)
{
	return s->start_wall_ms + (now_ns() - s->start_ns) / 1000000u;
}

/* ---- ordered ---- */

static uint64_t key_of(const struct binding *b, struct span topic)
{
	return dedupe_digest(topic, (struct span){ (const uint8_t *)&b->id, sizeof(b->id) });
}

/* lock held; make: if it is not there. NULL: not there, or no memory. */
static struct ordered_key *key_find(struct durable_store *s, uint64_t key, bool make)
{
	struct ordered_key **at = &s->keys[key % ORDERED_BUCKETS];
	while (*at && (*at)->key != key)
		at = &(*at)->next;
	if (!*at && make && (*at = calloc(1, sizeof(**at))))
		(*at)->key = key;
	return *at;
}

static void key_tidy(struct durable_store *s, struct ordered_key *k)
{
	if (!k || k->holder != 0 || k->waiting > 0)
		return;
	struct ordered_key **at = &s->keys[k->key % ORDERED_BUCKETS];
	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	free(k);
}

bool durable_hold(struct durable_store *s, const struct binding *b, struct span topic, uint64_t id)
{
	if (!b->ordered)
		return true;
	(void)pthread_mutex_lock(&s->lock);
	struct ordered_key *k = key_find(s, key_of(b, topic), true);
	bool mine = k && k->holder == 0 && k->waiting == 0;
	if (mine)
		k->holder = id;
	(void)pthread_mutex_unlock(&s->lock);
	return mine;
}

bool durable_hold_fed(struct durable_store *s, const struct binding *b, struct span topic,
		      uint64_t id)
{
	if (!b->ordered)
		return true;
	(void)pthread_mutex_lock(&s->lock);
	struct ordered_key *k = key_find(s, key_of(b, topic), true);
	bool mine = k && (k->holder == 0 || k->holder == id);
	if (mine && k->holder == 0) {
		k->holder = id;
		k->waiting -= k->waiting > 0;
	}
	(void)pthread_mutex_unlock(&s->lock);
	return mine;
}

void durable_key_waits(struct durable_store *s, const struct binding *b, struct span topic)
{
	(void)pthread_mutex_lock(&s->lock);
	struct ordered_key *k = b->ordered ? key_find(s, key_of(b, topic), true) : NULL;
	if (k)
		k->waiting++;
	(void)pthread_mutex_unlock(&s->lock);
}

void durable_key_found(struct durable_store *s, const struct binding *b, struct span topic,
		       uint64_t id)
{
	(void)pthread_mutex_lock(&s->lock);
	struct ordered_key *k = b->ordered ? key_find(s, key_of(b, topic), true) : NULL;
	if (k) {
		k->waiting += k->holder != 0;
		k->holder = k->holder == 0 || id < k->holder ? id : k->holder;
	}
	(void)pthread_mutex_unlock(&s->lock);
}

/* The event does not hold its key any more; again: it waits for it. */
void durable_let_go(struct durable_store *s, const struct binding *b, struct span topic,
		    uint64_t id, bool again)
{
	if (!b->ordered)
		return;
	(void)pthread_mutex_lock(&s->lock);
	struct ordered_key *k = key_find(s, key_of(b, topic), false);
	if (k && k->holder == id) {
		k->holder = 0;
		k->waiting += again;
		key_tidy(s, k);
	}
	(void)pthread_mutex_unlock(&s->lock);
}

/* ---- which events are in memory ---- */

bool durable_is_in_flight(struct durable_store *s, uint64_t id)
{
	bool found = false;
	(void)pthread_mutex_lock(&s->lock);
	for (const struct durable *x = s->flying[id % FLYING_BUCKETS]; x && !found; x = x->next)
		found = x->event.id == id;
	(void)pthread_mutex_unlock(&s->lock);
	return found;
}

void durable_fly(struct durable_store *s, struct durable *x)
{
	(void)pthread_mutex_lock(&s->lock);
	struct durable **at = &s->flying[x->event.id % FLYING_BUCKETS];
	x->next = *at;
	*at = x;
	(void)pthread_mutex_unlock(&s->lock);
}

/* lock held */
static void take_down(struct durable_store *s, struct durable *x)
{
	struct durable **at = &s->flying[x->event.id % FLYING_BUCKETS];
	while (*at && *at != x)
		at = &(*at)->next;
	if (*at)
		*at = x->next;
}

/* What was put is through; x is gone. */
static void land(struct durable_store *s, struct durable *x)
{
	(void)pthread_mutex_lock(&s->lock);
	bool later = s->feeding;
	if (later) {
		x->landed = s->landed;
		s->landed = x;
	} else {
		take_down(s, x);
	}
	(void)pthread_mutex_unlock(&s->lock);
	if (!later)
		durable_drop(x);
}

void durable_feeding_begin(struct durable_store *s)
{
	(void)pthread_mutex_lock(&s->lock);
	s->feeding = true;
	(void)pthread_mutex_unlock(&s->lock);
}

void durable_feeding_end(struct durable_store *s)
{
	(void)pthread_mutex_lock(&s->lock);
	struct durable *list = s->landed;
	s->feeding = false;
	s->landed = NULL;
	for (struct durable *x = list; x; x = x->landed)
		take_down(s, x);
	(void)pthread_mutex_unlock(&s->lock);
	for (struct durable *next; list; list = next) {
		next = list->landed;
		durable_drop(list);
	}
}

/* ---- an event begins ---- */

bool durable_wanted(const struct durable_store *s, const struct event *e, const struct binding *b)
{
	return s && b && b->durability != DURABLE_OFF && (e->qos > 0 || e->packet > 0);
}

int durable_admit(struct durable_store *s, const struct event *e)
{
	struct why why = { 0 };
	uint64_t held_back;
	int err = journal_admit(s->journal, e->payload.len + e->topic.len, &why);
	if (err == 0)
		err = outbox_admit(s->outbox, &why);
	if (err < 0 && limiter_pass(&s->refusals, REFUSALS_PER_S, &held_back))
		LOG(LOG_WARN, "event not taken; its source keeps it",
		    F_BYTES("topic", e->topic.at, e->topic.len < 256 ? e->topic.len : 256),
		    F_STR("reason", why_text(&why, err)), F_U64_SOME("not_logged", held_back));
	return err;
}

void durable_together(struct durable_store *s, bool on)
{
	if (s)
		journal_hold(s->journal, on);
}

void durable_drop(struct durable *x)
{
	if (!x)
		return;
	binding_unref(x->binding);
	free(x->copy);
	free(x->end);
	free(x);
}

struct durable *durable_make(struct durable_store *s, struct flight *f, uint64_t id)
{
	struct durable *x = calloc(1, sizeof(*x));
	if (!x)
		return NULL;
	x->store = s;
	x->flight = f;
	x->event.id = id;
	return x;
}

static void fill(struct journal_event *j, const struct event *e, const struct binding *b)
{
	j->binding = b->id;
	j->function = b->function;
	j->source = e->source;
	j->topic = e->topic;
	j->packet = e->packet;
	j->digest = e->packet ? dedupe_digest(e->topic, e->payload) : 0;
	j->hops = e->hops;
	j->inbound = e->inbound;
	j->arrived_wall_ms = e->time_wall_ms;
	j->op.power = b->durability == DURABLE_POWER;
}

static void row_done(struct journal_op *op, int err)
{
	struct durable *x = CONTAINER_OF(op, struct durable, event.op);
	if (x->waiter)
		x->waiter->stored(x->waiter, err);
	x->waiter = NULL;
}

static void put_row(struct durable_store *s, struct durable *x, const struct event *e)
{
	x->waiter = e->caller;
	if (e->caller) {
		e->caller->event = x->event.id;
		e->caller->storing = true;
		e->caller->refused = NULL;
		x->event.op.done = row_done;
	}
	journal_event_put(s->journal, &x->event);
}

int durable_begin(struct durable_store *s, struct flight *f, const struct event *e,
		  struct binding *b)
{
	struct durable *x = durable_make(s, f, f->id);
	struct ipc_msg m;
	struct why why = { 0 };
	if (!x)
		return -ENOMEM;
	fill(&x->event, e, b);
	/* The bytes are the flight's, and that lives until its end is through. */
	ENSURE(ipc_parse(IPC_GATEWAY, f->packet.buf, f->packet.len, &m, &why) == 0);
	x->event.topic = f->topic;
	x->event.attrs = m.invoke.attrs;
	x->event.payload = m.invoke.payload;
	size_t large = f->payload_fd >= 0 ? e->payload.len : 0;
	x->copy = malloc(large + e->source.len + 1);
	if (!x->copy) {
		durable_drop(x);
		return -ENOMEM;
	}
	memcpy(x->copy, e->source.at, e->source.len);
	x->event.source = (struct span){ x->copy, e->source.len };
	x->event.function = f->binding->function; /* referred to by the flight */
	if (large) {
		memcpy(x->copy + e->source.len, e->payload.at, large);
		x->event.payload = (struct span){ x->copy + e->source.len, large };
	}
	x->bytes = x->event.topic.len + x->event.attrs.len + x->event.payload.len;
	f->durable = x;
	durable_fly(s, x);
	x->late = e->caller && e->caller->waits;
	if (!x->late)
		put_row(s, x, e);
	return 0;
}

/* ---- without a flight ---- */

static void aside_done(struct journal_op *op, int err)
{
	struct durable *x = CONTAINER_OF(op, struct durable, finish.op);
	(void)err;
	atomic_fetch_add(&x->store->aside, x->finish.state == EVENT_OPEN);
	land(x->store, x);
}

bool durable_is_for_good(enum refusal why)
{
	return why == REFUSE_LOOP || why == REFUSE_LARGE || why == REFUSE_ATTRS ||
	       why == REFUSE_QUARANTINED || why == REFUSE_FAILED;
}

int durable_put_aside(struct durable_store *s, const struct event *e, struct binding *b,
		      uint64_t id, enum refusal why)
{
	struct flight f = { .id = id, .payload_fd = -1 };
	struct durable *x = durable_make(s, NULL, id);
	if (!x)
		return -ENOMEM;
	fill(&x->event, e, b);
	x->binding = binding_ref(b);
	size_t all = e->source.len + e->topic.len + e->payload.len;
	uint8_t *attrs = NULL;
	size_t nattrs = 0;
	int err = flight_attrs(&f, e, &attrs, &nattrs);
	if (err == 0 && !(x->copy = malloc(all + nattrs + 1)))
		err = -ENOMEM;
	if (err < 0) {
		free(attrs);
		durable_drop(x);
		return err;
	}
	struct wr w = wr_into(x->copy, all + nattrs);
	struct span *const part[] = { &x->event.source, &x->event.topic, &x->event.payload,
				      &x->event.attrs };
	x->event.payload = e->payload;
	x->event.attrs = (struct span){ attrs, nattrs };
	for (size_t i = 0; i < ARRAY_LEN(part); i++) {
		const uint8_t *at = x->copy + w.len;
		wr_bytes(&w, part[i]->at, part[i]->len);
		part[i]->at = at;
	}
	free(attrs);
	bool never = durable_is_for_good(why);
	if (!never)
		durable_key_waits(s, b, e->topic);
	x->finish = (struct journal_finish){
		.id = id,
		.stored = true,
		.state = never ? EVENT_DEAD : EVENT_OPEN,
		.due_wall_ms = durable_now_ms(s),
		.finished_wall_ms = now_wall_ms(),
		.status = IPC_REFUSED,
		.reason = { (const uint8_t *)refusal_texts[why].reason,
			    strlen(refusal_texts[why].reason) },
		.event_bytes = all - e->source.len + nattrs,
	};
	x->finish.op.power = x->event.op.power;
	x->finish.op.done = aside_done;
	durable_fly(s, x);
	put_row(s, x, e);
	journal_finish_put(s->journal, &x->finish);
	return 0;
}

/* ---- the end of an attempt ---- */

static uint64_t backoff_ms(const struct binding *b, unsigned attempts)
{
	uint64_t ms = b->retry_ms;
	for (unsigned i = 1; i < attempts && ms < BACKOFF_MAX_MS; i++)
		ms *= 2;
	return ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
}

static void calm_down(struct function *fn)
{
	unsigned n = atomic_load(&fn->contended);
	while (n > 0 && !atomic_compare_exchange_weak(&fn->contended, &n, n - 1))
		;
}

/* The extras, which stand before all else in the transaction, did not let it pass. */
static void refused(struct durable *x, const char *reason)
{
	struct dispatch *d = x->store->dispatch;
	struct flight *f = x->flight;
	free(x->end);
	x->end = NULL;
	dispatch_uncount_ok(d, f);
	if (!reason)
		atomic_store(&f->version->function->contended, CONTENDED_COMMITS);
	if (!reason && ++x->reruns <= RERUNS_MAX)
		dispatch_again(d, f); /* what it read has changed since */
	else
		dispatch_fail(d, f,
			      reason ? reason
				     : "others changed what it read each time that it ran");
}

static void ended(struct journal_op *op, int err)
{
	struct durable *x = CONTAINER_OF(op, struct durable, finish.op);
	struct durable_store *s = x->store;
	struct flight *f = x->flight;
	char room[REASON_BYTES];
	const char *reason = NULL;
	outbox_committed(s->outbox, &x->batch, err);
	if (x->extras_done)
		reason = x->extras_done(x->extras_arg, err, room, sizeof(room));
	if (x->extras_done && err == 0)
		calm_down(f->version->function);
	x->extras_done = NULL;
	if (err == -E_INVALID) {
		refused(x, reason);
		return;
	}
	bool over = x->finish.state != EVENT_OPEN;
	if (over) /* else it keeps its key, and holds up those behind it */
		durable_let_go(s, f->binding, f->topic, x->event.id, false);
	atomic_fetch_add(&s->aside, !over);
	f->durable = NULL;
	land(s, x);
	if (f->caller)
		f->caller->ended(f->caller, err);
	dispatch_release(s->dispatch, f);
	if (atomic_load(&s->aside) > 0)
		dispatch_wants_food(s->dispatch);
}

static struct span keep(struct wr *w, struct span from)
{
	struct span s = { w->buf + w->len, from.len };
	wr_bytes(w, from.at, from.len);
	return s;
}

static int end_bytes(struct durable *x, const struct durable_end *e)
{
	struct span reason = { (const uint8_t *)e->reason, e->reason ? strlen(e->reason) : 0 };
	const struct outcome o = { e->status, e->code, e->reply, e->effects, e->state };
	size_t all = reason.len + e->stack.len + e->trace.len + outcome_bytes_most(&o);
	x->end = malloc(all + 1);
	if (!x->end)
		return -ENOMEM;
	struct wr w = wr_into(x->end, all);
	x->finish.reason = keep(&w, reason);
	x->finish.stack = keep(&w, e->stack);
	x->finish.trace = keep(&w, e->trace);
	x->finish.output.at = w.buf + w.len;
	size_t before = w.len;
	outcome_put(&w, &o);
	x->finish.output.len = w.len - before;
	return 0;
}

int durable_begin_unstored(struct durable_store *s, struct flight *f)
{
	struct durable *x = durable_make(s, f, f->id);
	if (!x)
		return -ENOMEM;
	x->unstored = true;
	f->durable = x;
	durable_fly(s, x);
	return 0;
}

bool durable_is_stored(const struct flight *f)
{
	return f->durable && !f->durable->unstored;
}

int durable_plan(struct durable_store *s, const struct flight *f, const struct trigger_message *m,
		 unsigned n, struct outbox_batch *ret)
{
	return outbox_plan(s->outbox, m, n, f->id, f->version->revision, f->version->function->name,
			   ret);
}

void durable_end(struct durable_store *s, struct flight *f, const struct durable_end *e)
{
	struct durable *x = f->durable;
	const struct binding *b = f->binding;
	uint64_t now = durable_now_ms(s);
	unsigned attempts = x->attempts + !e->postponed;
	enum journal_state state = EVENT_DONE;
	if (x->unstored || f->caller) /* who asked has the answer, and asks again or not */
		state = EVENT_DONE;
	else if (e->postponed || (e->status != IPC_OK && attempts <= b->retry_max))
		state = EVENT_OPEN;
	else if (e->status != IPC_OK)
		state = EVENT_DEAD;
	x->batch = e->batch;
	x->extras_done = e->extras_done;
	x->extras_arg = e->extras_arg;
	x->finish = (struct journal_finish){
		.id = x->event.id,
		.stored = !x->unstored,
		.event_bytes = x->bytes,
		.state = state,
		.due_wall_ms = now + (e->postponed ? POSTPONED_MS : backoff_ms(b, attempts)),
		.finished_wall_ms = now_wall_ms(),
		.attempts = attempts,
		.revision = f->version->revision,
		.status = e->status,
		.code = e->code,
		.effects = x->batch.effects,
		.neffects = x->batch.n,
		.extras = e->extras,
	};
	if (!x->unstored && end_bytes(x, e) < 0) /* its end is what counts */
		x->finish.reason = (struct span){ (const uint8_t *)"out of memory", 13 };
	x->finish.op.power = x->event.op.power;
	x->finish.op.done = ended;
	if (state == EVENT_DEAD)
		LOG(LOG_ERR, "event put aside as dead letter", F_U64("event", f->id),
		    F_BYTES("function", b->function.at, b->function.len),
		    F_U64("attempts", attempts), F_STR("reason", e->reason ? e->reason : ""));
	const bool late = x->late; /* if it runs again, the row is there */
	if (late) {
		x->late = false;
		journal_hold(s->journal, true);
		journal_event_put(s->journal, &x->event);
	}
	journal_finish_put(s->journal, &x->finish);
	if (late)
		journal_hold(s->journal, false);
}

/* ---- begin and end ---- */

int durable_new(struct dispatch *d, struct journal *j, struct outbox *o, durable_binding_of *find,
		void *arg, struct durable_store **ret, struct why *why)
{
	struct durable_store *s = calloc(1, sizeof(*s));
	if (!s)
		return why_set(why, -ENOMEM, "out of memory");
	s->dispatch = d;
	s->journal = j;
	s->outbox = o;
	s->find = find;
	s->find_arg = arg;
	s->start_wall_ms = now_wall_ms();
	s->start_ns = now_ns();
	(void)pthread_mutex_init(&s->lock, NULL);
	*ret = s;
	return 0;
}

void durable_commit(struct durable_store *s)
{
	journal_commit(s->journal);
}

void durable_stop(struct durable_store *s)
{
	journal_quiesce(s->journal);
}

void durable_free(struct durable_store *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < ORDERED_BUCKETS; i++) {
		for (struct ordered_key *k; (k = s->keys[i]);) {
			s->keys[i] = k->next;
			free(k);
		}
	}
	for (unsigned i = 0; i < FLYING_BUCKETS; i++) {
		for (struct durable *x; (x = s->flying[i]);) {
			s->flying[i] = x->next;
			if (x->batch.n)
				outbox_batch_free(s->outbox, &x->batch);
			durable_drop(x);
		}
	}
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}
