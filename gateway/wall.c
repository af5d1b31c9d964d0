/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/wall.h"

#include <stdio.h>
#include <time.h>

uint64_t wall_ms(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

const char *wall_text(uint64_t at_wall_ms, char ret[WALL_TEXT])
{
	struct tm tm = { 0 };
	time_t s = (time_t)(at_wall_ms / 1000);
	(void)gmtime_r(&s, &tm);
	char date[24];
	if (strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		date[0] = '\0';
	(void)snprintf(ret, WALL_TEXT, "%s.%03uZ", date, (unsigned)(at_wall_ms % 1000));
	return ret;
}
