/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody else's library is made to do: jobs that turn bytes into bytes. */
#ifndef BENCH_PROGRAM_H
#define BENCH_PROGRAM_H

#include <stddef.h>
#include <stdint.h>

enum { PROGRAM_TEXT_BYTES = 1 << 20, PROGRAM_OUT_BYTES = 3 << 19, PROGRAM_JOBS_MAX = 8 };

struct job {
	const char *name;
	/* Fills out[0..PROGRAM_OUT_BYTES) and returns how much of it; 0: it failed. */
	size_t (*run)(const uint8_t *in, size_t len, uint8_t *out);
	const char *of; /* the job before whose result is the input; NULL: a text */
};

extern const struct job program_jobs[]; /* ends with a name of NULL */

#endif
