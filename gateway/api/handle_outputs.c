/* SPDX-License-Identifier: Apache-2.0 */
/* /outputs: what functions can set, how it stands, and setting it by hand. */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "gateway/api/request.h"
#include "gateway/text.h"
#include "triggers/outputs.h"

enum { LOOK_MS = 5, WAIT_MS = OUTPUT_MS + 500, VALUE_TEXT = 64 };

static json_t *text_of(const char *s)
{
	return text_json((struct span){ (const uint8_t *)s, strlen(s) });
}

static json_t *output_json(const struct output_status *s)
{
	const char *state = s->ok ? "ok" : s->waits ? "away" : "failing";
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:s, s:b, s:o, s:{s:I, s:I, s:I}}", "name",
			 s->name, "kind", s->kind, "target", s->target, "value", text_of(s->value),
			 "function", text_of(s->function), "state", state, "waits", (int)s->waits,
			 "detail", text_of(s->detail), "counts", "set", (json_int_t)s->set,
			 "refused", (json_int_t)s->refused, "replaced", (json_int_t)s->replaced);
}

void api_outputs_list(struct api_request *q)
{
	struct trigger *outputs = path_outputs(q->g->path);
	json_t *items = json_array();
	for (unsigned i = 0; outputs && i < outputs_count(outputs); i++) {
		struct output_status s;
		outputs_status(outputs, i, &s);
		(void)json_array_append_new(items, output_json(&s));
	}
	request_reply(q, 200, json_pack("{s:o}", "items", items));
}

static int find(struct api_request *q, unsigned *ret_i, struct why *why)
{
	struct trigger *outputs = path_outputs(q->g->path);
	if (!outputs)
		return why_set(why, -E_UNKNOWN,
			       "the configuration has no outputs: [output.NAME] makes one");
	return outputs_find(outputs, (struct span){ (const uint8_t *)q->arg, strlen(q->arg) },
			    ret_i, why);
}

/* JSON's own as functions would write it. False: no value. */
static bool value_text(const json_t *v, char ret[VALUE_TEXT])
{
	int n = -1;
	if (json_is_string(v) && json_string_length(v) == strlen(json_string_value(v)))
		n = snprintf(ret, VALUE_TEXT, "%s", json_string_value(v));
	else if (json_is_integer(v))
		n = snprintf(ret, VALUE_TEXT, "%lld", (long long)json_integer_value(v));
	else if (json_is_real(v))
		n = snprintf(ret, VALUE_TEXT, "%.17g", json_real_value(v));
	else if (json_is_boolean(v))
		n = snprintf(ret, VALUE_TEXT, "%d", json_is_true(v));
	return n > 0 && n < VALUE_TEXT;
}

/* True: answered. late: it is not waited for any longer. */
static bool answer(struct api_request *q, bool late)
{
	unsigned i;
	struct output_status s;
	ENSURE(find(q, &i, NULL) == 0); /* it was there when the request came */
	outputs_status(path_outputs(q->g->path), i, &s);
	if (s.ended < q->seen && s.ok && !late)
		return false;
	if (s.ended < q->seen)
		request_reply(q, 202, output_json(&s));
	else if (s.ended_refused >= q->seen)
		request_error(q, -E_INVALID, s.detail, "penstock outputs shows what it is", NULL);
	else
		request_reply(q, 200, output_json(&s));
	return true;
}

static void look(struct api_request *q)
{
	bool late = uv_now(&q->g->loop) >= q->by_ms;
	if (!answer(q, late))
		request_timer(q, LOOK_MS, look);
}

/* A log line says nothing about it. */
static void on_line(struct api_request *q)
{
	(void)q;
}

/* Its device answers within milliseconds or is away; then it is tried again, and the client does not wait. */
static void set(struct api_request *q, unsigned i, const char *value)
{
	struct why why = { 0 };
	struct trigger *outputs = path_outputs(q->g->path);
	int err = outputs_set(outputs, i, (struct span){ (const uint8_t *)value, strlen(value) },
			      &q->seen, &why);
	if (err < 0) {
		request_fail(q, err, &why);
		return;
	}
	LOG(LOG_NOTE, "output set by hand", F_STR("output", q->arg), F_STR("value", value));
	q->by_ms = uv_now(&q->g->loop) + WAIT_MS;
	if (!request_wait(q, on_line))
		(void)answer(q, true);
	else
		request_timer(q, LOOK_MS, look);
}

void api_outputs_set(struct api_request *q)
{
	struct why why = { 0 };
	unsigned i = 0;
	char text[VALUE_TEXT];
	json_t *body = NULL;
	const json_t *value = NULL;
	int err = find(q, &i, &why);
	if (err == 0)
		err = body_json(q->body, &body, &why, "{s:o}", "value", &value);
	if (err == 0 && !value_text(value, text))
		err = why_set(&why, -EINVAL,
			      "`value` must be a text of 1 to %d bytes, a number, true or false",
			      VALUE_TEXT - 1);
	if (err < 0)
		request_fail(q, err, &why);
	else
		set(q, i, text);
	json_decref(body);
}
