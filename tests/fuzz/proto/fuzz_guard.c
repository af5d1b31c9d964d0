/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a message to the guard, with and without a descriptor; what is accepted is put as it came. */
#include <string.h>

#include "proto/guard_action.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int fd = -1; fd <= 0; fd++) {
		uint8_t room[GUARD_MESSAGE_MAX];
		struct wr w = wr_into(room, sizeof(room));
		struct guard_action a;
		if (guard_parse((struct span){ data, size }, fd, &a, NULL) < 0)
			continue;
		ENSURE(a.output < GUARD_OUTPUTS_MAX && a.length <= GUARD_BYTES_MAX);
		/* A name with a NUL in it ends there. */
		ENSURE(guard_put(&w, &a) && (w.len < size || memcmp(room, data, size) == 0));
	}
	return 0;
}
