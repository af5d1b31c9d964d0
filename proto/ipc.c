/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ipc.h"

#include <string.h>

#include "proto/ipc_impl.h"

static const struct kind {
	const char *name;
	enum ipc_side from;
	size_t least, most;
} kinds[IPC_AFTER_LAST] = {
#define MSG(id, name, from, least, most) [id] = { #name, IPC_##from, (least), (most) },
#include "proto/messages.def"
#undef MSG
};

/* ---- fields ----
 * Each message is described once, by a function that walks its fields; the codec either writes
 * them or reads them. So encoder and decoder cannot disagree. */

enum { EFFECT_HAS_ATTRS = 2 }; /* beside retain: journals of before have effects without */

struct codec {
	struct wr *w; /* writes when set */
	struct rd *r; /* else reads */
};

static void f_u8(const struct codec *c, uint8_t *v)
{
	if (c->w)
		wr_u8(c->w, *v);
	else
		*v = rd_u8(c->r);
}

static void f_u16(const struct codec *c, uint16_t *v)
{
	if (c->w)
		wr_u16(c->w, *v);
	else
		*v = rd_u16(c->r);
}

static void f_u32(const struct codec *c, uint32_t *v)
{
	if (c->w)
		wr_u32(c->w, *v);
	else
		*v = rd_u32(c->r);
}

static void f_i32(const struct codec *c, int32_t *v)
{
	uint32_t u = (uint32_t)*v;
	f_u32(c, &u);
	*v = (int32_t)u;
}

static void f_u64(const struct codec *c, uint64_t *v)
{
	if (c->w)
		wr_u64(c->w, *v);
	else
		*v = rd_u64(c->r);
}

/* Length and bytes. A reader finds the bytes inside its own buffer. */
static void f_span(const struct codec *c, struct span *s)
{
	uint32_t len = (uint32_t)s->len;
	if (c->w && s->len > UINT32_MAX)
		c->w->overflow = true;
	f_u32(c, &len);
	if (c->w)
		wr_bytes(c->w, s->at, s->len);
	else
		*s = rd_span(c->r, len);
}

static void f_span16(const struct codec *c, struct span *s)
{
	uint16_t len = (uint16_t)s->len;
	if (c->w && s->len > UINT16_MAX)
		c->w->overflow = true;
	f_u16(c, &len);
	if (c->w)
		wr_bytes(c->w, s->at, s->len);
	else
		*s = rd_span(c->r, len);
}

/* ---- the messages ---- */

static void hello_fields(const struct codec *c, struct ipc_hello *m)
{
	f_u32(c, &m->version);
	f_u32(c, &m->workers);
}

static void load_fields(const struct codec *c, struct ipc_load *m)
{
	f_u32(c, &m->function);
	f_u32(c, &m->memory_pages);
	f_u32(c, &m->stack_bytes);
	f_u32(c, &m->output_bytes);
	f_u64(c, &m->cpu_ns);
	f_u64(c, &m->wall_ns);
	f_u32(c, &m->concurrency);
	f_u32(c, &m->host_calls);
	f_span(c, &m->name);
	f_span(c, &m->env);
	f_span(c, &m->args);
	f_span(c, &m->pad);
}

static void loaded_fields(const struct codec *c, struct ipc_loaded *m)
{
	f_u32(c, &m->function);
	f_i32(c, &m->err);
	f_u8(c, &m->is_reactor);
	f_span(c, &m->why);
}

static void attr_fields(const struct codec *c, struct ipc_attr *a)
{
	f_span16(c, &a->name);
	f_span(c, &a->value);
}

static void invoke_fields(const struct codec *c, struct ipc_invoke *m)
{
	f_u64(c, &m->event);
	f_u64(c, &m->deadline_ns);
	f_u32(c, &m->function);
	f_u32(c, &m->nattrs);
	f_u32(c, &m->payload_fd_bytes);
	f_span(c, &m->attrs);
	f_span(c, &m->payload);
	f_u8(c, &m->is_replay);
	f_span16(c, &m->trace);
}

static void effect_fields(const struct codec *c, struct ipc_effect *e)
{
	uint8_t flags = c->w ? (uint8_t)(e->retain | (e->attrs.len > 0 ? EFFECT_HAS_ATTRS : 0)) : 0;
	f_u8(c, &e->qos);
	f_u8(c, &flags);
	f_span16(c, &e->topic);
	f_span(c, &e->payload);
	e->retain = flags & (uint8_t)~EFFECT_HAS_ATTRS;
	if (flags & EFFECT_HAS_ATTRS)
		f_span16(c, &e->attrs);
	else
		e->attrs = (struct span){ 0 };
}

static void result_fields(const struct codec *c, struct ipc_result *m)
{
	f_u64(c, &m->event);
	f_u32(c, &m->status);
	f_u32(c, &m->trap);
	f_i32(c, &m->code);
	f_u32(c, &m->neffects);
	f_u64(c, &m->queue_ns);
	f_u64(c, &m->run_ns);
	f_u64(c, &m->cpu_ns);
	f_u64(c, &m->instantiate_ns);
	f_u32(c, &m->memory_bytes);
	f_u32(c, &m->fd_bytes);
	f_span(c, &m->why);
	f_span(c, &m->log);
	f_span(c, &m->reply);
	f_span(c, &m->effects);
	f_span16(c, &m->trace);
	f_u32(c, &m->nstate);
	f_span(c, &m->state);
}

static void state_fields(const struct codec *c, struct ipc_state_op *o)
{
	f_u8(c, &o->what);
	f_u64(c, &o->version);
	f_u64(c, &o->ttl_ms);
	f_span16(c, &o->bucket);
	f_span16(c, &o->key);
	f_span(c, &o->value);
}

static void ask_fields(const struct codec *c, struct ipc_state_ask *m)
{
	f_u64(c, &m->event);
	f_u64(c, &m->ticket);
	f_u8(c, &m->list);
	f_u32(c, &m->most);
	f_span16(c, &m->bucket);
	f_span16(c, &m->key);
	f_span16(c, &m->after);
}

static void tell_fields(const struct codec *c, struct ipc_state_tell *m)
{
	f_u64(c, &m->ticket);
	f_i32(c, &m->err);
	f_u64(c, &m->version);
	f_span(c, &m->value);
}

/* ---- writing ---- */

static struct codec begin(struct wr *w, enum ipc_type type, unsigned nfds)
{
	wr_u16(w, (uint16_t)type);
	wr_u16(w, (uint16_t)nfds);
	return (struct codec){ .w = w };
}

/* What the receiver would refuse is not sent. */
static bool finish(const struct wr *w, size_t start, enum ipc_type type)
{
	if (!wr_ok(w))
		return false;
	size_t body = w->len - start - 4;
	return body >= kinds[type].least && body <= kinds[type].most;
}

#define PUT(TYPE, nfds, fields, message)                                                           \
	size_t start = w->len;                                                                     \
	struct codec c = begin(w, IPC_##TYPE, (nfds));                                             \
	fields(&c, (message));                                                                     \
	return finish(w, start, IPC_##TYPE)

bool ipc_put_hello(struct wr *w, const struct ipc_hello *m)
{
	struct ipc_hello copy = *m;
	PUT(HELLO, 0, hello_fields, &copy);
}

bool ipc_put_load(struct wr *w, const struct ipc_load *m)
{
	struct ipc_load copy = *m;
	PUT(LOAD, 1, load_fields, &copy);
}

bool ipc_put_loaded(struct wr *w, const struct ipc_loaded *m)
{
	struct ipc_loaded copy = *m;
	PUT(LOADED, 0, loaded_fields, &copy);
}

bool ipc_put_unload(struct wr *w, uint32_t function)
{
	PUT(UNLOAD, 0, f_u32, &function);
}

bool ipc_put_invoke(struct wr *w, const struct ipc_invoke *m)
{
	struct ipc_invoke copy = *m;
	PUT(INVOKE, m->payload_fd_bytes > 0 ? 1 : 0, invoke_fields, &copy);
}

void ipc_invoke_retarget(struct wr *w, uint64_t event, uint32_t function)
{
	/* invoke_fields: the event comes first, the function behind its deadline. */
	enum { EVENT = 4, FUNCTION = EVENT + 8 + 8 };
	struct wr at = wr_into(w->buf + EVENT, 8);
	wr_u64(&at, event);
	at = wr_into(w->buf + FUNCTION, 4);
	wr_u32(&at, function);
}

bool ipc_put_result(struct wr *w, const struct ipc_result *m)
{
	struct ipc_result copy = *m;
	PUT(RESULT, m->fd_bytes > 0 ? 1 : 0, result_fields, &copy);
}

bool ipc_put_cancel(struct wr *w, uint64_t event)
{
	PUT(CANCEL, 0, f_u64, &event);
}

bool ipc_put_quit(struct wr *w)
{
	size_t start = w->len;
	(void)begin(w, IPC_QUIT, 0);
	return finish(w, start, IPC_QUIT);
}

bool ipc_put_state_ask(struct wr *w, const struct ipc_state_ask *m)
{
	struct ipc_state_ask copy = *m;
	PUT(STATE_ASK, 0, ask_fields, &copy);
}

bool ipc_put_state_tell(struct wr *w, const struct ipc_state_tell *m)
{
	struct ipc_state_tell copy = *m;
	PUT(STATE_TELL, 0, tell_fields, &copy);
}

void ipc_state_put(struct wr *w, const struct ipc_state_op *o)
{
	struct ipc_state_op copy = *o;
	state_fields(&(struct codec){ .w = w }, &copy);
}

void ipc_attr_put(struct wr *w, const struct ipc_attr *a)
{
	struct ipc_attr copy = *a;
	attr_fields(&(struct codec){ .w = w }, &copy);
}

void ipc_effect_put(struct wr *w, const struct ipc_effect *e)
{
	struct ipc_effect copy = *e;
	effect_fields(&(struct codec){ .w = w }, &copy);
}

/* ---- reading ---- */

bool ipc_attr_next(struct rd *list, struct ipc_attr *ret)
{
	if (!rd_ok(list) || list->left == 0)
		return false;
	attr_fields(&(struct codec){ .r = list }, ret);
	return rd_ok(list);
}

bool ipc_effect_next(struct rd *list, struct ipc_effect *ret)
{
	if (!rd_ok(list) || list->left == 0)
		return false;
	effect_fields(&(struct codec){ .r = list }, ret);
	return rd_ok(list);
}

bool ipc_state_next(struct rd *list, struct ipc_state_op *ret)
{
	if (!rd_ok(list) || list->left == 0)
		return false;
	state_fields(&(struct codec){ .r = list }, ret);
	return rd_ok(list);
}

static void body_read(const struct codec *c, struct ipc_msg *m)
{
	switch (m->type) {
	case IPC_HELLO:
		hello_fields(c, &m->hello);
		break;
	case IPC_LOAD:
		load_fields(c, &m->load);
		break;
	case IPC_LOADED:
		loaded_fields(c, &m->loaded);
		break;
	case IPC_UNLOAD:
		f_u32(c, &m->unload);
		break;
	case IPC_INVOKE:
		invoke_fields(c, &m->invoke);
		break;
	case IPC_RESULT:
		result_fields(c, &m->result);
		break;
	case IPC_CANCEL:
		f_u64(c, &m->cancel);
		break;
	case IPC_STATE_ASK:
		ask_fields(c, &m->ask);
		break;
	case IPC_STATE_TELL:
		tell_fields(c, &m->tell);
		break;
	case IPC_QUIT:
	case IPC_AFTER_LAST:
		break;
	}
}

int ipc_parse(enum ipc_side from, const void *packet, size_t len, struct ipc_msg *ret_msg,
	      struct why *why)
{
	struct rd r = rd_from(packet, len);
	unsigned type = rd_u16(&r);
	unsigned nfds = rd_u16(&r);
	if (!rd_ok(&r))
		return why_set(why, -E_PROTO, "a packet of %zu bytes has no head", len);
	if (type >= ARRAY_LEN(kinds) || !kinds[type].name)
		return why_set(why, -E_PROTO, "message type %u does not exist", type);
	const struct kind *k = &kinds[type];
	if (k->from != from)
		return why_set(why, -E_PROTO, "%s came from the wrong side", k->name);
	if (r.left < k->least || r.left > k->most)
		return why_set(why, -E_PROTO, "%s has %zu bytes, %zu to %zu are allowed", k->name,
			       r.left, k->least, k->most);
	struct ipc_msg m = { .type = (enum ipc_type)type, .nfds = nfds };
	body_read(&(struct codec){ .r = &r }, &m);
	/* HELLO may grow: a later sandbox may say more of itself than we read. */
	if (!rd_ok(&r) || (r.left > 0 && m.type != IPC_HELLO))
		return why_set(why, -E_PROTO, "the fields of %s do not fit its %zu bytes", k->name,
			       len);
	int err = ipc_check(&m, why);
	if (err < 0)
		return err;
	*ret_msg = m;
	return 0;
}

int ipc_result_unpack(struct ipc_result *m, const void *bytes, size_t len, struct why *why)
{
	struct rd r = rd_from(bytes, len);
	struct span reply = rd_span(&r, rd_u32(&r));
	if (!rd_ok(&r) || len != m->fd_bytes)
		return why_set(why, -E_PROTO, "RESULT: the memfd's %zu bytes do not hold the reply",
			       len);
	struct span effects = rd_span(&r, r.left);
	int err = ipc_effects_check(effects, m->neffects, why);
	if (err < 0)
		return err;
	m->reply = reply;
	m->effects = effects;
	return 0;
}

const char *ipc_name(enum ipc_type type)
{
	return (unsigned)type < ARRAY_LEN(kinds) && kinds[type].name ? kinds[type].name : "unknown";
}

const char *ipc_status_name(uint32_t status)
{
	static const char *const name[IPC_STATUS_COUNT] = {
		[IPC_OK] = "ok",
		[IPC_FAILED] = "failed",
		[IPC_TRAPPED] = "trapped",
		[IPC_REFUSED] = "refused",
	};
	return status < ARRAY_LEN(name) ? name[status] : "unknown";
}
