/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/slots.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "proto/aot_abi.h"

enum { MAPPINGS_DEFAULT = 65530 }; /* the kernel's */

static bool address_space_for(unsigned slots)
{
	size_t all = (size_t)(AOT_RESERVE_BYTES * slots);
	void *p = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return p != MAP_FAILED && munmap(p, all) == 0;
}

static unsigned mappings_allowed(void)
{
	char text[32] = "";
	OWN_FD fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
	unsigned long most = n > 0 ? strtoul(text, NULL, 10) : 0;
	return most > 0 && most <= INT_MAX ? (unsigned)most : MAPPINGS_DEFAULT;
}

unsigned slots_that_fit(void)
{
	unsigned most = mappings_allowed() / SLOTS_MAPS, fit = 0;
	most = most < SLOTS_MAX ? most : SLOTS_MAX;
	if (address_space_for(most))
		return most;
	for (unsigned step = SLOTS_MAX; step > 0; step /= 2)
		if (fit + step <= most && address_space_for(fit + step))
			fit += step;
	fit -= fit / 8; /* stacks, code, and whatever else needs addresses */
	LOG(LOG_NOTE, "address space is short: events beyond this many at a time wait",
	    F_U64("sandboxes", fit));
	return fit > 0 ? fit : 1;
}
