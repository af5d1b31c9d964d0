/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/flight.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "gateway/replay.h"

enum {
	ATTR_HEAD_BYTES = 8,    /* most that one attribute takes besides name and value */
	PACKET_HEAD_BYTES = 96, /* most that INVOKE takes besides attributes and payload */
	STANDARD_BYTES = 512,   /* standard attributes without source, type, topic, content type */
	ATTR_NAME_MAX = 255,
	USUAL_ATTRS = 7, /* of an MQTT message without properties */
};

int flight_pool_init(struct flight_pool *p, unsigned n)
{
	unsigned hash = 16;
	while (hash < n)
		hash *= 2;
	*p = (struct flight_pool){ .n = n, .mask = hash - 1 };
	p->flights = calloc(n, sizeof(*p->flights));
	p->hash = calloc(hash, sizeof(struct flight *));
	if (p->flights && p->hash)
		return 0;
	flight_pool_fini(p);
	return -ENOMEM;
}

static void drop_all(struct flight *f)
{
	if (f->bytes != f->small)
		free(f->bytes);
	if (f->payload_fd >= 0)
		(void)close(f->payload_fd);
	f->bytes = NULL;
	f->payload_fd = -1;
	if (f->replay)
		replay_fini(f->replay);
	free(f->replay);
	f->replay = NULL;
}

void flight_pool_fini(struct flight_pool *p)
{
	for (unsigned i = 0; p->flights && i < p->fresh; i++) {
		if (p->flights[i].state != FLIGHT_FREE)
			drop_all(&p->flights[i]);
	}
	free(p->flights);
	free(p->hash);
	*p = (struct flight_pool){ 0 };
}

struct flight *flight_new(struct flight_pool *p)
{
	struct flight *f = p->free;
	if (f)
		p->free = f->next;
	else if (p->fresh < p->n)
		f = &p->flights[p->fresh++]; /* memory that was never touched until now */
	else
		return NULL;
	memset(f, 0, offsetof(struct flight, small));
	f->payload_fd = -1;
	f->state = FLIGHT_NEW;
	p->used++;
	return f;
}

void flight_free(struct flight_pool *p, struct flight *f)
{
	drop_all(f);
	f->state = FLIGHT_FREE;
	f->next = p->free;
	p->free = f;
	p->used--;
}

void flight_hash(struct flight_pool *p, struct flight *f)
{
	struct flight **at = &p->hash[f->id & p->mask]; /* ids count up: no chains to speak of */
	f->hash_next = *at;
	*at = f;
}

struct flight *flight_find(const struct flight_pool *p, uint64_t id)
{
	struct flight *f = p->hash[id & p->mask];
	while (f && f->id != id)
		f = f->hash_next;
	return f;
}

struct flight *flight_unhash(struct flight_pool *p, uint64_t id)
{
	for (struct flight **at = &p->hash[id & p->mask]; *at; at = &(*at)->hash_next) {
		struct flight *f = *at;
		if (f->id == id) {
			*at = f->hash_next;
			return f;
		}
	}
	return NULL;
}

/* ---- queues ---- */

void flight_queue_init(struct flight_queue *q)
{
	*q = (struct flight_queue){ .last = &q->first };
}

void flight_queue_put(struct flight_queue *q, struct flight *f)
{
	struct flight **at = q->last;
	/* Nearly always the latest is the last: only bindings may give less time than their function. */
	if (q->first && CONTAINER_OF(q->last, struct flight, next)->deadline_ns > f->deadline_ns)
		for (at = &q->first; (*at)->deadline_ns <= f->deadline_ns;)
			at = &(*at)->next;
	f->next = *at;
	*at = f;
	if (!f->next)
		q->last = &f->next;
	q->n++;
}

void flight_queue_put_front(struct flight_queue *q, struct flight *f)
{
	f->next = q->first;
	if (!q->first)
		q->last = &f->next;
	q->first = f;
	q->n++;
}

struct flight *flight_queue_take(struct flight_queue *q)
{
	struct flight *f = q->first;
	if (!f)
		return NULL;
	q->first = f->next;
	if (!q->first)
		q->last = &q->first;
	q->n--;
	return f;
}

/* ---- text ---- */

static void digits(char *to, unsigned n, uint64_t v)
{
	while (n-- > 0) {
		to[n] = (char)('0' + v % 10);
		v /= 10;
	}
}

/* Days to date as in Howard Hinnant, "chrono-compatible low-level date algorithms": years begin in
 * March, so that the leap day comes last. (gmtime_r takes ten times as long.) */
void time_text(uint64_t wall_ms, char ret[TIME_TEXT_BYTES])
{
	uint64_t days = wall_ms / 86400000 + 719468, ms = wall_ms % 86400000;
	uint64_t era = days / 146097, doe = days % 146097;
	uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
	uint64_t month = mp < 10 ? mp + 3 : mp - 9;
	memcpy(ret, "0000-00-00T00:00:00.000Z", TIME_TEXT_BYTES);
	digits(ret, 4, era * 400 + yoe + (month <= 2));
	digits(ret + 5, 2, month);
	digits(ret + 8, 2, doy - (153 * mp + 2) / 5 + 1);
	digits(ret + 11, 2, ms / 3600000);
	digits(ret + 14, 2, ms / 60000 % 60);
	digits(ret + 17, 2, ms / 1000 % 60);
	digits(ret + 20, 3, ms % 1000);
}

static struct span decimal(uint64_t v, char buf[20])
{
	unsigned n = 1;
	for (uint64_t rest = v; rest >= 10; rest /= 10)
		n++;
	digits(buf, n, v);
	return (struct span){ (uint8_t *)buf, n };
}

/* ---- attributes ---- */

#define TEXT(s) ((struct span){ (const uint8_t *)(s), sizeof(s) - 1 })

static const char *const standard[] = { "id",    "source", "type",  "time", "datacontenttype",
					"topic", "qos",    "retain" };

/* What comes from outside may add attributes but not forge those that are ours. */
bool flight_attr_ok(const struct event_attr *a)
{
	if (a->name.len == 0 || a->name.len > ATTR_NAME_MAX ||
	    memchr(a->name.at, '=', a->name.len) || memchr(a->name.at, '\0', a->name.len))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(standard); i++) {
		if (span_eq(a->name, standard[i]))
			return false;
	}
	return true;
}

static uint32_t put_attrs(struct wr *w, uint64_t id, const struct event *e)
{
	char id_text[20], when[TIME_TEXT_BYTES];
	uint8_t qos = (uint8_t)('0' + (e->qos & 3)), retain = e->retain ? '1' : '0';
	time_text(e->time_wall_ms, when);
	const struct ipc_attr attr[] = {
		{ TEXT("id"), decimal(id, id_text) },
		{ TEXT("source"), e->source },
		{ TEXT("type"), e->type },
		{ TEXT("time"), { (uint8_t *)when, TIME_TEXT_BYTES - 1 } },
		{ TEXT("topic"), e->topic },
		{ TEXT("qos"), { &qos, 1 } },
		{ TEXT("retain"), { &retain, 1 } },
		{ TEXT("datacontenttype"), e->content_type },
	};
	uint32_t n = 0;
	for (size_t i = 0; i < ARRAY_LEN(attr); i++) {
		if (attr[i].value.len == 0)
			continue;
		ipc_attr_put(w, &attr[i]);
		n++;
	}
	for (uint32_t i = 0; i < e->nattrs && n < IPC_ATTRS_MAX; i++) {
		if (!flight_attr_ok(&e->attrs[i]))
			continue;
		ipc_attr_put(w, &(struct ipc_attr){ e->attrs[i].name, e->attrs[i].value });
		n++;
	}
	return n;
}

static size_t attrs_bytes_most(const struct event *e)
{
	size_t n =
		STANDARD_BYTES + e->source.len + e->type.len + e->topic.len + e->content_type.len;
	for (uint32_t i = 0; i < e->nattrs; i++)
		n += ATTR_HEAD_BYTES + e->attrs[i].name.len + e->attrs[i].value.len;
	return n;
}

static int make_room(struct flight *f, struct span topic, size_t packet_bytes)
{
	size_t need = topic.len + packet_bytes;
	f->bytes = need <= sizeof(f->small) ? f->small : malloc(need);
	if (!f->bytes)
		return -ENOMEM;
	if (topic.len)
		memcpy(f->bytes, topic.at, topic.len);
	f->topic = (struct span){ f->bytes, topic.len };
	f->packet = wr_into(f->bytes + topic.len, packet_bytes);
	return 0;
}

void flight_retarget(struct flight *f, uint32_t function)
{
	ipc_invoke_retarget(&f->packet, f->id, function);
}

int flight_encode_again(struct flight *f, uint32_t function, struct span topic, struct span attrs,
			uint32_t nattrs, struct span payload)
{
	struct ipc_invoke m = { .event = f->id,
				.deadline_ns = f->deadline_ns,
				.function = function,
				.attrs = attrs,
				.nattrs = nattrs };
	f->more_attrs = nattrs > USUAL_ATTRS;
	if (f->replay) {
		m.is_replay = f->replay->is_replay;
		m.trace = f->replay->told.trace;
	}
	if (attrs.len + payload.len <= IPC_INLINE_BYTES) {
		m.payload = payload;
	} else {
		f->payload_fd = ipc_memfd("event", &payload, 1);
		if (f->payload_fd < 0)
			return f->payload_fd;
		m.payload_fd_bytes = (uint32_t)payload.len;
	}
	int err = make_room(f, topic, PACKET_HEAD_BYTES + attrs.len + m.payload.len + m.trace.len);
	if (err == 0 && !ipc_put_invoke(&f->packet, &m))
		err = -E_LIMIT;
	return err;
}

struct span flight_own_attrs(const struct flight *f)
{
	struct ipc_msg m;
	ENSURE(ipc_parse(IPC_GATEWAY, f->packet.buf, f->packet.len, &m, NULL) == 0);
	return m.invoke.attrs;
}

int flight_payload_by_fd(struct flight *f, uint32_t bytes)
{
	struct ipc_msg m;
	ENSURE(ipc_parse(IPC_GATEWAY, f->packet.buf, f->packet.len, &m, NULL) == 0);
	m.invoke.payload_fd_bytes = bytes;
	OWN_FREE uint8_t *copy = malloc(f->packet.len);
	if (!copy)
		return -ENOMEM;
	/* The spans of m lie in the packet that is written anew. */
	struct wr w = wr_into(copy, f->packet.len);
	if (!ipc_put_invoke(&w, &m.invoke))
		return -E_LIMIT;
	memcpy(f->packet.buf, copy, w.len);
	f->packet.len = w.len;
	return 0;
}

int flight_attrs(const struct flight *f, const struct event *e, uint8_t **ret, size_t *ret_len)
{
	size_t most = attrs_bytes_most(e);
	if (most > IPC_INLINE_BYTES || e->payload.len > IPC_PAYLOAD_BYTES)
		return -E_LIMIT;
	*ret = malloc(most);
	if (!*ret)
		return -ENOMEM;
	struct wr attrs = wr_into(*ret, most);
	(void)put_attrs(&attrs, f->id, e);
	ENSURE(wr_ok(&attrs));
	*ret_len = attrs.len;
	return 0;
}

int flight_encode(struct flight *f, uint32_t function, const struct event *e)
{
	uint8_t usual[2048];
	OWN_FREE uint8_t *unusual = NULL;
	size_t most = attrs_bytes_most(e);
	if (most > IPC_INLINE_BYTES || e->payload.len > IPC_PAYLOAD_BYTES)
		return -E_LIMIT;
	if (most > sizeof(usual) && !(unusual = malloc(most)))
		return -ENOMEM;
	struct wr attrs = wr_into(unusual ? unusual : usual, unusual ? most : sizeof(usual));
	uint32_t n = put_attrs(&attrs, f->id, e);
	ENSURE(wr_ok(&attrs));
	return flight_encode_again(f, function, e->topic, (struct span){ attrs.buf, attrs.len }, n,
				   e->payload);
}
