/* SPDX-License-Identifier: Apache-2.0 */
/* The operations: what each writes, in its transaction. All return SQLite codes. */
#include <stddef.h>
#include <string.h>

#include "gateway/cursors.h"
#include "gateway/journal_impl.h"
#include "gateway/wall.h"

static int64_t len(struct span a, struct span b)
{
	return (int64_t)(a.len + b.len);
}

/* ---- an event begins ---- */

static int write_inbound(struct journal *j, struct span source, uint16_t packet, struct span bytes,
			 uint8_t what)
{
	if (what == EVENT_INBOUND_KEEP) {
		JSTMT s = j->write[W_inbound_put];
		journal_bind(s, "tib", source, (int)packet, bytes);
		return journal_step(s);
	}
	JSTMT s = j->write[W_inbound_drop];
	journal_bind(s, "ti", source, (int)packet);
	return journal_step(s);
}

static int write_event(struct journal *j, struct journal_op *op)
{
	const struct journal_event *e = CONTAINER_OF(op, struct journal_event, op);
	JSTMT s = j->write[W_event_put];
	journal_bind(s, "uuttiuuibbb", e->id, e->binding, e->function, e->source, (int)e->packet,
		     e->digest, e->arrived_wall_ms, (int)e->hops, e->topic, e->attrs, e->payload);
	int code = journal_step(s);
	if (code == SQLITE_OK && e->inbound != EVENT_INBOUND_NONE)
		code = write_inbound(j, e->source, e->packet, (struct span){ 0 }, e->inbound);
	if (code == SQLITE_OK && e->id > j->last_id)
		j->last_id = e->id;
	return code;
}

void journal_event_put(struct journal *j, struct journal_event *e)
{
	e->op.write = write_event;
	e->op.bytes = len(e->topic, e->payload) + (int64_t)e->attrs.len;
	e->op.open = 1;
	journal_put(j, &e->op);
}

/* ---- an attempt is over ---- */

static int write_effect(struct journal *j, const struct journal_effect *e)
{
	JSTMT s = j->write[W_effect_put];
	journal_bind(s, "uiuiittbbiiiiub", e->id, (int)e->state, e->event, (int)e->revision,
		     (int)e->position, e->out, e->function, e->topic, e->payload, (int)e->qos,
		     (int)e->retain, (int)e->hops, (int)e->packet, e->created_wall_ms, e->attrs);
	return journal_step(s);
}

static int write_end(struct journal *j, const struct journal_finish *f)
{
	JSTMT s = j->write[W_event_finish];
	journal_bind(s, "uiuiiiittuuibb", f->id, (int)f->state, f->due_wall_ms, (int)f->attempts,
		     (int)f->revision, (int)f->status, (int)f->code, f->reason, f->stack,
		     f->finished_wall_ms, f->neffects ? f->effects[0]->id : UINT64_C(0),
		     (int)f->neffects, f->output, f->trace);
	return journal_step(s);
}

static int write_finish(struct journal *j, struct journal_op *op)
{
	const struct journal_finish *f = CONTAINER_OF(op, struct journal_finish, op);
	int code = SQLITE_OK;
	/* First: they may refuse, and then nothing of this operation may have been written. */
	for (struct journal_extra *x = f->extras; x && code == SQLITE_OK; x = x->next)
		code = x->write(j->db, x);
	for (unsigned i = 0; i < f->neffects && code == SQLITE_OK; i++) {
		f->effects[i]->id = j->next_effect + i;
		code = write_effect(j, f->effects[i]);
	}
	j->next_effect += f->neffects; /* after a rollback there is a gap, which nobody minds */
	if (code == SQLITE_OK && f->stored)
		code = write_end(j, f);
	return code;
}

void journal_finish_put(struct journal *j, struct journal_finish *f)
{
	f->op.write = write_finish;
	f->op.effects = (int)f->neffects;
	f->op.bytes = 0;
	f->op.open = f->op.dead = 0;
	for (unsigned i = 0; i < f->neffects; i++)
		f->op.bytes += len(f->effects[i]->topic, f->effects[i]->payload) +
			       (int64_t)f->effects[i]->attrs.len;
	if (f->stored && f->state != EVENT_OPEN) {
		f->op.bytes -= (int64_t)f->event_bytes;
		f->op.open = -1;
		f->op.dead = f->state == EVENT_DEAD;
	}
	journal_put(j, &f->op);
}

/* ---- an effect goes on ---- */

static int write_progress(struct journal *j, struct journal_op *op)
{
	const struct journal_progress *p = CONTAINER_OF(op, struct journal_progress, op);
	JSTMT s = j->write[W_effect_progress];
	journal_bind(s, "uiis", p->effect, (int)p->state, (int)p->packet, p->reason);
	return journal_step(s);
}

void journal_progress_put(struct journal *j, struct journal_progress *p)
{
	bool over = p->state >= EFFECT_DELIVERED;
	p->op.write = write_progress;
	p->op.exact = p->state == EFFECT_SENT || p->state == EFFECT_RELEASED;
	p->op.effects = over ? -1 : 0;
	p->op.bytes = over ? -(int64_t)p->effect_bytes : 0;
	journal_put(j, &p->op);
}

static int write_inbound_op(struct journal *j, struct journal_op *op)
{
	const struct journal_inbound *i = CONTAINER_OF(op, struct journal_inbound, op);
	return write_inbound(j, i->source, i->packet, i->bytes, (uint8_t)i->what);
}

void journal_inbound_put(struct journal *j, struct journal_inbound *i)
{
	i->op.write = write_inbound_op;
	i->op.exact = true;
	journal_put(j, &i->op);
}

static int write_cursor(struct journal *j, struct journal_op *op)
{
	const struct journal_cursor *c = CONTAINER_OF(op, struct journal_cursor, op);
	JSTMT s = j->write[c->drop ? W_cursor_drop : W_cursor_put];
	journal_bind(s, c->drop ? "tb" : "tbb", c->source, c->name, c->value);
	return journal_step(s);
}

void journal_cursor_put(struct journal *j, struct journal_cursor *c)
{
	c->op.write = write_cursor;
	journal_put(j, &c->op);
}

/* ---- retention ---- */

/* The last of the next `rows` rows from `from` on and below `below`: 0 = there is none. */
static int step_end(struct journal *j, enum journal_sql which, uint64_t from, uint64_t below,
		    unsigned rows, uint64_t *ret)
{
	JSTMT s = j->write[which];
	journal_bind(s, "uui", from, below, (int)rows);
	int code = sqlite3_step(s);
	*ret = code == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(s, 0) : 0;
	return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int forget_events(struct journal *j, uint64_t below, unsigned rows)
{
	uint64_t last;
	int code = step_end(j, W_event_step, j->forget_event, below, rows, &last);
	if (code != SQLITE_OK || last == 0) {
		j->forget_event = 0; /* from the beginning, for those that ended since */
		return code;
	}
	JSTMT s = j->write[W_event_forget];
	journal_bind(s, "uu", j->forget_event, last);
	code = journal_step(s);
	j->forget_event = last + 1;
	if (code == SQLITE_OK && last > j->forgotten)
		j->forgotten = last;
	return code;
}

static int forget_effects(struct journal *j, unsigned rows)
{
	uint64_t last;
	int code = step_end(j, W_effect_step, j->forget_effect, INT64_MAX, rows, &last);
	if (code != SQLITE_OK || last == 0) {
		j->forget_effect = 0;
		return code;
	}
	JSTMT s = j->write[W_effect_forget];
	journal_bind(s, "uuu", j->forget_effect, last, j->forgotten);
	code = journal_step(s);
	j->forget_effect = last + 1;
	return code;
}

/* Looks at so many rows of each, wherever the last step ended, and no more: dead letters, and messages that
 * wait for their broker, may stand before what goes in any number. */
int journal_forget(struct journal *j, unsigned rows)
{
	uint64_t below = atomic_load(&j->forget_below);
	if (below > j->last_id)
		below = j->last_id; /* never the last: its id must not come again */
	if (below == 0)
		return SQLITE_OK;
	int code = forget_events(j, below, rows);
	return code == SQLITE_OK && j->forgotten > 0 ? forget_effects(j, rows) : code;
}

/* Ids hold the time of their making (dispatch.c, first_id), so age is a bound on ids. */
int journal_forget_dead(struct journal *j, unsigned rows)
{
	uint64_t dead = atomic_load(&j->dead), most = j->o.dead_rows;
	if (most == 0 || dead <= most)
		return SQLITE_OK;
	JSTMT s = j->write[W_dead_forget];
	journal_bind(s, "i", (int)(dead - most < rows ? dead - most : rows));
	int code = journal_step(s);
	if (code == SQLITE_OK)
		j->dead_gone = (unsigned)sqlite3_changes(j->db);
	return code;
}

uint64_t journal_forget_bound(struct journal *j)
{
	uint64_t now = wall_ms(), kept_ms = j->o.keep_s * 1000;
	if (journal_used_bytes(j) > j->o.keep_bytes + atomic_load(&j->bytes))
		return UINT64_MAX; /* more than is to be kept: the oldest go, whatever their age */
	return kept_ms < now ? (now - kept_ms) << 20 : 0;
}
