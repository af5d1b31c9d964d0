/* SPDX-License-Identifier: Apache-2.0 */
/* Uses processor time: as many rounds as the payload's four bytes say. */
#include "penstock.h"

PENSTOCK_ON_EVENT int on_event(void)
{
	uint32_t rounds = 0, x = 1;
	if (penstock_payload(&rounds, sizeof(rounds)) != sizeof(rounds))
		return 1;
	for (uint32_t i = 0; i < rounds; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
	}
	return x == 0; /* never: the loop has to be run to know */
}
