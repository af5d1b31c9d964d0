/* SPDX-License-Identifier: Apache-2.0 */
/* Deploys that meet each other, restores, deaths and full disks: what the registry has is what runs. */
#include "tests/unit/gateway/deploy_bench.h"

#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>

static void a_load_that_comes_too_late_is_taken_back(void **state)
{
	struct bench *b = *state;
	struct result r;
	deploy(b, NAMED_F, "one", &r);
	b->load_never = true;
	const struct deploy_request q = request(b, NAMED_F, "two");
	start(b, &q, &r);
	while (b->loads < 2)
		(void)uv_run(&b->loop, UV_RUN_ONCE);
	TAILQ_FIRST(&b->deployer->jobs)->load_by_ms = 0;
	wait_for(b, &r);
	assert_int_equal(r.err, -E_GONE);
	b->load_never = false;
	on_answer(&b->answer); /* by now the sandbox runs what nobody has recorded */
	run_until_loads(b, 3);
	assert_int_equal(b->loaded_revision, 1);
}

static void a_load_that_cannot_be_recorded_is_taken_back(void **state)
{
	struct bench *b = *state;
	struct result r;
	char path[300];
	sqlite3 *db;
	deploy(b, NAMED_F, "one", &r);
	(void)snprintf(path, sizeof(path), "%s/registry.db", b->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	deploy(b, NAMED_F, "two", &r);
	assert_int_equal(r.err, -EIO);
	run_until_loads(b, 3);
	assert_int_equal(b->loaded_revision, 1);
	struct deploy_request q = request(b, NAMED_F, "three");
	q.name = "new"; /* nothing to go back to */
	start(b, &q, &r);
	wait_for(b, &r);
	assert_int_equal(r.err, -EIO);
	assert_int_equal(b->unloads, 1);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void a_restore_of_what_was_replaced_meanwhile_changes_nothing(void **state)
{
	struct bench *b = *state;
	struct result r;
	char text[64];
	struct registry_function other = {
		.name = "f",
		.revision = 1,
		.version = "2.0.0",
		.hash = "0000000000000000000000000000000000000000000000000000000000000000",
		.key_id = "k",
		.manifest = "",
		.report = "{}",
	};
	deploy(b, NAMED_F, "one", &r);
	bench_close(b);
	b->loads = 0;
	bench_open(b);
	assert_int_equal(deployer_restore(b->deployer, NULL), 0);
	assert_int_equal(registry_function_remove(b->registry, "f", false, NULL), 0);
	assert_int_equal(registry_function_put(b->registry, &other, NULL), 0);
	while (!TAILQ_EMPTY(&b->deployer->jobs))
		(void)uv_run(&b->loop, UV_RUN_ONCE);
	assert_int_equal(b->loads, 0);
	assert_int_equal(registry_functions(b->registry, "f", state_of, text, NULL), 0);
	assert_string_equal(text, "active ");
}

/* A named pipe in place of the cached code keeps the restore where it is until somebody writes. */
static void pipe_in_place_of_code(struct bench *b, char *ret_path, size_t cap)
{
	char dir[300];
	(void)snprintf(dir, sizeof(dir), "%s/code", b->dir);
	DIR *d = opendir(dir);
	struct dirent *e;
	assert_non_null(d);
	while ((e = readdir(d)) && e->d_name[0] == '.')
		;
	assert_non_null(e);
	(void)snprintf(ret_path, cap, "%s/%s", dir, e->d_name);
	(void)closedir(d);
	assert_int_equal(unlink(ret_path), 0);
	assert_int_equal(mkfifo(ret_path, 0600), 0);
}

static void a_deploy_waits_for_the_restore_of_its_name(void **state)
{
	struct bench *b = *state;
	struct result r;
	char path[600];
	deploy(b, NAMED_F, "one", &r);
	bench_close(b);
	pipe_in_place_of_code(b, path, sizeof(path));
	b->loads = 0;
	bench_open(b);
	assert_int_equal(deployer_restore(b->deployer, NULL), 0);
	const struct deploy_request q = request(b, NAMED_F, "two");
	start(b, &q, &r);
	for (int i = 0; i < 200; i++) {
		(void)uv_run(&b->loop, UV_RUN_NOWAIT);
		(void)usleep(1000);
	}
	unsigned loads_before = b->loads;
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(loads_before, 0);
	wait_for(b, &r);
	assert_int_equal(r.err, 0);
	assert_int_equal(b->loads, 2); /* the old one was there until the new one was */
	assert_int_equal(b->loaded_revision, 2);
}

/* A module waits in memory for its turn; sixty-four of the largest would be all there is. */
static void uploads_that_wait_have_a_limit_in_bytes(void **state)
{
	enum { MOST = DEPLOY_WAITING_MAX };
	struct bench *b = *state;
	struct result r[MOST];
	unsigned n = 0;
	int err = 0;
	struct why why = { 0 };
	for (; n < MOST && err == 0; n += err == 0) {
		const struct deploy_request q = request(b, NAMED_F, "WORD-SLOW");
		b->config.module_bytes = 2 * q.len; /* so twice as many of this size */
		r[n] = (struct result){ 0 };
		err = deploy_start(b->deployer, &q, on_done, &r[n], &why);
	}
	assert_int_equal(err, -E_LIMIT);
	assert_int_equal(n, 2 * DEPLOY_WAITING_FULL);
	deployer_stop(b->deployer);
	while (b->deployer->uploads > 0)
		(void)uv_run(&b->loop, UV_RUN_ONCE);
	assert_int_equal(b->deployer->upload_bytes, 0);
}

static unsigned files_in(struct bench *b, const char *sub)
{
	char path[300];
	unsigned n = 0;
	(void)snprintf(path, sizeof(path), "%s/%s", b->dir, sub);
	DIR *dir = opendir(path);
	assert_non_null(dir);
	for (struct dirent *e; (e = readdir(dir));)
		n += e->d_name[0] != '.';
	(void)closedir(dir);
	return n;
}

static void nothing_stays_on_the_disk_of_versions_that_are_gone(void **state)
{
	struct bench *b = *state;
	struct result r;
	char word[16];
	b->load_err = -E_TRAP;
	deploy(b, NAMED_F, "bad", &r);
	assert_true(files_in(b, "modules") == 0 && files_in(b, "code") == 0);
	b->load_err = 0;
	for (int i = 0; i < REGISTRY_VERSIONS_KEPT + 2; i++) {
		(void)snprintf(word, sizeof(word), "v%d", i);
		deploy(b, NAMED_F, word, &r);
		assert_int_equal(r.err, 0);
	}
	assert_int_equal(files_in(b, "modules"), REGISTRY_VERSIONS_KEPT);
	assert_int_equal(files_in(b, "code"), REGISTRY_VERSIONS_KEPT);
}

static void a_restore_grants_no_more_than_a_deploy(void **state)
{
	struct bench *b = *state;
	struct result r;
	struct deploy_request q = request(b, NULL, "x");
	b->config.memory_bytes = 8 << 20;
	q.name = "plain";
	start(b, &q, &r);
	wait_for(b, &r);
	assert_int_equal(b->loaded_memory_bytes, 8 << 20);
	bench_close(b);
	bench_open(b);
	assert_int_equal(deployer_restore(b->deployer, NULL), 0);
	run_until_loads(b, 2);
	assert_int_equal(b->loaded_memory_bytes, 8 << 20);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_load_that_comes_too_late_is_taken_back),
		TEST(a_load_that_cannot_be_recorded_is_taken_back),
		TEST(a_restore_of_what_was_replaced_meanwhile_changes_nothing),
		TEST(a_deploy_waits_for_the_restore_of_its_name),
		TEST(uploads_that_wait_have_a_limit_in_bytes),
		TEST(nothing_stays_on_the_disk_of_versions_that_are_gone),
		TEST(a_restore_grants_no_more_than_a_deploy),
	};
	return cmocka_run_group_tests(tests, fake_compiler, NULL);
}
