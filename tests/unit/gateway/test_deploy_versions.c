/* SPDX-License-Identifier: Apache-2.0 */
/* Which version is the active one: older ones, candidates, switching back. */
#include "tests/unit/gateway/deploy_bench.h"

#define F(version) "{\"name\":\"f\",\"version\":\"" version "\",\"abi\":1}"

static void switch_to(struct bench *b, unsigned revision, struct result *r)
{
	struct why why = { 0 };
	*r = (struct result){ 0 };
	if (deploy_switch(b->deployer, "f", revision, on_done, r, &why) != 0)
		fail_msg("%s", why.text);
	assert_int_equal(r->calls, 0);
	wait_for(b, r);
}

static int active_take(void *arg, const struct registry_function *f)
{
	*(unsigned *)arg = f->revision;
	return 0;
}

static unsigned active_of(struct bench *b)
{
	unsigned revision = 0;
	assert_int_equal(registry_functions(b->registry, "f", active_take, &revision, NULL), 0);
	return revision;
}

static int rollout_take(void *arg, const struct registry_rollout *o)
{
	(void)snprintf(arg, 128, "%s %u %u %s %s", o->mode, o->revision, o->percent, o->state,
		       o->reason);
	return 0;
}

static void rollout_is(struct bench *b, const char *want)
{
	char text[128] = "";
	assert_int_equal(registry_rollouts(b->registry, "f", rollout_take, text, NULL), 0);
	assert_string_equal(text, want);
}

static void an_older_version_comes_back_only_when_the_operator_says_so(void **state)
{
	struct bench *b = *state;
	struct result r;
	deploy(b, F("1.10.0"), "new", &r);
	assert_int_equal(r.err, 0);
	deploy(b, F("1.9.0"), "old", &r);
	assert_int_equal(r.err, -ESTALE);
	assert_non_null(strstr(r.why, "1.9.0 is older than 1.10.0"));
	assert_int_equal(b->loads, 1);
	struct deploy_request q = request(b, F("1.9.0"), "old");
	q.older = true;
	start(b, &q, &r);
	wait_for(b, &r);
	assert_int_equal(r.err, 0);
	assert_int_equal(active_of(b), 2);
	deploy(b, F("1.9.5"), "still old", &r); /* the highest is remembered */
	assert_int_equal(r.err, -ESTALE);
	deploy(b, F("1.10.0"), "same number, other bytes", &r);
	assert_int_equal(r.err, 0);
}

static void a_switch_back_needs_no_compiler(void **state)
{
	struct bench *b = *state;
	struct result r;
	deploy(b, F("1.0.0"), "one", &r);
	deploy(b, F("1.1.0"), "two", &r);
	switch_to(b, 0, &r);
	assert_string_equal(r.why, "");
	assert_true(r.err == 0 && r.revision == 1);
	assert_true(b->loads == 3 && b->loaded_revision == 1);
	assert_int_equal(active_of(b), 1);
	switch_to(b, 2, &r); /* and forward again */
	assert_int_equal(active_of(b), 2);
	struct why none = { 0 };
	assert_int_equal(deploy_switch(b->deployer, "f", 9, on_done, &r, NULL), -E_UNKNOWN);
	assert_int_equal(deploy_switch(b->deployer, "g", 0, on_done, &r, NULL), -E_UNKNOWN);
	switch_to(b, 1, &r);
	assert_int_equal(deploy_switch(b->deployer, "f", 0, on_done, &r, &none), -E_UNKNOWN);
	assert_non_null(strstr(none.text, "no older version"));
	deploy(b, F("1.2.0"), "three", &r);
	assert_int_equal(r.revision, 3);
}

static void spoilt_code_is_compiled_again_for_a_switch(void **state)
{
	struct bench *b = *state;
	struct result r;
	deploy(b, F("1.0.0"), "one", &r);
	deploy(b, F("1.1.0"), "two", &r);
	spoil(b->dir, "code");
	switch_to(b, 1, &r);
	assert_string_equal(r.why, "");
	assert_string_equal(b->loaded_code, "native code\n");
	assert_int_equal(active_of(b), 1);
}

static void a_switch_to_a_revoked_keys_version_is_refused(void **state)
{
	struct bench *b = *state;
	struct sig_secret other;
	struct sig_public other_pk;
	struct result r;
	char id[SIG_KEY_ID_TEXT];
	assert_int_equal(sig_keygen(&other, &other_pk), 0);
	bench_trust(b, &other_pk);
	struct deploy_request q = { .granted = true };
	fake_module(&other, F("1.0.0"), "one", &q.wasm, &q.len);
	start(b, &q, &r);
	wait_for(b, &r);
	deploy(b, F("1.1.0"), "two", &r);
	sig_key_id(&other_pk, id);
	assert_int_equal(registry_key_remove(b->registry, id, NULL), 0);
	switch_to(b, 1, &r);
	assert_int_equal(r.err, -E_TRUST);
	assert_int_equal(active_of(b), 2);
}

static void a_switch_that_does_not_load_changes_nothing(void **state)
{
	struct bench *b = *state;
	struct result r;
	deploy(b, F("1.0.0"), "one", &r);
	deploy(b, F("1.1.0"), "two", &r);
	b->load_err = -E_TRAP;
	switch_to(b, 1, &r);
	assert_int_equal(r.err, -E_TRAP);
	assert_int_equal(active_of(b), 2);
}

static void candidate(struct bench *b, enum path_role role, const char *manifest, const char *word,
		      struct result *r)
{
	struct deploy_request q = request(b, manifest, word);
	q.role = role;
	q.percent = 10;
	start(b, &q, r);
	wait_for(b, r);
}

static void a_candidate_leaves_the_active_version_in_its_place(void **state)
{
	struct bench *b = *state;
	struct result r;
	candidate(b, PATH_CANARY, F("1.0.0"), "one", &r);
	assert_int_equal(r.err, -E_UNKNOWN);
	deploy(b, F("1.0.0"), "one", &r);
	candidate(b, PATH_CANARY, F("1.0.0"), "one", &r);
	assert_int_equal(r.err, -E_EXISTS);
	candidate(b, PATH_CANARY, F("1.1.0"), "two", &r);
	assert_true(r.err == 0 && r.revision == 2);
	assert_true(b->loaded_role == PATH_CANARY && b->loaded_percent == 10);
	assert_int_equal(active_of(b), 1);
	rollout_is(b, "canary 2 10 running ");
	candidate(b, PATH_SHADOW, F("1.2.0"), "three", &r);
	rollout_is(b, "shadow 3 10 running ");
	switch_to(b, 3, &r);
	assert_int_equal(b->loaded_role, PATH_ACTIVE);
	rollout_is(b, "shadow 3 10 promoted ");
	assert_int_equal(active_of(b), 3);
	struct deploy_request q = request(b, F("2.0.0"), "x");
	struct why why = { 0 };
	q.role = PATH_CANARY;
	q.percent = 101;
	assert_int_equal(deploy_start(b->deployer, &q, on_done, &r, &why), -EINVAL);
}

static void a_restart_brings_the_candidate_back_behind_the_active_version(void **state)
{
	struct bench *b = *state;
	struct result r;
	deploy(b, F("1.0.0"), "one", &r);
	candidate(b, PATH_CANARY, F("1.1.0"), "two", &r);
	bench_close(b);
	b->loads = 0;
	bench_open(b);
	assert_int_equal(deployer_restore(b->deployer, NULL), 0);
	run_until_loads(b, 2);
	assert_true(b->loaded_revision == 2 && b->loaded_role == PATH_CANARY);
	rollout_is(b, "canary 2 10 running ");
	assert_int_equal(active_of(b), 1);
	bench_close(b); /* and when it does not load any more, it is over */
	b->loads = 0;
	bench_open(b);
	b->load_err = -E_TRAP;
	assert_int_equal(deployer_restore(b->deployer, NULL), 0);
	run_until_loads(b, 2);
	rollout_is(b, "canary 2 10 ended the sandbox cannot load it: refused by the test");
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, bench_setup, bench_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_older_version_comes_back_only_when_the_operator_says_so),
		TEST(a_switch_back_needs_no_compiler),
		TEST(spoilt_code_is_compiled_again_for_a_switch),
		TEST(a_switch_to_a_revoked_keys_version_is_refused),
		TEST(a_switch_that_does_not_load_changes_nothing),
		TEST(a_candidate_leaves_the_active_version_in_its_place),
		TEST(a_restart_brings_the_candidate_back_behind_the_active_version),
	};
	return cmocka_run_group_tests_name("deploy: versions", tests, fake_compiler, NULL);
}
