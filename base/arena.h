/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for one request or one module load: many small pieces, freed together. The cap is a
 * quota: hostile input cannot make the process take more than cap_bytes.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/util.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks; /* newest first */
	size_t used_bytes;          /* what was handed out, with padding */
	size_t cap_bytes;
};

void arena_init(struct arena *a, size_t cap_bytes);
/* Frees everything; a zeroed arena is fine. The arena can be used again with the same cap. */
void arena_fini(struct arena *a);

/* count * size zeroed bytes, aligned for any type; NULL over quota, on overflow or out of memory.
 * count or size 0 gives a valid pointer that must not be dereferenced. */
void *arena_alloc(struct arena *a, size_t count, size_t size) MUST_USE;
/* A NUL-terminated copy of len bytes. NULL as above. */
char *arena_strndup(struct arena *a, const char *s, size_t len) MUST_USE;

#define ARENA_NEW(a, type, count) ((type *)arena_alloc((a), (count), sizeof(type)))

#endif
