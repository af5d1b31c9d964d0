/* SPDX-License-Identifier: Apache-2.0 */
/* A dispatcher between a fake sandbox and a fake broker. */
#ifndef TESTS_DISPATCH_WORLD_H
#define TESTS_DISPATCH_WORLD_H

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "gateway/dispatch.h"
#include "gateway/path_impl.h"
#include "tests/unit/gateway/fake_broker.h"
#include "tests/unit/gateway/fake_sandbox.h"
#include "tests/unit/gateway/until.h"

enum { WAIT_MS = 8000 };

/* ---- one dispatcher ---- */

struct world {
	uv_loop_t loop;
	struct config config;
	struct dispatch *d;
	char program[256];
	unsigned loaded;
	int loaded_err;
	char loaded_why[128];
};

static struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

static void on_loaded(void *arg, int err, const char *why)
{
	struct world *w = arg;
	w->loaded++;
	w->loaded_err = err;
	(void)snprintf(w->loaded_why, sizeof(w->loaded_why), "%s", why ? why : "");
}

static struct dispatch_status status(struct world *w)
{
	struct dispatch_status s;
	dispatch_status(w->d, &s);
	return s;
}

static inline struct dispatch_function function(struct world *w, const char *name)
{
	struct dispatch_function f = { 0 };
	assert_int_equal(dispatch_function_status(w->d, name, &f), 0);
	return f;
}

static void put_as(struct world *w, const char *name, unsigned revision, unsigned deadline_ms,
		   enum path_role role, unsigned percent)
{
	static const char *const grants[] = { "alerts/#" };
	struct path_function f = { .name = name,
				   .revision = revision,
				   .so_fd = 0,
				   .limits = { .memory_bytes = 1 << 20,
					       .stack_bytes = 1 << 16,
					       .output_bytes = 1 << 20,
					       .cpu_ms = 100,
					       .deadline_ms = deadline_ms },
				   .publish = grants,
				   .npublish = 1,
				   .state = true,
				   .role = role,
				   .percent = percent };
	struct why why = { 0 };
	unsigned before = w->loaded;
	assert_int_equal(dispatch_function_put(w->d, &f, on_loaded, w, &why), 0);
	assert_int_equal(w->loaded, before); /* never inside the call */
	UNTIL(w, w->loaded > before);
}

static inline void put(struct world *w, const char *name, unsigned revision, unsigned deadline_ms)
{
	put_as(w, name, revision, deadline_ms, PATH_ACTIVE, 0);
}

static struct world *begin(unsigned queue, unsigned per_function)
{
	struct world *w = calloc(1, sizeof(*w));
	struct why why = { 0 };
	assert_non_null(w);
	out.n = 0;
	assert_int_equal(config_load(NULL, &w->config, &why), 0);
	w->config.workers = 1;
	w->config.queue_events = queue;
	w->config.queue_per_function = per_function;
	ssize_t n = readlink("/proc/self/exe", w->program, sizeof(w->program) - 1);
	assert_true(n > 0);
	assert_int_equal(uv_loop_init(&w->loop), 0);
	assert_int_equal(dispatch_new(&w->config, &w->loop, w->program, &w->d, &why), 0);
	return w;
}

static void end(struct world *w)
{
	dispatch_free(w->d, 500);
	(void)uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	config_fini(&w->config);
	free(w);
}

static inline struct binding *bound(const char *function_name, const char *publish)
{
	struct binding *b = NULL;
	struct why why = { 0 };
	const struct binding_text t = { .topics = true,
					.function = text(function_name),
					.filter = text("s/+"),
					.publish = text(publish) };
	assert_int_equal(binding_new(1, &t, &b, &why), 0);
	b->way_out = &broker;
	b->publish_qos = 1;
	return b;
}

/* attend: as Paho's thread does it, up to where the answers have been taken. */
static inline void happen(struct world *w, struct binding *b, const char *payload, bool attend)
{
	static struct dispatch_seat seat; /* one thread at a time attends in these tests */
	const struct event e = { .arrived_ns = uv_hrtime(),
				 .time_wall_ms = 1,
				 .source = text("mqtt:test"),
				 .type = text("t"),
				 .topic = text("s/7"),
				 .payload = text(payload) };
	dispatch_event(w->d, &e, &b, 1, attend ? &seat : NULL);
	for (int fd; attend && (fd = dispatch_before_sleep(w->d, &seat)) >= 0;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		(void)poll(&p, 1, 20);
		dispatch_ready(w->d);
	}
}

/* ThreadSanitizer does not see that a packet goes through another process: a flight is used anew
 * after its answer came, which is after sendmsg() has copied its packet, though that call may not
 * have returned yet. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:ipc_send\nrace:wire_send\n";
}

#endif
