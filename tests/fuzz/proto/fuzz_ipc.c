/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a message of either side; what is accepted can be walked to its end. */
#include "proto/ipc.h"

static void walk(struct span attrs, struct span effects, struct span state)
{
	struct ipc_attr a;
	struct ipc_effect e;
	struct rd r = rd_from(attrs.at, attrs.len);
	while (ipc_attr_next(&r, &a))
		ENSURE(a.name.len > 0);
	ENSURE(rd_done(&r));
	r = rd_from(effects.at, effects.len);
	while (ipc_effect_next(&r, &e))
		ENSURE(e.qos <= 2 && e.retain <= 1);
	ENSURE(rd_done(&r));
	struct ipc_state_op o;
	r = rd_from(state.at, state.len);
	while (ipc_state_next(&r, &o))
		ENSURE(o.what < IPC_STATE_WHATS && o.key.len <= IPC_STATE_KEY_MAX);
	ENSURE(rd_done(&r));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct span none = { 0 };
	struct ipc_msg m;
	if (ipc_parse(IPC_GATEWAY, data, size, &m, NULL) == 0 && m.type == IPC_INVOKE)
		walk(m.invoke.attrs, none, none);
	if (ipc_parse(IPC_SANDBOX, data, size, &m, NULL) == 0 && m.type == IPC_RESULT)
		walk(none, m.result.effects, m.result.state);
	m.result =
		(struct ipc_result){ .fd_bytes = (uint32_t)size, .neffects = size ? data[0] : 0 };
	if (ipc_result_unpack(&m.result, data, size, NULL) == 0)
		walk(none, m.result.effects, none);
	return 0;
}
