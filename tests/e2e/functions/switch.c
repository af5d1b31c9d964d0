/* SPDX-License-Identifier: Apache-2.0 */
/* Sets output "lamp" to the payload; "hang" does not end. */
#include <penstock.h>

PENSTOCK_ON_EVENT int on_event(void)
{
	char value[64] = "";
	int n = penstock_payload(value, sizeof(value) - 1);

	if (n < 0 || (unsigned)n >= sizeof(value))
		return 1;
	if (value[0] == 'h')
		for (volatile int forever = 1; forever;)
			;
	return penstock_set_output("lamp", value) < 0;
}
