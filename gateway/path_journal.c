/* SPDX-License-Identifier: Apache-2.0 */
/* The event path's journal and outbox, and what the triggers' sinks ask of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gateway/dedupe.h"
#include "gateway/direct.h"
#include "gateway/durable.h"
#include "gateway/path_impl.h"
#include "gateway/state.h"
#include "triggers/nodelay.h"

enum { DUPLICATES_PER_S = 5 };

/* ---- on the triggers' threads ---- */

static struct trigger_mark on_mark(void *arg)
{
	struct path_source *b = arg;
	struct journal_ticket t = journal_ticket(b->path->journal);
	journal_commit(b->path->journal);
	return (struct trigger_mark){ t.seq, t.power };
}

static bool on_settled(void *arg, struct trigger_mark mark)
{
	struct path_source *b = arg;
	return journal_durable(b->path->journal, (struct journal_ticket){ mark.seq, mark.power });
}

static void on_acknowledged(void *arg, uint64_t token, const char *refused)
{
	struct path_source *b = arg;
	outbox_acknowledged(b->path->outbox, token, refused);
}

static void on_received(void *arg, uint64_t token)
{
	struct path_source *b = arg;
	outbox_received(b->path->outbox, token);
}

static void on_again(void *arg, uint64_t token)
{
	struct path_source *b = arg;
	outbox_again(b->path->outbox, token);
}

static void on_writable(void *arg)
{
	struct path_source *b = arg;
	outbox_writable(b->path->outbox, b->trigger);
}

static void inbound_done(struct journal_op *op, int err)
{
	(void)err;
	free(CONTAINER_OF(op, struct journal_inbound, op));
}

/* Without memory it is as if it had not been written: the broker's side of the exchange is not finished
 * by us, but for the crash after which a PUBREL without an event would be answered. */
static void inbound(struct path_source *b, uint16_t packet, struct span bytes, int what)
{
	struct journal_inbound *i = malloc(sizeof(*i) + bytes.len);
	if (!i)
		return;
	*i = (struct journal_inbound){
		.source = { (const uint8_t *)b->source, strlen(b->source) },
		.bytes = { (const uint8_t *)(i + 1), bytes.len },
		.packet = packet,
		.what = what,
	};
	if (bytes.len)
		memcpy(i + 1, bytes.at, bytes.len);
	i->op.done = inbound_done;
	journal_inbound_put(b->path->journal, i);
}

static void on_keep(void *arg, uint16_t packet, struct span bytes)
{
	inbound(arg, packet, bytes, EVENT_INBOUND_KEEP);
}

static void on_drop(void *arg, uint16_t packet)
{
	inbound(arg, packet, (struct span){ 0 }, EVENT_INBOUND_DROP);
}

void path_sink_durable(struct trigger_sink *s)
{
	s->mark = on_mark;
	s->settled = on_settled;
	s->acknowledged = on_acknowledged;
	s->received = on_received;
	s->again = on_again;
	s->writable = on_writable;
	s->keep = on_keep;
	s->drop = on_drop;
}

/* ---- redeliveries ---- */

bool path_is_repeated(struct path_source *b, const struct event *e)
{
	uint64_t held_back;
	if (!b->seen || e->qos != 1 || e->packet == 0)
		return false;
	uint64_t digest = dedupe_digest(e->topic, e->payload);
	if (!dedupe_is_repeated(b->seen, e->connection, e->packet, e->dup, digest,
				e->arrived_ns / 1000000u))
		return false;
	journal_count_duplicate(b->path->journal);
	if (limiter_pass(&b->duplicates, DUPLICATES_PER_S, &held_back))
		LOG(LOG_NOTE, "message came again, and is in the journal already",
		    F_STR("source", b->source),
		    F_BYTES("topic", e->topic.at, e->topic.len < 256 ? e->topic.len : 256),
		    F_U64_SOME("not_logged", held_back));
	return true;
}

void path_remember(struct path_source *b, const struct event *e)
{
	if (b->seen && e->qos == 1 && e->packet > 0)
		dedupe_add(b->seen, e->connection, e->packet, dedupe_digest(e->topic, e->payload),
			   e->arrived_ns / 1000000u);
}

struct recent {
	uint16_t packet;
	uint64_t digest;
};
struct recents {
	struct recent of[DEDUPE_WINDOW];
	unsigned n;
};

static int take_recent(void *arg, const struct journal_row *r)
{
	struct recents *all = arg;
	if (all->n < DEDUPE_WINDOW)
		all->of[all->n++] = (struct recent){ r->packet, r->digest };
	return 0;
}

/* Newest first out of the journal, oldest first into the window. */
static int recall(struct path_source *b, struct why *why)
{
	struct recents *all = calloc(1, sizeof(*all));
	b->seen = dedupe_new();
	if (!all || !b->seen) {
		free(all);
		return why_set(why, -ENOMEM, "out of memory");
	}
	int err = journal_recent(b->path->journal, b->source, DEDUPE_WINDOW, take_recent, all, why);
	while (err == 0 && all->n > 0) {
		const struct recent *r = &all->of[--all->n];
		dedupe_add(b->seen, 0, r->packet, r->digest, uv_hrtime() / 1000000u);
	}
	free(all);
	return err;
}

/* ---- begin and end ---- */

static int resume_inbound(void *arg, unsigned packet, struct span bytes)
{
	struct path_source *b = arg;
	const struct trigger_resume r = { .kind = RESUME_INBOUND,
					  .packet = (uint16_t)packet,
					  .bytes = bytes };
	return b->trigger->ops->resume ? b->trigger->ops->resume(b->trigger, &r) : 0;
}

static struct binding *binding_of(void *arg, uint64_t id)
{
	struct path *p = arg;
	struct binding_entry *e = *path_binding_find(p, id);
	return e ? binding_ref(e->binding) : NULL;
}

static void wake(void *arg)
{
	(void)arg;
	nodelay_wake();
}

static bool linger(void *arg)
{
	(void)arg;
	if (!nodelay_reads())
		return false;
	nodelay_sleep_briefly();
	return true;
}

int path_journal_open(struct path *p, struct why *why)
{
	const struct config *c = p->config;
	const struct journal_options jo = {
		.state_dir = c->state_dir,
		.quota_bytes = c->journal_bytes,
		.quota_rows = c->journal_rows,
		.keep_bytes = c->journal_keep_bytes,
		.keep_s = c->journal_keep_hours * UINT64_C(3600),
		.dead_rows = c->journal_dead_rows,
		.power = config_choice(CONFIG_DURABILITY, c->journal_durability) == DURABLE_POWER,
		.check = (enum journal_check)config_choice(CONFIG_CHECK, c->journal_check)
	};
	const struct outbox_options oo = { .quota_bytes = c->outbox_bytes,
					   .quota_rows = c->outbox_rows,
					   .max_age_s = c->outbox_max_age_hours * UINT64_C(3600),
					   .full = (enum outbox_full)config_choice(
						   CONFIG_FULL, c->outbox_full) };
	bool damaged = false;
	p->durability =
		(enum journal_durability)config_choice(CONFIG_DURABILITY, c->journal_durability);
	int err = journal_open(&jo, &p->journal, &damaged, why);
	if (err == 0)
		err = outbox_new(&oo, p->journal, &p->outbox, why);
	const struct state_limits sl = { .bytes = c->state_bytes, .keys = c->state_keys };
	if (err == 0)
		err = state_open(p->journal, &sl, &p->state, why);
	if (err == 0)
		journal_on_durable(p->journal, wake, NULL);
	if (err == 0)
		journal_on_linger(p->journal, linger, NULL);
	return err;
}

int path_journal_attach(struct path *p, struct why *why)
{
	int err = 0;
	for (unsigned i = 0; err == 0 && i < p->nsources; i++) {
		struct path_source *b = p->sources[i];
		err = recall(b, why);
		if (err == 0)
			err = outbox_attach(p->outbox, b->name, b->trigger, why);
		if (err == 0)
			err = outbox_attach(p->outbox, direct_out(b->direct), b->direct, why);
		if (err == 0)
			outbox_exact(p->outbox, b->direct);
		if (err == 0)
			err = journal_inbounds(p->journal, b->source, resume_inbound, b, why);
	}
	if (err == 0)
		err = durable_new(p->dispatch, p->journal, p->outbox, binding_of, p, &p->durable,
				  why);
	if (err == 0)
		dispatch_use(p->dispatch, p->durable, p->state, journal_last_id(p->journal));
	return err;
}

void path_journal_close(struct path *p)
{
	for (unsigned i = 0; i < p->nsources; i++)
		dedupe_free(p->sources[i]->seen);
	if (p->journal)
		journal_quiesce(p->journal); /* what it tells goes to those freed next */
	durable_free(p->durable);
	outbox_free(p->outbox);
	state_stop(p->state);
	journal_close(p->journal);
	state_free(p->state);
}

struct state_store *path_state(struct path *p)
{
	return p->state;
}

struct journal *path_journal(struct path *p)
{
	return p->journal;
}

int path_event_retry(struct path *p, uint64_t id, bool finished, struct why *why)
{
	if (!p->durable)
		return why_set(why, -E_UNKNOWN, "there is no journal");
	return durable_retry(p->durable, id, finished, why);
}
