/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/told.h"

#include <string.h>

enum { TRACE_ENTRY_MAX = 40 }; /* a trace that was cut ends this near its bound */

int told_parse(struct span kept, struct told *ret)
{
	*ret = (struct told){ 0 };
	if (kept.len == 0)
		return 0;
	struct rd all = rd_from(kept.at, kept.len);
	const struct span trace = rd_span(&all, rd_u16(&all));
	uint8_t cut = rd_u8(&all);
	const struct span answers = rd_span(&all, all.left);
	if (!rd_ok(&all) || trace.len > IPC_TRACE_BYTES)
		return -E_INVALID;
	if (cut != 0 ||
	    (trace.len > IPC_TRACE_BYTES - TRACE_ENTRY_MAX && trace.at[trace.len - 1] == 'X'))
		return -E_LIMIT;
	*ret = (struct told){ trace, answers };
	return 0;
}

static bool same(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static bool next(struct rd *list, struct ipc_msg *ask, struct ipc_msg *tell)
{
	const struct span a = rd_span(list, rd_u32(list));
	const struct span t = rd_span(list, rd_u32(list));
	return rd_ok(list) && ipc_parse(IPC_SANDBOX, a.at, a.len, ask, NULL) == 0 &&
	       ipc_parse(IPC_GATEWAY, t.at, t.len, tell, NULL) == 0 && ask->type == IPC_STATE_ASK &&
	       tell->type == IPC_STATE_TELL;
}

bool told_find(const struct told *t, const struct ipc_state_ask *q, struct ipc_state_tell *ret)
{
	struct rd list = rd_from(t->answers.at, t->answers.len);
	struct ipc_msg ask, tell;
	while (list.left > 0 && next(&list, &ask, &tell)) {
		if (ask.ask.list != q->list || !same(ask.ask.bucket, q->bucket) ||
		    !same(ask.ask.key, q->key) || !same(ask.ask.after, q->after))
			continue;
		*ret = tell.tell;
		return true;
	}
	return false;
}
