/* SPDX-License-Identifier: Apache-2.0 */
/* Wall clock time for people: RFC 3339 in UTC with milliseconds. */
#ifndef GATEWAY_WALL_H
#define GATEWAY_WALL_H

#include <stdint.h>

enum { WALL_TEXT = sizeof("2026-11-20T09:05:07.123Z") + 8 };

uint64_t wall_ms(void); /* since 1970 */
/* Returns ret. */
const char *wall_text(uint64_t at_wall_ms, char ret[WALL_TEXT]);

#endif
