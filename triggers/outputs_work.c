/* SPDX-License-Identifier: Apache-2.0 */
/* The outputs' thread: one wish after the other, a turn for each output; and what the guard is told. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "triggers/outputs_impl.h"

enum { PAUSE_MS = 100, PAUSE_MOST_MS = 5000, LINES_PER_S = 5, RENEW_MS = 2000 };

static const char reason_refused[] = "the output refuses this value";

/* 100 ms, 200 ms ... 5 s */
static uint64_t pause_ns(unsigned failures)
{
	uint64_t ms = (uint64_t)PAUSE_MS << (failures < 7 ? failures - 1 : 6);
	return (ms < PAUSE_MOST_MS ? ms : PAUSE_MOST_MS) * 1000000u;
}

static void tell_changed(struct outputs *t)
{
	(void)pthread_mutex_lock(&t->sink_lock);
	if (t->changed && !t->deaf)
		t->changed(t->changed_arg);
	(void)pthread_mutex_unlock(&t->sink_lock);
}

/* False: its device has not said. */
static bool learn_range(struct outputs *t, struct outlet *o)
{
	struct output_range r;
	if (!o->ops->range || !o->ops->range(o->o, &r))
		return false;
	(void)pthread_mutex_lock(&t->lock);
	o->status.range = r;
	(void)pthread_mutex_unlock(&t->lock);
	return true;
}

/* Of devices that came without a value being set. */
static void learn_ranges(struct outputs *t)
{
	bool learned = false;
	for (unsigned i = 0; i < t->n; i++) {
		struct outlet *o = &t->outlet[i];
		if (o->status.range.least == o->status.range.most && learn_range(t, o))
			learned = true;
	}
	if (learned)
		tell_changed(t);
}

/* ---- the guard ---- */

static int tell(struct outputs *t, unsigned i, struct why *why)
{
	const struct outlet *o = &t->outlet[i];
	struct guard_action a = { .fd = -1 };
	uint64_t held_back;
	bool has = o->ops->guard && o->ops->guard(o->o, &a);
	if (!has && !t->guarded[i])
		return 0;
	if (!has)
		a = (struct guard_action){ .verb = GUARD_FORGET, .fd = -1 };
	a.output = i;
	(void)snprintf(a.name, sizeof(a.name), "%s", o->c->name);
	t->guarded[i] = has;
	int err = guard_tell(t->guard, &a, why);
	if (err != -E_PROTO)
		return err;
	/* A mistake of its kind: the others are guarded all the same. */
	t->guarded[i] = false;
	if (limiter_pass(&t->refusals, LINES_PER_S, &held_back))
		LOG(LOG_ERR, "an output cannot be guarded", F_STR("output", o->c->name),
		    F_STR("reason", why_text(why, err)), F_U64_SOME("not_logged", held_back));
	*why = (struct why){ 0 };
	return 0;
}

/* Starts one, and tells it all. */
int outputs_guard_begin(struct outputs *t, struct why *why)
{
	int err = guard_start(t->guard_program, &t->guard, why);
	for (unsigned i = 0; err == 0 && i < t->n; i++) {
		t->guarded[i] = false;
		err = tell(t, i, why);
	}
	return err;
}

static void guard_again(struct outputs *t, const struct why *reason)
{
	guard_stop(t->guard, true);
	t->guard = NULL;
	t->guard_failures++;
	t->guard_due_ns = outputs_now_ns() + pause_ns(t->guard_failures);
	LOG(LOG_ERR, "the guard of the outputs is gone, starting another",
	    F_STR("reason", reason->text), F_U64("failures", t->guard_failures));
}

static void guard_renew(struct outputs *t, unsigned i)
{
	struct why why = { 0 };
	if (t->guard && tell(t, i, &why) < 0)
		guard_again(t, &why);
}

/* When it should be there and is not; and what it knows is renewed, because a device comes, and a connection is made
 * anew, also without a value being set. */
static void guard_look(struct outputs *t)
{
	struct why why = { 0 };
	uint64_t now = outputs_now_ns();
	if (!t->guard_program || now < t->guard_due_ns)
		return;
	t->guard_due_ns = now + RENEW_MS * UINT64_C(1000000);
	bool lived = t->guard != NULL;
	int err = lived ? 0 : outputs_guard_begin(t, &why);
	for (unsigned i = 0; t->guard && i < t->n; i++)
		guard_renew(t, i);
	learn_ranges(t);
	if (err < 0)
		guard_again(t, &why);
	else if (lived && t->guard)
		t->guard_failures = 0;
}

/* ---- wishes ---- */

/* The next that has something to do now, in turns. *ret_due_ns: when there will be one. lock held */
static struct outlet *next_due(struct outputs *t, uint64_t now, uint64_t *ret_due_ns)
{
	*ret_due_ns = UINT64_MAX;
	for (unsigned k = 0; k < t->n; k++) {
		unsigned i = (t->turn + k) % t->n;
		struct outlet *o = &t->outlet[i];
		if (!o->line)
			continue;
		if (o->due_ns <= now) {
			t->turn = i + 1;
			return o;
		}
		if (o->due_ns < *ret_due_ns)
			*ret_due_ns = o->due_ns;
	}
	return NULL;
}

static int do_wish(const struct outlet *o, const struct wish *w, struct why *why)
{
	switch (w->what) {
	case WISH_INITIAL:
		return o->ops->initial(o->o, why);
	case WISH_SAFE:
		return o->ops->safe(o->o, why);
	case WISH_SET:
		break;
	}
	return o->ops->set(o->o, (struct span){ w->value, w->len }, why);
}

/* What it is now, for people: bytes that are no text are not shown. */
static void remember(struct outlet *o, const struct wish *w)
{
	struct output_status *s = &o->status;
	const char *text = w->what == WISH_INITIAL ? o->initial : o->safe;
	struct span v = { w->value, w->len };
	s->ok = true;
	s->detail[0] = '\0';
	(void)snprintf(s->function, sizeof(s->function), "%s", w->function);
	if (w->what != WISH_SET && *text == '\0')
		return; /* keep */
	s->set++;
	if (w->what == WISH_SET && (!span_is_utf8(v) || memchr(v.at, '\0', v.len)))
		v = (struct span){ (const uint8_t *)"(no text)", 9 };
	else if (w->what != WISH_SET)
		v = (struct span){ (const uint8_t *)text, strlen(text) };
	(void)snprintf(s->value, sizeof(s->value), "%.*s", (int)v.len, (const char *)v.at);
}

static void failed(struct outputs *t, struct outlet *o, struct wish *w, const struct why *why)
{
	struct output_status *s = &o->status;
	o->failures++;
	o->due_ns = outputs_now_ns() + pause_ns(o->failures);
	if (o->failures == 1)
		LOG(LOG_WARN, "output is away, trying again", F_STR("output", o->c->name),
		    F_STR("reason", why_text(why, -EAGAIN)));
	s->ok = false;
	(void)snprintf(s->detail, sizeof(s->detail), "%s", why_text(why, -EAGAIN));
	if (o->line) {
		outputs_end(t, o, w, NULL);
		s->replaced++;
		outputs_newest_only(t, o);
		return;
	}
	w->next = NULL;
	o->line = w;
	o->line_last = &w->next;
	o->in_line = 1;
}

static void refused(struct outputs *t, struct outlet *o, struct wish *w, int err,
		    const struct why *why)
{
	uint64_t held_back;
	struct output_status *s = &o->status;
	s->refused++;
	s->ended_refused = w->ticket ? w->ticket : s->ended_refused;
	s->ok = err == -E_INVALID || err == -ERANGE;
	(void)snprintf(s->detail, sizeof(s->detail), "%s", why_text(why, err));
	if (limiter_pass(&t->refusals, LINES_PER_S, &held_back))
		LOG(LOG_WARN, "output refuses a value", F_STR("output", o->c->name),
		    F_STR("function", w->function),
		    F_BYTES("value", w->value, w->len < 64 ? w->len : 64),
		    F_STR("reason", why_text(why, err)), F_ERR(err),
		    F_U64_SOME("not_logged", held_back));
	if (w->what == WISH_SAFE)
		s->function[0] = '\0'; /* its device will not have it: it is not tried for ever */
	outputs_end(t, o, w, reason_refused);
}

/* Takes the first of its line and does it. lock held, but not during the call. */
static void work(struct outputs *t, struct outlet *o)
{
	struct why why = { 0 };
	struct wish *w = o->line;
	const unsigned i = (unsigned)(o - t->outlet);
	o->line = w->next;
	if (!o->line)
		o->line_last = &o->line;
	o->in_line--;
	o->busy = true;
	(void)snprintf(o->doing, sizeof(o->doing), "%s", w->function);
	(void)pthread_mutex_unlock(&t->lock);

	if (!t->guarded[i]) /* from before its first value, if the device is there */
		guard_renew(t, i);
	int err = do_wish(o, w, &why);
	if (err == 0)
		guard_renew(t, i);
	(void)learn_range(t, o);

	(void)pthread_mutex_lock(&t->lock);
	o->busy = false;
	if (err == -EAGAIN) {
		failed(t, o, w, &why);
		return;
	}
	if (o->failures > 0)
		LOG(LOG_NOTE, "output is there again", F_STR("output", o->c->name));
	o->failures = 0;
	o->due_ns = 0;
	if (err < 0) {
		refused(t, o, w, err, &why);
		return;
	}
	remember(o, w);
	outputs_end(t, o, w, NULL);
}

/* Whatever doctor wants to be looked at; one, so that wishes do not wait for all. False: there is none. lock held, but not
 * during the call. */
static bool look(struct outputs *t)
{
	struct why why = { 0 };
	struct outlet *o = t->outlet;
	const uint64_t looks = t->looks;
	while (o < t->outlet + t->n && o->looked == looks)
		o++;
	if (o == t->outlet + t->n)
		return false;
	(void)pthread_mutex_unlock(&t->lock);
	int err = o->ops->probe(o->o, &why);
	(void)pthread_mutex_lock(&t->lock);
	o->looked = looks;
	o->seen_err = err;
	o->seen = why;
	return true;
}

/* lock held, but not during the sink's calls. They may send the next from there. */
static void acknowledge(struct outputs *t)
{
	struct wish *list = t->ended;
	t->ended = NULL;
	t->ended_last = &t->ended;
	(void)pthread_mutex_unlock(&t->lock);
	(void)pthread_mutex_lock(&t->sink_lock);
	for (struct wish *next; list; list = next) {
		next = list->next;
		if (list->token && !t->deaf)
			t->base.sink.acknowledged(t->base.sink.arg, list->token, list->refused);
		free(list);
	}
	(void)pthread_mutex_unlock(&t->sink_lock);
	tell_changed(t);
	(void)pthread_mutex_lock(&t->lock);
}

/* ---- the thread ---- */

static void sleep_until(struct outputs *t, uint64_t due_ns)
{
	uint64_t now = outputs_now_ns(), count;
	if (t->guard_program && t->guard_due_ns < due_ns)
		due_ns = t->guard_due_ns;
	int ms = due_ns == UINT64_MAX ? -1
		 : due_ns <= now      ? 0
				      : (int)((due_ns - now) / 1000000 + 1);
	struct pollfd p[] = {
		{ .fd = t->wake_fd, .events = POLLIN },
		{ .fd = t->guard ? guard_fd(t->guard) : -1, .events = POLLIN },
	};
	(void)poll(p, ARRAY_LEN(p), ms);
	if (p[0].revents)
		(void)!read(t->wake_fd, &count, sizeof(count));
	if (p[1].revents) {
		struct why why = { .text = "penstock-guard has died" };
		guard_again(t, &why);
	}
}

static void to_safety(struct outputs *t)
{
	for (unsigned i = 0; i < t->n; i++) {
		struct why why = { 0 };
		struct outlet *o = &t->outlet[i];
		int err = o->ops->safe(o->o, &why);
		if (err < 0)
			LOG(LOG_ERR, "output not brought to its safe state",
			    F_STR("output", o->c->name), F_STR("reason", why_text(&why, err)));
	}
}

void *outputs_run(void *arg)
{
	struct outputs *t = arg;
	(void)pthread_mutex_lock(&t->lock);
	for (;;) {
		uint64_t now = outputs_now_ns(), due_ns;
		struct outlet *o = next_due(t, now, &due_ns);
		if (t->stop && (!o || now >= t->stop_ns))
			break;
		if (o)
			work(t, o);
		bool looked = look(t);
		if (t->ended) {
			acknowledge(t);
			continue;
		}
		(void)pthread_mutex_unlock(&t->lock);
		if (!o && !looked)
			sleep_until(t, due_ns);
		guard_look(t);
		(void)pthread_mutex_lock(&t->lock);
	}
	(void)pthread_mutex_unlock(&t->lock);
	to_safety(t);
	return NULL;
}
