/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/guard_action.h"

#include <string.h>

#include "proto/picontrol_abi.h"

/* What each verb has. */
static const struct {
	bool has_fd;
	uint32_t least, most; /* bytes */
	uint64_t value_most, offset_most;
} verbs[GUARD_VERBS] = {
	[GUARD_FORGET] = { false, 0, 0, 0, 0 },
	[GUARD_GPIO] = { true, 0, 0, 1, 0 },
	[GUARD_WRITE] = { true, 1, GUARD_BYTES_MAX, 0, INT64_MAX },
	[GUARD_PICTL] = { true, sizeof(struct kb_variable), sizeof(struct kb_variable), UINT32_MAX,
			  0 },
	[GUARD_SEND] = { true, 1, GUARD_BYTES_MAX, 0, 0 },
	[GUARD_BYE] = { false, 0, 0, 0, 0 },
};

static int check(const struct guard_action *a, struct why *why)
{
	if (a->verb >= GUARD_VERBS)
		return why_set(why, -E_PROTO, "verb %u is none", a->verb);
	if (a->output >= GUARD_OUTPUTS_MAX)
		return why_set(why, -E_PROTO, "output %u, there are at most %d", a->output,
			       GUARD_OUTPUTS_MAX);
	if (a->length < verbs[a->verb].least || a->length > verbs[a->verb].most)
		return why_set(why, -E_PROTO, "verb %u with %u bytes", a->verb, a->length);
	if (a->value > verbs[a->verb].value_most || a->offset > verbs[a->verb].offset_most)
		return why_set(why, -E_PROTO, "verb %u with a value or an offset out of range",
			       a->verb);
	if ((a->fd >= 0) != verbs[a->verb].has_fd)
		return why_set(why, -E_PROTO, "verb %u %s a descriptor", a->verb,
			       a->fd >= 0 ? "with" : "without");
	return 0;
}

bool guard_put(struct wr *w, const struct guard_action *a)
{
	size_t name = strnlen(a->name, sizeof(a->name));
	if (name > GUARD_NAME_MAX || check(a, NULL) < 0)
		return false;
	wr_u32(w, a->verb);
	wr_u32(w, a->output);
	wr_u64(w, a->value);
	wr_u64(w, a->offset);
	wr_u8(w, (uint8_t)name);
	wr_bytes(w, a->name, name);
	wr_u8(w, (uint8_t)a->length);
	wr_bytes(w, a->bytes, a->length);
	return wr_ok(w);
}

int guard_parse(struct span message, int fd, struct guard_action *ret, struct why *why)
{
	struct rd r = rd_from(message.at, message.len);
	*ret = (struct guard_action){ .fd = fd };
	ret->verb = rd_u32(&r);
	ret->output = rd_u32(&r);
	ret->value = rd_u64(&r);
	ret->offset = rd_u64(&r);
	struct span name = rd_span(&r, rd_u8(&r));
	struct span bytes = rd_span(&r, rd_u8(&r));
	if (!rd_done(&r) || name.len > GUARD_NAME_MAX || bytes.len > GUARD_BYTES_MAX)
		return why_set(why, -E_PROTO, "a message of %zu bytes is none", message.len);
	if (name.len)
		memcpy(ret->name, name.at, name.len);
	if (bytes.len)
		memcpy(ret->bytes, bytes.at, bytes.len);
	ret->length = (uint32_t)bytes.len;
	return check(ret, why);
}
