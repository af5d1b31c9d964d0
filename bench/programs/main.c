/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PROGRAM PASSES: does each job PASSES times, and prints for each
 *     NAME CHECKSUM NANOSECONDS
 * the CPU time of the fastest; once more before them warms caches. With PASSES 0 nothing is timed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/programs/program.h"

static uint8_t text[PROGRAM_TEXT_BYTES], out[PROGRAM_JOBS_MAX][PROGRAM_OUT_BYTES];
static size_t out_bytes[PROGRAM_JOBS_MAX];

#ifdef __wasm__
/* wasi-libc has no CPU clocks, WASI has. */
__attribute__((import_module("wasi_snapshot_preview1"), import_name("clock_time_get"))) uint32_t
wasi_clock_time_get(uint32_t id, uint64_t precision, uint64_t *ret_ns);

static uint64_t cpu_ns(void)
{
	enum { THREAD_CPU = 3 };
	uint64_t ns = 0;
	if (wasi_clock_time_get(THREAD_CPU, 1, &ns) != 0)
		abort();
	return ns;
}
#else
static uint64_t cpu_ns(void)
{
	struct timespec t;
	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0)
		abort();
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}
#endif

static uint32_t next_random(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

/* A log of machines: words that come often and seldom, numbers, and lines like others before. */
static void fill_text(void)
{
	static const char *const words[] = {
		"pump",     "valve", "motor", "state",  "open",  "closed", "temperature", "warning",
		"pressure", "ok",    "fault", "sensor", "north", "south",  "maintenance", "restart",
	};
	uint32_t x = 2463534242;
	size_t at = 0;
	while (at < sizeof(text)) {
		char line[256];
		int n = snprintf(line, sizeof(line),
				 "%08" PRIu32 " {\"id\":\"plant-%" PRIu32 "\",\"value\":%" PRIu32
				 ".%02" PRIu32 "}",
				 (uint32_t)at * 7, next_random(&x) % 40, next_random(&x) % 1000,
				 next_random(&x) % 100);
		for (uint32_t k = next_random(&x) % 9; k > 0; k--) {
			uint32_t common = next_random(&x) % 16,
				 word = next_random(&x) % (common + 1);
			n += snprintf(line + n, sizeof(line) - (size_t)n, " %s", words[word]);
		}
		line[n++] = '\n';
		for (int i = 0; i < n && at < sizeof(text); i++)
			text[at++] = (uint8_t)line[i];
	}
}

static uint64_t checksum(const uint8_t *p, size_t n)
{
	uint64_t h = 0xcbf29ce484222325 ^ n;
	for (; n > 0; n--, p++)
		h = (h ^ *p) * 0x100000001b3;
	return h;
}

static int input_of(size_t job, const uint8_t **ret, size_t *ret_len)
{
	*ret = text;
	*ret_len = sizeof(text);
	for (size_t i = 0; program_jobs[job].of && i < job; i++) {
		if (strcmp(program_jobs[i].name, program_jobs[job].of) == 0) {
			*ret = out[i];
			*ret_len = out_bytes[i];
			return 0;
		}
	}
	return program_jobs[job].of ? -1 : 0;
}

static int run(size_t job, int passes)
{
	const uint8_t *in;
	size_t len;
	uint64_t best_ns = passes > 0 ? UINT64_MAX : 0;
	if (job == PROGRAM_JOBS_MAX || input_of(job, &in, &len) < 0)
		return -1;
	for (int pass = 0; pass <= passes; pass++) {
		uint64_t from_ns = cpu_ns();
		out_bytes[job] = program_jobs[job].run(in, len, out[job]);
		uint64_t ns = cpu_ns() - from_ns;
		best_ns = pass > 0 && ns < best_ns ? ns : best_ns;
		if (out_bytes[job] == 0 || out_bytes[job] > PROGRAM_OUT_BYTES)
			return -1;
	}
	printf("%s %016" PRIx64 " %" PRIu64 "\n", program_jobs[job].name,
	       checksum(out[job], out_bytes[job]), best_ns);
	return 0;
}

int main(int argc, char **argv)
{
	int passes = argc > 1 ? atoi(argv[1]) : 0;
	fill_text();
	for (size_t i = 0; program_jobs[i].name; i++) {
		if (run(i, passes) < 0) {
			fprintf(stderr, "%s failed\n", program_jobs[i].name);
			return 1;
		}
	}
	return 0;
}
