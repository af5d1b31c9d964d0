/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/gateway/deploy_bench.h"

static void a_signed_module_becomes_the_next_revision(void **state)
{
	struct bench *b = *state;
	struct result r;
	deploy(b, NAMED_F, "one", &r);
	assert_string_equal(r.why, "");
	assert_true(r.err == 0 && r.revision == 1 && !r.has_previous);
	deploy(b, NAMED_F, "two", &r);
	assert_true(r.err == 0 && r.revision == 2 && r.has_previous);
	assert_int_equal(b->loads, 2);
	assert_string_equal(b->loaded_code, "native code\n");
}

static void what_is_not_signed_by_a_trusted_key_is_refused(void **state)
{
	struct bench *b = *state;
	struct sig_secret other;
	struct sig_public other_pk;
	struct result r;
	struct deploy_request q = { .granted = true };
	assert_int_equal(sig_keygen(&other, &other_pk), 0);
	fake_module(&other, NAMED_F, "x", &q.wasm, &q.len);
	start(b, &q, &r);
	wait_for(b, &r);
	assert_int_equal(r.err, -E_TRUST);
	fake_module(&b->sk, NAMED_F, "x", &q.wasm, &q.len);
	q.wasm[q.len - 1] ^= 1;
	start(b, &q, &r);
	wait_for(b, &r);
	assert_int_equal(r.err, -E_SIGNATURE);
	assert_int_equal(b->loads, 0);
}

static void a_manifest_that_wants_something_is_shown_before_it_is_granted(void **state)
{
	static const char *const wants[] = {
		"{\"name\":\"f\",\"version\":\"1.0.0\",\"abi\":1,\"capabilities\":{\"publish\":["
		"\"a/#\"]}}",
		"{\"name\":\"f\",\"version\":\"1.0.0\",\"abi\":1,\"capabilities\":{\"state\":true}"
		"}",
		"{\"name\":\"f\",\"version\":\"1.0.0\",\"abi\":1,\"limits\":{\"cpu_ms\":101}}",
		"{\"name\":\"f\",\"capabilities\":{\"io\":[\"lamp\"]}}",
		"{\"name\":\"f\",\"capabilities\":{\"models\":[\"m\"]}}",
		"{\"name\":\"f\",\"capabilities\":{\"http\":[\"example.org\"]}}",
		"{\"name\":\"f\",\"limits\":{\"memory\":\"17MiB\"}}",
		"{\"name\":\"f\",\"limits\":{\"stack\":\"257KiB\"}}",
		"{\"name\":\"f\",\"limits\":{\"output\":\"2MiB\"}}",
		"{\"name\":\"f\",\"limits\":{\"deadline_ms\":10001}}",
	};
	struct bench *b = *state;
	struct result r;
	for (size_t i = 0; i < ARRAY_LEN(wants); i++) {
		struct deploy_request q = request(b, wants[i], "x");
		q.granted = false;
		start(b, &q, &r);
		wait_for(b, &r);
		assert_int_equal(r.err, -EPERM);
		assert_int_equal(b->loads, 0);
	}
	deploy(b, wants[0], "x", &r);
	assert_int_equal(r.err, 0);
	struct deploy_request q = request(b, NAMED_F, "x"); /* wants nothing */
	q.granted = false;
	start(b, &q, &r);
	wait_for(b, &r);
	assert_int_equal(r.err, 0);
}

static void what_fails_names_the_function_and_the_reason_and_changes_nothing(void **state)
{
	static const struct {
		const char *manifest, *word;
		int err;
		const char *says;
	} rows[] = {
		{ NAMED_F, "WORD-REFUSE", -E_INVALID, "bad opcode at 0x10" },
		{ NAMED_F, "WORD-CRASH", -E_GONE, "function \"f\"" },
		{ NULL, "x", -E_INVALID, "manifest" },
		{ "{\"name\":\"f\",\"version\":\"1.0.0\",\"abi\":1,\"limits\":{\"memory\":\"4GiB\"}"
		  "}",
		  "x", -E_LIMIT, "memory" },
	};
	struct bench *b = *state;
	struct result r;
	deploy(b, NAMED_F, "good", &r);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		deploy(b, rows[i].manifest, rows[i].word, &r);
		assert_int_equal(r.err, rows[i].err);
		if (!strstr(r.why, rows[i].says))
			fail_msg("\"%s\" does not say \"%s\"", r.why, rows[i].says);
	}
	assert_int_equal(b->loads, 1);
	deploy(b, NAMED_F, "good", &r);
	assert_int_equal(r.revision, 2);
}

static void a_version_that_does_not_load_never_becomes_active(void **state)
{
	struct bench *b = *state;
	struct result r;
	unsigned next = 0;
	b->load_err = -E_TRAP;
	deploy(b, NAMED_F, "x", &r);
	assert_int_equal(r.err, -E_TRAP);
	assert_non_null(strstr(r.why, "refused by the test"));
	assert_int_equal(registry_revision_next(b->registry, "f", &next, NULL), 0);
	assert_int_equal(next, 1);
}

static void deploys_of_one_name_go_one_after_the_other(void **state)
{
	enum { N = 5 };
	struct bench *b = *state;
	struct result r[N];
	for (unsigned i = 0; i < N; i++) {
		const struct deploy_request q = request(b, NAMED_F, i % 2 ? "x" : "WORD-SLOW");
		start(b, &q, &r[i]);
	}
	for (unsigned i = 0; i < N; i++)
		wait_for(b, &r[i]);
	unsigned seen = 0;
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(r[i].err, 0);
		seen |= 1u << r[i].revision;
	}
	assert_int_equal(seen, 0x3e); /* revisions 1 to 5, each once */
}

static void a_given_name_counts_more_than_the_manifests(void **state)
{
	struct bench *b = *state;
	struct result r;
	struct why why = { 0 };
	unsigned next = 0;
	struct deploy_request q = request(b, NAMED_F, "x");
	q.name = "other";
	start(b, &q, &r);
	wait_for(b, &r);
	assert_int_equal(r.err, 0);
	assert_int_equal(registry_revision_next(b->registry, "other", &next, NULL), 0);
	assert_int_equal(next, 2);
	q = request(b, NAMED_F, "x");
	q.name = "../Other";
	assert_int_equal(deploy_start(b->deployer, &q, on_done, &r, &why), -E_INVALID);
}

static void a_key_taken_back_during_the_compile_stops_the_deploy(void **state)
{
	struct bench *b = *state;
	struct result r;
	char id[SIG_KEY_ID_TEXT];
	const struct deploy_request q = request(b, NAMED_F, "WORD-SLOW");
	sig_key_id(&b->pk, id);
	start(b, &q, &r);
	(void)uv_run(&b->loop, UV_RUN_ONCE);
	assert_int_equal(registry_key_remove(b->registry, id, NULL), 0);
	wait_for(b, &r);
	assert_int_equal(r.err, -E_TRUST);
	assert_int_equal(b->loads, 0);
}

static void a_restart_restores_from_the_cache_and_recompiles_what_was_changed(void **state)
{
	struct bench *b = *state;
	struct result r;
	char text[64];
	deploy(b, NAMED_F, "x", &r);
	deploy(b, NAMED_F, "y", &r);

	bench_close(b);
	b->loads = 0;
	bench_open(b);
	assert_int_equal(deployer_restore(b->deployer, NULL), 0);
	run_until_loads(b, 1);
	assert_int_equal(b->loaded_revision, 2);

	bench_close(b);
	spoil(b->dir, "code");
	b->loads = 0;
	b->loaded_code[0] = '\0';
	bench_open(b);
	assert_int_equal(deployer_restore(b->deployer, NULL), 0);
	run_until_loads(b, 1);
	assert_string_equal(b->loaded_code, "native code\n");

	bench_close(b);
	spoil(b->dir, "code");
	spoil(b->dir, "modules");
	b->loads = 0;
	bench_open(b);
	assert_int_equal(deployer_restore(b->deployer, NULL), 0);
	run_until_loads(b, 0);
	for (int i = 0; i < 100; i++) {
		(void)uv_run(&b->loop, UV_RUN_NOWAIT);
		(void)usleep(1000);
	}
	assert_int_equal(registry_functions(b->registry, "f", state_of, text, NULL), 0);
	assert_memory_equal(text, "failed modules/", 15);
}

static void a_stop_ends_every_deploy_at_once(void **state)
{
	struct bench *b = *state;
	struct result r[3];
	for (unsigned i = 0; i < 3; i++) {
		const struct deploy_request q = request(b, NULL, "WORD-FOREVER");
		struct deploy_request named = q;
		named.name = i ? "a" : "b";
		start(b, &named, &r[i]);
	}
	for (int i = 0; i < 200; i++) {
		(void)uv_run(&b->loop, UV_RUN_NOWAIT);
		(void)usleep(1000);
	}
	deployer_stop(b->deployer);
	(void)uv_run(&b->loop, UV_RUN_NOWAIT);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(r[i].calls, 1);
		assert_int_equal(r[i].err, -E_GONE);
	}
}

static void a_sandbox_that_never_answers_does_not_leak(void **state)
{
	struct bench *b = *state;
	struct result r;
	b->load_never = true;
	const struct deploy_request q = request(b, NAMED_F, "x");
	start(b, &q, &r);
	while (b->loads == 0)
		(void)uv_run(&b->loop, UV_RUN_ONCE);
	deployer_stop(b->deployer);
	assert_int_equal(r.calls, 1);
	assert_int_equal(r.err, -E_GONE);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_signed_module_becomes_the_next_revision),
		TEST(what_is_not_signed_by_a_trusted_key_is_refused),
		TEST(a_manifest_that_wants_something_is_shown_before_it_is_granted),
		TEST(what_fails_names_the_function_and_the_reason_and_changes_nothing),
		TEST(a_version_that_does_not_load_never_becomes_active),
		TEST(deploys_of_one_name_go_one_after_the_other),
		TEST(a_given_name_counts_more_than_the_manifests),
		TEST(a_key_taken_back_during_the_compile_stops_the_deploy),
		TEST(a_restart_restores_from_the_cache_and_recompiles_what_was_changed),
		TEST(a_stop_ends_every_deploy_at_once),
		TEST(a_sandbox_that_never_answers_does_not_leak),
	};
	return cmocka_run_group_tests(tests, fake_compiler, NULL);
}
