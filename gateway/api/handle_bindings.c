/* SPDX-License-Identifier: Apache-2.0 */
/* /bindings: which events go to which function. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gateway/api/request.h"
#include "gateway/binding_read.h"
#include "gateway/file_bindings.h"
#include "gateway/wall.h"
#include "proto/kinds.h"
#include "proto/topic.h"

static json_t *binding_json(struct gateway *g, const struct registry_binding *b)
{
	char at[WALL_TEXT];
	return json_pack(
		"{s:I, s:s, s:s, s:s, s:s, s:o?, s:i, s:s, s:s, s:i, s:b, s:i, s:s, s:s, s:i, s:i, "
		"s:b, s:s, s:o?}",
		"id", (json_int_t)b->id, "function", b->function, "kind", b->kind, "broker",
		b->broker, "filter", b->filter, "options", json_loads(b->options, 0, NULL), "qos",
		(int)b->qos, "publish", b->publish, "publish_broker", b->publish_broker,
		"publish_qos", (int)b->publish_qos, "retain", (int)b->retain, "deadline_ms",
		(int)b->deadline_ms, "criticality", b->criticality, "durability", b->durability,
		"retry", (int)b->retry_max, "backoff_ms", (int)b->retry_ms, "ordered",
		(int)b->ordered, "created_at", wall_text(b->created_wall_ms, at), "counts",
		path_binding_counts(g->path, b->id));
}

struct list {
	struct gateway *g;
	json_t *items;
};

static int binding_append(void *arg, const struct registry_binding *b)
{
	struct list *l = arg;
	return json_array_append_new(l->items, binding_json(l->g, b));
}

void api_bindings_list(struct api_request *q)
{
	struct why why = { 0 };
	struct list l = { q->g, json_array() };
	int err = registry_bindings(q->g->registry, NULL, binding_append, &l, &why);
	const struct config *c = file_config(q->g);
	for (unsigned i = 0; err == 0 && i < c->nbindings; i++) {
		json_t *one = binding_json(q->g, &c->bindings[i].row);
		(void)json_object_set_new(one, "name", json_string(c->bindings[i].name));
		(void)json_object_set_new(one, "file", json_string(c->bindings[i].place));
		(void)json_array_append_new(l.items, one);
	}
	if (err == 0) {
		request_reply(q, 200, json_pack("{s:o}", "items", l.items));
		return;
	}
	json_decref(l.items);
	request_fail(q, err, &why);
}

int api_binding_read(struct span body, json_t **ret_body, struct registry_binding *b,
		     char options[KIND_OPTIONS_BYTES], struct why *why)
{
	int err = body_object(body, ret_body, why);
	return err < 0 ? err : binding_read(*ret_body, b, options, why);
}

/* First the registry, which gives the id; what the path then refuses is taken back. */
static int binding_add(struct gateway *g, struct registry_binding *b, struct why *why)
{
	int err = registry_binding_put(g->registry, b, &b->id, why);
	if (err < 0)
		return err;
	const struct path_binding p = path_binding_of(b);
	err = path_binding_put(g->path, &p, why);
	if (err < 0)
		(void)registry_binding_remove(g->registry, b->id, NULL);
	return err;
}

struct same {
	struct gateway *g;
	const struct registry_binding *wanted;
	json_t *item;
	uint64_t id;
	bool is_equal; /* also in what it does with the answers */
};

static int same_take(void *arg, const struct registry_binding *have)
{
	struct same *s = arg;
	const struct registry_binding *b = s->wanted;
	s->id = have->id;
	s->item = binding_json(s->g, have);
	s->is_equal = strcmp(b->publish, have->publish) == 0 && b->qos == have->qos &&
		      strcmp(b->publish_broker, have->publish_broker) == 0 &&
		      b->publish_qos == have->publish_qos && b->retain == have->retain &&
		      b->deadline_ms == have->deadline_ms &&
		      strcmp(b->criticality, have->criticality) == 0 &&
		      strcmp(b->durability, have->durability) == 0 &&
		      b->retry_max == have->retry_max && b->retry_ms == have->retry_ms &&
		      b->ordered == have->ordered;
	return 0;
}

static struct span span_of(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

/* What is allowed and hardly meant. */
static bool has_output(const struct config *c, struct span name)
{
	for (unsigned i = 0; i < c->noutputs; i++) {
		if (span_eq(name, c->outputs[i].name))
			return true;
	}
	return false;
}

static json_t *warned(struct gateway *g, json_t *item, const struct registry_binding *b)
{
	json_t *list = json_array();
	if (strcmp(b->kind, "mqtt") == 0 && b->publish[0] != '\0' &&
	    topic_template_loops(span_of(b->publish), span_of(b->filter)))
		(void)json_array_append_new(
			list,
			json_sprintf("\"%s\" can match \"%s\": the function would get its own "
				     "answers as events, round and round, until the gateway "
				     "refuses them",
				     b->publish, b->filter));
	struct span output;
	if (output_of_topic(span_of(b->publish), &output) && !memchr(output.at, '{', output.len) &&
	    !has_output(&g->config, output))
		(void)json_array_append_new(
			list, json_sprintf("this gateway has no output \"%s\": it needs a section "
					   "[output.%s], and to be started again",
					   b->publish + sizeof(OUTPUT_TOPIC) - 1,
					   b->publish + sizeof(OUTPUT_TOPIC) - 1));
	(void)json_object_set_new(item, "warnings", list);
	return item;
}

static const char *const topics_hint =
	"in a filter, + and # stand for whole levels, # only for the last: a/+/b, a/#; in a "
	"template, {1} is what the first of them matched";

/* Asked for a second time it is there already: a program may bind at each of its starts. */
static void binding_same(struct api_request *q, struct same *s, int err, struct why *why)
{
	char hint[64];
	if (err == 0 && s->is_equal) {
		request_reply(q, 200, warned(q->g, json_incref(s->item), s->wanted));
		return;
	}
	if (err == 0)
		err = why_set(why, -E_EXISTS,
			      "binding %llu gives function \"%.80s\" these messages already, with "
			      "other options",
			      (unsigned long long)s->id, s->wanted->function);
	(void)snprintf(hint, sizeof(hint), "penstock unbind %llu", (unsigned long long)s->id);
	request_error(q, err, why_text(why, err), err == -E_EXISTS ? hint : NULL, NULL);
}

static void binding_make(struct api_request *q, struct registry_binding *b, struct why *why)
{
	int err = binding_add(q->g, b, why);
	if (err < 0) {
		bool about_topics = err == -E_INVALID && strcmp(b->kind, "mqtt") == 0;
		request_error(q, err, why_text(why, err), about_topics ? topics_hint : NULL, NULL);
		return;
	}
	LOG(LOG_NOTE, "bound", F_STR("function", b->function), F_U64("binding", b->id),
	    F_STR("filter", b->filter), F_STR("publish", b->publish));
	request_reply(q, 201, warned(q->g, binding_json(q->g, b), b));
}

void api_bindings_add(struct api_request *q)
{
	struct why why = { 0 };
	struct registry_binding b;
	struct same same = { .g = q->g, .wanted = &b };
	char options[KIND_OPTIONS_BYTES];
	json_t *body = NULL;
	int err = api_binding_read(q->body, &body, &b, options, &why);
	if (err < 0) {
		request_fail(q, err, &why);
	} else {
		err = registry_binding_same(q->g->registry, &b, same_take, &same, NULL);
		if (err == -E_UNKNOWN)
			binding_make(q, &b, &why);
		else
			binding_same(q, &same, err, &why);
	}
	json_decref(same.item);
	json_decref(body);
}

static int not_of_a_file(struct gateway *g, uint64_t id, struct why *why)
{
	const struct config *c = file_config(g);
	for (unsigned i = 0; i < c->nbindings; i++) {
		if (c->bindings[i].row.id == id)
			return why_set(
				why, -EINVAL,
				"binding %s is in %s: remove it there, and `penstock reload`",
				c->bindings[i].name, c->bindings[i].place);
	}
	return 0;
}

void api_bindings_remove(struct api_request *q)
{
	struct why why = { 0 };
	size_t digits = strspn(q->arg, "0123456789");
	int err = 0;
	if (digits == 0 || digits > 18 || q->arg[digits] != '\0')
		err = why_set(&why, -EINVAL, "\"%.40s\" is no binding's id", q->arg);
	const uint64_t id = strtoull(q->arg, NULL, 10);
	if (err == 0)
		err = not_of_a_file(q->g, id, &why);
	if (err == 0)
		err = registry_binding_remove(q->g->registry, id, &why);
	if (err < 0) {
		request_error(q, err, why_text(&why, err), "penstock bindings shows the ids", NULL);
		return;
	}
	(void)path_binding_remove(q->g->path, id);
	LOG(LOG_NOTE, "unbound", F_U64("binding", id));
	request_reply(q, 204, NULL);
}

void api_reload(struct api_request *q)
{
	struct file_reload done;
	struct why why = { 0 };
	int err = file_reload(q->g, &done, &why);
	if (err < 0) {
		request_error(q, err, why_text(&why, err), "all stays as it was", NULL);
		return;
	}
	request_reply(q, 200,
		      json_pack("{s:i, s:i, s:i, s:i, s:i}", "added", (int)done.added, "removed",
				(int)done.removed, "changed", (int)done.changed, "refused",
				(int)done.refused, "at_next_start", (int)done.later));
}
