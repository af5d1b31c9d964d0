/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linear memory. Guarded: AOT_RESERVE_BYTES of address space, readable only up to the current
 * size, so that the processor finds every access outside (bounds=guard). Otherwise just what it
 * may grow to (bounds=check). The base never moves.
 *
 * A memory that begins every event alike is a private view of a file (image.h), and it knows which
 * of its pages may differ from that file:
 * 1. Watched pages outside `open` cannot be written, so they are as in the file.
 * 2. The first write to one, by the guest or by a host call, faults; memory_write_fault() opens the
 *    page, and the write goes on. A system call does not fault but fails with EFAULT: none may be
 *    given a watched memory to write to.
 * 3. Pages stay open from event to event, because most functions write to the same few every time
 *    and copying those costs less than a fault (facts/toolchain.md).
 */
#ifndef RUNTIME_MEMORY_H
#define RUNTIME_MEMORY_H

#include <stdbool.h>

#include "base/util.h"
#include "base/why.h"
#include "proto/aot_abi.h"

enum {
	MEMORY_RANGES_MAX = 64, /* of one memory */
	/* Of all memories of the process. Each splits a mapping in three, and the kernel allows a
	 * process some 65,000 mappings. Beyond, ranges grow together. */
	MEMORY_RANGES_ALL = 8192,
};

/* Pages of the system, [first, end). */
struct memory_range {
	uint32_t first, end;
};

struct memory {
	struct aot_memory aot; /* what generated code sees */
	size_t reserved_bytes; /* from aot.base on; 0 = it has none */
	uint8_t *map;          /* all of the address space, what was asked for in front included */
	size_t map_bytes;
	uint32_t page_bytes;    /* of the system: 4, 16 or 64 KiB */
	uint64_t watched_bytes; /* from the base on; 0: any page may have been written */
	bool small_pages;       /* the kernel was told */
	uint32_t nfaults;       /* writes that opened a page; whoever resets it clears this */
	uint32_t nresets;       /* since the watch began; image.c */
	uint32_t nopen;
	struct memory_range open[MEMORY_RANGES_MAX]; /* ascending, apart from each other */
};

/* Address space for limits.min pages that may grow to limits.max, none of it accessible yet, and
 * `front` bytes more, a multiple of 64 KiB, at m->map. -E_LIMIT when min is over max or there is
 * none left. */
int memory_init(struct memory *m, struct aot_limits limits, bool guarded, size_t front,
		struct why *why) MUST_USE;
/* Only address space: as memory_init() of a module without a memory. */
int memory_init_none(struct memory *m, size_t front, struct why *why) MUST_USE;
void memory_fini(struct memory *m);

/* Makes its pages accessible: zeros. -ENOMEM. Or else memory_view(). */
int memory_clear(struct memory *m) MUST_USE;
/* The old size in pages, or UINT32_MAX. */
uint32_t memory_grow(struct aot_memory *m, uint32_t pages);
/* Back to `bytes`; what lay above is gone. */
int memory_shrink(struct memory *m, uint64_t bytes) MUST_USE;
/* In the reservation: an access there by generated code is a guest's mistake. */
bool memory_reserves(const struct memory *m, uintptr_t address);

/* Makes the file's `bytes` its whole contents; the size must be at most that before. Watched, with
 * no page open, or writable all over. -ENOMEM: it must be freed. */
int memory_view(struct memory *m, int fd, uint64_t bytes, bool watched) MUST_USE;
/* Lets pages of a watched memory be written. Safe in signal handlers. False if the kernel will not. */
bool memory_open(struct memory *m, struct memory_range r) MUST_USE;
/* In the handler of a fault that a forbidden write caused: true if it may be tried again. */
bool memory_write_fault(struct memory *m, uintptr_t address);

#endif
