/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded reader of foreign bytes. The error is sticky: after the first one every read gives 0 (or
 * an empty span) and consumes nothing, so a caller may read a whole record and ask once.
 * Integers are little endian. LEB128 as in the WebAssembly core specification, section 5.2.2:
 * over-long forms and set bits beyond the width are errors.
 */
#ifndef BASE_RD_H
#define BASE_RD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"

struct rd {
	const uint8_t *at;
	size_t left;
	int err; /* 0, or the first error, negative (-E_PROTO) */
};

struct span {
	const uint8_t *at; /* borrowed from the reader's buffer; not NUL-terminated */
	size_t len;
};

static inline struct rd rd_from(const void *p, size_t len)
{
	return (struct rd){ .at = (const uint8_t *)p, .left = len };
}

static inline bool rd_ok(const struct rd *r)
{
	return r->err == 0;
}

/* Nothing failed and nothing is left. */
static inline bool rd_done(const struct rd *r)
{
	return r->err == 0 && r->left == 0;
}

void rd_fail(struct rd *r, int err);
uint8_t rd_u8(struct rd *r);
uint16_t rd_u16(struct rd *r);
uint32_t rd_u32(struct rd *r);
uint64_t rd_u64(struct rd *r);
uint32_t rd_leb_u32(struct rd *r);
int32_t rd_leb_s32(struct rd *r);
int64_t rd_leb_s33(struct rd *r); /* block types */
int64_t rd_leb_s64(struct rd *r);
struct span rd_span(struct rd *r, size_t len);
/* A count of elements that take at least min_elem_bytes each: proven against what is left, so it
 * is safe to allocate by. min_elem_bytes > 0. */
uint32_t rd_leb_count(struct rd *r, size_t min_elem_bytes);
uint32_t rd_u32_count(struct rd *r, size_t min_elem_bytes);

bool span_eq(struct span s, const char *literal);
bool span_same(struct span a, struct span b);
/* Well-formed UTF-8 (no surrogates, no over-long forms, at most U+10FFFF). */
bool span_is_utf8(struct span s);

#endif
