/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdint.h>
#include <string.h>

enum { CHUNK_BYTES = 64 * 1024, ALIGN = 16 };

struct arena_chunk {
	struct arena_chunk *next;
	size_t size, used;
	_Alignas(ALIGN) uint8_t bytes[];
};

void arena_init(struct arena *a, size_t cap_bytes)
{
	*a = (struct arena){ .cap_bytes = cap_bytes };
}

void arena_fini(struct arena *a)
{
	for (struct arena_chunk *c = a->chunks, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	a->chunks = NULL;
	a->used_bytes = 0;
}

static struct arena_chunk *chunk_add(struct arena *a, size_t need)
{
	size_t size = need > CHUNK_BYTES / 4 ? need : CHUNK_BYTES;
	struct arena_chunk *c = malloc(sizeof(*c) + size);
	if (!c)
		return NULL;
	*c = (struct arena_chunk){ .size = size };
	/* A large piece gets a chunk of its own, behind the one that still has room. */
	if (a->chunks && size == need) {
		c->next = a->chunks->next;
		a->chunks->next = c;
	} else {
		c->next = a->chunks;
		a->chunks = c;
	}
	return c;
}

void *arena_alloc(struct arena *a, size_t count, size_t size)
{
	size_t bytes, top;
	if (__builtin_mul_overflow(count, size, &bytes) ||
	    __builtin_add_overflow(bytes, (size_t)(ALIGN - 1), &bytes))
		return NULL;
	bytes &= ~(size_t)(ALIGN - 1);
	if (bytes == 0)
		bytes = ALIGN;
	if (__builtin_add_overflow(a->used_bytes, bytes, &top) || top > a->cap_bytes ||
	    bytes > SIZE_MAX / 2)
		return NULL;
	struct arena_chunk *c = a->chunks;
	if (!c || c->size - c->used < bytes)
		c = chunk_add(a, bytes);
	if (!c)
		return NULL;
	void *p = c->bytes + c->used;
	c->used += bytes;
	a->used_bytes = top;
	return memset(p, 0, bytes);
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
	if (len == SIZE_MAX)
		return NULL;
	char *copy = arena_alloc(a, len + 1, 1);
	if (copy && len)
		memcpy(copy, s, len);
	return copy;
}
