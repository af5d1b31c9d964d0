/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that an event can see: says "COUNT SECONDS.NANOSECONDS RANDOM PAYLOAD", COUNT from state. With -DV2 the count
 * goes up by two. Payload "crash" traps, "fail" fails.
 */
#include <penstock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef V2
enum { STEP = 2 };
#else
enum { STEP = 1 };
#endif

PENSTOCK_ON_EVENT int on_event(void)
{
	char text[512], payload[128] = "";
	unsigned count = 0;
	unsigned char dice[8];
	struct timespec t;
	int n = penstock_payload(payload, sizeof(payload) - 1);

	if (n < 0 || clock_gettime(CLOCK_REALTIME, &t) != 0 || getentropy(dice, sizeof(dice)) != 0)
		return 1;
	if (strcmp(payload, "crash") == 0)
		__builtin_trap();
	if (strcmp(payload, "fail") == 0)
		return 7;
	(void)penstock_state_get_n("", 0, "count", 5, &count, sizeof(count));
	count += STEP;
	if (penstock_state_put_n("", 0, "count", 5, &count, sizeof(count), 0) != 0)
		return 2;
	n = snprintf(text, sizeof(text), "%u %lld.%09ld %02x%02x%02x%02x%02x%02x%02x%02x %s", count,
		     (long long)t.tv_sec, t.tv_nsec, dice[0], dice[1], dice[2], dice[3], dice[4],
		     dice[5], dice[6], dice[7], payload);
	return penstock_emit("", text, (unsigned)n);
}
