/* SPDX-License-Identifier: Apache-2.0 */
/* Does nothing: what is left is the price of a sandbox. */
#include <penstock.h>

PENSTOCK_ON_EVENT int on_event(void)
{
	return 0;
}
