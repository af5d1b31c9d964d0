/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/outcome.h"

#include <string.h>

struct outcome outcome_of(const struct ipc_result *m)
{
	return (struct outcome){ m->status, m->code, m->reply, m->effects, m->state };
}

static bool change_next(struct rd *list, struct ipc_state_op *ret)
{
	while (ipc_state_next(list, ret)) {
		if (ret->what == IPC_STATE_PUT || ret->what == IPC_STATE_DELETE)
			return true;
	}
	return false;
}

size_t outcome_bytes_most(const struct outcome *o)
{
	return 4 + o->reply.len + 4 + o->effects.len + o->state.len;
}

void outcome_put(struct wr *w, const struct outcome *o)
{
	struct rd list = rd_from(o->state.at, o->state.len);
	wr_u32(w, (uint32_t)o->reply.len);
	wr_bytes(w, o->reply.at, o->reply.len);
	wr_u32(w, (uint32_t)o->effects.len);
	wr_bytes(w, o->effects.at, o->effects.len);
	for (struct ipc_state_op op; change_next(&list, &op);)
		ipc_state_put(w, &op);
}

bool outcome_parse(struct span bytes, struct outcome *ret)
{
	struct rd r = rd_from(bytes.at, bytes.len);
	struct ipc_effect e;
	struct ipc_state_op o;
	const struct span reply = rd_span(&r, rd_u32(&r));
	const struct span effects = rd_span(&r, rd_u32(&r));
	const struct span state = rd_span(&r, r.left);
	struct rd list = rd_from(effects.at, effects.len);
	while (list.left > 0 && ipc_effect_next(&list, &e))
		;
	struct rd changes = rd_from(state.at, state.len);
	while (changes.left > 0 && ipc_state_next(&changes, &o))
		;
	if (!rd_ok(&r) || !rd_done(&list) || !rd_done(&changes))
		return false;
	ret->reply = reply;
	ret->effects = effects;
	ret->state = state;
	return true;
}

/* ---- differences ---- */

struct shown {
	uint8_t buf[OUTCOME_SHOWN];
	struct wr w;
};

/* As much of it as there is room for. */
static void show(struct shown *s, struct span bytes)
{
	size_t room = s->w.cap - s->w.len;
	wr_bytes(&s->w, bytes.at, bytes.len < room ? bytes.len : room);
}

static void show_text(struct shown *s, const char *text)
{
	show(s, (struct span){ (const uint8_t *)text, strlen(text) });
}

static struct span shown(const struct shown *s, bool there)
{
	return (struct span){ there ? s->buf : NULL, s->w.len };
}

static bool same(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static void show_effect(struct shown *s, const struct ipc_effect *e)
{
	static const char *const qos[] = { "", " (QoS 1)", " (QoS 2)", " (QoS 3)" };
	s->w = wr_into(s->buf, sizeof(s->buf));
	show(s, e->topic);
	if (e->topic.len == 0)
		show_text(s, "(the binding's topic)");
	show_text(s, qos[e->qos & 3]);
	show_text(s, e->retain ? " (retained)" : "");
	struct rd list = rd_from(e->attrs.at, e->attrs.len);
	for (struct ipc_attr a; ipc_attr_next(&list, &a);) {
		show_text(s, " ");
		show(s, a.name);
		show_text(s, "=");
		show(s, a.value);
	}
	show_text(s, ": ");
	show(s, e->payload);
}

static void show_change(struct shown *s, const struct ipc_state_op *o)
{
	s->w = wr_into(s->buf, sizeof(s->buf));
	show_text(s, o->what == IPC_STATE_PUT ? "put " : "delete ");
	if (o->bucket.len > 0) {
		show(s, o->bucket);
		show_text(s, "/");
	}
	show(s, o->key);
	if (o->what == IPC_STATE_DELETE)
		return;
	char ttl[40] = "";
	struct wr w = wr_into(ttl, sizeof(ttl) - 1);
	if (o->ttl_ms > 0)
		wr_fmt(&w, " (for %llu ms)", (unsigned long long)o->ttl_ms);
	show_text(s, ttl);
	show_text(s, ": ");
	show(s, o->value);
}

struct comparing {
	outcome_differ *differ;
	void *arg;
	unsigned n;
};

static void differs(struct comparing *c, const char *what, unsigned number, struct span then,
		    struct span now)
{
	char name[32] = "";
	struct wr w = wr_into(name, sizeof(name) - 1);
	wr_fmt(&w, number ? "%s %u" : "%s", what, number);
	c->n++;
	c->differ(c->arg, name, then, now);
}

static void compare_effects(struct comparing *c, struct span then, struct span now)
{
	struct rd a = rd_from(then.at, then.len), b = rd_from(now.at, now.len);
	for (unsigned i = 1; a.left > 0 || b.left > 0; i++) {
		struct ipc_effect x = { 0 }, y = { 0 };
		bool has_x = ipc_effect_next(&a, &x), has_y = ipc_effect_next(&b, &y);
		struct shown was, is;
		if (!has_x && !has_y)
			return;
		if (has_x && has_y && x.qos == y.qos && x.retain == y.retain &&
		    same(x.topic, y.topic) && same(x.payload, y.payload) && same(x.attrs, y.attrs))
			continue;
		show_effect(&was, &x);
		show_effect(&is, &y);
		differs(c, "message", i, shown(&was, has_x), shown(&is, has_y));
	}
}

static void compare_changes(struct comparing *c, struct span then, struct span now)
{
	struct rd a = rd_from(then.at, then.len), b = rd_from(now.at, now.len);
	for (unsigned i = 1;; i++) {
		struct ipc_state_op x = { 0 }, y = { 0 };
		bool has_x = change_next(&a, &x), has_y = change_next(&b, &y);
		struct shown was, is;
		if (!has_x && !has_y)
			return;
		if (has_x && has_y && x.what == y.what && x.ttl_ms == y.ttl_ms &&
		    same(x.bucket, y.bucket) && same(x.key, y.key) && same(x.value, y.value))
			continue;
		show_change(&was, &x);
		show_change(&is, &y);
		differs(c, "state", i, shown(&was, has_x), shown(&is, has_y));
	}
}

static struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

static struct span number(char buf[16], int32_t n)
{
	struct wr w = wr_into(buf, 16);
	wr_fmt(&w, "%d", n);
	return (struct span){ w.buf, w.len };
}

static struct span cut(struct span s)
{
	return (struct span){ s.len ? s.at : (const uint8_t *)"",
			      s.len < OUTCOME_SHOWN ? s.len : OUTCOME_SHOWN };
}

unsigned outcome_compare(const struct outcome *then, const struct outcome *now,
			 outcome_differ *differ, void *arg)
{
	struct comparing c = { differ, arg, 0 };
	char was[16], is[16];
	if (then->status != now->status)
		differs(&c, "status", 0, text(ipc_status_name(then->status)),
			text(ipc_status_name(now->status)));
	if (then->code != now->code)
		differs(&c, "code", 0, number(was, then->code), number(is, now->code));
	if (then->status != IPC_OK || now->status != IPC_OK)
		return c.n;
	if (!same(then->reply, now->reply))
		differs(&c, "reply", 0, cut(then->reply), cut(now->reply));
	compare_effects(&c, then->effects, now->effects);
	compare_changes(&c, then->state, now->state);
	return c.n;
}
