/* SPDX-License-Identifier: Apache-2.0 */
/* Candidates among the dispatcher's versions: how they come and go. rollout.h has the rules. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gateway/dispatch_impl.h"
#include "gateway/replay.h"

/* In flight at this many deaths of the sandbox in a row, it is what kills it. */
enum { CANDIDATE_DEATHS_MAX = 2 };
#define ASIDE_IDLE_NS (10 * UINT64_C(1000000000))

/* What it began it ends; it gets nothing new. */
REQUIRES(lock) static bool retire(struct function *f)
{
	struct version *c = f->candidate;
	if (!c)
		return false;
	c->retiring = true;
	f->candidate = NULL;
	return true;
}

static void ask_to_reap(struct dispatch *d)
{
	struct post *p = calloc(1, sizeof(*p));
	if (!p)
		return; /* the next deploy or the end frees it */
	p->kind = POST_REAP;
	dispatch_post(d, p);
}

int dispatch_candidate_remove(struct dispatch *d, const char *name)
{
	(void)pthread_mutex_lock(&d->lock);
	struct function *f =
		function_find(&d->functions, (struct span){ (const uint8_t *)name, strlen(name) });
	bool known = f && retire(f);
	(void)pthread_mutex_unlock(&d->lock);
	if (known)
		ask_to_reap(d);
	return known ? 0 : -E_UNKNOWN;
}

void candidate_loaded(struct version *v)
{
	struct function *f = v->function;
	if (v->role == PATH_ASIDE) { /* after a crash nobody waits for it any more */
		v->used_ns = now_ns();
		v->retiring |= f->removed || !v->done;
		return;
	}
	if (f->candidate == v)
		return; /* again, after a crash */
	if (f->removed || !f->active || !v->done) {
		v->retiring = true;
		return;
	}
	(void)retire(f);
	v->before = rollout_counts(&f->active->tally);
	f->candidate = v;
}

void candidate_count(struct version *v, bool failed, uint64_t deadline_ns)
{
	const struct function *f = v->function;
	if (!f->candidate && v->role == PATH_ACTIVE)
		return;
	atomic_fetch_add_explicit(&v->tally.ended, 1, memory_order_relaxed);
	if (failed)
		atomic_fetch_add_explicit(&v->tally.failed, 1, memory_order_relaxed);
	if (now_ns() > deadline_ns)
		atomic_fetch_add_explicit(&v->tally.late, 1, memory_order_relaxed);
	if (!failed)
		atomic_store_explicit(&v->deaths, 0, memory_order_relaxed);
}

void candidate_uncount(struct version *v)
{
	uint64_t n = atomic_load(&v->tally.ended);
	while (n > 0 && !atomic_compare_exchange_weak(&v->tally.ended, &n, n - 1))
		;
}

/* Repetitions: nobody loses anything by them. */
REQUIRES(lock) static struct flight *take_repetitions(struct flight **list)
{
	struct flight *taken = NULL;
	for (struct flight **at = list, *l; (l = *at);) {
		if (!l->is_shadow && !(l->replay && l->replay->is_replay)) {
			at = &l->next;
			continue;
		}
		*at = l->next;
		l->next = taken;
		taken = l;
		if (l->is_shadow && l->version == l->version->function->candidate)
			atomic_fetch_add(&l->version->deaths, 1);
	}
	return taken;
}

/* The events that were with candidates when the sandbox died go to the active versions: they must
 * not suffer for a trial, nor may the function be blamed. */
struct flight *candidates_blame(struct dispatch *d, struct flight **list)
{
	struct flight *repetitions = take_repetitions(list);
	for (struct function *f = function_next(&d->functions, NULL); f;
	     f = function_next(&d->functions, f)) {
		bool there = false;
		for (struct flight **at = list, *l; (l = *at);) {
			struct version *v = l->version;
			if (v->function != f || v->role == PATH_ACTIVE || !f->active) {
				at = &l->next;
				continue;
			}
			there |= v == f->candidate;
			*at = l->next;
			v->refs--;
			f->active->refs++;
			l->version = f->active;
			flight_retarget(l, f->active->handle);
			dispatch_queue(d, l, true);
			atomic_fetch_add(&d->counts[EVENTS_RETRIED], 1);
		}
		if (there)
			atomic_fetch_add(&f->candidate->deaths, 1);
	}
	return repetitions;
}

/* One that has to go, with the reason; NULL. */
REQUIRES(lock) static struct version *next_worse(struct dispatch *d, char reason[REASON_BYTES])
{
	for (struct function *f = function_next(&d->functions, NULL); f;
	     f = function_next(&d->functions, f)) {
		struct version *c = f->candidate;
		if (!c)
			continue;
		if (atomic_load(&c->deaths) >= CANDIDATE_DEATHS_MAX) {
			(void)snprintf(reason, REASON_BYTES,
				       "it was running %d times in a row when the sandbox died",
				       CANDIDATE_DEATHS_MAX);
			return c;
		}
		if (c->state == VERSION_FAILED) {
			(void)snprintf(reason, REASON_BYTES, "it could not be loaded any more");
			return c;
		}
		if (!f->active)
			continue;
		const struct rollout_counts active = rollout_since(&f->active->tally, &c->before);
		const struct rollout_counts mine = rollout_counts(&c->tally);
		if (rollout_is_worse(&active, &mine, reason, REASON_BYTES))
			return c;
	}
	return NULL;
}

void candidates_judge(struct dispatch *d)
{
	for (;;) {
		char reason[REASON_BYTES], name[MANIFEST_NAME_MAX + 1];
		(void)pthread_mutex_lock(&d->lock);
		struct version *v = next_worse(d, reason);
		unsigned revision = v ? v->revision : 0;
		if (v) {
			(void)snprintf(name, sizeof(name), "%s", v->function->name);
			(void)retire(v->function);
		}
		(void)pthread_mutex_unlock(&d->lock);
		if (!v)
			return;
		ask_to_reap(d);
		LOG(LOG_WARN, "candidate ended", F_STR("function", name),
		    F_U64("revision", revision), F_STR("reason", reason));
		if (d->rollout_ended)
			d->rollout_ended(d->rollout_arg, name, revision, reason);
	}
}

void candidates_put_away(struct dispatch *d)
{
	bool any = false;
	(void)pthread_mutex_lock(&d->lock);
	for (struct function *f = function_next(&d->functions, NULL); f;
	     f = function_next(&d->functions, f)) {
		for (struct version *v = f->versions; v; v = v->next) {
			bool idle = v->role == PATH_ASIDE && v->state == VERSION_LOADED &&
				    v->refs == 0 && !v->retiring &&
				    now_ns() - v->used_ns > ASIDE_IDLE_NS;
			v->retiring |= idle;
			any |= idle;
		}
	}
	(void)pthread_mutex_unlock(&d->lock);
	if (any)
		ask_to_reap(d);
}

void dispatch_on_rollout_end(struct dispatch *d, path_rollout_end *ended, void *arg)
{
	d->rollout_ended = ended;
	d->rollout_arg = arg;
}
