/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of deploys share. */
#ifndef TESTS_UNIT_GATEWAY_DEPLOY_BENCH_H
#define TESTS_UNIT_GATEWAY_DEPLOY_BENCH_H

#include "tests/unit/gateway/fake_compiler.h"

#include "gateway/deploy_job.h"

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
	enum path_role loaded_role;
	unsigned loaded_percent;
	uint64_t loaded_memory_bytes;
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
	long long reused; /* chunks, of the report */
	json_t *manifest;
};

static inline void on_answer(uv_timer_t *t)
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
	b->loaded_role = f->role;
	b->loaded_percent = f->percent;
	b->loaded_memory_bytes = f->limits.memory_bytes;
	assert_null(b->done); /* one at a time is all that these tests need */
	b->done = done;
	b->done_arg = done_arg;
	if (b->load_never)
		return 0;
	return uv_timer_start(&b->answer, on_answer, 1, 0);
}

static int fake_unload(void *arg, const char *name)
{
	struct bench *b = arg;
	(void)name;
	b->unloads++;
	return 0;
}

static inline void bench_open(struct bench *b)
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
					.unload_candidate = fake_unload,
					.load_arg = b };
	if (deployer_new(&env, &b->deployer, &why) != 0)
		fail_msg("%s", why.text);
}

static inline void bench_close(struct bench *b)
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

static inline void bench_trust(struct bench *b, const struct sig_public *pk)
{
	char id[SIG_KEY_ID_TEXT];
	struct registry_key k = { .id = id, .public = *pk, .comment = "" };
	sig_key_id(pk, id);
	assert_true(registry_key_put(b->registry, &k, NULL) >= 0);
}

static inline int bench_setup(void **state)
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

static inline int bench_teardown(void **state)
{
	struct bench *b = *state;
	void *dir = b->dir;
	bench_close(b);
	config_fini(&b->config);
	free(b);
	return scratch_free(&dir);
}

static inline void on_done(void *arg, const struct deploy_outcome *o)
{
	struct result *r = arg;
	r->calls++;
	r->err = o->err;
	r->revision = o->revision;
	r->has_previous = o->previous != NULL;
	r->reused = json_integer_value(json_object_get(o->report, "reused"));
	r->manifest = json_incref(o->manifest);
	(void)snprintf(r->why, sizeof(r->why), "%s", o->why);
}

static inline void start(struct bench *b, const struct deploy_request *request, struct result *r)
{
	struct why why = { 0 };
	*r = (struct result){ 0 };
	if (deploy_start(b->deployer, request, on_done, r, &why) != 0)
		fail_msg("%s", why.text);
	assert_int_equal(r->calls, 0); /* never inside the call that asked */
}

static inline void wait_for(struct bench *b, struct result *r)
{
	while (r->calls == 0)
		(void)uv_run(&b->loop, UV_RUN_ONCE);
	json_decref(r->manifest);
	assert_int_equal(r->calls, 1);
}

static inline struct deploy_request request(struct bench *b, const char *manifest, const char *word)
{
	struct deploy_request q = { .granted = true };
	fake_module(&b->sk, manifest, word, &q.wasm, &q.len);
	return q;
}

static inline void deploy(struct bench *b, const char *manifest, const char *word, struct result *r)
{
	const struct deploy_request q = request(b, manifest, word);
	start(b, &q, r);
	wait_for(b, r);
}

#define NAMED_F "{\"name\":\"f\",\"version\":\"1.0.0\",\"abi\":1}"

static inline void run_until_loads(struct bench *b, unsigned n)
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

static inline int state_of(void *arg, const struct registry_function *f)
{
	(void)snprintf(arg, 64, "%s %s", f->state, f->reason);
	return 0;
}

static inline void spoil(const char *dir, const char *sub)
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

#endif
