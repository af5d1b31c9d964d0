/* SPDX-License-Identifier: Apache-2.0 */
/* Small modules for tests: bytes as string literals, so that a row of a table is one line. */
#ifndef TESTS_WASM_BUILD_H
#define TESTS_WASM_BUILD_H

#include "base/wr.h"

struct bytes {
	const char *at;
	size_t len;
};
/* B("\x01\x00") keeps its zeros. */
#define B(literal)                                                                                 \
	{                                                                                          \
		literal, sizeof(literal) - 1                                                       \
	}

static inline void build_header(struct wr *w)
{
	wr_bytes(w, "\0asm\1\0\0\0", 8);
}

static inline void build_section(struct wr *w, uint8_t id, const void *p, size_t n)
{
	wr_u8(w, id);
	wr_leb_u32(w, (uint32_t)n);
	wr_bytes(w, p, n);
}

#define BUILD_SECTION(w, id, literal) build_section((w), (id), (literal), sizeof(literal) - 1)

#endif
