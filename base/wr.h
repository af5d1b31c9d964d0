/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded writer: a buffer, a capacity, and a sticky overflow flag, so that a caller writes a whole
 * record and asks once. Nothing is ever written partly: what does not fit is left out and overflow
 * is set. Integers are little endian.
 */
#ifndef BASE_WR_H
#define BASE_WR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/util.h"

struct wr {
	uint8_t *buf; /* borrowed */
	size_t len, cap;
	bool overflow;
};

static inline struct wr wr_into(void *buf, size_t cap)
{
	return (struct wr){ .buf = (uint8_t *)buf, .cap = cap };
}

static inline bool wr_ok(const struct wr *w)
{
	return !w->overflow;
}

void wr_bytes(struct wr *w, const void *p, size_t n);
void wr_u8(struct wr *w, uint8_t v);
void wr_u16(struct wr *w, uint16_t v);
void wr_u32(struct wr *w, uint32_t v);
void wr_u64(struct wr *w, uint64_t v);
void wr_leb_u32(struct wr *w, uint32_t v);
void wr_str(struct wr *w, const char *s); /* without its NUL */
/* Formatted text without its NUL; all of it or nothing. */
void wr_fmt(struct wr *w, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
