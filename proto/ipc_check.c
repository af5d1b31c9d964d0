/* SPDX-License-Identifier: Apache-2.0 */
/* What decoded messages must hold before anybody believes them. */
#include "proto/aot_abi.h"
#include "proto/ipc_impl.h"
#include "proto/message_attrs.h"

enum {
	WHY_BYTES = 1024,                   /* longest reason inside a message */
	LOG_SLACK_BYTES = 64,               /* for the line that says that the log was cut */
	ATTR_LEAST_BYTES = 2 + 1 + 4,       /* of one encoded attribute */
	EFFECT_LEAST_BYTES = 1 + 1 + 2 + 4, /* of one encoded effect */
	STATE_LEAST_BYTES = 1 + 8 + 8 + 2 + 2 + 4,
};

static int attrs_check(struct span list, uint32_t count, struct why *why)
{
	if (count > IPC_ATTRS_MAX || count > list.len / ATTR_LEAST_BYTES)
		return why_set(why, -E_PROTO, "INVOKE says %u attributes in %zu bytes", count,
			       list.len);
	struct rd r = rd_from(list.at, list.len);
	struct ipc_attr a;
	for (uint32_t i = 0; i < count; i++) {
		if (!ipc_attr_next(&r, &a))
			return why_set(why, -E_PROTO, "INVOKE: attribute %u is cut short", i);
		if (a.name.len == 0)
			return why_set(why, -E_PROTO, "INVOKE: attribute %u has no name", i);
	}
	if (!rd_done(&r))
		return why_set(why, -E_PROTO, "INVOKE: %zu bytes after the attributes", r.left);
	return 0;
}

int ipc_effects_check(struct span list, uint32_t count, struct why *why)
{
	if (count > IPC_EFFECTS_MAX || count > list.len / EFFECT_LEAST_BYTES)
		return why_set(why, -E_PROTO, "RESULT says %u effects in %zu bytes", count,
			       list.len);
	struct rd r = rd_from(list.at, list.len);
	struct ipc_effect e;
	for (uint32_t i = 0; i < count; i++) {
		if (!ipc_effect_next(&r, &e))
			return why_set(why, -E_PROTO, "RESULT: effect %u is cut short", i);
		if (e.qos > 2 || e.retain > 1)
			return why_set(why, -E_PROTO, "RESULT: effect %u has QoS %u, retain %u", i,
				       e.qos, e.retain);
		const char *wrong = message_attrs_wrong(e.attrs);
		if (wrong)
			return why_set(why, -E_PROTO, "RESULT: effect %u: %s", i, wrong);
	}
	if (!rd_done(&r))
		return why_set(why, -E_PROTO, "RESULT: %zu bytes after the effects", r.left);
	return 0;
}

static bool state_names_ok(struct span bucket, struct span key, bool needs_key)
{
	return bucket.len <= IPC_STATE_BUCKET_MAX && key.len <= IPC_STATE_KEY_MAX &&
	       (key.len > 0 || !needs_key);
}

static int state_check(struct span list, uint32_t count, struct why *why)
{
	if (count > IPC_STATE_OPS_MAX || list.len > IPC_STATE_BYTES ||
	    count > list.len / STATE_LEAST_BYTES)
		return why_set(why, -E_PROTO, "RESULT says %u accesses to state in %zu bytes",
			       count, list.len);
	struct rd r = rd_from(list.at, list.len);
	struct ipc_state_op o;
	for (uint32_t i = 0; i < count; i++) {
		if (!ipc_state_next(&r, &o))
			return why_set(why, -E_PROTO, "RESULT: state access %u is cut short", i);
		if (o.what >= IPC_STATE_WHATS || o.value.len > IPC_STATE_VALUE_MAX ||
		    !state_names_ok(o.bucket, o.key, o.what != IPC_STATE_LISTED) ||
		    (o.what != IPC_STATE_PUT && (o.value.len > 0 || o.ttl_ms > 0)))
			return why_set(why, -E_PROTO,
				       "RESULT: state access %u (%u) has a bucket of %zu, a key of "
				       "%zu and a value of %zu bytes",
				       i, o.what, o.bucket.len, o.key.len, o.value.len);
	}
	if (!rd_done(&r))
		return why_set(why, -E_PROTO, "RESULT: %zu bytes after the state", r.left);
	return 0;
}

static int ask_check(const struct ipc_state_ask *m, struct why *why)
{
	if (m->list > 1 || !state_names_ok(m->bucket, m->key, !m->list) ||
	    m->after.len > IPC_STATE_KEY_MAX || m->most > IPC_STATE_VALUE_MAX)
		return why_set(why, -E_PROTO, "STATE_ASK: a bucket of %zu, a key of %zu bytes",
			       m->bucket.len, m->key.len);
	return 0;
}

static int tell_check(const struct ipc_state_tell *m, struct why *why)
{
	if (m->err > 0 || m->value.len > IPC_STATE_VALUE_MAX)
		return why_set(why, -E_PROTO, "STATE_TELL: error %d, %zu bytes", m->err,
			       m->value.len);
	return 0;
}

static int load_check(const struct ipc_load *m, struct why *why)
{
	if (m->memory_pages > AOT_PAGES_MAX)
		return why_set(why, -E_PROTO, "LOAD: %u pages of memory, at most %u are possible",
			       m->memory_pages, AOT_PAGES_MAX);
	if (m->pad.len != 0)
		return why_set(why, -E_PROTO, "LOAD: the reserved field is not empty");
	return 0;
}

static int loaded_check(const struct ipc_loaded *m, struct why *why)
{
	if (m->err > 0 || m->is_reactor > 1)
		return why_set(why, -E_PROTO, "LOADED: error %d, reactor %u", m->err,
			       m->is_reactor);
	return 0;
}

static int invoke_check(const struct ipc_invoke *m, struct why *why)
{
	if (m->payload_fd_bytes > IPC_PAYLOAD_BYTES)
		return why_set(why, -E_PROTO, "INVOKE: a payload of %u bytes, at most %d",
			       m->payload_fd_bytes, IPC_PAYLOAD_BYTES);
	if (m->payload_fd_bytes > 0 && m->payload.len > 0)
		return why_set(why, -E_PROTO, "INVOKE: the payload is here and in a memfd");
	if (m->is_replay > 1 || m->trace.len > IPC_TRACE_BYTES ||
	    (m->trace.len > 0 && !m->is_replay))
		return why_set(why, -E_PROTO, "INVOKE: replay %u with %zu bytes of trace",
			       m->is_replay, m->trace.len);
	return attrs_check(m->attrs, m->nattrs, why);
}

static int result_check(const struct ipc_result *m, struct why *why)
{
	bool trapped = m->trap != AOT_TRAP_NONE;
	if (m->status >= IPC_STATUS_COUNT || m->trap >= AOT_TRAP_COUNT ||
	    (m->status == IPC_TRAPPED && !trapped) || (m->status == IPC_OK && trapped))
		return why_set(why, -E_PROTO, "RESULT: status %u with trap %u", m->status, m->trap);
	if (m->why.len > WHY_BYTES || m->log.len > IPC_LOG_BYTES + LOG_SLACK_BYTES)
		return why_set(why, -E_PROTO, "RESULT: %zu bytes of reason, %zu of log", m->why.len,
			       m->log.len);
	if (m->trace.len > IPC_TRACE_BYTES)
		return why_set(why, -E_PROTO, "RESULT: %zu bytes of trace, at most %d",
			       m->trace.len, IPC_TRACE_BYTES);
	int err = state_check(m->state, m->nstate, why);
	if (err < 0)
		return err;
	if (m->fd_bytes == 0)
		return ipc_effects_check(m->effects, m->neffects, why);
	if (m->fd_bytes > IPC_PAYLOAD_BYTES)
		return why_set(why, -E_PROTO, "RESULT: %u bytes by memfd, at most %d", m->fd_bytes,
			       IPC_PAYLOAD_BYTES);
	if (m->reply.len > 0 || m->effects.len > 0)
		return why_set(why, -E_PROTO, "RESULT: reply and effects are here and in a memfd");
	if (m->neffects > IPC_EFFECTS_MAX)
		return why_set(why, -E_PROTO, "RESULT: %u effects, at most %d", m->neffects,
			       IPC_EFFECTS_MAX);
	return 0;
}

/* How many descriptors a message of this content must bring. */
static unsigned fds_wanted(const struct ipc_msg *m)
{
	if (m->type == IPC_INVOKE)
		return m->invoke.payload_fd_bytes > 0;
	if (m->type == IPC_RESULT)
		return m->result.fd_bytes > 0;
	return m->type == IPC_LOAD;
}

int ipc_check(const struct ipc_msg *m, struct why *why)
{
	if (m->nfds != fds_wanted(m))
		return why_set(why, -E_PROTO, "%s announces %u descriptors, %u belong to it",
			       ipc_name(m->type), m->nfds, fds_wanted(m));
	if (m->type == IPC_LOAD)
		return load_check(&m->load, why);
	if (m->type == IPC_LOADED)
		return loaded_check(&m->loaded, why);
	if (m->type == IPC_INVOKE)
		return invoke_check(&m->invoke, why);
	if (m->type == IPC_RESULT)
		return result_check(&m->result, why);
	if (m->type == IPC_STATE_ASK)
		return ask_check(&m->ask, why);
	if (m->type == IPC_STATE_TELL)
		return tell_check(&m->tell, why);
	return 0;
}
