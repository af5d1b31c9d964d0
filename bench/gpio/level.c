/* SPDX-License-Identifier: Apache-2.0 */
/* Answers an edge with its level, on the binding's output. */
#include <penstock.h>

PENSTOCK_ON_EVENT int on_event(void)
{
	char level;
	if (penstock_payload(&level, sizeof(level)) != sizeof(level))
		return 1;
	return penstock_emit("", &level, sizeof(level));
}
