/* SPDX-License-Identifier: Apache-2.0 */
/* Calls the host so many times, burns the processor, or sleeps until a time of CLOCK_MONOTONIC. */
#include <stdint.h>
#include <time.h>

#include <penstock.h>

PENSTOCK_ON_EVENT int on_event(void)
{
	struct {
		uint32_t calls, burn;
		uint64_t until_ns;
	} want = { 0 };
	(void)penstock_payload((char *)&want, sizeof(want));
	for (uint32_t i = 0; i < want.calls; i++)
		(void)penstock_payload((char *)0, 0);
	uint32_t x = want.burn;
	for (uint32_t i = 0; i < want.burn; i++)
		x = (x ^ x >> 15) * 2654435761; /* no compiler finds a shorter way */
	if (x == want.calls + 1)
		return 1;
	if (want.until_ns > 0) {
		const struct timespec t = { (time_t)(want.until_ns / 1000000000),
					    (long)(want.until_ns % 1000000000) };
		(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
	}
	return 0;
}
