/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/gateway/scratch.h"

#include "gateway/dedupe.h"

/* dedupe.h, "has to do one of four things", 2: a window's worth of other messages in between. */
static void a_repetition_is_known_for_a_window_of_other_messages(void **state)
{
	struct dedupe *d = dedupe_new();
	(void)state;
	for (unsigned packet = 1; packet <= DEDUPE_WINDOW; packet++)
		dedupe_add(d, 1, (uint16_t)packet, 7, 0);
	assert_true(dedupe_is_repeated(d, 1, 1, true, 7, 1000000));
	dedupe_add(d, 1, DEDUPE_WINDOW + 1, 7, 0);
	assert_false(dedupe_is_repeated(d, 1, 1, true, 7, 1000000));
	assert_true(dedupe_is_repeated(d, 1, 2, true, 7, 1000000));
	dedupe_free(d);
}

/* A first message: is it taken for another? Then it is added. */
static void fresh(struct dedupe *d, uint32_t connection, uint16_t packet, uint64_t digest,
		  uint64_t now_ms)
{
	assert_false(dedupe_is_repeated(d, connection, packet, false, digest, now_ms));
	dedupe_add(d, connection, packet, digest, now_ms);
}

/* 3: whoever uses identifiers again at once gets the benefit of the doubt only for so long. */
static void a_broker_that_uses_identifiers_again_is_doubted_after_a_while(void **state)
{
	struct dedupe *d = dedupe_new();
	(void)state;
	for (unsigned i = 0; i < 10; i++)
		fresh(d, 1, 1, 7, i);
	assert_true(dedupe_is_repeated(d, 1, 1, true, 7, DEDUPE_DOUBT_MS));
	assert_false(dedupe_is_repeated(d, 1, 1, true, 7, 10 + DEDUPE_DOUBT_MS));
	dedupe_free(d);
}

/* Killed, restored, and killed again: the numbers of the second life collide with those of the first. */
static void a_broker_that_was_restored_is_not_one_that_uses_identifiers_again(void **state)
{
	struct dedupe *d = dedupe_new();
	(void)state;
	for (uint16_t packet = 1; packet <= 100; packet++)
		fresh(d, 1, packet, packet, 0);
	for (uint16_t packet = 50; packet <= 100; packet++)
		assert_true(dedupe_is_repeated(d, 1, packet, true, packet, 10000));
	for (uint16_t packet = 90; packet <= 200;
	     packet++) /* it counts from before its last save */
		fresh(d, 2, packet, packet + 1000u, 10000);
	for (uint16_t packet = 90; packet <= 200; packet++)
		assert_true(dedupe_is_repeated(d, 1, packet, true, packet + 1000u, 30000));
	assert_false(dedupe_is_repeated(d, 1, 150, true, 1, 30000)); /* another message */
	dedupe_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_repetition_is_known_for_a_window_of_other_messages),
		cmocka_unit_test(a_broker_that_uses_identifiers_again_is_doubted_after_a_while),
		cmocka_unit_test(a_broker_that_was_restored_is_not_one_that_uses_identifiers_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
