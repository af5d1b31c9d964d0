/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/gateway/fake_compiler.h"

#include "gateway/deploy.h"

/* A gateway's parts without its event path: loads are counted, and answered as the test wants. */
struct bench {
	char *dir;
	uv_loop_t loop;
	struct config config;
	struct registry *registry;
	struct store *store;
	struct seal *seal;
	struct deployer *deployer;
	struct sig_secret sk;
	struct sig_public pk;
	/* the sandbox */
	int load_err;
	bool load_never;
	unsigned loads, unloads, loaded_revision;
	char loaded_code[64];
	path_loaded *done;
	void *done_arg;
	uv_timer_t answer;
};

struct result {
	int err;
	unsigned calls, revision;
	char why[600];
	bool has_previous;
	json_t *manifest;
};

static void on_answer(uv_timer_t *t)
{
	struct bench *b = t->data;
	path_loaded *done = b->done;
	b->done = NULL;
	if (done)
		done(b->done_arg, b->load_err, "refused by the test");
}

static int fake_load(void *arg, const struct path_function *f, path_loaded *done, void *done_arg,
		     struct why *why)
{
	struct bench *b = arg;
	(void)why;
	ssize_t n = pread(f->so_fd, b->loaded_code, sizeof(b->loaded_code) - 1, 0);
	assert_true(n >= 0);
	b->loaded_code[n] = '\0';
	b->loads++;
	b->loaded_revision = f->revision;
	assert_null(b->done); /* one at a time is all that these tests need */
	if (b->load_never)
		return 0;
	b->done = done;
	b->done_arg = done_arg;
	return uv_timer_start(&b->answer, on_answer, 1, 0);
}

static int fake_unload(void *arg, const char *name)
{
	struct bench *b = arg;
	(void)name;
	b->unloads++;
	return 0;
}

static void bench_open(struct bench *b)
{
	struct why why = { 0 };
	assert_int_equal(uv_loop_init(&b->loop), 0);
	assert_int_equal(uv_timer_init(&b->loop, &b->answer), 0);
	b->answer.data = b;
	assert_int_equal(registry_open(b->dir, &b->registry, &why), 0);
	assert_int_equal(store_open(b->dir, &b->store, &why), 0);
	assert_int_equal(seal_open(b->dir, &b->seal, &why), 0);
	const struct deploy_env env = { .config = &b->config,
					.loop = &b->loop,
					.registry = b->registry,
					.seal = b->seal,
					.store = b->store,
					.load = fake_load,
					.unload = fake_unload,
					.load_arg = b };
	if (deployer_new(&env, &b->deployer, &why) != 0)
		fail_msg("%s", why.text);
}

static void bench_close(struct bench *b)
{
	deployer_stop(b->deployer);
	uv_close((uv_handle_t *)&b->answer, NULL);
	(void)uv_run(&b->loop, UV_RUN_DEFAULT);
	deployer_free(b->deployer);
	assert_int_equal(uv_loop_close(&b->loop), 0);
	seal_close(b->seal);
	store_close(b->store);
	registry_close(b->registry);
}

static void bench_trust(struct bench *b, const struct sig_public *pk)
{
	char id[SIG_KEY_ID_TEXT];
	struct registry_key k = { .id = id, .public = *pk, .comment = "" };
	sig_key_id(pk, id);
	assert_true(registry_key_put(b->registry, &k, NULL) >= 0);
}

static int bench_setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	void *dir;
	if (!b || sig_init() != 0 || scratch_new(&dir) != 0 || config_load(NULL, &b->config, NULL))
		return -1;
	b->dir = dir;
	bench_open(b);
	if (sig_keygen(&b->sk, &b->pk) != 0)
		return -1;
	bench_trust(b, &b->pk);
	*state = b;
	return 0;
}

static int bench_teardown(void **state)
{
	struct bench *b = *state;
	void *dir = b->dir;
	bench_close(b);
	config_fini(&b->config);
	free(b);
	return scratch_free(&dir);
}

static void on_done(void *arg, const struct deploy_outcome *o)
{
	struct result *r = arg;
	r->calls++;
	r->err = o->err;
	r->revision = o->revision;
	r->has_previous = o->previous != NULL;
	r->manifest = json_incref(o->manifest);
	(void)snprintf(r->why, sizeof(r->why), "%s", o->why);
}

static void start(struct bench *b, const struct deploy_request *request, struct result *r)
{
	struct why why = { 0 };
	*r = (struct result){ 0 };
	if (deploy_start(b->deployer, request, on_done, r, &why) != 0)
		fail_msg("%s", why.text);
	assert_int_equal(r->calls, 0); /* never inside the call that asked */
}

static void wait_for(struct bench *b, struct result *r)
{
	while (r->calls == 0)
		(void)uv_run(&b->loop, UV_RUN_ONCE);
	json_decref(r->manifest);
	assert_int_equal(r->calls, 1);
}

static struct deploy_request request(struct bench *b, const char *manifest, const char *word)
{
	struct deploy_request q = { .granted = true };
	fake_module(&b->sk, manifest, word, &q.wasm, &q.len);
	return q;
}

static void deploy(struct bench *b, const char *manifest, const char *word, struct result *r)
{
	const struct deploy_request q = request(b, manifest, word);
	start(b, &q, r);
	wait_for(b, r);
}

#define NAMED_F "{\"name\":\"f\",\"version\":\"1.0.0\",\"abi\":1}"

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

static void run_until_loads(struct bench *b, unsigned n)
{
	for (int i = 0; i < 2000 && b->loads < n; i++) {
		(void)uv_run(&b->loop, UV_RUN_NOWAIT);
		(void)usleep(1000);
	}
	for (int i = 0; i < 20; i++) {
		(void)uv_run(&b->loop, UV_RUN_NOWAIT);
		(void)usleep(1000);
	}
	assert_int_equal(b->loads, n);
}

static int state_of(void *arg, const struct registry_function *f)
{
	(void)snprintf(arg, 64, "%s %s", f->state, f->reason);
	return 0;
}

static void spoil(const char *dir, const char *sub)
{
	char command[256]; /* a test's own folder */
	(void)snprintf(command, sizeof(command),
		       "for f in %s/%s/*; do printf x | dd of=$f bs=1 seek=60 conv=notrunc "
		       "2>/dev/null; done",
		       dir, sub);
	FILE *p = popen(command, "r");
	assert_non_null(p);
	assert_int_equal(pclose(p), 0);
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
