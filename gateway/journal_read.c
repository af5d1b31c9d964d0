/* SPDX-License-Identifier: Apache-2.0 */
/* What is in the journal, for the feeder, the API and the start; and what the operator decides. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "gateway/cursors.h"
#include "gateway/journal_impl.h"

static struct span blob(sqlite3_stmt *s, int column)
{
	const void *at = sqlite3_column_blob(s, column);
	return (struct span){ at, (size_t)sqlite3_column_bytes(s, column) };
}

static uint64_t number(sqlite3_stmt *s, int column)
{
	return (uint64_t)sqlite3_column_int64(s, column);
}

static const char *text(sqlite3_stmt *s, int column)
{
	const char *t = (const char *)sqlite3_column_text(s, column);
	return t ? t : "";
}

static int each_event(struct journal *j, sqlite3_stmt *s, journal_row_fn *each, void *arg,
		      struct why *why)
{
	int code, stop = 0;
	while (stop == 0 && (code = sqlite3_step(s)) == SQLITE_ROW) {
		const struct journal_row r = {
			.id = number(s, 0),
			.due_wall_ms = number(s, 1),
			.binding = number(s, 2),
			.arrived_wall_ms = number(s, 3),
			.finished_wall_ms = number(s, 4),
			.digest = number(s, 5),
			.first_effect = number(s, 6),
			.state = (enum journal_state)number(s, 7),
			.attempts = (unsigned)number(s, 8),
			.revision = (unsigned)number(s, 9),
			.status = (unsigned)number(s, 10),
			.neffects = (unsigned)number(s, 11),
			.code = (int32_t)number(s, 12),
			.packet = (uint16_t)number(s, 13),
			.hops = (uint8_t)number(s, 14),
			.function = text(s, 15),
			.source = text(s, 16),
			.reason = text(s, 17),
			.stack = text(s, 18),
			.topic = blob(s, 19),
			.attrs = blob(s, 20),
			.payload = blob(s, 21),
			.output = blob(s, 22),
			.trace = blob(s, 23),
		};
		stop = each(arg, &r);
	}
	return stop != 0 || code == SQLITE_DONE ? stop : journal_fail(j, j->reader, "read", why);
}

int journal_events(struct journal *j, const struct journal_query *q, journal_row_fn *each,
		   void *arg, struct why *why)
{
	if (q->id != 0) {
		JSTMT s = j->query[Q_event];
		journal_bind(s, "u", q->id);
		return each_event(j, s, each, arg, why);
	}
	if (q->state == EVENT_DEAD && q->since_wall_ms == 0) {
		JSTMT s = j->query[Q_dead];
		journal_bind(s, "sui", q->function, q->before_id, (int)q->limit);
		return each_event(j, s, each, arg, why);
	}
	JSTMT s = j->query[Q_events];
	journal_bind(s, "siuuui", q->function, q->state, q->id, q->since_wall_ms, q->before_id,
		     (int)q->limit);
	return each_event(j, s, each, arg, why);
}

int journal_due(struct journal *j, uint64_t now_wall_ms, uint64_t after_due_ms, uint64_t after_id,
		unsigned limit, journal_row_fn *each, void *arg, struct why *why)
{
	JSTMT s = j->query[Q_due];
	journal_bind(s, "uuui", now_wall_ms, after_due_ms, after_id, (int)limit);
	return each_event(j, s, each, arg, why);
}

int journal_due_heads(struct journal *j, uint64_t after_due_ms, uint64_t after_id, unsigned limit,
		      journal_row_fn *each, void *arg, struct why *why)
{
	JSTMT s = j->query[Q_due_heads];
	journal_bind(s, "uui", after_due_ms, after_id, (int)limit);
	return each_event(j, s, each, arg, why);
}

int journal_recent(struct journal *j, const char *source, unsigned limit, journal_row_fn *each,
		   void *arg, struct why *why)
{
	JSTMT s = j->query[Q_recent];
	journal_bind(s, "si", source, (int)limit);
	return each_event(j, s, each, arg, why);
}

static int each_effect(struct journal *j, sqlite3_stmt *s, journal_effect_fn *each, void *arg,
		       struct why *why)
{
	int code, stop = 0;
	while (stop == 0 && (code = sqlite3_step(s)) == SQLITE_ROW) {
		const struct journal_effect e = {
			.id = number(s, 0),
			.state = (enum effect_state)number(s, 1),
			.event = number(s, 2),
			.revision = (unsigned)number(s, 3),
			.position = (unsigned)number(s, 4),
			.out = blob(s, 5),
			.function = blob(s, 6),
			.topic = blob(s, 7),
			.payload = blob(s, 8),
			.qos = (uint8_t)number(s, 9),
			.retain = (uint8_t)number(s, 10),
			.hops = (uint8_t)number(s, 11),
			.packet = (uint16_t)number(s, 12),
			.created_wall_ms = number(s, 13),
			.attrs = blob(s, 15),
		};
		stop = each(arg, &e, text(s, 14));
	}
	return stop != 0 || code == SQLITE_DONE
		       ? stop
		       : journal_fail(j, sqlite3_db_handle(s), "read", why);
}

int journal_effects_of(struct journal *j, uint64_t first, unsigned n, journal_effect_fn *each,
		       void *arg, struct why *why)
{
	JSTMT s = j->query[Q_effects_of];
	journal_bind(s, "ui", first, (int)n);
	return each_effect(j, s, each, arg, why);
}

int journal_effects_open(struct journal *j, const char *out, bool begun, uint64_t after_id,
			 unsigned limit, journal_effect_fn *each, void *arg, struct why *why)
{
	JSTMT s = j->query[begun ? Q_effects_begun : Q_effects_waiting];
	journal_bind(s, "sui", out, after_id, (int)limit);
	return each_effect(j, s, each, arg, why);
}

int journal_inbounds(struct journal *j, const char *source, journal_inbound_fn *each, void *arg,
		     struct why *why)
{
	int code, stop = 0;
	JSTMT s = j->query[Q_inbounds];
	journal_bind(s, "s", source);
	while (stop == 0 && (code = sqlite3_step(s)) == SQLITE_ROW)
		stop = each(arg, (unsigned)number(s, 0), blob(s, 1));
	return stop != 0 || code == SQLITE_DONE ? stop : journal_fail(j, j->reader, "read", why);
}

int journal_cursors(struct journal *j, journal_cursor_fn *each, void *arg, struct why *why)
{
	int code, stop = 0;
	JSTMT s = j->query[Q_cursors];
	while (stop == 0 && (code = sqlite3_step(s)) == SQLITE_ROW)
		stop = each(arg, blob(s, 0), blob(s, 1), blob(s, 2));
	return stop != 0 || code == SQLITE_DONE ? stop : journal_fail(j, j->reader, "read", why);
}

/* ---- decisions of the operator ---- */

struct settle {
	struct journal_op op;
	uint64_t id, due_wall_ms;
	enum journal_state from, to;
};

static int write_settle(struct journal *j, struct journal_op *op)
{
	struct settle *x = CONTAINER_OF(op, struct settle, op);
	JSTMT s = j->write[W_event_settle];
	journal_bind(s, "uiui", x->id, (int)x->to, x->due_wall_ms, (int)x->from);
	int code = journal_step(s);
	if (code == SQLITE_OK && sqlite3_changes(j->db) == 0) { /* somebody was faster */
		x->op.open = x->op.dead = 0;
		x->op.bytes = 0;
	}
	return code;
}

static void settled(struct journal_op *op, int err)
{
	(void)err;
	free(CONTAINER_OF(op, struct settle, op));
}

struct found {
	enum journal_state state;
	int64_t bytes;
};

static int find(void *arg, const struct journal_row *r)
{
	struct found *f = arg;
	f->state = r->state;
	f->bytes = (int64_t)(r->topic.len + r->attrs.len + r->payload.len);
	return 0;
}

static int settle(struct journal *j, uint64_t id, bool finished, enum journal_state to,
		  uint64_t due_wall_ms, struct why *why)
{
	struct found f = { .state = EVENT_OPEN };
	int err = journal_events(j, &(struct journal_query){ .id = id }, find, &f, why);
	if (err < 0)
		return err;
	if (f.state == EVENT_OPEN || (f.state != EVENT_DEAD && !finished))
		return why_set(why, -E_UNKNOWN, "event %llu is no dead letter%s",
			       (unsigned long long)id,
			       finished ? ", and it is not over either" : "");
	struct settle *x = calloc(1, sizeof(*x));
	if (!x)
		return why_set(why, -ENOMEM, "out of memory");
	x->op.done = settled;
	x->op.write = write_settle;
	x->op.dead = f.state == EVENT_DEAD ? -1 : 0;
	x->op.open = to == EVENT_OPEN;
	x->op.bytes = to == EVENT_OPEN ? f.bytes : 0; /* its end takes them back */
	x->from = f.state;
	x->id = id;
	x->to = to;
	x->due_wall_ms = due_wall_ms;
	journal_put(j, &x->op);
	journal_commit(j);
	return 0;
}

int journal_dead_retry(struct journal *j, uint64_t id, uint64_t due_wall_ms, struct why *why)
{
	return settle(j, id, false, EVENT_OPEN, due_wall_ms, why);
}

int journal_again(struct journal *j, uint64_t id, uint64_t due_wall_ms, struct why *why)
{
	return settle(j, id, true, EVENT_OPEN, due_wall_ms, why);
}

int journal_dead_drop(struct journal *j, uint64_t id, struct why *why)
{
	return settle(j, id, false, EVENT_DROPPED, 0, why);
}
