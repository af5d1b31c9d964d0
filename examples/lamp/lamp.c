/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lamp: each event, a button that was pressed say, switches a lamp over. Whether it is lit is remembered: each
 * event meets a fresh instance.
 *
 *	[output.lamp]			in the gateway's configuration
 *	gpio = GPIO27
 *
 *	penstock bind lamp --gpio GPIO17 --with edge=rising --with debounce=20ms
 */
#include <penstock.h>

PENSTOCK_ON_EVENT int on_event(void)
{
	char lit = 0;
	int32_t n = penstock_state_get("lit", &lit, sizeof(lit));
	if (n < 0 && n != PENSTOCK_ENOENT)
		return 1;
	lit = !lit;
	if (penstock_state_put("lit", &lit, sizeof(lit)) < 0)
		return 1;
	return penstock_set_output("lamp", lit ? "1" : "0") < 0;
}
