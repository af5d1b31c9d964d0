/* SPDX-License-Identifier: Apache-2.0 */
/* What happens seldom, on the loop's thread: loading and unloading, the sandbox's birth and death,
 * time running out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gateway/dispatch_impl.h"
#include "gateway/durable.h"
#include "gateway/remember.h"
#include "gateway/state.h"
#include "proto/aot_abi.h"

enum { PACKET_SMALL = 4096 + 4, DOWN_TICKS_MAX = 2, LOAD_DEATHS_MAX = 3 };

/* ---- posts ---- */

void dispatch_post(struct dispatch *d, struct post *p)
{
	p->next = NULL;
	(void)pthread_mutex_lock(&d->post_lock);
	*d->posts_last = p;
	d->posts_last = &p->next;
	(void)pthread_mutex_unlock(&d->post_lock);
	(void)uv_async_send(&d->async);
}

static struct post *posts_take(struct dispatch *d)
{
	(void)pthread_mutex_lock(&d->post_lock);
	struct post *p = d->posts;
	d->posts = NULL;
	d->posts_last = &d->posts;
	(void)pthread_mutex_unlock(&d->post_lock);
	return p;
}

/* ---- load and unload ---- */

static bool put_load(struct wr *w, const struct version *v)
{
	char name[MANIFEST_NAME_MAX + 16];
	int n = snprintf(name, sizeof(name), "%s@%u", v->function->name, v->revision);
	const struct ipc_load m = {
		.function = v->handle,
		.memory_pages = (uint32_t)(v->limits.memory_bytes / AOT_PAGE_BYTES),
		.stack_bytes = (uint32_t)v->limits.stack_bytes,
		.output_bytes = (uint32_t)v->limits.output_bytes,
		.cpu_ns = (uint64_t)v->limits.cpu_ms * 1000000u,
		.wall_ns = (uint64_t)v->limits.deadline_ms * 1000000u,
		.concurrency = v->limits.concurrency,
		.host_calls = v->limits.host_calls,
		.name = { (const uint8_t *)name, (size_t)n },
		/* NUL-separated: one argument, the function's name. */
		.args = { (const uint8_t *)v->function->name, strlen(v->function->name) + 1 },
	};
	return ipc_put_load(w, &m);
}

/* False: the socket is full, or the sandbox died: its answers or its restart come back here. */
static bool send_load(struct dispatch *d, struct version *v)
{
	uint8_t packet[PACKET_SMALL];
	struct wr w = wr_into(packet, sizeof(packet));
	ENSURE(put_load(&w, v)); /* names are short */
	(void)pthread_mutex_lock(&d->lock);
	d->owed++;
	gate_expect(&d->gate);
	v->state = VERSION_LOADING;
	(void)pthread_mutex_unlock(&d->lock);
	if (ipc_send(d->sock, &w, &v->so_fd, 1, false) == 0)
		return true;
	(void)pthread_mutex_lock(&d->lock);
	d->owed--;
	gate_answered(&d->gate, 1);
	v->state = VERSION_UNSENT;
	(void)pthread_mutex_unlock(&d->lock);
	return false;
}

/* One that was being loaded when the sandbox died comes last and is loaded alone, so that the next
 * death tells whose fault it is. */
static struct version *next_unsent(struct dispatch *d)
{
	struct version *next = NULL, *suspect = NULL;
	bool loading = false;
	for (struct function *f = function_next(&d->functions, NULL); f;
	     f = function_next(&d->functions, f)) {
		for (struct version *v = f->versions; v; v = v->next) {
			if (v->state == VERSION_LOADING && v->load_deaths > 0)
				return NULL;
			loading |= v->state == VERSION_LOADING;
			if (v->state != VERSION_UNSENT)
				continue;
			if (v->load_deaths > 0)
				suspect = v;
			else
				next = v;
		}
	}
	return next ? next : loading ? NULL : suspect;
}

/* Functions and versions are added and freed on this thread only, so walking them needs no lock. */
static void send_loads(struct dispatch *d)
{
	if (!d->up)
		return;
	(void)pthread_mutex_lock(&d->send_lock);
	for (struct version *v; (v = next_unsent(d)) && send_load(d, v);)
		;
	(void)pthread_mutex_unlock(&d->send_lock);
	gate_arm(&d->gate);
}

static void send_unload(struct dispatch *d, uint32_t handle)
{
	uint8_t packet[64];
	struct wr w = wr_into(packet, sizeof(packet));
	(void)pthread_mutex_lock(&d->send_lock);
	/* If it does not go out, a version that nobody uses stays until the next restart. */
	if (ipc_put_unload(&w, handle))
		(void)!ipc_send(d->sock, &w, NULL, 0, false);
	(void)pthread_mutex_unlock(&d->send_lock);
}

static struct version *next_idle(struct dispatch *d)
{
	for (struct function *f = function_next(&d->functions, NULL); f;
	     f = function_next(&d->functions, f)) {
		for (struct version *v = f->versions; v; v = v->next) {
			if (v->retiring && v->refs == 0)
				return v;
		}
	}
	return NULL;
}

/* Frees the versions that are out of use. */
static void reap(struct dispatch *d)
{
	for (;;) {
		(void)pthread_mutex_lock(&d->lock);
		struct version *v = next_idle(d);
		if (!v) {
			(void)pthread_mutex_unlock(&d->lock);
			return;
		}
		uint32_t handle = v->handle;
		bool loaded = d->up && (v->state == VERSION_LOADED || v->state == VERSION_LOADING);
		path_loaded *done = v->done;
		void *arg = v->done_arg;
		if (d->trial == v->function && !v->function->versions->next)
			d->trial = NULL;
		dispatch_unready(d, v);
		version_free(&d->functions, v);
		(void)pthread_mutex_unlock(&d->lock);
		if (loaded)
			send_unload(d, handle);
		if (done)
			done(arg, -E_GONE, "it was replaced or removed before it was loaded");
	}
}

int dispatch_function_put(struct dispatch *d, const struct path_function *f, path_loaded *done,
			  void *arg, struct why *why)
{
	struct version *v;
	(void)pthread_mutex_lock(&d->lock);
	int err = function_add_version(&d->functions, f, &v, why);
	if (err == 0) {
		v->done = done;
		v->done_arg = arg;
		v->function->removed = false;
		if (!v->function->active && v->role == PATH_ACTIVE)
			v->function->active = v; /* its events wait until it is loaded */
	}
	(void)pthread_mutex_unlock(&d->lock);
	if (err == 0)
		send_loads(d);
	return err;
}

int dispatch_function_remove(struct dispatch *d, const char *name)
{
	(void)pthread_mutex_lock(&d->lock);
	struct function *f =
		function_find(&d->functions, (struct span){ (const uint8_t *)name, strlen(name) });
	bool known = f && !f->removed;
	if (known) {
		f->removed = true;
		f->active = f->candidate = NULL;
		for (struct version *v = f->versions; v; v = v->next)
			v->retiring = true;
	}
	(void)pthread_mutex_unlock(&d->lock);
	struct post *p = known ? calloc(1, sizeof(*p)) : NULL;
	if (p) {
		p->kind = POST_REAP;
		dispatch_post(d, p);
	}
	return known ? 0 : -E_UNKNOWN;
}

/* Ends flights in a list: they are ENDING and nobody else's. */
static void fail_all(struct dispatch *d, struct flight *list, const char *reason)
{
	while (list) {
		struct flight *next = list->next;
		dispatch_fail(d, list, reason);
		list = next;
	}
}

/* All that wait for a version, as a list to fail. */
REQUIRES(lock) static struct flight *take_waiting(struct dispatch *d, struct version *v)
{
	struct flight *list = NULL, **last = &list, *f;
	while ((f = flight_queue_take(&v->waiting))) {
		atomic_fetch_sub(&d->waiting, 1);
		f->state = FLIGHT_ENDING;
		f->next = NULL;
		*last = f;
		last = &f->next;
	}
	return list;
}

REQUIRES(lock) static void activate(struct version *v)
{
	struct function *f = v->function;
	v->state = VERSION_LOADED;
	v->load_deaths = 0;
	if (v->role != PATH_ACTIVE) {
		candidate_loaded(v);
		return;
	}
	if (f->removed || (f->active && f->active->handle > v->handle)) {
		v->retiring = true;
		return;
	}
	bool fresh = v->done != NULL;
	f->active = v;
	for (struct version *old = f->versions; old; old = old->next)
		old->retiring |= old->handle < v->handle;
	if (f->candidate && f->candidate->retiring)
		f->candidate = NULL;
	if (fresh) { /* a deploy, not a restart: it starts with a clean slate */
		f->quarantined = f->suspect = f->told = false;
		f->reason[0] = '\0';
	}
}

/* v was VERSION_LOADING, and now it is known whether that worked. */
static void end_load(struct dispatch *d, struct version *v, int err, const char *reason)
{
	struct flight *lost = NULL;
	struct function *f = v->function;
	(void)pthread_mutex_lock(&d->lock);
	path_loaded *done = NULL;
	void *arg = v->done_arg;
	if (err == 0) {
		activate(v);
		if (d->trial == f && !f->suspect)
			d->trial = NULL;
	} else {
		v->state = VERSION_FAILED;
		lost = take_waiting(d, v);
		if (v->done && f->active == v)
			f->active = NULL;
		v->retiring |= v->done != NULL;
		if (!v->done)
			(void)snprintf(f->reason, sizeof(f->reason), "%s", reason);
	}
	done = v->done;
	v->done = NULL;
	(void)pthread_mutex_unlock(&d->lock);
	if (err < 0)
		LOG(LOG_ERR, "the sandbox cannot load a function", F_STR("function", f->name),
		    F_U64("revision", v->revision), F_STR("reason", reason), F_ERR(err));
	fail_all(d, lost, "the function could not be loaded");
	if (done)
		done(arg, err, err < 0 ? reason : NULL);
	reap(d);
	send_loads(d);
	dispatch_pump(d);
}

/* Versions are made and freed, and their state changes, on this thread only. */
static void on_loaded(struct dispatch *d, const struct ipc_loaded *m)
{
	char reason[REASON_BYTES];
	struct version *v = version_find(&d->functions, m->function);
	(void)snprintf(reason, sizeof(reason), "%.*s",
		       (int)(m->why.len < sizeof(reason) ? m->why.len : sizeof(reason) - 1),
		       (const char *)m->why.at);
	if (v && v->state == VERSION_LOADING) /* else: removed while it was being loaded */
		end_load(d, v, m->err, reason);
}

static void on_hello(struct dispatch *d, const struct ipc_hello *m)
{
	if (m->version != AOT_ABI_VERSION) {
		LOG(LOG_ERR, "penstock-sandbox is of another version; reinstall the package",
		    F_U64("abi", m->version), F_U64("expected", AOT_ABI_VERSION));
		sandbox_peer_kill(d->peer, "it is of another version");
		return;
	}
	sandbox_peer_ready(d->peer);
	(void)pthread_mutex_lock(&d->lock);
	d->up = true;
	d->workers = m->workers;
	(void)pthread_mutex_unlock(&d->lock);
	send_loads(d);
	dispatch_pump(d);
}

static void on_control_post(struct dispatch *d, const struct post *p)
{
	struct ipc_msg m;
	struct why why = { 0 };
	ENSURE(ipc_parse(IPC_SANDBOX, p->packet, p->len, &m, &why) == 0); /* checked when it came */
	if (m.type == IPC_HELLO && !d->up)
		on_hello(d, &m.hello);
	else if (m.type == IPC_LOADED)
		on_loaded(d, &m.loaded);
	else
		sandbox_peer_kill(d->peer, "it said HELLO twice");
}

void dispatch_on_posts(uv_async_t *async)
{
	struct dispatch *d = async->data;
	for (struct post *p = posts_take(d), *next; p; p = next) {
		next = p->next;
		switch (p->kind) {
		case POST_CONTROL:
			on_control_post(d, p);
			break;
		case POST_RESULT:
		case POST_FAILED:
			dispatch_on_result_post(d, p);
			break;
		case POST_REAP:
			reap(d);
			break;
		case POST_FEED:
			atomic_store(&d->hungry, false);
			durable_feed(d->durable);
			break;
		}
		free(p);
	}
	dispatch_commit(d);
}

/* ---- birth and death ---- */

void dispatch_on_started(void *arg)
{
	struct dispatch *d = arg;
	(void)pthread_mutex_lock(&d->lock);
	d->owed = 1; /* HELLO */
	gate_expect(&d->gate);
	(void)pthread_mutex_unlock(&d->lock);
	gate_up(&d->gate);
}

REQUIRES(lock) static struct flight *take_sent(struct dispatch *d)
{
	struct flight *list = NULL;
	for (unsigned i = 0; i < d->pool.fresh; i++) {
		struct flight *f = &d->pool.flights[i];
		if (f->state != FLIGHT_SENT)
			continue;
		ENSURE(flight_unhash(&d->pool, f->id) == f);
		dispatch_unsend(d, f);
		f->state = FLIGHT_ENDING;
		f->next = list;
		list = f;
	}
	return list;
}

/* Who was in flight at two deaths in a row is taken out of the game. */
REQUIRES(lock) static void judge_functions(const struct flight *list, const char *how)
{
	for (const struct flight *f = list; f; f = f->next) {
		struct function *fn = f->version->function;
		if (!fn->suspect || fn->quarantined)
			continue;
		fn->quarantined = true;
		(void)snprintf(fn->reason, sizeof(fn->reason),
			       "it was running both times when the sandbox died (%s); deploy a "
			       "version that does not crash",
			       how);
	}
	for (const struct flight *f = list; f; f = f->next)
		f->version->function->suspect = !f->version->function->quarantined;
}

/* Splits them: retried ones go back to the front of their queues, the others are returned. */
REQUIRES(lock) static struct flight *retry(struct dispatch *d, struct flight *list)
{
	struct flight *lost = NULL;
	for (struct flight *f = list, *next; f; f = next) {
		next = f->next;
		struct function *fn = f->version->function;
		if (f->retrying || f->overdue || fn->quarantined) {
			f->next = lost;
			lost = f;
			continue;
		}
		f->retrying = true;
		fn->retries++;
		atomic_fetch_add(&d->counts[EVENTS_RETRIED], 1);
		dispatch_queue(d, f, true);
	}
	return lost;
}

/* What waits for a function in quarantine fails, too. Names it in the log, once. */
static void clear_quarantined(struct dispatch *d)
{
	for (struct function *f = function_next(&d->functions, NULL); f;
	     f = function_next(&d->functions, f)) {
		if (!f->quarantined)
			continue;
		struct flight *waiting[2] = { NULL, NULL };
		(void)pthread_mutex_lock(&d->lock);
		bool told = f->told;
		f->told = true;
		for (struct version *v = f->versions; v; v = v->next) {
			waiting[0] = take_waiting(d, v);
			for (struct flight *w = waiting[0], *next; w; w = next) {
				next = w->next;
				w->next = waiting[1];
				waiting[1] = w;
			}
		}
		(void)pthread_mutex_unlock(&d->lock);
		if (!told)
			LOG(LOG_ERR, "function quarantined", F_STR("function", f->name),
			    F_STR("reason", f->reason));
		fail_all(d, waiting[1], f->reason);
	}
}

void dispatch_on_quarantine(struct dispatch *d, dispatch_quarantined *quarantined, void *arg)
{
	d->quarantined = quarantined;
	d->quarantined_arg = arg;
}

/* At each tick: what they had ended well comes out of its commit perhaps only now. */
static void tell_of_quarantined(struct dispatch *d)
{
	for (struct function *f = function_next(&d->functions, NULL); f && d->quarantined;
	     f = function_next(&d->functions, f)) {
		if (f->quarantined)
			d->quarantined(d->quarantined_arg, f->name);
	}
}

void dispatch_on_died(void *arg, const char *how)
{
	struct dispatch *d = arg;
	struct ipc_inbox *in = ipc_inbox_new();
	while (in && dispatch_take(d, in) > 0)
		; /* what it had finished counts */
	ipc_inbox_free(in);
	gate_down(&d->gate, atomic_load(&d->gate.generation));
	dispatch_on_posts(&d->async);
	(void)pthread_mutex_lock(&d->send_lock);
	(void)pthread_mutex_lock(&d->lock);
	d->up = false;
	remember_forget_tells(d);
	gate_answered(&d->gate, d->owed);
	d->owed = 0;
	struct flight *list = take_sent(d);
	struct flight *repetitions = candidates_blame(d, &list);
	judge_functions(list, how);
	struct flight *lost = retry(d, list);
	struct version *killer = NULL;
	d->trial = NULL;
	for (struct function *f = function_next(&d->functions, NULL); f;
	     f = function_next(&d->functions, f)) {
		for (struct version *v = f->versions; v; v = v->next) {
			v->load_deaths += v->state == VERSION_LOADING;
			if (v->load_deaths >= LOAD_DEATHS_MAX && v->state == VERSION_LOADING)
				killer = v; /* it was alone since its first */
			else if (v->state != VERSION_FAILED)
				v->state = VERSION_UNSENT;
		}
	}
	(void)pthread_mutex_unlock(&d->lock);
	(void)pthread_mutex_unlock(&d->send_lock);
	fail_all(d, repetitions, "the sandbox died while it was repeated");
	if (killer)
		end_load(d, killer, -E_GONE, "the sandbox died each time that it was to be loaded");
	for (struct flight *f = lost, *next; f; f = next) {
		next = f->next;
		dispatch_fail(
			d, f,
			f->overdue ? "no answer long after its deadline; the sandbox was killed"
				   : "the sandbox died while it ran, also when it was tried again");
	}
	clear_quarantined(d);
	tell_of_quarantined(d);
	candidates_judge(d);
	dispatch_commit(d);
}

/* ---- time ---- */

REQUIRES(lock) static struct flight *expired(struct dispatch *d, uint64_t now)
{
	struct flight *list = NULL;
	for (struct version *v = d->ready; v; v = v->ready_next) {
		struct flight_queue keep;
		struct flight *f;
		flight_queue_init(&keep);
		while ((f = flight_queue_take(&v->waiting))) {
			if (f->deadline_ns > now) {
				flight_queue_put(&keep, f);
				continue;
			}
			atomic_fetch_sub(&d->waiting, 1);
			f->state = FLIGHT_ENDING;
			f->next = list;
			list = f;
		}
		while ((f = flight_queue_take(&keep)))
			flight_queue_put(&v->waiting, f);
	}
	return list;
}

REQUIRES(lock) static bool any_overdue(struct dispatch *d, uint64_t now)
{
	bool any = false;
	for (unsigned i = 0; i < d->pool.fresh; i++) {
		struct flight *f = &d->pool.flights[i];
		if (f->state == FLIGHT_SENT && f->deadline_ns + OVERDUE_NS < now)
			f->overdue = any = true;
	}
	return any;
}

void dispatch_on_tick(uv_timer_t *t)
{
	struct dispatch *d = t->data;
	uint64_t now = now_ns();
	(void)pthread_mutex_lock(&d->lock);
	struct flight *list = atomic_load(&d->waiting) > 0 ? expired(d, now) : NULL;
	bool overdue = d->sent > 0 && any_overdue(d, now);
	bool busy = d->pool.used > 0;
	bool up = d->up;
	(void)pthread_mutex_unlock(&d->lock);
	for (struct flight *f = list, *next; f; f = next) {
		next = f->next;
		dispatch_postpone(d, f, "its deadline passed while it waited");
	}
	if (overdue)
		sandbox_peer_kill(d->peer, "an event was not answered long after its deadline");
	d->down_ticks = up && gate_is_down(&d->gate) ? d->down_ticks + 1 : 0;
	if (d->down_ticks > DOWN_TICKS_MAX)
		sandbox_peer_kill(d->peer, "it closed its socket");
	candidates_judge(d);
	candidates_put_away(d);
	tell_of_quarantined(d);
	send_loads(d);
	if (d->durable)
		durable_tick(d->durable);
	if (d->state)
		state_tick(d->state);
	dispatch_pump(d);
	uint64_t answers = atomic_load(&d->answers);
	if (busy && answers == d->ticked_answers)
		gate_force(&d->gate); /* if there is an attendant, it does not attend */
	d->ticked_answers = answers;
	uint64_t repeat = busy ? TICK_BUSY_MS : TICK_IDLE_MS;
	if (uv_timer_get_repeat(t) != repeat) {
		uv_timer_set_repeat(t, repeat);
		(void)uv_timer_again(t);
	}
}
