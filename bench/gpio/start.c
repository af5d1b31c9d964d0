/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As level.c; and says in the log how long after the kernel's time stamp of the edge it was started. Its clock is the host's
 * CLOCK_MONOTONIC, as the stamp's is, and looking at it is the first thing that it does.
 */
#include <penstock.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

PENSTOCK_ON_EVENT int on_event(void)
{
	struct timespec now;
	char stamp[24], level, text[40];

	if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
		return 1;
	int n = penstock_attr("time_ns", stamp, sizeof(stamp) - 1);
	if (n <= 0 || n >= (int)sizeof(stamp) ||
	    penstock_payload(&level, sizeof(level)) != sizeof(level))
		return 1;
	stamp[n] = '\0';
	long long ns = now.tv_sec * 1000000000LL + now.tv_nsec - strtoll(stamp, NULL, 10);
	(void)snprintf(text, sizeof(text), "started after %lld ns", ns);
	if (penstock_log(PENSTOCK_INFO, text) < 0)
		return 1;
	return penstock_emit("", &level, sizeof(level));
}
