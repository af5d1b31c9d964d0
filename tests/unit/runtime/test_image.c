/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/runtime/choice.h"
#include "sandbox/runtime/host.h"
#include "sandbox/runtime/hostcall.h"
#include "sandbox/runtime/image.h"
#include "sandbox/runtime/worker.h"
#include "tests/unit/runtime/guest.c"

enum { WASM_PAGES = 64, SYSTEM_PAGES = 0 };

struct bench {
	struct types *types;
	struct hostcalls *hostcalls;
	struct aot_module aot; /* guest.c's, with more memory */
	struct module *module;
	struct image *image;
	struct instance *instance[2]; /* one that was there before the image, one made from it */
	struct worker worker;
	struct host host;
	struct task task;
	union aot_value value[4];
	uint8_t *memory; /* as it has to be */
};

static void call(struct bench *b, struct instance *in, uint32_t func, uint32_t arg)
{
	task_init(&b->task, in, &b->host);
	b->value[0].i32 = arg;
	task_add_call(&b->task, func, b->value);
	while (worker_run(&b->worker, &b->task) == TASK_YIELDED)
		;
	assert_int_equal(b->task.outcome, TASK_DONE);
}

/* page_bytes: as if the system had pages of this size; 0 = its own. */
static void bench_init(struct bench *b, uint32_t page_bytes)
{
	struct why why = { 0 };
	const struct instance_limits limits = { .memory_pages = WASM_PAGES + 3,
						.stack_bytes = 64 << 10,
						.table_elems = 1000 };
	memset(b, 0, sizeof(*b));
	assert_int_equal(worker_signals(&why), 0);
	assert_int_equal(worker_init(&b->worker, &why), 0);
	b->types = types_new();
	b->hostcalls = hostcalls_new(b->types);
	b->aot = penstock_module;
	b->aot.memory.min = WASM_PAGES;
	assert_int_equal(module_adopt(b->types, &b->aot, &b->module, &why), 0);
	struct resolver host = hostcalls_resolver(b->hostcalls);
	for (int i = 0; i < 2; i++)
		assert_int_equal(instance_new(b->module, &host, &limits, &b->instance[i], &why), 0);
	if (page_bytes > 0)
		b->instance[0]->memory.page_bytes = page_bytes;
	assert_int_equal(instance_populate(b->instance[0]), AOT_TRAP_NONE);
	host_reset(&b->host);
	call(b, b->instance[0], F_initialize, 0);
	b->memory = malloc(b->instance[0]->memory.aot.bytes);
	assert_non_null(b->memory);
	memcpy(b->memory, b->instance[0]->memory.aot.base, b->instance[0]->memory.aot.bytes);
	assert_int_equal(image_take(b->instance[0], &b->image, &why), 0);
	assert_int_equal(image_reset(b->image, b->instance[0], 0), 0);
	assert_int_equal(image_adopt(b->image, b->instance[1]), 0);
}

static void bench_fini(struct bench *b)
{
	free(b->memory);
	instance_free(b->instance[0]);
	instance_free(b->instance[1]);
	image_free(b->image);
	module_free(b->module);
	hostcalls_free(b->hostcalls);
	types_free(b->types);
	host_fini(&b->host);
	worker_fini(&b->worker);
}

static void assert_fresh(const struct bench *b, struct instance *in)
{
	static const uint8_t zeros[2 * AOT_PAGE_BYTES];
	struct aot_memory *m = &in->memory.aot;
	assert_int_equal(m->bytes, (uint64_t)WASM_PAGES * AOT_PAGE_BYTES);
	assert_int_equal(memcmp(m->base, b->memory, m->bytes), 0);
	assert_int_equal(memory_grow(m, 2), WASM_PAGES);
	assert_int_equal(memcmp(m->base + m->bytes - sizeof(zeros), zeros, sizeof(zeros)), 0);
	assert_int_equal(memory_shrink(&in->memory, m->bytes - sizeof(zeros)), 0);
	assert_int_equal(in->aot.globals[0].i32, 10);
	assert_int_equal(in->tables[0].size, 4);
	assert_null(in->tables[0].elems[0]);
	assert_ptr_equal(in->tables[0].elems[1], &in->funcs[F_load]);
	assert_null(in->tables[0].elems[2]);
	assert_int_equal(in->data_dropped[0], 1);
}

static void event(struct bench *b, struct instance *in, uint32_t func, uint32_t arg,
		  uint64_t run_ns)
{
	call(b, in, func, arg);
	assert_int_equal(image_reset(b->image, in, run_ns), 0);
	assert_fresh(b, in);
}

/* In memories of 4 MiB: few pages, all pages, and beyond what is kept; with the system's pages and with
 * larger ones. */
static void whatever_an_event_writes_is_gone_after_it(void **state)
{
	static const uint32_t page_bytes[] = { SYSTEM_PAGES, 16 << 10, 64 << 10 };
	(void)state;
	for (size_t p = 0; p < ARRAY_LEN(page_bytes); p++) {
		struct bench b;
		bench_init(&b, page_bytes[p]);
		for (uint32_t seed = 1; seed <= 150; seed++)
			event(&b, b.instance[seed % 2], F_scribble, seed * 7919, 0);
		for (uint32_t every = 1; every < 40; every++)
			event(&b, b.instance[every % 2], F_stride, every, 0);
		bench_fini(&b);
	}
}

static void pages_are_opened_once(void **state)
{
	struct bench b;
	(void)state;
	bench_init(&b, SYSTEM_PAGES);
	struct memory *m = &b.instance[0]->memory;
	for (int i = 0; i < 3; i++) {
		call(&b, b.instance[0], F_random, m->page_bytes * 5 - 8);
		assert_int_equal(m->nfaults, i == 0 ? 2 : 0);
		assert_int_equal(m->nopen, 1);
		assert_int_equal(m->open[0].first, 4);
		assert_int_equal(m->open[0].end, 6);
		assert_int_equal(image_reset(b.image, b.instance[0], 0), 0);
	}
	bench_fini(&b);
}

/* A function whose pages were others yesterday. */
static void pages_are_forgotten_now_and_then(void **state)
{
	struct bench b;
	(void)state;
	bench_init(&b, SYSTEM_PAGES);
	struct memory *m = &b.instance[0]->memory;
	event(&b, b.instance[0], F_random, 0, 0);
	assert_int_equal(m->nopen, 1);
	for (int i = 0; i < IMAGE_FORGET_EVENTS; i++)
		assert_int_equal(image_reset(b.image, b.instance[0], 0), 0);
	assert_int_equal(m->nopen, 0);
	bench_fini(&b);
}

static void scattered_pages_share_ranges_when_they_are_many(void **state)
{
	struct bench b;
	(void)state;
	bench_init(&b, SYSTEM_PAGES);
	struct memory *m = &b.instance[0]->memory;
	uint32_t every = 2 * m->page_bytes / 4096;
	call(&b, b.instance[0], F_stride, every);
	assert_in_range(m->nopen, 1, MEMORY_RANGES_MAX);
	for (uint32_t i = 1; i < m->nopen; i++)
		assert_true(m->open[i - 1].end < m->open[i].first);
	assert_int_equal(image_reset(b.image, b.instance[0], 0), 0);
	assert_fresh(&b, b.instance[0]);
	bench_fini(&b);
}

/* The times are made up: what is told of a run decides, and nothing else. */
static void the_cheaper_way_is_found_by_trying(void **state)
{
	static const struct {
		uint64_t copy_ns, remap_ns;
		bool watched; /* in the end */
	} row[] = { { 1000000000, 1000, false }, { 1000, 1000000000, true } };
	(void)state;
	for (size_t r = 0; r < ARRAY_LEN(row); r++) {
		struct bench b;
		bench_init(&b, SYSTEM_PAGES);
		struct instance *in = b.instance[0];
		bool tried = false;
		for (int i = 0; i < CHOICE_STRAINS_MAX + 2 * CHOICE_SAMPLES + 4; i++) {
			bool watched = in->memory.watched_bytes > 0;
			tried |= !watched;
			event(&b, in, F_stride, 3, watched ? row[r].copy_ns : row[r].remap_ns);
		}
		assert_true(tried);
		assert_int_equal(in->memory.watched_bytes > 0, row[r].watched);
		bench_fini(&b);
	}
}

static void a_choice_holds_for_a_time_and_is_made_anew(void **state)
{
	struct choice c;
	(void)state;
	choice_init(&c);
	for (int i = 0; i < CHOICE_STRAINS_MAX - 1; i++)
		choice_note(&c, WAY_COPY, 100, true);
	choice_note(&c, WAY_COPY, 100, false); /* not dear: that one counts against it */
	choice_note(&c, WAY_COPY, 100, true);
	choice_note(&c, WAY_COPY, 100, true);
	for (int i = 0; i < CHOICE_SAMPLES; i++) {
		assert_int_equal(choice_way(&c), WAY_COPY);
		choice_note(&c, WAY_REMAP, 1, true); /* of another time: does not count */
		choice_note(&c, WAY_COPY, i == 0 ? 1000000 : 100, true);
	}
	for (int i = 0; i < CHOICE_SAMPLES; i++) {
		assert_int_equal(choice_way(&c), WAY_REMAP);
		choice_note(&c, WAY_REMAP, 90, true);
	}
	for (int i = 0; i < CHOICE_EVENTS; i++) {
		assert_int_equal(choice_way(&c), WAY_REMAP);
		choice_note(&c, WAY_REMAP, 1000000, false);
	}
	assert_int_equal(choice_way(&c), WAY_COPY);
	assert_false(choice_counts(&c));
	choice_fini(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_an_event_writes_is_gone_after_it),
		cmocka_unit_test(pages_are_opened_once),
		cmocka_unit_test(pages_are_forgotten_now_and_then),
		cmocka_unit_test(scattered_pages_share_ranges_when_they_are_many),
		cmocka_unit_test(the_cheaper_way_is_found_by_trying),
		cmocka_unit_test(a_choice_holds_for_a_time_and_is_made_anew),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
