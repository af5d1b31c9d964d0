/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calls PASSES: what calls cost. Prints for each kind
 *     NAME CHECKSUM PICOSECONDS
 * per call, of the fastest of PASSES runs.
 *   direct    fib(n): a function that calls itself, which no compiler can inline away
 *   indirect  through a table, one of four functions in turn
 *   host      clock_res_get, the least that a WASI host does: one checked store. Natively,
 *             a function behind a pointer that is read each time, as those of shared objects are
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { FIB = 32, INDIRECT_CALLS = 5000000, HOST_CALLS = 1000000 };

#ifdef __wasm__
#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))
WASI(clock_time_get)
uint32_t wasi_clock_time_get(uint32_t id, uint64_t precision, uint64_t *ret_ns);
WASI(clock_res_get) uint32_t host(uint32_t id, uint64_t *ret_ns);

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

static uint32_t native_host(uint32_t id, uint64_t *ret_ns)
{
	*ret_ns = 1;
	return id > 3 ? 28 : 0;
}
static uint32_t (*volatile host)(uint32_t id, uint64_t *ret_ns) = native_host;
#endif

static uint32_t fib(uint32_t n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static uint32_t add(uint32_t x)
{
	return x + 1;
}

static uint32_t mul(uint32_t x)
{
	return x * 1664525;
}

static uint32_t xor (uint32_t x) { return x ^ 0x9e3779b9; }

	static uint32_t turn(uint32_t x)
{
	return x << 7 | x >> 25;
}

typedef uint32_t step(uint32_t x);
static step *const steps[] = { add, mul, xor, turn };

static uint32_t direct(void)
{
	return fib(FIB);
}

static uint32_t indirect(void)
{
	uint32_t x = 1;
	for (uint32_t i = 0; i < INDIRECT_CALLS; i++)
		x = steps[i & 3](x);
	return x;
}

static uint32_t hosts(void)
{
	uint32_t sum = 0;
	uint64_t ns;
	for (uint32_t i = 0; i < HOST_CALLS; i++)
		sum += host(1, &ns);
	return sum;
}

/* Calls of fib(n): fib(n + 1) * 2 - 1, of which compilers turn every second into a loop. */
static const struct kind {
	const char *name;
	uint32_t (*run)(void);
	uint32_t calls;
} kinds[] = {
	{ "direct", direct, 3524577 },
	{ "indirect", indirect, INDIRECT_CALLS },
	{ "host", hosts, HOST_CALLS },
};

int main(int argc, char **argv)
{
	int passes = argc > 1 ? atoi(argv[1]) : 3;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		uint64_t best_ns = UINT64_MAX;
		uint32_t sum = 0;
		for (int pass = 0; pass < passes; pass++) {
			uint64_t from_ns = cpu_ns();
			sum = kinds[i].run();
			uint64_t ns = cpu_ns() - from_ns;
			best_ns = ns < best_ns ? ns : best_ns;
		}
		printf("%s %08" PRIx32 " %" PRIu64 "\n", kinds[i].name, sum,
		       best_ns * 1000 / kinds[i].calls);
	}
	return 0;
}
