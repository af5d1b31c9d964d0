/* SPDX-License-Identifier: Apache-2.0 */
/* The outbox: rows from disk into memory, what goes by age and quota, begin and end. */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gateway/outbox_impl.h"
#include "gateway/wall.h"

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
	bool more;
};

static int load_row(void *arg, const struct journal_effect *e, const char *reason)
{
	struct loading *l = arg;
	(void)reason;
	/* Whoever committed it is about to bring it, and those behind it must not overtake it. */
	struct row *r = is_planned(l->way, e) ? NULL : outbox_row_of(l->way, e);
	l->n++;
	l->more = !r;
	if (r)
		outbox_line_add(l->way, r);
	return l->more;
}

/* The way's lock held. */
void outbox_load(struct way *w)
{
	struct why why = { 0 };
	struct loading l = { .way = w };
	const unsigned most = OUTBOX_LOADED - w->in_line;
	if (!w->on_disk || w->in_line >= OUTBOX_LOADED / 2)
		return;
	(void)pthread_mutex_lock(&w->box->load_lock);
	int err = journal_effects_open(w->box->journal, w->out, false, w->last_id, most, load_row,
				       &l, &why);
	(void)pthread_mutex_unlock(&w->box->load_lock);
	if (err < 0)
		LOG(LOG_ERR, "cannot read what is to be published", F_STR("broker", w->out),
		    F_STR("reason", why_text(&why, err)));
	w->on_disk = err < 0 || l.more || l.n == most;
}

/* What an earlier run had begun: the trigger goes on with it. */
static int resume_row(void *arg, const struct journal_effect *e, const char *reason)
{
	struct way *w = arg;
	char id[EFFECT_ID_BYTES], source[SOURCE_BYTES];
	struct row *r = outbox_row_of(w, e);
	(void)reason;
	if (!r)
		return -ENOMEM;
	r->noted = r->ready = true;
	if (r->e.id > w->last_id)
		w->last_id = r->e.id;
	const struct trigger_resume begun = {
		.kind = e->state == EFFECT_RELEASED ? RESUME_RELEASED : RESUME_SENT,
		.m = outbox_message_of(r, id, source),
	};
	if (w->trigger->ops->resume && w->trigger->ops->resume(w->trigger, &begun) == 0) {
		outbox_sent_add(w, r);
		return 0;
	}
	r->noted = r->ready = false; /* anew */
	r->e.packet = 0;
	outbox_line_add(w, r);
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
	outbox_load(w);
	return 0;
}

void outbox_exact(struct outbox *o, struct trigger *t)
{
	struct way *w = outbox_way_of(o, t);
	if (w)
		w->exact = true;
}

/* ---- time ---- */

static void drop_head(struct way *w, _Atomic uint64_t *counter, const char *reason)
{
	struct row *r = outbox_line_take(w);
	if (r->e.packet)
		w->trigger->ops->unreserve(w->trigger, r->e.packet);
	r->e.packet = 0;
	outbox_lost(w, r, counter, reason);
}

static bool too_old(const struct outbox *o, const struct row *r, uint64_t now)
{
	return o->o.max_age_s > 0 && r->e.created_wall_ms + o->o.max_age_s * 1000 < now;
}

/* dropped: rows and bytes that are not counted off yet. */
static bool above(struct outbox *o, uint64_t dropped, uint64_t dropped_bytes)
{
	struct journal_status s;
	journal_load(o->journal, &s);
	return o->o.full == OUTBOX_DROP_OLDEST && (s.effects > o->o.quota_rows + dropped ||
						   s.open_bytes > o->o.quota_bytes + dropped_bytes);
}

void outbox_tick(struct outbox *o)
{
	uint64_t now = wall_ms(), dropped = 0, dropped_bytes = 0;
	for (unsigned i = 0; i < o->nways; i++) {
		struct way *w = &o->ways[i];
		(void)pthread_mutex_lock(&w->lock);
		/* A row whose identifier is being noted is pointed at. */
		while (w->line && (w->line->ready || !w->line->noted) && too_old(o, w->line, now))
			drop_head(w, &w->dropped_age, "older than outbox.max_age_s");
		while (w->line && (w->line->ready || !w->line->noted) &&
		       above(o, dropped, dropped_bytes)) {
			dropped_bytes += outbox_size_of(w->line);
			drop_head(w, &w->dropped_quota,
				  "the outbox is full, and the oldest make room");
			dropped++;
		}
		outbox_load(w);
		outbox_pump(w);
		(void)pthread_mutex_unlock(&w->lock);
		journal_commit(o->journal);
	}
}

void outbox_status(struct outbox *o, struct trigger *way, struct outbox_status *ret)
{
	struct way *w = outbox_way_of(o, way);
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
