/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/message_attrs.h"

#include <string.h>

#include "proto/topic.h"

enum { NAME_BYTES_MAX = 255 };

static const char *const names[] = {
	[ATTR_CONTENT_TYPE] = "datacontenttype", [ATTR_RESPONSE_TOPIC] = "responsetopic",
	[ATTR_CORRELATION] = "correlationdata",  [ATTR_EXPIRY] = "expiry",
	[ATTR_FORMAT] = "payloadformat",
};

/* What tells a repetition, a loop, and who it was. */
static const char *const reserved[] = { "id", "source", "specversion", "penstock-hops",
					MESSAGE_ATTR_DIRECT };

enum message_attr message_attr_of(struct span name)
{
	for (unsigned i = ATTR_CONTENT_TYPE; i < ARRAY_LEN(names); i++) {
		if (span_eq(name, names[i]))
			return (enum message_attr)i;
	}
	for (unsigned i = 0; i < ARRAY_LEN(reserved); i++) {
		if (span_eq(name, reserved[i]))
			return ATTR_RESERVED;
	}
	return ATTR_OWN;
}

const char *message_attr_name(enum message_attr which)
{
	return names[which];
}

static bool is_text(struct span s)
{
	return (s.len == 0 || !memchr(s.at, '\0', s.len)) && span_is_utf8(s);
}

bool message_expiry_parse(struct span s, uint32_t *ret)
{
	uint64_t n = 0;
	if (s.len == 0 || s.len > 10)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.at[i] < '0' || s.at[i] > '9')
			return false;
		n = n * 10 + (s.at[i] - '0');
	}
	*ret = (uint32_t)n;
	return n <= UINT32_MAX;
}

static bool value_ok(enum message_attr which, struct span v)
{
	uint32_t seconds;
	switch (which) {
	case ATTR_CORRELATION:
		return true;
	case ATTR_RESPONSE_TOPIC:
		return topic_name_ok(v);
	case ATTR_EXPIRY:
		return message_expiry_parse(v, &seconds);
	case ATTR_FORMAT:
		return span_eq(v, "0") || span_eq(v, "1");
	case ATTR_RESERVED:
		return false;
	case ATTR_OWN:
	case ATTR_CONTENT_TYPE:
		break;
	}
	return is_text(v);
}

bool message_attr_ok(const struct ipc_attr *a)
{
	return a->name.len > 0 && a->name.len <= NAME_BYTES_MAX && is_text(a->name) &&
	       !memchr(a->name.at, '=', a->name.len) && a->value.len <= MESSAGE_ATTR_BYTES_MAX &&
	       value_ok(message_attr_of(a->name), a->value);
}

const char *message_attrs_wrong(struct span list)
{
	struct rd r = rd_from(list.at, list.len);
	struct ipc_attr a;
	if (list.len > IPC_EFFECT_ATTRS_BYTES)
		return "its attributes are too large";
	for (unsigned n = 0; r.left > 0; n++) {
		if (n == IPC_EFFECT_ATTRS || !ipc_attr_next(&r, &a))
			return "too many attributes, or one is cut short";
		if (!message_attr_ok(&a))
			return "an attribute's name is the gateway's own, or its value makes no "
			       "sense";
	}
	return NULL;
}

bool message_attr_find(struct span list, const char *name, struct span *ret)
{
	struct rd r = rd_from(list.at, list.len);
	struct ipc_attr a;
	while (ipc_attr_next(&r, &a)) {
		if (span_eq(a.name, name)) {
			*ret = a.value;
			return true;
		}
	}
	return false;
}
