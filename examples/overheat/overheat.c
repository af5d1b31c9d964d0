/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overheat, as a C reactor: a temperature comes in, and when it is above the limit an alert goes
 * out on the binding's own topic.
 *
 *	penstock bind overheat --mqtt 'sensors/+/temperature' --publish 'alerts/{1}'
 */
#include <penstock.h>

#include "reading.h"

PENSTOCK_ON_EVENT int on_event(void)
{
	char json[1024], alert[256];
	const char *problem;

	int len = penstock_payload(json, sizeof(json));
	if (len < 0 || (size_t)len > sizeof(json)) {
		penstock_log(PENSTOCK_ERROR, "the payload is longer than 1024 bytes");
		return 1;
	}
	int n = check_reading((struct text){ json, (size_t)len }, alert, sizeof(alert), &problem);
	if (n < 0) {
		penstock_log(PENSTOCK_ERROR, problem);
		return 1;
	}
	return n == 0 ? 0 : penstock_emit("", alert, (uint32_t)n);
}
