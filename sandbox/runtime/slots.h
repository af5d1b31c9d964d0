/* SPDX-License-Identifier: Apache-2.0 */
/* How many instances this process has room for. */
#ifndef RUNTIME_SLOTS_H
#define RUNTIME_SLOTS_H

enum {
	SLOTS_MAX = 16384, /* each takes 4 GiB of address space: half of what 47 bits give */
	/* and so many of the kernel's mappings (vm.max_map_count) */
	SLOTS_MAPS = 5,
};

/* At least 1. Logs when it is few. To be asked at start: it opens a file, and maps what it can. */
unsigned slots_that_fit(void);

#endif
