/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events DIR: one round of everything that one thread does, for bench/runtime/run.sh. Prints
 * lines KEY P50 P99 in nanoseconds. DIR holds the compiled functions. The measurements take turns, so
 * that what else the machine does meets them all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "bench/runtime/events.h"
#include "bench/runtime/guest/json.h"

enum { TURNS = 20, WARM_UP = 200 };

struct bench {
	struct events events;
	struct job job;
	uint8_t *scratch; /* SCRATCH_BYTES */
	const char *dir;
	uint32_t seed;
};

enum { SCRATCH_BYTES = 1 << 20 };
static const char reading[] = "{\"sensor\":\"boiler-7\",\"fahrenheit\":212.5,\"time\":1700000000}";

struct row {
	const char *key, *module; /* NULL: not an event */
	unsigned runs;            /* in each turn */
	unsigned divide;          /* what one run does so many times */
	uint32_t arg[2];          /* the event's payload, as the module reads it */
	void (*run)(struct bench *b, const struct row *r, struct function *f);
};

struct samples {
	struct function *f;
	uint64_t *ns;
	unsigned n;
};

/* ---- what is measured ---- */

static void run_event(struct bench *b, const struct row *r, struct function *f)
{
	const struct span payload = { (const uint8_t *)r->arg, sizeof(r->arg) };
	events_run(&b->events, f, &b->job, payload);
}

static void run_cold(struct bench *b, const struct row *r, struct function *f)
{
	const struct span payload = { (const uint8_t *)r->arg, sizeof(r->arg) };
	events_run_cold(&b->events, f, &b->job, payload);
}

static void run_random(struct bench *b, const struct row *r, struct function *f)
{
	const uint32_t arg[2] = { r->arg[0], ++b->seed };
	const struct span payload = { (const uint8_t *)arg, sizeof(arg) };
	events_run(&b->events, f, &b->job, payload);
}

static void run_json(struct bench *b, const struct row *r, struct function *f)
{
	(void)r;
	const struct span payload = { (const uint8_t *)reading, sizeof(reading) - 1 };
	events_run(&b->events, f, &b->job, payload);
}

static void run_json_native(struct bench *b, const struct row *r, struct function *f)
{
	(void)f;
	(void)r;
	char out[256];
	if (json_convert(reading, sizeof(reading) - 1, out, sizeof(out)) < 0)
		die("json", "it cannot be parsed");
	memcpy(b->scratch, out, sizeof(out));
}

static struct context here, there;

static void switch_back(void *arg)
{
	(void)arg;
	for (;;)
		context_switch(&there, &here);
}

static void run_switch(struct bench *b, const struct row *r, struct function *f)
{
	(void)f;
	if (!there.sp)
		context_make(&there, b->scratch + SCRATCH_BYTES, switch_back, NULL);
	for (unsigned i = 0; i < r->divide / 2; i++)
		context_switch(&here, &there);
}

static void run_memset(struct bench *b, const struct row *r, struct function *f)
{
	(void)f;
	(void)r;
	memset(b->scratch, (int)++b->seed, 128 << 10);
	__asm__ volatile("" ::"r"(b->scratch) : "memory");
}

static void run_madvise(struct bench *b, const struct row *r, struct function *f)
{
	(void)f;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	for (uint32_t i = 0; i < r->arg[0]; i++)
		((volatile uint8_t *)b->scratch)[i * page] = 1;
	(void)madvise(b->scratch, r->arg[0] * page, MADV_DONTNEED);
}

static void run_mmap(struct bench *b, const struct row *r, struct function *f)
{
	(void)f;
	(void)b;
	(void)r;
	size_t n = (size_t)8 << 30;
	void *p = mmap(NULL, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED || munmap(p, n) < 0)
		die("mmap", "no address space");
}

static void run_getcontext(struct bench *b, const struct row *r, struct function *f)
{
	(void)f;
	(void)b;
	(void)r;
	ucontext_t uc;
	if (getcontext(&uc) < 0)
		die("getcontext", "failed");
}

static void run_clock(struct bench *b, const struct row *r, struct function *f)
{
	(void)f;
	(void)r;
	b->seed += task_now_ns() & 1;
}

static void run_fork(struct bench *b, const struct row *r, struct function *f)
{
	(void)f;
	(void)b;
	(void)r;
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	(void)waitpid(pid, NULL, 0);
}

enum { CALLS = 1000, SWITCHES = 1000, SAME = 0 };

static const struct row rows[] = {
	{ "instantiate", "empty", 1000, 1, { 0 }, run_event },
	{ "json", "json", 1000, 1, { 0 }, run_json },
	{ "json_native", NULL, 1000, 1, { 0 }, run_json_native },
	{ "2_pages_1_dirty", "dirty2", 1000, 1, { 1, SAME }, run_event },
	{ "2_pages_cold", "dirty2", 200, 1, { 1, SAME }, run_cold },
	{ "2_pages_grow", "grow", 500, 1, { 0 }, run_event },
	{ "1_MiB_1_dirty", "dirty16", 1000, 1, { 1, SAME }, run_event },
	{ "1_MiB_64_dirty", "dirty16", 500, 1, { 64, SAME }, run_event },
	{ "16_MiB_1_dirty", "dirty256", 1000, 1, { 1, SAME }, run_event },
	{ "16_MiB_64_dirty", "dirty256", 500, 1, { 64, SAME }, run_event },
	{ "16_MiB_64_random", "dirty256", 100, 1, { 64 }, run_random },
	{ "calls", "calls", 20, CALLS, { CALLS }, run_event },
	{ "switch", NULL, 20, SWITCHES, { 0 }, run_switch },
	{ "floor_clock", NULL, 1000, 1, { 0 }, run_clock },
	{ "floor_getcontext", NULL, 500, 1, { 0 }, run_getcontext },
	{ "floor_memset_128_KiB", NULL, 200, 1, { 0 }, run_memset },
	{ "floor_madvise_1", NULL, 200, 1, { 1 }, run_madvise },
	{ "floor_madvise_16", NULL, 50, 1, { 16 }, run_madvise },
	{ "floor_mmap_8_GiB", NULL, 50, 1, { 0 }, run_mmap },
	{ "floor_fork_wait", NULL, 5, 1, { 0 }, run_fork },
};

/* ---- */

static void prepare(struct bench *b, const struct row *r, struct samples *s)
{
	char so[4096];
	s->ns = calloc((size_t)r->runs * TURNS, sizeof(*s->ns));
	if (!s->ns)
		die(r->key, "no memory");
	if (!r->module)
		return;
	(void)snprintf(so, sizeof(so), "%s/%s.so", b->dir, r->module);
	s->f = events_open(&b->events, so);
	for (unsigned i = 0; i < WARM_UP; i++)
		r->run(b, r, s->f);
}

static void turn(struct bench *b, const struct row *r, struct samples *s)
{
	for (unsigned i = 0; i < 10; i++) /* what ran before had the caches */
		r->run(b, r, s->f);
	uint64_t at_ns = task_now_ns();
	for (unsigned i = 0; i < r->runs; i++) {
		uint64_t before_ns = at_ns;
		r->run(b, r, s->f);
		at_ns = task_now_ns();
		s->ns[s->n++] = at_ns - before_ns;
	}
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static void print(const struct row *r, struct samples *s)
{
	qsort(s->ns, s->n, sizeof(*s->ns), by_size);
	double p50 = (double)s->ns[s->n / 2];
	double p99 = (double)s->ns[s->n - 1 - s->n / 100];
	(void)printf("%s %.1f %.1f\n", r->key, p50 / r->divide, p99 / r->divide);
}

int main(int argc, char **argv)
{
	static struct bench b;
	static struct samples samples[ARRAY_LEN(rows)];
	if (argc != 2)
		die("usage", "events DIR");
	b.dir = argv[1];
	b.scratch = mmap(NULL, SCRATCH_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	if (b.scratch == MAP_FAILED)
		die("start", "no memory");
	(void)madvise(b.scratch, SCRATCH_BYTES, MADV_NOHUGEPAGE);
	events_init(&b.events);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		prepare(&b, &rows[i], &samples[i]);
	for (unsigned t = 0; t < TURNS; t++)
		for (size_t i = 0; i < ARRAY_LEN(rows); i++)
			turn(&b, &rows[i], &samples[i]);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		print(&rows[i], &samples[i]);
	return 0;
}
