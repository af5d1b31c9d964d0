/* SPDX-License-Identifier: Apache-2.0 */
#include <zlib.h>

#include "bench/programs/program.h"

static size_t deflate_at(int level, const uint8_t *in, size_t len, uint8_t *out)
{
	uLongf n = PROGRAM_OUT_BYTES;
	return compress2(out, &n, in, len, level) == Z_OK ? n : 0;
}

static size_t deflate1(const uint8_t *in, size_t len, uint8_t *out)
{
	return deflate_at(1, in, len, out);
}

static size_t deflate6(const uint8_t *in, size_t len, uint8_t *out)
{
	return deflate_at(6, in, len, out);
}

static size_t deflate9(const uint8_t *in, size_t len, uint8_t *out)
{
	return deflate_at(9, in, len, out);
}

/* Short texts are over soon: ten times. */
static size_t inflate10(const uint8_t *in, size_t len, uint8_t *out)
{
	uLongf n = 0;
	for (int i = 0; i < 10; i++) {
		n = PROGRAM_OUT_BYTES;
		if (uncompress(out, &n, in, len) != Z_OK)
			return 0;
	}
	return n;
}

const struct job program_jobs[] = {
	{ "deflate-1", deflate1, NULL },
	{ "deflate-6", deflate6, NULL },
	{ "deflate-9", deflate9, NULL },
	{ "inflate", inflate10, "deflate-6" },
	{ 0 },
};
