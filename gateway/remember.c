/* SPDX-License-Identifier: Apache-2.0 */
/* What functions remember, on the dispatcher's way: questions while an event runs, changes at its end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/dispatch_impl.h"
#include "gateway/remember.h"
#include "gateway/replay.h"
#include "gateway/state.h"

enum {
	TELL_BYTES = IPC_STATE_VALUE_MAX + 64,
	TELLS_MAX = 2 * DISPATCH_WINDOW, /* a guest that runs has one question at a time */
};

/* ---- questions ---- */

struct tell {
	struct tell *next;
	struct wr packet;
	uint8_t bytes[];
};

/* send_lock held */
static bool send_tell(struct dispatch *d, const struct wr *packet)
{
	return ipc_send(d->sock, packet, NULL, 0, false) == 0;
}

/* The socket is full: it goes out with the next answer that comes, at a tick at the latest. */
static int keep_tell(struct dispatch *d, const struct wr *packet, struct why *why)
{
	if (d->ntells == TELLS_MAX)
		return why_set(why, -E_PROTO, "it asks and asks, and does not read the answers");
	struct tell *t = malloc(sizeof(*t) + packet->len);
	if (!t)
		return 0; /* the guest waits until its deadline */
	memcpy(t->bytes, packet->buf, packet->len);
	t->packet = wr_into(t->bytes, packet->len);
	t->packet.len = packet->len;
	t->next = d->tells;
	d->tells = t;
	d->ntells++;
	atomic_store(&d->telling, true);
	return 0;
}

void remember_tell(struct dispatch *d)
{
	if (!atomic_load(&d->telling))
		return;
	(void)pthread_mutex_lock(&d->send_lock);
	for (struct tell *t; (t = d->tells) && send_tell(d, &t->packet);) {
		d->tells = t->next;
		d->ntells--;
		free(t);
	}
	atomic_store(&d->telling, d->tells != NULL);
	(void)pthread_mutex_unlock(&d->send_lock);
}

void remember_forget_tells(struct dispatch *d)
{
	for (struct tell *t; (t = d->tells);) {
		d->tells = t->next;
		free(t);
	}
	d->ntells = 0;
	atomic_store(&d->telling, false);
}

/* For a replay. */
static void note(struct dispatch *d, const struct ipc_state_ask *q, struct span packet)
{
	(void)pthread_mutex_lock(&d->lock);
	struct flight *f = flight_find(&d->pool, q->event);
	if (f && !f->replay)
		f->replay = calloc(1, sizeof(*f->replay));
	if (f && f->replay)
		replay_note(f->replay, q, packet);
	(void)pthread_mutex_unlock(&d->lock);
}

int remember_answer(struct dispatch *d, const struct ipc_state_ask *q, struct why *why)
{
	int err = 0;
	uint8_t room[TELL_BYTES];
	struct wr packet = wr_into(room, sizeof(room));
	char function[MANIFEST_NAME_MAX + 1] = "";
	(void)pthread_mutex_lock(&d->lock);
	struct flight *f = flight_find(&d->pool, q->event);
	bool granted = f && d->state && version_may_remember(f->version, q->bucket);
	if (f)
		(void)snprintf(function, sizeof(function), "%s", f->version->function->name);
	bool again = f && f->replay && f->replay->is_replay;
	bool told = again && granted && replay_tell(f->replay, q, &packet);
	(void)pthread_mutex_unlock(&d->lock);
	if (!told)
		state_answer(d->state, function, q, granted, &packet);
	if (!again)
		note(d, q, (struct span){ packet.buf, packet.len });
	(void)pthread_mutex_lock(&d->send_lock);
	if (d->tells || !send_tell(d, &packet))
		err = keep_tell(d, &packet, why);
	(void)pthread_mutex_unlock(&d->send_lock);
	return err;
}

/* ---- changes ---- */

static int may_all(const struct flight *f, const struct ipc_result *m, struct why *why)
{
	struct rd list = rd_from(m->state.at, m->state.len);
	struct ipc_state_op o;
	while (ipc_state_next(&list, &o)) {
		if (version_may_remember(f->version, o.bucket))
			continue;
		if (o.bucket.len == 0)
			return why_set(
				why, -E_INVALID,
				"%s may not remember: add \"state\": true to capabilities of "
				"its manifest and grant it",
				f->version->function->name);
		return why_set(why, -E_INVALID,
			       "%s may not use bucket \"%.*s\": add it to capabilities.buckets of "
			       "its manifest and grant it",
			       f->version->function->name, (int)o.bucket.len,
			       (const char *)o.bucket.at);
	}
	return 0;
}

int remember_plan(struct dispatch *d, const struct flight *f, const struct ipc_result *m,
		  struct state_write **ret, struct why *why)
{
	*ret = NULL;
	if (m->nstate == 0)
		return 0;
	int err = may_all(f, m, why);
	if (err < 0 || f->done) /* nobody commits what was only asked for */
		return err;
	if (!d->state)
		return why_set(why, -E_INVALID, "%s remembers, and there is no journal",
			       f->version->function->name);
	return state_plan(d->state, f->version->function->name, m->state, m->nstate, ret, why);
}

const char *remember_done(void *arg, int err, char *room, size_t cap)
{
	struct state_write *w = arg;
	const char *reason = NULL;
	if (err < 0 && w->full) {
		(void)snprintf(room, cap,
			       "bucket \"%s\" is full (state.bytes, state.keys): it has to forget "
			       "something first",
			       w->bucket);
		reason = room;
	} else if (err < 0 && !w->conflict) {
		(void)snprintf(room, cap, "the journal does not take what it remembers");
		reason = room;
	}
	state_done(w);
	return reason;
}
