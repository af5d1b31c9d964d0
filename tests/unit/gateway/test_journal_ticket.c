/* SPDX-License-Identifier: Apache-2.0 */
/* What acknowledgements wait for. */
#include "tests/unit/gateway/scratch.h"

#include "gateway/journal.h"

static int nothing(struct journal *j, struct journal_op *op)
{
	(void)j;
	(void)op;
	return 0;
}

/* Acknowledgements would wait for the next tick, and with them all that a broker still has to send. */
static void what_nothing_waits_for_holds_up_no_ticket(void **state)
{
	struct journal *j = NULL;
	struct why why = { 0 };
	bool damaged;
	const struct journal_options o = { .state_dir = *state,
					   .quota_bytes = 1 << 20,
					   .quota_rows = 1000 };
	struct journal_op lazy = { .write = nothing, .lazy = true }, eager = { .write = nothing };
	assert_int_equal(journal_open(&o, &j, &damaged, &why), 0);
	journal_put(j, &lazy);
	assert_true(journal_durable(j, journal_ticket(j)));
	journal_put(j, &eager);
	assert_false(journal_durable(j, journal_ticket(j)));
	journal_commit(j);
	assert_true(journal_durable(j, journal_ticket(j)));
	journal_close(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_nothing_waits_for_holds_up_no_ticket,
						scratch_new, scratch_free),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
