/* SPDX-License-Identifier: Apache-2.0 */
#include <bzlib.h>
#include <stdlib.h>

#include "bench/programs/program.h"

void bz_internal_error(int code);
void bz_internal_error(int code) /* BZ_NO_STDIO leaves it to the program */
{
	(void)code;
	abort();
}

static size_t compress9(const uint8_t *in, size_t len, uint8_t *out)
{
	unsigned n = PROGRAM_OUT_BYTES;
	int rc = BZ2_bzBuffToBuffCompress((char *)out, &n, (char *)in, (unsigned)len, 9, 0, 30);
	return rc == BZ_OK ? n : 0;
}

static size_t decompress(const uint8_t *in, size_t len, uint8_t *out)
{
	unsigned n = PROGRAM_OUT_BYTES;
	int rc = BZ2_bzBuffToBuffDecompress((char *)out, &n, (char *)in, (unsigned)len, 0, 0);
	return rc == BZ_OK ? n : 0;
}

const struct job program_jobs[] = {
	{ "bzip2-9", compress9, NULL },
	{ "bunzip2", decompress, "bzip2-9" },
	{ 0 },
};
