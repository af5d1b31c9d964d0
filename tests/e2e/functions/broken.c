/* SPDX-License-Identifier: Apache-2.0 */
/* A new version with a bug: it refuses every event. */
#include <penstock.h>

PENSTOCK_ON_EVENT int on_event(void)
{
	return 3;
}
