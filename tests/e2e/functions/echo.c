/* SPDX-License-Identifier: Apache-2.0 */
/* Answers each event with its own payload, on the binding's topic. */
#include <penstock.h>

static char payload[1 << 20];

PENSTOCK_ON_EVENT int on_event(void)
{
	int n = penstock_payload(payload, sizeof(payload));

	if (n < 0 || (unsigned)n > sizeof(payload))
		return 1;
	return penstock_emit("", payload, (uint32_t)n);
}
