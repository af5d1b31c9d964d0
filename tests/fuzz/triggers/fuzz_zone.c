/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a TZif file; what is accepted has spans that follow each other. */
#include "triggers/zone.h"

static const int64_t times[] = { INT64_MIN / 4, -86400, 0, 1774746000, 4102444800, INT64_MAX / 4 };

static void walk(const struct zone *z, int64_t when)
{
	struct zone_span s, next;
	zone_at(z, when, &s);
	ENSURE(s.from <= when && when < s.until);
	for (int i = 0; i < 8 && s.until < INT64_MAX; i++, s = next) {
		zone_at(z, s.until, &next);
		ENSURE(next.from == s.until && next.until > next.from && next.before == s.offset);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct zone *z = NULL;
	if (zone_parse((struct span){ data, size }, &z, NULL) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(times); i++)
		walk(z, times[i]);
	zone_free(z);
	return 0;
}
