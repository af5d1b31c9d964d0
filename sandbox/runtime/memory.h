/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linear memory. Guarded: AOT_RESERVE_BYTES of address space, readable only up to the current
 * size, so that the processor finds every access outside (bounds=guard). Otherwise just what it
 * may grow to (bounds=check). The base never moves.
 */
#ifndef RUNTIME_MEMORY_H
#define RUNTIME_MEMORY_H

#include <stdbool.h>

#include "base/util.h"
#include "base/why.h"
#include "proto/aot_abi.h"

struct memory {
	struct aot_memory aot; /* what generated code sees */
	size_t reserved_bytes; /* 0 = none */
};

/* Maps limits.min zeroed pages that may grow to limits.max. -E_LIMIT when min is over max or the
 * reservation finds no address space, -ENOMEM. */
int memory_init(struct memory *m, struct aot_limits limits, bool guarded, struct why *why) MUST_USE;
void memory_fini(struct memory *m);

/* The old size in pages, or UINT32_MAX. */
uint32_t memory_grow(struct aot_memory *m, uint32_t pages);
/* Back to `bytes`; what lay above is gone. */
int memory_shrink(struct memory *m, uint64_t bytes) MUST_USE;
/* In the reservation: an access there by generated code is a guest's mistake. */
bool memory_reserves(const struct memory *m, uintptr_t address);

#endif
