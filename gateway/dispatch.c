/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/log.h"
#include "gateway/dispatch_impl.h"
#include "gateway/durable_impl.h"
#include "gateway/remember.h"
#include "gateway/replay.h"

uint64_t now_ns(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t now_wall_ms(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static void count(struct dispatch *d, enum dispatch_count which)
{
	atomic_fetch_add_explicit(&d->counts[which], 1, memory_order_relaxed);
}

void dispatch_release(struct dispatch *d, struct flight *f)
{
	binding_unref(f->binding);
	(void)pthread_mutex_lock(&d->lock);
	struct version *v = f->version;
	struct function *fn = v->function;
	if (f->retrying)
		fn->retries--;
	if (fn->suspect && fn->retries == 0 && f->answered) {
		fn->suspect = false;
		if (d->trial == fn)
			d->trial = NULL;
	}
	d->bytes -= f->charge_bytes;
	admission_discharge(&d->admission, f->ring, f->deadline_ns, f->cost_ns);
	flight_free(&d->pool, f);
	bool reap = --v->refs == 0 && v->retiring;
	(void)pthread_mutex_unlock(&d->lock);
	struct post *p = reap ? calloc(1, sizeof(*p)) : NULL;
	if (p) { /* else the next deploy or the end frees it */
		p->kind = POST_REAP;
		dispatch_post(d, p);
	}
}

/* ---- queues ---- */

void dispatch_unready(struct dispatch *d, struct version *v)
{
	struct version **at = &d->ready;
	while (*at && *at != v)
		at = &(*at)->ready_next;
	if (!*at)
		return;
	*at = v->ready_next;
	if (!*at)
		d->ready_last = at;
	v->ready = false;
}

static void make_ready(struct dispatch *d, struct version *v)
{
	if (v->ready)
		return;
	v->ready = true;
	v->ready_next = NULL;
	*d->ready_last = v;
	d->ready_last = &v->ready_next;
}

void dispatch_queue(struct dispatch *d, struct flight *f, bool front)
{
	f->state = FLIGHT_WAITING;
	if (front)
		flight_queue_put_front(&f->version->waiting, f);
	else
		flight_queue_put(&f->version->waiting, f);
	atomic_fetch_add(&d->waiting, 1);
	make_ready(d, f->version);
}

/* Half of the window is for those in a hurry, so that they are never behind others' patience. */
REQUIRES(lock) static bool may_send(struct dispatch *d, struct version *v, const struct flight *f)
{
	struct function *fn = v->function;
	bool hurried = f->deadline_ns - f->arrived_ns <= HURRY_NS;
	if (atomic_load_explicit(&fn->contended, memory_order_relaxed) > 0 && v->sent > 0)
		return false;
	if (!d->up || v->state != VERSION_LOADED || v->sent >= FUNCTION_WINDOW ||
	    d->sent >= (hurried ? 2 : 1) * DISPATCH_WINDOW)
		return false;
	if (!fn->suspect)
		return true;
	if (!d->trial)
		d->trial = fn;
	return d->trial == fn;
}

REQUIRES(lock) static void mark_sent(struct dispatch *d, struct flight *f)
{
	f->state = FLIGHT_SENT;
	f->sent_ns = now_ns();
	if (f->replay && !f->replay->is_replay)
		replay_fini(f->replay); /* of a run that did not count: it is told anew */
	f->version->sent++;
	d->sent++;
	flight_hash(&d->pool, f);
	gate_expect(&d->gate);
}

void dispatch_unsend(struct dispatch *d, struct flight *f)
{
	f->version->sent--;
	d->sent--;
	gate_answered(&d->gate, 1);
}

/* It did not go out after all: first in line again. */
REQUIRES(lock) static void take_back(struct dispatch *d, struct flight *f)
{
	(void)flight_unhash(&d->pool, f->id);
	dispatch_unsend(d, f);
	dispatch_queue(d, f, true);
}

/* From here on f may be gone at any time. True: it is with the sandbox. later: the caller will pump
 * soon, many at once. */
static bool send_or_queue(struct dispatch *d, struct flight *f, bool later)
{
	if (later) {
		(void)pthread_mutex_lock(&d->lock);
		dispatch_queue(d, f, false);
		(void)pthread_mutex_unlock(&d->lock);
		return false;
	}
	(void)pthread_mutex_lock(&d->send_lock);
	(void)pthread_mutex_lock(&d->lock);
	bool now = f->version->waiting.n == 0 && may_send(d, f->version, f);
	if (now)
		mark_sent(d, f);
	else
		dispatch_queue(d, f, false);
	(void)pthread_mutex_unlock(&d->lock);
	if (now) {
		int fd = f->payload_fd;
		if (ipc_send(d->sock, &f->packet, &fd, fd >= 0, false) < 0) {
			(void)pthread_mutex_lock(&d->lock);
			take_back(d, f);
			(void)pthread_mutex_unlock(&d->lock);
			now = false;
		}
	}
	(void)pthread_mutex_unlock(&d->send_lock);
	return now;
}

/* The version whose first flight is the most urgent of those that may be sent; NULL. */
REQUIRES(lock) static struct version *most_urgent(struct dispatch *d)
{
	struct version *best = NULL;
	for (struct version *v = d->ready; v; v = v->ready_next) {
		const struct flight *first = v->waiting.first;
		/* None: they ran out of time, or their function is in quarantine. */
		if (first && may_send(d, v, first) &&
		    (!best || first->deadline_ns < best->waiting.first->deadline_ns))
			best = v;
	}
	return best;
}

/* Up to WIRE_BATCH waiting flights, the earliest deadline first. */
REQUIRES(lock) static unsigned next_batch(struct dispatch *d, struct flight *batch[WIRE_BATCH])
{
	unsigned n = 0;
	struct version *v;
	while (n < WIRE_BATCH && (v = most_urgent(d)) != NULL) {
		batch[n] = flight_queue_take(&v->waiting);
		atomic_fetch_sub(&d->waiting, 1);
		mark_sent(d, batch[n++]);
		if (v->waiting.n == 0)
			dispatch_unready(d, v);
	}
	return n;
}

void dispatch_pump(struct dispatch *d)
{
	remember_tell(d);
	if (atomic_load(&d->waiting) == 0)
		return;
	bool any = false;
	(void)pthread_mutex_lock(&d->send_lock);
	for (;;) {
		struct flight *batch[WIRE_BATCH];
		(void)pthread_mutex_lock(&d->lock);
		unsigned n = next_batch(d, batch);
		(void)pthread_mutex_unlock(&d->lock);
		if (n == 0)
			break;
		int sent = wire_send(d->sock, batch, n);
		unsigned out = sent < 0 ? 0 : (unsigned)sent;
		any |= out > 0;
		if (out == n)
			continue;
		(void)pthread_mutex_lock(&d->lock);
		while (n > out)
			take_back(d, batch[--n]);
		(void)pthread_mutex_unlock(&d->lock);
		break; /* its socket is full, or closed: the next answer or the restart goes on */
	}
	(void)pthread_mutex_unlock(&d->send_lock);
	if (any)
		gate_arm(&d->gate);
}

/* ---- the way in ---- */

/* From here on it has an end, and is counted. */
static bool take_off(struct dispatch *d, struct binding *b, struct flight *f, bool later)
{
	count(d, EVENTS_INVOKED);
	atomic_fetch_add_explicit(&f->version->function->counts[FUNCTION_INVOKED], 1,
				  memory_order_relaxed);
	if (b)
		atomic_fetch_add_explicit(&b->counts[BINDING_INVOKED], 1, memory_order_relaxed);
	return send_or_queue(d, f, later);
}

/* Whoever waits for its answer learns its number; what has a row gets it with its end. */
static int caller_board(struct dispatch *d, struct flight *f, const struct event *e,
			struct binding *b)
{
	if (!e->caller)
		return 0;
	if (e->caller->waits && durable_wanted(d->durable, e, b)) {
		int err = durable_begin(d->durable, f, e, b);
		if (err < 0)
			return err;
	}
	f->caller = e->caller->waits ? e->caller : NULL;
	e->caller->event = f->id;
	return 0;
}

static bool volatile_event(struct dispatch *d, const struct event *e, struct binding *b, bool later)
{
	enum refusal why = REFUSE_SYSTEM;
	struct flight *f = dispatch_admit(d, b->function, e, b, 0, &why);
	int err = f ? flight_encode(f, f->version->handle, e) : 0;
	if (f && err == 0) {
		f->binding = binding_ref(b);
		err = caller_board(d, f, e, b);
	}
	if (f && err == 0)
		return take_off(d, b, f, later);
	if (f) { /* Not ENDING: it says nothing about a suspect. */
		why = err == -E_LIMIT ? REFUSE_ATTRS : REFUSE_SYSTEM;
		dispatch_release(d, f);
	}
	(void)dispatch_refuse(d, b->function, e, b, why);
	return false;
}

void dispatch_take_off(struct dispatch *d, struct flight *f)
{
	if (send_or_queue(d, f, false))
		gate_arm(&d->gate);
}

static uint64_t new_id(struct dispatch *d)
{
	(void)pthread_mutex_lock(&d->lock);
	uint64_t id = d->next_id++;
	(void)pthread_mutex_unlock(&d->lock);
	return id;
}

static int put_aside(struct dispatch *d, const struct event *e, struct binding *b, uint64_t id,
		     enum refusal why)
{
	if (e->caller && durable_is_for_good(why))
		return 0; /* it was told */
	int err = durable_put_aside(d->durable, e, b, id ? id : new_id(d), why);
	if (err != -E_LIMIT)
		return err;
	if (why != REFUSE_ATTRS) /* else it was said */
		(void)dispatch_refuse(d, b->function, e, b, REFUSE_ATTRS);
	return 0;
}

/* What cannot run now is in the journal all the same, and runs later. */
static int durable_event(struct dispatch *d, const struct event *e, struct binding *b, bool later,
			 bool *ret_sent)
{
	enum refusal why = REFUSE_FUNCTION_FULL;
	uint64_t id = b->ordered ? new_id(d) : 0;
	if (!durable_hold(d->durable, b, e->topic, id))
		return put_aside(d, e, b, id, why);
	struct flight *f = dispatch_admit(d, b->function, e, b, id, &why);
	int err = 0;
	if (f) {
		f->binding = binding_ref(b);
		err = flight_encode(f, f->version->handle, e);
		if (err == 0)
			err = durable_begin(d->durable, f, e, b);
		if (err == 0) {
			*ret_sent |= take_off(d, b, f, later);
			return 0;
		}
		why = err == -E_LIMIT ? REFUSE_ATTRS : REFUSE_SYSTEM;
		dispatch_release(d, f);
	}
	(void)dispatch_refuse(d, b->function, e, b, why);
	durable_let_go(d->durable, b, e->topic, id, false);
	return put_aside(d, e, b, id, why);
}

static int admit_all(struct dispatch *d, const struct event *e, struct binding *const *b,
		     unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (durable_wanted(d->durable, e, b[i]))
			return durable_admit(d->durable, e);
	return 0;
}

int dispatch_event(struct dispatch *d, const struct event *e, struct binding *const *b, unsigned n,
		   struct dispatch_seat *seat)
{
	bool any = false;
	int err = admit_all(d, e, b, n);
	if (err < 0)
		return err;
	if (seat && !seat->taken)
		seat->taken = gate_attend(&d->gate);
	/* The sandbox has work already: it gets more in batches, which wake it once. */
	bool later = seat && seat->taken &&
		     (seat->more || atomic_load(&d->gate.expected) > SPIN_SENT_MAX);
	if (n > 1)
		durable_together(d->durable, true);
	struct event rest = *e; /* the first binding's function answers */
	for (unsigned i = 0; i < n && err == 0; i++, e = &rest) {
		rest.caller = NULL;
		if (durable_wanted(d->durable, e, b[i]) && !(e->caller && e->caller->waits))
			err = durable_event(d, e, b[i], later, &any);
		else
			any |= volatile_event(d, e, b[i], later);
	}
	if (n > 1)
		durable_together(d->durable, false);
	if (!seat || !seat->taken) {
		if (any)
			gate_arm(&d->gate);
		return err;
	}
	uint64_t last =
		atomic_exchange_explicit(&d->last_event_ns, e->arrived_ns, memory_order_relaxed);
	d->recent = e->arrived_ns - last < RECENT_NS;
	if (++seat->events >= EVENTS_PER_LOOK) { /* its socket has more and more: look in between */
		seat->events = 0;
		dispatch_look(d); /* what ends is committed with what comes */
	}
	return err;
}

/* ---- with the journal ---- */

void dispatch_use(struct dispatch *d, struct durable_store *s, struct state_store *state,
		  uint64_t last_id)
{
	(void)pthread_mutex_lock(&d->lock);
	d->durable = s;
	d->state = state;
	if (d->next_id <= last_id) /* the clock was set back since */
		d->next_id = last_id + 1;
	(void)pthread_mutex_unlock(&d->lock);
}

void dispatch_send(struct dispatch *d, struct flight *f)
{
	if (take_off(d, f->binding, f, false))
		gate_arm(&d->gate);
}

void dispatch_again(struct dispatch *d, struct flight *f)
{
	(void)pthread_mutex_lock(&d->lock);
	f->answered = false;
	dispatch_queue(d, f, true);
	(void)pthread_mutex_unlock(&d->lock);
	dispatch_pump(d);
}

void dispatch_wants_food(struct dispatch *d)
{
	if (atomic_exchange(&d->hungry, true))
		return;
	struct post *p = calloc(1, sizeof(*p));
	if (!p) {
		atomic_store(&d->hungry, false); /* the tick feeds, too */
		return;
	}
	p->kind = POST_FEED;
	dispatch_post(d, p);
}

void dispatch_commit(struct dispatch *d)
{
	if (d->durable)
		durable_commit(d->durable);
}

int dispatch_invoke(struct dispatch *d, const char *function, const struct event *e,
		    flight_done *done, void *arg, struct why *why)
{
	struct span name = { (const uint8_t *)function, strlen(function) };
	enum refusal refusal = REFUSE_SYSTEM;
	struct flight *f = dispatch_admit(d, name, e, NULL, 0, &refusal);
	if (!f) {
		int err = dispatch_refuse(d, name, e, NULL, refusal);
		return why_set(why, err, "%s: %s", function, refusal_texts[refusal].reason);
	}
	f->done = done;
	f->arg = arg;
	int err = flight_encode(f, f->version->handle, e);
	if (err < 0) {
		dispatch_release(d, f);
		refusal = err == -E_LIMIT ? REFUSE_ATTRS : REFUSE_SYSTEM;
		err = dispatch_refuse(d, name, e, NULL, refusal);
		return why_set(why, err, "%s: %s", function, refusal_texts[refusal].reason);
	}
	count(d, EVENTS_INVOKED);
	f->version->function->counts[FUNCTION_INVOKED]++;
	if (send_or_queue(d, f, false))
		gate_arm(&d->gate);
	return 0;
}

/* ---- begin and end ---- */

/* Ids go up from a number that no earlier run has reached: the clock in the upper bits, and chance
 * in the lower ones for a box whose clock starts at the same time twice. */
static uint64_t first_id(void)
{
	uint32_t chance = 0;
	(void)!getrandom(&chance, sizeof(chance), GRND_NONBLOCK);
	return (now_wall_ms() << 20 | (chance & 0xfffff)) & INT64_MAX;
}

static void finish_free(struct dispatch *d)
{
	for (struct post *p; (p = d->posts);) {
		d->posts = p->next;
		free(p);
	}
	for (unsigned i = 0; i < d->pool.fresh; i++) {
		if (d->pool.flights[i].state != FLIGHT_FREE)
			binding_unref(d->pool.flights[i].binding);
	}
	flight_pool_fini(&d->pool);
	function_table_fini(&d->functions);
	gate_fini(&d->gate);
	ipc_inbox_free(d->results_inbox);
	ipc_inbox_free(d->seat_inbox);
	(void)pthread_mutex_destroy(&d->post_lock);
	(void)pthread_mutex_destroy(&d->lock);
	(void)pthread_mutex_destroy(&d->send_lock);
	free(d);
}

static void handle_closed(uv_handle_t *h)
{
	struct dispatch *d = h->data;
	if (--d->closing == 0)
		finish_free(d);
}

static void stop(struct dispatch *d)
{
	if (d->results_run) {
		gate_stop(&d->gate);
		(void)pthread_join(d->results, NULL);
	}
	if (d->durable)
		durable_stop(d->durable);
	sandbox_peer_free(d->peer);
	d->closing = 2;
	(void)uv_timer_stop(&d->tick);
	uv_close((uv_handle_t *)&d->tick, handle_closed);
	uv_close((uv_handle_t *)&d->async, handle_closed);
}

int dispatch_new(const struct config *config, uv_loop_t *loop, const char *program,
		 struct dispatch **ret, struct why *why)
{
	struct dispatch *d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->config = config;
	d->loop = loop;
	d->ready_last = &d->ready;
	d->posts_last = &d->posts;
	d->next_id = first_id();
	(void)pthread_mutex_init(&d->send_lock, NULL);
	(void)pthread_mutex_init(&d->lock, NULL);
	(void)pthread_mutex_init(&d->post_lock, NULL);
	int err = gate_init(&d->gate);
	d->seat_inbox = ipc_inbox_new();
	d->results_inbox = ipc_inbox_new();
	if (err == 0 && (!d->seat_inbox || !d->results_inbox))
		err = -ENOMEM;
	if (err == 0)
		err = flight_pool_init(&d->pool, config->queue_events);
	const struct sandbox_peer_spec spec = { .program = program,
						.workers = config->workers,
						.spin_us = config->spin_us,
						.fifo = config->fifo,
						.started = dispatch_on_started,
						.died = dispatch_on_died,
						.arg = d };
	if (err == 0)
		err = sandbox_peer_new(loop, &spec, &d->peer, why);
	if (err < 0) {
		finish_free(d);
		return why_set(why, err, "the dispatcher: %s", strerrordesc_np(-err));
	}
	d->sock = sandbox_peer_socket(d->peer);
	(void)uv_async_init(loop, &d->async, dispatch_on_posts);
	(void)uv_timer_init(loop, &d->tick);
	d->async.data = d->tick.data = d;
	err = -pthread_create(&d->results, NULL, dispatch_results, d);
	d->results_run = err == 0;
	if (err < 0) {
		stop(d);
		return why_set(why, err, "starting a thread: %s", strerrordesc_np(-err));
	}
	(void)pthread_setname_np(d->results, "results");
	(void)uv_timer_start(&d->tick, dispatch_on_tick, TICK_IDLE_MS, TICK_IDLE_MS);
	sandbox_peer_start(d->peer);
	*ret = d;
	return 0;
}

static unsigned in_flight(struct dispatch *d)
{
	(void)pthread_mutex_lock(&d->lock);
	d->closed = true;
	unsigned n = d->pool.used;
	(void)pthread_mutex_unlock(&d->lock);
	return n;
}

void dispatch_free(struct dispatch *d, unsigned wait_ms)
{
	if (!d)
		return;
	uint64_t end = now_ns() + (uint64_t)wait_ms * 1000000u;
	unsigned n;
	while ((n = in_flight(d)) > 0 && now_ns() < end) {
		(void)nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
		dispatch_on_posts(&d->async); /* who waits for a result, waits on this thread */
	}
	unsigned kept = 0;
	for (unsigned i = 0; i < d->pool.fresh; i++)
		kept += d->pool.flights[i].state != FLIGHT_FREE && d->pool.flights[i].durable;
	if (n > kept)
		LOG(LOG_WARN, "stopping with events in flight; they are lost",
		    F_U64("events", n - kept));
	if (kept > 0)
		LOG(LOG_NOTE, "stopping with events in flight; the journal has them",
		    F_U64("events", kept));
	uint8_t packet[64];
	struct wr w = wr_into(packet, sizeof(packet));
	if (ipc_put_quit(&w))
		(void)!ipc_send(d->sock, &w, NULL, 0, false);
	stop(d);
}
