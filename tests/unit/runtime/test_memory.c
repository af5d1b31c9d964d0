/* SPDX-License-Identifier: Apache-2.0 */
/* How far a memory may grow: the compiler relies on it (sandbox/compiler/rebase.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "sandbox/runtime/memory.h"

static void only_a_memory_that_begins_with_4_gib_has_them(void **state)
{
	(void)state;
	static const struct {
		struct aot_limits limits;
		uint32_t max_pages;
	} row[] = {
		{ { 1, UINT32_MAX }, AOT_PAGES_GROWN_MAX },
		{ { 1, AOT_PAGES_MAX }, AOT_PAGES_GROWN_MAX },
		{ { AOT_PAGES_GROWN_MAX, AOT_PAGES_MAX }, AOT_PAGES_GROWN_MAX },
		{ { AOT_PAGES_MAX, AOT_PAGES_MAX }, AOT_PAGES_MAX },
		{ { 1, 3 }, 3 },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct memory m;
		struct why why = { 0 };
		assert_int_equal(memory_init(&m, row[i].limits, true, 0, &why), 0);
		assert_int_equal(m.aot.max_pages, row[i].max_pages);
		assert_int_equal(memory_grow(&m.aot, row[i].max_pages - row[i].limits.min + 1),
				 UINT32_MAX);
		memory_fini(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_a_memory_that_begins_with_4_gib_has_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
