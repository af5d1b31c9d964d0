/* SPDX-License-Identifier: Apache-2.0 */
#include <lz4.h>
#include <lz4hc.h>

#include "bench/programs/program.h"

enum { ROUNDS = 20 };

/* What it is compressed to depends on the size of pointers, so the result is what it came from. */
static size_t fast(const uint8_t *in, size_t len, uint8_t *out)
{
	static char packed[PROGRAM_OUT_BYTES];
	int n = 0;
	for (int i = 0; i < ROUNDS; i++)
		n = LZ4_compress_default((const char *)in, packed, (int)len, sizeof(packed));
	n = LZ4_decompress_safe(packed, (char *)out, n, PROGRAM_OUT_BYTES);
	return n > 0 ? (size_t)n : 0;
}

static size_t hc(const uint8_t *in, size_t len, uint8_t *out)
{
	int n = LZ4_compress_HC((const char *)in, (char *)out, (int)len, PROGRAM_OUT_BYTES, 9);
	return n > 0 ? (size_t)n : 0;
}

static size_t decompress(const uint8_t *in, size_t len, uint8_t *out)
{
	int n = 0;
	for (int i = 0; i < ROUNDS; i++)
		n = LZ4_decompress_safe((const char *)in, (char *)out, (int)len, PROGRAM_OUT_BYTES);
	return n > 0 ? (size_t)n : 0;
}

const struct job program_jobs[] = {
	{ "lz4", fast, NULL },
	{ "lz4-hc", hc, NULL },
	{ "unlz4", decompress, "lz4-hc" },
	{ 0 },
};
