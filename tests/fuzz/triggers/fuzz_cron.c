/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a cron expression; what is accepted comes, and goes on coming. */
#include <string.h>

#include "triggers/cron.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[CRON_TEXT_BYTES + 2] = "";
	struct cron c;
	struct zone *utc = NULL;
	memcpy(text, data, size < sizeof(text) ? size : sizeof(text) - 1);
	if (cron_parse(text, &c, NULL) < 0 || zone_open("", "UTC", &utc, NULL) < 0)
		return 0;
	int64_t at = 1774746000;
	for (int i = 0; i < 5; i++) {
		int64_t next = cron_next(&c, utc, at);
		ENSURE(next > at && next % 60 == 0);
		at = next;
	}
	zone_free(utc);
	return 0;
}
