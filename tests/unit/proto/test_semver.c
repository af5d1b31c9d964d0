/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "proto/semver.h"

/* Oldest first; those with the same rank have the same precedence. */
static const struct {
	int rank;
	const char *text;
} order[] = {
	{ 0, "0.0.0-0" },
	{ 1, "0.0.0" },
	{ 1, "0.0.0+build.7" },
	{ 2, "0.0.9" },
	{ 3, "0.0.10" },
	{ 4, "0.9.99" },
	{ 5, "0.10.0" },
	{ 6, "1.0.0-alpha" },
	{ 7, "1.0.0-alpha.1" },
	{ 8, "1.0.0-alpha.beta" },
	{ 9, "1.0.0-beta" },
	{ 10, "1.0.0-beta.2" },
	{ 11, "1.0.0-beta.11" },
	{ 12, "1.0.0-beta-2" },
	{ 13, "1.0.0-rc.1" },
	{ 13, "1.0.0-rc.1+001" },
	{ 14, "1.0.0" },
	{ 14, "1.0.0+a-b.007" },
	{ 15, "2.0.0" },
	{ 16, "18446744073709551616.0.0" },
	{ 17, "18446744073709551617.0.0" },
};

static void precedence_is_that_of_section_11(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		for (size_t k = 0; k < ARRAY_LEN(order); k++) {
			int want =
				(order[i].rank > order[k].rank) - (order[i].rank < order[k].rank);
			int got = semver_cmp(order[i].text, order[k].text);
			if (got != want)
				fail_msg("%s to %s: got %d, expected %d", order[i].text,
					 order[k].text, got, want);
		}
}

static void what_is_no_version_is_refused(void **state)
{
	static const char *const bad[] = { "",       "1",          "1.0",    "1.0.0.0",
					   "01.0.0", "1.0.0-",     "1.0.0+", "1.0.0-01",
					   "v1.0.0", "1.0.0-a..b", "1.0.0 ", "1.0.0+a+b",
					   "-1.0.0" };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (semver_ok(bad[i]))
			fail_msg("\"%s\" was taken for a version", bad[i]);
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		if (!semver_ok(order[i].text))
			fail_msg("\"%s\" was refused", order[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(precedence_is_that_of_section_11),
		cmocka_unit_test(what_is_no_version_is_refused),
	};
	return cmocka_run_group_tests_name("semver", tests, NULL, NULL);
}
