/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernels PASSES [NAME...]: runs the kernels of these names, or all of them, and prints for each
 *     NAME CHECKSUM NANOSECONDS
 * the CPU time of the fastest of PASSES runs; one more before them warms caches and JIT compilers.
 * With PASSES 0 nothing is timed.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/kernels/kernel.h"

#define K(name) extern const struct kernel kernel_##name;
#include "bench/kernels/kernels.def"
#undef K

static const struct kernel *const kernels[] = {
#define K(name) &kernel_##name,
#include "bench/kernels/kernels.def"
#undef K
};

static uint32_t next_random(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

void fill_doubles(double *to, size_t n, uint32_t seed)
{
	while (n--)
		*to++ = (double)(next_random(&seed) >> 8) / 16777216.0;
}

void fill_floats(float *to, size_t n, uint32_t seed)
{
	while (n--)
		*to++ = (float)(next_random(&seed) >> 8) / 16777216.0f;
}

void fill_words(uint32_t *to, size_t n, uint32_t seed)
{
	while (n--)
		*to++ = next_random(&seed);
}

void fill_bytes(void *to, size_t n, uint32_t seed)
{
	for (uint8_t *p = to; n--; p++)
		*p = (uint8_t)(next_random(&seed) >> 11);
}

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

static uint64_t checksum(const uint8_t *p, size_t n)
{
	uint64_t h = 0xcbf29ce484222325;
	for (; n >= 8; n -= 8, p += 8) {
		uint64_t word;
		memcpy(&word, p, 8);
		h = (h ^ word) * 0x9e3779b97f4a7c15;
		h ^= h >> 29;
	}
	for (; n > 0; n--, p++)
		h = (h ^ *p) * 0x100000001b3;
	return h;
}

static bool measure(const struct kernel *k, int passes)
{
	uint64_t best_ns = passes > 0 ? UINT64_MAX : 0;
	void *state = malloc(k->state_bytes);
	if (!state)
		return false;
	for (int pass = 0; pass <= passes; pass++) {
		memset(state, 0, k->state_bytes);
		k->fill(state);
		uint64_t from_ns = cpu_ns();
		k->run(state);
		uint64_t ns = cpu_ns() - from_ns;
		best_ns = pass > 0 && ns < best_ns ? ns : best_ns;
	}
	printf("%s %016" PRIx64 " %" PRIu64 "\n", k->name, checksum(state, k->state_bytes),
	       best_ns);
	free(state);
	return true;
}

static bool wanted(const char *name, char *const *names)
{
	bool any = !*names;
	for (; *names; names++)
		any |= strcmp(*names, name) == 0;
	return any;
}

int main(int argc, char **argv)
{
	int done = 0;
	if (argc < 2) {
		fprintf(stderr, "usage: kernels PASSES [NAME...]\n");
		return 64;
	}
	for (size_t i = 0; i < sizeof(kernels) / sizeof(*kernels); i++) {
		if (!wanted(kernels[i]->name, argv + 2))
			continue;
		if (!measure(kernels[i], atoi(argv[1]))) {
			fprintf(stderr, "kernels: no memory for %s\n", kernels[i]->name);
			return 1;
		}
		done++;
	}
	if (done < argc - 2) {
		fprintf(stderr, "kernels: a name is not of a kernel; kernels.def lists them\n");
		return 64;
	}
	return 0;
}
