/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/gateway/scratch.h"

#include "gateway/dedupe.h"

/* dedupe.h, "has to do one of four things", 2: a window's worth of other messages in between. */
static void a_repetition_is_known_for_a_window_of_other_messages(void **state)
{
	struct dedupe *d = dedupe_new();
	(void)state;
	for (unsigned packet = 1; packet <= DEDUPE_WINDOW; packet++)
		dedupe_add(d, (uint16_t)packet, 7, 0);
	assert_true(dedupe_is_repeated(d, 1, true, 7, 1000000));
	dedupe_add(d, DEDUPE_WINDOW + 1, 7, 0);
	assert_false(dedupe_is_repeated(d, 1, true, 7, 1000000));
	assert_true(dedupe_is_repeated(d, 2, true, 7, 1000000));
	dedupe_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(
		a_repetition_is_known_for_a_window_of_other_messages) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
