/* SPDX-License-Identifier: Apache-2.0 */
/* The arena is a quota: whatever is asked for, no more than the cap is given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"

static void pieces_are_zeroed_aligned_and_apart(void **state)
{
	(void)state;
	struct arena a;
	uint8_t *last = NULL;
	arena_init(&a, 10 << 20);
	/* Sizes around a chunk's, so that pieces of all kinds follow each other. */
	for (size_t n = 1; n < 200000; n = n * 3 + 1) {
		uint8_t *p = arena_alloc(&a, n, 1);
		assert_non_null(p);
		assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xff, n);
		if (last)
			assert_int_equal(*last, 0xff);
		last = p;
	}
	arena_fini(&a);
}

static void the_cap_holds(void **state)
{
	(void)state;
	static const struct {
		size_t cap, count, size;
		bool ok;
	} row[] = {
		{ 0, 1, 1, false },
		{ 16, 16, 1, true },
		{ 16, 17, 1, false },
		{ 1 << 20, 1 << 20, 1, true },
		{ 1 << 20, (1 << 20) + 1, 1, false },
		{ SIZE_MAX, SIZE_MAX, 1, false },
		{ SIZE_MAX, SIZE_MAX / 2, 3, false }, /* the product overflows */
		{ SIZE_MAX, 1, SIZE_MAX - 8, false },
		{ 64, 0, 8, true },
		{ 64, 8, 0, true },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct arena a;
		arena_init(&a, row[i].cap);
		assert_int_equal(arena_alloc(&a, row[i].count, row[i].size) != NULL, row[i].ok);
		assert_true(a.used_bytes <= row[i].cap);
		arena_fini(&a);
	}
}

static void a_refusal_leaves_the_rest_of_the_quota(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 64);
	assert_non_null(arena_alloc(&a, 32, 1));
	assert_null(arena_alloc(&a, 33, 1));
	assert_non_null(arena_alloc(&a, 32, 1));
	assert_null(arena_alloc(&a, 1, 1));
	arena_fini(&a);
	/* Usable again, with the same cap. */
	assert_non_null(arena_alloc(&a, 64, 1));
	assert_null(arena_alloc(&a, 1, 1));
	arena_fini(&a);
}

static void copies_end_with_a_nul_and_may_hold_one(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 1024);
	assert_memory_equal(arena_strndup(&a, "a\0bc", 3), "a\0b\0", 4);
	assert_string_equal(arena_strndup(&a, NULL, 0), "");
	assert_null(arena_strndup(&a, "", SIZE_MAX));
	arena_fini(&a);
}

static void a_zeroed_arena_can_be_finished(void **state)
{
	(void)state;
	struct arena a = { 0 };
	arena_fini(&a);
	assert_null(arena_alloc(&a, 1, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_zeroed_aligned_and_apart),
		cmocka_unit_test(the_cap_holds),
		cmocka_unit_test(a_refusal_leaves_the_rest_of_the_quota),
		cmocka_unit_test(copies_end_with_a_nul_and_may_hold_one),
		cmocka_unit_test(a_zeroed_arena_can_be_finished),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
