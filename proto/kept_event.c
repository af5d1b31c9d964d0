/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/kept_event.h"

static void part_put(struct wr *w, struct span s)
{
	wr_u32(w, (uint32_t)s.len);
	wr_bytes(w, s.at, s.len);
}

size_t kept_event_bytes(const struct kept_event *e)
{
	return 8 + 4 * 4 + e->attrs.len + e->payload.len + e->trace.len + e->output.len;
}

void kept_event_put(struct wr *w, const struct kept_event *e)
{
	wr_u32(w, e->outcome.status);
	wr_u32(w, (uint32_t)e->outcome.code);
	part_put(w, e->attrs);
	part_put(w, e->payload);
	part_put(w, e->trace);
	part_put(w, e->output);
}

static bool attrs_ok(struct span attrs)
{
	struct rd list = rd_from(attrs.at, attrs.len);
	struct ipc_attr a;
	unsigned n = 0;
	while (ipc_attr_next(&list, &a))
		if (++n > IPC_ATTRS_MAX)
			return false;
	return rd_done(&list);
}

int kept_event_parse(struct span bytes, struct kept_event *ret, struct why *why)
{
	struct rd r = rd_from(bytes.at, bytes.len);
	*ret = (struct kept_event){ 0 };
	ret->outcome.status = rd_u32(&r);
	ret->outcome.code = (int32_t)rd_u32(&r);
	ret->attrs = rd_span(&r, rd_u32(&r));
	ret->payload = rd_span(&r, rd_u32(&r));
	ret->trace = rd_span(&r, rd_u32(&r));
	ret->output = rd_span(&r, rd_u32(&r));
	if (!rd_done(&r) || bytes.len > KEPT_EVENT_BYTES_MAX)
		return why_set(why, -E_INVALID, "its parts are cut short, or too long");
	if (ret->outcome.status >= IPC_STATUS_COUNT)
		return why_set(why, -E_INVALID, "no event ends with status %u",
			       ret->outcome.status);
	if (ret->payload.len > IPC_PAYLOAD_BYTES)
		return why_set(why, -E_INVALID, "its payload has more than %d bytes",
			       IPC_PAYLOAD_BYTES);
	if (!attrs_ok(ret->attrs))
		return why_set(why, -E_INVALID, "its attributes are damaged");
	int err = told_parse(ret->trace, &ret->told);
	if (err < 0)
		return why_set(why, err,
			       err == -E_LIMIT ? "the event was told more than was kept of it"
					       : "what it was told is damaged");
	if (!outcome_parse(ret->output, &ret->outcome))
		return why_set(why, -E_INVALID, "what came of it is damaged");
	return 0;
}
