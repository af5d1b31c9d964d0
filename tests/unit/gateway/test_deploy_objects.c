/* SPDX-License-Identifier: Apache-2.0 */
/* Whose objects a compile gets, and that without them all goes on. */
#include "tests/unit/gateway/deploy_bench.h"

#include <glob.h>

/* Files code/HASH.SUFFIX */
static unsigned files(const struct bench *b, const char *suffix)
{
	char pattern[256];
	glob_t found = { 0 };
	(void)snprintf(pattern, sizeof(pattern), "%s/code/*.%s", b->dir, suffix);
	(void)glob(pattern, 0, NULL, &found);
	unsigned n = (unsigned)found.gl_pathc;
	globfree(&found);
	return n;
}

static unsigned kept(const struct bench *b)
{
	return files(b, "objects");
}

static int setup_reusing(void **state)
{
	int err = bench_setup(state);
	if (err == 0)
		((struct bench *)*state)->config.reuse_objects = true;
	return err;
}

/* Deploys it, and says how much of it was taken again. */
static long long reused(struct bench *b, const char *manifest, const char *word)
{
	struct result r;
	deploy(b, manifest, word, &r);
	assert_string_equal(r.why, "");
	assert_string_equal(b->loaded_code, "native code\n");
	return r.reused;
}

static void none_are_kept_unless_the_operator_says_so(void **state)
{
	struct bench *b = *state;
	assert_int_equal(reused(b, NAMED_F, "one"), 0);
	assert_int_equal(reused(b, NAMED_F, "two"), 0);
	assert_int_equal(kept(b), 0);
	b->config.reuse_objects = true;
	assert_int_equal(reused(b, NAMED_F, "three"), 0);
	assert_int_equal(kept(b), 1);
	b->config.reuse_objects = false; /* what lies there from before is not touched */
	assert_int_equal(reused(b, NAMED_F, "four"), 0);
	assert_int_equal(kept(b), 1);
}

static void a_version_gets_those_of_the_one_before(void **state)
{
	struct bench *b = *state;
	assert_int_equal(reused(b, NAMED_F, "one"), 0);
	assert_int_equal(reused(b, NAMED_F, "two"), 1);
	assert_int_equal(reused(b, NAMED_F, "three"), 1);
	assert_int_equal(kept(b), 3);
}

static void another_function_or_another_author_gets_none(void **state)
{
	struct bench *b = *state;
	struct sig_secret other;
	struct sig_public other_pk;
	struct result r;
	struct deploy_request q = { .granted = true };
	assert_int_equal(reused(b, NAMED_F, "one"), 0);
	assert_int_equal(reused(b, "{\"name\":\"g\",\"version\":\"1.0.0\",\"abi\":1}", "two"), 0);
	assert_int_equal(sig_keygen(&other, &other_pk), 0);
	bench_trust(b, &other_pk);
	fake_module(&other, NAMED_F, "two", &q.wasm, &q.len);
	start(b, &q, &r);
	wait_for(b, &r);
	assert_true(r.err == 0 && r.reused == 0);
	assert_int_equal(reused(b, NAMED_F, "three"), 0); /* nor the first one from the other */
	assert_int_equal(reused(b, NAMED_F, "four"), 1);
}

static void those_that_were_changed_are_compiled_again(void **state)
{
	struct bench *b = *state;
	assert_int_equal(reused(b, NAMED_F, "one"), 0);
	spoil(b->dir, "code");
	assert_int_equal(reused(b, NAMED_F, "two"), 0);
	assert_int_equal(reused(b, NAMED_F, "three"), 1);
}

static void those_with_which_the_compiler_fails_are_left_out(void **state)
{
	struct bench *b = *state;
	struct result r;
	assert_int_equal(reused(b, NAMED_F, "one"), 0);
	assert_int_equal(reused(b, NAMED_F, "WORD-PICKY"), 0);
	deploy(b, NAMED_F, "WORD-REFUSE",
	       &r); /* and what is refused without them, too, is refused */
	assert_int_equal(r.err, -E_INVALID);
	assert_int_equal(reused(b, NAMED_F, "three"), 0); /* none were kept of such a compile */
	assert_int_equal(reused(b, NAMED_F, "four"), 1);
}

static void what_is_large_or_one_piece_is_not_kept(void **state)
{
	struct bench *b = *state;
	assert_int_equal(reused(b, NAMED_F, "WORD-LARGE"), 0);
	assert_int_equal(kept(b), 0);
	assert_int_equal(reused(b, NAMED_F, "WORD-SMALL"), 0);
	assert_int_equal(kept(b), 0);
}

static void they_go_with_their_version(void **state)
{
	struct bench *b = *state;
	char word[16];
	for (unsigned i = 0; i < REGISTRY_VERSIONS_MAX + 3; i++) {
		(void)snprintf(word, sizeof(word), "word %u", i);
		(void)reused(b, NAMED_F, word);
	}
	assert_true(files(b, "code") < REGISTRY_VERSIONS_MAX + 3);
	assert_int_equal(kept(b), files(b, "code"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_reusing, bench_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(none_are_kept_unless_the_operator_says_so,
						bench_setup, bench_teardown),
		TEST(a_version_gets_those_of_the_one_before),
		TEST(another_function_or_another_author_gets_none),
		TEST(those_that_were_changed_are_compiled_again),
		TEST(those_with_which_the_compiler_fails_are_left_out),
		TEST(what_is_large_or_one_piece_is_not_kept),
		TEST(they_go_with_their_version),
	};
	return cmocka_run_group_tests_name("deploy: objects", tests, fake_compiler, NULL);
}
