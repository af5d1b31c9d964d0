/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shadows: an event that the active version has ended is repeated by the candidate, which is told what the first
 * run was told (replay.h). Its status, reply, messages and changes of state are compared, by digest, and
 * thrown away; differences and failures are counted (candidates.c), the first ones logged.
 *
 * Also repetitions that somebody asked for (dispatch_replay).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gateway/dispatch_impl.h"
#include "gateway/replay.h"

enum { DIFFERENCES_PER_S = 5 };

/* Real events must not wait for shadows. */
REQUIRES(lock) static struct version *candidate_for(struct dispatch *d, const struct flight *f)
{
	struct function *fn = f->version->function;
	struct version *c = fn->candidate;
	if (!c || c->role != PATH_SHADOW || c->state != VERSION_LOADED || fn->removed ||
	    d->closed || f->version != fn->active || !rollout_picks(f->id, c->percent) ||
	    d->pool.used > d->config->queue_events / 2 ||
	    c->refs > d->config->queue_per_function / 2)
		return NULL;
	return c;
}

REQUIRES(lock) static struct flight *repetition_new(struct dispatch *d, struct version *v)
{
	struct flight *s = flight_new(&d->pool);
	if (!s)
		return NULL;
	s->id = d->next_id++;
	s->version = v;
	s->arrived_ns = now_ns();
	s->deadline_ns = s->arrived_ns + (uint64_t)v->limits.deadline_ms * 1000000u;
	s->ring = admission_charge(&d->admission, s->arrived_ns, s->deadline_ns, 0);
	v->refs++;
	return s;
}

/* As the first run's record says. */
static int told_of(struct flight *s, const struct flight *f, struct span trace)
{
	size_t len;
	uint8_t *kept = replay_pack(f->replay, trace, &len);
	s->replay = calloc(1, sizeof(*s->replay));
	int err = s->replay ? replay_of(s->replay, (struct span){ kept, len }) : -ENOMEM;
	free(kept);
	return err;
}

static int repeat(struct flight *s, const struct flight *f)
{
	struct ipc_msg m;
	int fd = -1;
	ENSURE(ipc_parse(IPC_GATEWAY, f->packet.buf, f->packet.len, &m, NULL) == 0);
	const struct ipc_invoke *i = &m.invoke;
	int err = flight_encode_again(s, s->version->handle, f->topic, i->attrs, i->nattrs,
				      i->payload);
	if (err == 0 && f->payload_fd >= 0) {
		fd = fcntl(f->payload_fd, F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			return -errno;
		s->payload_fd = fd;
		err = flight_payload_by_fd(s, i->payload_fd_bytes);
	}
	return err;
}

void shadow_start(struct dispatch *d, struct flight *f, const struct ipc_result *m)
{
	if (!f->binding || !f->version->function->candidate)
		return;
	(void)pthread_mutex_lock(&d->lock);
	struct version *c = candidate_for(d, f);
	struct flight *s = c ? repetition_new(d, c) : NULL;
	(void)pthread_mutex_unlock(&d->lock);
	if (!s)
		return;
	s->is_shadow = true;
	s->expected = replay_digest(m);
	if (told_of(s, f, m->trace) < 0 || repeat(s, f) < 0) {
		dispatch_release(d, s);
		return;
	}
	dispatch_take_off(d, s);
}

void shadow_end(struct dispatch *d, struct flight *s, const struct ipc_result *m)
{
	struct version *v = s->version;
	uint64_t held_back;
	candidate_count(v, m->status != IPC_OK, s->deadline_ns);
	if (m->status != IPC_REFUSED) {
		bool differs = replay_digest(m) != s->expected;
		atomic_fetch_add(&v->tally.compared, 1);
		atomic_fetch_add(&v->tally.differing, differs);
		if (differs && limiter_pass(&d->differences, DIFFERENCES_PER_S, &held_back))
			LOG(LOG_NOTE, "shadow differs", F_STR("function", v->function->name),
			    F_U64("revision", v->revision),
			    F_BYTES_SOME("topic", s->topic.at, s->topic.len),
			    F_STR("status", ipc_status_name(m->status)),
			    F_BYTES_SOME("reason", m->why.at, m->why.len < 200 ? m->why.len : 200),
			    F_U64_SOME("not_logged", held_back));
	}
	dispatch_release(d, s);
}

void shadow_fail(struct dispatch *d, struct flight *s)
{
	candidate_count(s->version, true, s->deadline_ns);
	dispatch_release(d, s);
}

/* ---- asked for ---- */

REQUIRES(lock) static struct version *revision_of(struct function *fn, unsigned revision)
{
	struct version *v = fn ? fn->versions : NULL;
	if (revision == 0)
		return fn ? fn->active : NULL;
	while (v && (v->revision != revision || v->retiring || v->state != VERSION_LOADED))
		v = v->next;
	return v;
}

int dispatch_replay(struct dispatch *d, const struct path_repetition *r, flight_done *done,
		    void *arg, struct why *why)
{
	const struct span name = { (const uint8_t *)r->function, strlen(r->function) };
	(void)pthread_mutex_lock(&d->lock);
	struct function *fn = function_find(&d->functions, name);
	struct version *v = fn && !fn->removed ? revision_of(fn, r->revision) : NULL;
	struct flight *s = v && !d->closed ? repetition_new(d, v) : NULL;
	if (v)
		v->used_ns = now_ns();
	(void)pthread_mutex_unlock(&d->lock);
	if (!v)
		return why_set(why, -E_UNKNOWN, "revision %u of %s is not loaded", r->revision,
			       r->function);
	if (!s)
		return why_set(why, -E_LIMIT, "the queue of all functions is full");
	s->done = done;
	s->arg = arg;
	s->replay = calloc(1, sizeof(*s->replay));
	int err = s->replay ? replay_of(s->replay, r->trace) : -ENOMEM;
	if (err == 0)
		err = flight_encode_again(s, v->handle, r->topic, r->attrs, r->nattrs, r->payload);
	if (err < 0) {
		dispatch_release(d, s);
		return why_set(why, err,
			       err == -E_LIMIT     ? "the event was told more than is kept"
			       : err == -E_INVALID ? "what is kept of the event is damaged"
						   : "out of memory");
	}
	dispatch_take_off(d, s);
	return 0;
}
