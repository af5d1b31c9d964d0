/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of gateway/path.h, in place of the program's: they remember, and answer later. */
#ifndef TESTS_UNIT_GATEWAY_FAKE_PATH_H
#define TESTS_UNIT_GATEWAY_FAKE_PATH_H

#include <string.h>

#include "gateway/path.h"
#include "proto/aot_abi.h"

struct path {
	uv_loop_t *loop;
	unsigned functions, bindings, pending;
};

struct pending {
	uv_timer_t timer;
	path_loaded *loaded;
	path_result *result;
	void *arg;
	struct event event;
	char payload[64];
};

static void pending_free(uv_handle_t *h)
{
	free(h->data);
}

static void on_pending(uv_timer_t *t)
{
	struct pending *p = t->data;
	static uint8_t effects[256];
	struct wr w = wr_into(effects, sizeof(effects));
	if (p->loaded) {
		p->loaded(p->arg, 0, NULL);
	} else {
		ipc_effect_put(
			&w, &(struct ipc_effect){ .qos = 1,
						  .topic = { (const uint8_t *)"alerts/1", 8 },
						  .payload = { (const uint8_t *)"\xff\xfe", 2 } });
		struct ipc_result r = {
			.event = p->event.id,
			.status = IPC_OK,
			.reply = { (const uint8_t *)p->payload, strlen(p->payload) },
			.log = { (const uint8_t *)"4careful\n6fine\n", 15 },
			.effects = { effects, w.len },
			.neffects = 1,
			.run_ns = 5000,
		};
		if (strcmp(p->payload, "trap") == 0)
			r = (struct ipc_result){ .status = IPC_TRAPPED,
						 .trap = AOT_TRAP_DIVIDE,
						 .why = { (const uint8_t *)"at f+0x1", 8 } };
		p->result(p->arg, &p->event, &r);
	}
	uv_close((uv_handle_t *)t, pending_free);
}

static struct pending *pending_new(struct path *p, uint64_t ms)
{
	struct pending *n = calloc(1, sizeof(*n));
	if (!n || uv_timer_init(p->loop, &n->timer) != 0)
		abort();
	n->timer.data = n;
	(void)uv_timer_start(&n->timer, on_pending, ms, 0);
	return n;
}

int path_new(const struct config *config, uv_loop_t *loop, struct path **ret, struct why *why)
{
	(void)config;
	(void)why;
	*ret = calloc(1, sizeof(**ret));
	(*ret)->loop = loop;
	return 0;
}

struct journal *path_journal(struct path *p)
{
	(void)p;
	return NULL;
}

int path_replay(struct path *p, const struct path_repetition *r, path_result *done, void *arg,
		struct why *why)
{
	(void)p;
	(void)done;
	(void)arg;
	return why_set(why, -E_UNKNOWN, "revision %u of %s is not loaded", r->revision,
		       r->function);
}

int path_event_retry(struct path *p, uint64_t id, bool finished, struct why *why)
{
	(void)p;
	(void)finished;
	return why_set(why, -E_UNKNOWN, "no event %llu", (unsigned long long)id);
}

void path_free(struct path *p)
{
	free(p);
}

int path_function_put(struct path *p, const struct path_function *f, path_loaded *done, void *arg,
		      struct why *why)
{
	(void)f;
	(void)why;
	struct pending *n = pending_new(p, 1);
	n->loaded = done;
	n->arg = arg;
	p->functions++;
	return 0;
}

int path_function_remove(struct path *p, const char *name)
{
	(void)name;
	p->functions--;
	return 0;
}

int path_candidate_remove(struct path *p, const char *name)
{
	(void)p;
	(void)name;
	return 0;
}

int path_binding_put(struct path *p, const struct path_binding *b, struct why *why)
{
	if (strcmp(b->broker, "default") != 0)
		return why_set(why, -E_UNKNOWN, "there is no broker \"%s\"", b->broker);
	if (strchr(b->filter, '#') && !strstr(b->filter, "/#"))
		return why_set(why, -E_INVALID, "\"%s\" is no filter", b->filter);
	p->bindings++;
	return 0;
}

bool path_binding_known(struct path *p, uint64_t id)
{
	(void)p, (void)id;
	return true;
}

int path_binding_remove(struct path *p, uint64_t id)
{
	(void)id;
	p->bindings--;
	return 0;
}

int path_invoke(struct path *p, const char *function, const struct event *e, path_result *done,
		void *arg, struct why *why)
{
	(void)function;
	if (e->payload.len >= sizeof(((struct pending *)0)->payload))
		return why_set(why, -E_LIMIT, "too large for this test");
	struct pending *n = pending_new(p, span_eq(e->payload, "slow") ? 300 : 1);
	n->result = done;
	n->arg = arg;
	n->event = (struct event){ .id = UINT64_C(9007199254740993) };
	if (e->payload.len > 0)
		memcpy(n->payload, e->payload.at, e->payload.len);
	else if (e->topic.len > 0 && e->topic.len < sizeof(n->payload))
		memcpy(n->payload, e->topic.at, e->topic.len);
	return 0;
}

json_t *path_status(struct path *p)
{
	return json_pack("{s:[{s:s, s:s, s:s, s:i, s:i}], s:{s:i}}", "brokers", "name", "default",
			 "url", "tcp://127.0.0.1:1883", "state",
			 p->bindings ? "connected" : "connecting", "subscriptions",
			 (int)p->bindings, "pending", (int)p->pending, "sandbox", "pid", 0);
}

json_t *path_function_counts(struct path *p, const char *name)
{
	(void)p;
	(void)name;
	return json_pack("{s:s, s:s, s:{s:i}}", "state", "active", "reason", "", "counts",
			 "invoked", 3);
}

json_t *path_binding_counts(struct path *p, uint64_t id)
{
	(void)p;
	(void)id;
	return NULL;
}

json_t *path_function_metrics(struct path *p, const char *name)
{
	(void)p;
	return strcmp(name, "overheat") == 0 ? json_pack("{s:i}", "deadline_misses", 2) : NULL;
}

char *path_metrics_text(struct path *p, size_t *ret_len)
{
	(void)p;
	char *text = strdup("penstock_in_flight 7\n");
	*ret_len = strlen(text);
	return text;
}

/* Nobody asks for state here. */
struct state_store *path_state(struct path *p)
{
	(void)p;
	return NULL;
}

#endif
