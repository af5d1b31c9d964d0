/* SPDX-License-Identifier: Apache-2.0 */
/* The imports of module "penstock": sdk/include/penstock.h is their documentation. */
#include "proto/message_attrs.h"
#include "proto/topic.h"
#include "sandbox/runtime/guest.h"

#pragma clang diagnostic ignored "-Wmissing-prototypes" /* hostcall.def is their list */

enum { EINVAL_ = -1, ENOENT_ = -2, ELIMIT_ = -3 }; /* PENSTOCK_E... */
enum { QOS_BITS = 3, RETAIN = 4 };
/* An effect's fields besides topic and payload, generously. */
enum { EFFECT_HEAD_BYTES = 32 };

static int32_t copy_out(struct aot_instance *self, struct span from, uint32_t buf, uint32_t cap)
{
	size_t n = from.len < cap ? from.len : cap;
	if (n > 0 && !guest_put(self, buf, from.at, n))
		return EINVAL_;
	return (int32_t)from.len;
}

int32_t penstock_event_payload(struct aot_instance *self, uint32_t buf, uint32_t cap)
{
	struct task *t = GUEST_ENTER();
	return (int32_t)guest_return(t, (uint32_t)copy_out(self, t->host->payload, buf, cap));
}

static int32_t attr(struct aot_instance *self, const struct host *h, struct span name,
		    struct span to)
{
	struct rd list = rd_from(h->attrs.at, h->attrs.len);
	struct ipc_attr a;
	while (ipc_attr_next(&list, &a))
		if (a.name.len == name.len && memcmp(a.name.at, name.at, name.len) == 0)
			return copy_out(self, a.value, (uint32_t)(uintptr_t)to.at,
					(uint32_t)to.len);
	return ENOENT_;
}

int32_t penstock_event_attr(struct aot_instance *self, uint32_t name, uint32_t name_len,
			    uint32_t buf, uint32_t cap)
{
	struct task *t = GUEST_ENTER();
	struct span n = { guest_span(self, name, name_len), name_len };
	struct span to = { (const uint8_t *)(uintptr_t)buf, cap };
	return (int32_t)guest_return(
		t, (uint32_t)(n.at && name_len > 0 ? attr(self, t->host, n, to) : EINVAL_));
}

static int32_t emit(struct host *h, const struct ipc_effect *e)
{
	size_t most = e->topic.len + e->payload.len + e->attrs.len + EFFECT_HEAD_BYTES;
	if (e->topic.len > 0 && !topic_name_ok(e->topic))
		return EINVAL_;
	if (h->neffects >= IPC_EFFECTS_MAX || most > host_output_left(h) + EFFECT_HEAD_BYTES ||
	    !outbuf_reserve(&h->effects, most))
		return ELIMIT_;
	struct wr w = wr_into(h->effects.p, h->effects.cap);
	w.len = h->effects.len;
	ipc_effect_put(&w, e);
	ENSURE(wr_ok(&w));
	h->effects.len = w.len;
	h->neffects++;
	return 0;
}

/* topic, data: addresses of the guest's. */
static bool effect_of(struct aot_instance *self, struct span topic, struct span data,
		      uint32_t flags, struct ipc_effect *ret)
{
	*ret = (struct ipc_effect){
		.qos = flags & QOS_BITS,
		.retain = (flags & RETAIN) != 0,
		.topic = { guest_span(self, (uintptr_t)topic.at, topic.len), topic.len },
		.payload = { guest_span(self, (uintptr_t)data.at, data.len), data.len },
	};
	return (ret->topic.at || topic.len == 0) && (ret->payload.at || data.len == 0) &&
	       ret->qos <= 2 && (flags & ~(uint32_t)(QOS_BITS | RETAIN)) == 0;
}

int32_t penstock_emit(struct aot_instance *self, uint32_t topic, uint32_t topic_len, uint32_t data,
		      uint32_t len, uint32_t flags)
{
	struct task *t = GUEST_ENTER();
	struct ipc_effect e;
	bool ok = effect_of(self, (struct span){ (const uint8_t *)(uintptr_t)topic, topic_len },
			    (struct span){ (const uint8_t *)(uintptr_t)data, len }, flags, &e);
	return (int32_t)guest_return(t, (uint32_t)(ok ? emit(t->host, &e) : EINVAL_));
}

/* struct penstock_attribute */
enum { NAME_AT, NAME_LEN, VALUE_AT, VALUE_LEN, ATTRIBUTE_WORDS };

/* The guest's array as a list: copied, then looked at. */
static int32_t read_attrs(struct aot_instance *self, uint32_t at, uint32_t n, struct wr *to)
{
	if (n > IPC_EFFECT_ATTRS)
		return ELIMIT_;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t word[ATTRIBUTE_WORDS];
		const void *from = guest_span(self, at + (uint64_t)i * sizeof(word), sizeof(word));
		if (!from)
			return EINVAL_;
		memcpy(word, from, sizeof(word));
		const struct ipc_attr a = {
			{ guest_span(self, word[NAME_AT], word[NAME_LEN]), word[NAME_LEN] },
			{ guest_span(self, word[VALUE_AT], word[VALUE_LEN]), word[VALUE_LEN] },
		};
		if (!a.name.at || !a.value.at || a.name.len > UINT16_MAX)
			return EINVAL_;
		ipc_attr_put(to, &a);
	}
	if (!wr_ok(to))
		return ELIMIT_;
	return message_attrs_wrong((struct span){ to->buf, to->len }) ? EINVAL_ : 0;
}

static int32_t emit_with(struct aot_instance *self, struct host *h, struct ipc_effect *e,
			 uint32_t attrs, uint32_t n)
{
	uint8_t list[IPC_EFFECT_ATTRS_BYTES];
	struct wr w = wr_into(list, sizeof(list));
	int32_t err = read_attrs(self, attrs, n, &w);
	e->attrs = (struct span){ w.buf, w.len };
	return err < 0 ? err : emit(h, e);
}

int32_t penstock_emit_with(struct aot_instance *self, uint32_t topic, uint32_t topic_len,
			   uint32_t data, uint32_t len, uint32_t flags, uint32_t attrs, uint32_t n)
{
	struct task *t = GUEST_ENTER();
	struct ipc_effect e;
	bool ok = effect_of(self, (struct span){ (const uint8_t *)(uintptr_t)topic, topic_len },
			    (struct span){ (const uint8_t *)(uintptr_t)data, len }, flags, &e);
	return (int32_t)guest_return(
		t, (uint32_t)(ok ? emit_with(self, t->host, &e, attrs, n) : EINVAL_));
}

int32_t penstock_log(struct aot_instance *self, uint32_t level, uint32_t text, uint32_t len)
{
	struct task *t = GUEST_ENTER();
	const uint8_t *p = guest_span(self, text, len);
	if (!p || level < 3 || level > 7)
		return (int32_t)guest_return(t, (uint32_t)EINVAL_);
	host_log(t->host, (char)('0' + level), p, len);
	return (int32_t)guest_return(t, 0);
}
