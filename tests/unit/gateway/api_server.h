/* SPDX-License-Identifier: Apache-2.0 */
/* A gateway on a thread of its own: everything but its event path, for which a path stands in that
 * only remembers. One test program includes this. */
#ifndef TESTS_UNIT_GATEWAY_API_SERVER_H
#define TESTS_UNIT_GATEWAY_API_SERVER_H

#include "tests/unit/gateway/fake_compiler.h"

#include <pthread.h>

#include "gateway/api/api.h"
#include "gateway/wall.h"
#include "tests/unit/gateway/fake_path.h"

/* ---- a gateway on a thread of its own ---- */

struct server {
	void *dir;
	struct gateway g;
	uv_async_t quit;
	pthread_t thread;
	struct sig_secret sk;
	struct sig_public pk;
};

static int load(void *arg, const struct path_function *f, path_loaded *done, void *done_arg,
		struct why *why)
{
	return path_function_put(arg, f, done, done_arg, why);
}

static int unload(void *arg, const char *name)
{
	return path_function_remove(arg, name);
}

static int unload_candidate(void *arg, const char *name)
{
	return path_candidate_remove(arg, name);
}

static bool serves(void *arg, const char *name)
{
	(void)arg;
	(void)name;
	return true;
}

static void on_quit(uv_async_t *a)
{
	uv_stop(a->loop);
}

static void *serve(void *arg)
{
	struct server *s = arg;
	(void)uv_run(&s->g.loop, UV_RUN_DEFAULT);
	return NULL;
}

#define MUST(call)                                                                                 \
	do {                                                                                       \
		struct why why = { 0 };                                                            \
		int err_ = (call);                                                                 \
		if (err_ < 0) {                                                                    \
			fprintf(stderr, "%s: %d %s\n", #call, err_, why.text);                     \
			return -1;                                                                 \
		}                                                                                  \
	} while (0)

static int server_start(void **state)
{
	struct server *s = calloc(1, sizeof(*s));
	struct gateway *g = &s->g;
	if (!s || scratch_new(&s->dir) != 0 || sig_init() != 0)
		return -1;
	MUST(config_load(NULL, &g->config, &why));
	g->config.state_dir = g->config.runtime_dir = s->dir;
	g->config.module_bytes = 1 << 20;
	g->config.payload_bytes = 4096;
	g->started_ns = uv_hrtime();
	g->started_wall_ms = wall_ms();
	MUST(logs_new(1 << 16, &g->logs, &why));
	log_set_sink(logs_sink, g->logs);
	MUST(registry_open(s->dir, &g->registry, &why));
	MUST(store_open(s->dir, &g->store, &why));
	MUST(seal_open(s->dir, &g->seal, &why));
	MUST(uv_loop_init(&g->loop));
	MUST(path_new(&g->config, &g->loop, &g->path, &why));
	const struct deploy_env env = { .config = &g->config,
					.loop = &g->loop,
					.registry = g->registry,
					.seal = g->seal,
					.store = g->store,
					.load = load,
					.unload = unload,
					.unload_candidate = unload_candidate,
					.serves = serves,
					.load_arg = g->path };
	MUST(deployer_new(&env, &g->deployer, &why));
	MUST(api_new(g, &g->api, &why));
	MUST(sig_keygen(&s->sk, &s->pk));
	MUST(uv_async_init(&g->loop, &s->quit, on_quit));
	MUST(pthread_create(&s->thread, NULL, serve, s));
	*state = s;
	return 0;
}

static int server_stop(void **state)
{
	struct server *s = *state;
	struct gateway *g = &s->g;
	(void)uv_async_send(&s->quit);
	(void)pthread_join(s->thread, NULL);
	uv_close((uv_handle_t *)&s->quit, NULL);
	deployer_stop(g->deployer);
	api_stop(g->api);
	(void)uv_run(&g->loop, UV_RUN_DEFAULT);
	deployer_free(g->deployer);
	api_free(g->api);
	path_free(g->path);
	if (uv_loop_close(&g->loop) != 0)
		return -1;
	seal_close(g->seal);
	store_close(g->store);
	registry_close(g->registry);
	log_set_sink(NULL, NULL);
	logs_free(g->logs);
	config_fini(&g->config);
	(void)scratch_free(&s->dir);
	free(s);
	return 0;
}

#endif
