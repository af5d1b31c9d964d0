/* SPDX-License-Identifier: Apache-2.0 */
/* Refuses events whose payload begins with "bad", answers the others. */
#include <penstock.h>
#include <string.h>

static char payload[1 << 12];

PENSTOCK_ON_EVENT int on_event(void)
{
	int n = penstock_payload(payload, sizeof(payload));

	if (n < 0 || (unsigned)n > sizeof(payload) || (n >= 3 && memcmp(payload, "bad", 3) == 0))
		return 1;
	return penstock_emit("", payload, (uint32_t)n);
}
