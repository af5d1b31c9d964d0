/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that the journal's own log has filled. */
#include "tests/unit/gateway/scratch.h"

#include <signal.h>
#include <sys/resource.h>
#include <time.h>

#include "gateway/journal.h"

enum { DISK_BYTES = 1 << 20, COMMITS_MOST = 5000, TICK_MS = 20, WAIT_TICKS = 1000 };

static void take_room(rlim_t bytes)
{
	(void)signal(SIGXFSZ, SIG_IGN); /* write() says EFBIG */
	const struct rlimit r = { bytes, RLIM_INFINITY };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

static bool is(struct journal *j, const char *state)
{
	struct journal_status st;
	journal_status(j, &st);
	return strcmp(st.state, state) == 0;
}

static void tick(struct journal *j)
{
	const struct timespec t = { 0, TICK_MS * 1000000 };
	journal_tick(j);
	(void)nanosleep(&t, NULL);
}

/* All that is in the log fits into the database, so nobody has to make room. */
static void a_log_that_has_filled_the_disk_is_copied_and_begun_anew(void **state)
{
	uint8_t bytes[900] = { 0 };
	struct journal *j = NULL;
	struct why why = { 0 };
	bool damaged;
	const struct journal_options o = { .state_dir = *state,
					   .quota_bytes = 1 << 20,
					   .quota_rows = 1000,
					   .keep_bytes = 1 << 30 };
	struct journal_inbound kept = { .source = { (const uint8_t *)"mqtt:x", 6 },
					.bytes = { bytes, sizeof(bytes) },
					.packet = 1,
					.what = EVENT_INBOUND_KEEP };
	assert_int_equal(journal_open(&o, &j, &damaged, &why), 0);
	take_room(DISK_BYTES);
	for (unsigned i = 0; i < COMMITS_MOST && is(j, "ok"); i++) {
		memcpy(bytes, &i, sizeof(i)); /* what is the same is not written */
		journal_inbound_put(j, &kept);
		journal_commit(j);
	}
	assert_true(is(j, "failing"));
	for (unsigned i = 0; i < WAIT_TICKS && !is(j, "ok"); i++)
		tick(j);
	assert_true(is(j, "ok"));
	take_room(RLIM_INFINITY);
	journal_close(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_log_that_has_filled_the_disk_is_copied_and_begun_anew, scratch_new,
			scratch_free),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
