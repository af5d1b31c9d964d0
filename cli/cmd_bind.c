/* SPDX-License-Identifier: Apache-2.0 */
/* bind, unbind, bindings: which events go to which function */
#include <string.h>

#include "base/own.h"
#include "cli/bind.h"
#include "cli/client.h"
#include "cli/text.h"
#include "proto/kinds.h"
#include "proto/topic.h"

#define GROUP "Events"

enum { HTTP_CREATED = 201 };

static const struct option_row bind_rows[] = {
#define INPUT(kind, argument, help) { #kind, 0, OPT_TEXT, argument, help, 0, 0 },
#define OUTPUT(...)
#define KEY(...)
#define OUTPUT_KEY(...)
#include "proto/kinds.def"
#undef INPUT
#undef KEY
	{ "with", 'o', OPT_TEXT, "KEY=VALUE", "an option of that kind (below); may be given again",
	  0, 0 },
	{ "publish", 0, OPT_TEXT, "TOPIC", "where its answers go: alerts/{1}, {topic}, {id}, ...",
	  0, 0 },
	{ "qos", 0, OPT_NUMBER, "0..2", "of the subscription (default 1)", 0, 2 },
	{ "publish-qos", 0, OPT_NUMBER, "0..2", "of what is published (default: that of --qos)", 0,
	  2 },
	{ "retain", 0, OPT_FLAG, NULL, "what is published is kept by the broker", 0, 0 },
	{ "broker", 0, OPT_TEXT, "NAME",
	  "of the configuration, which it listens to (default: \"default\"); of modbus: NAME of "
	  "[modbus.NAME]",
	  0, 0 },
	{ "publish-broker", 0, OPT_TEXT, "NAME",
	  "that its messages go to (default: that of its events, or \"default\")", 0, 0 },
	{ "deadline", 0, OPT_NUMBER, "MS",
	  "until when an event has to end (default: the function's)", 1, INT32_MAX },
	{ "criticality", 0, OPT_TEXT, "LEVEL",
	  "low, normal or high: who gives way under overload (default: the function's)", 0, 0 },
	{ "durability", 0, OPT_TEXT, "LEVEL",
	  "process, power or off: what its events of QoS 1 and 2 survive (default: "
	  "journal.durability)",
	  0, 0 },
	{ "retry", 0, OPT_NUMBER, "N", "how often an event that failed is tried again (default 3)",
	  0, 1000 },
	{ "backoff", 0, OPT_NUMBER, "MS", "pause before that, doubled each time (default 1000)", 0,
	  INT32_MAX },
	{ "ordered", 0, OPT_FLAG, NULL, "events of a topic run one after the other", 0, 0 },
};

static struct span span_of(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

/* The one kind that is given; NULL: none or several, said. */
static const struct kind *kind_of(struct cli *c)
{
	const struct kind *found = NULL;
	for (unsigned i = 0; i < kinds_count; i++) {
		if (kinds[i].side != KIND_INPUT || !args_text(&c->args, kinds[i].name))
			continue;
		if (found) {
			(void)cli_fail(c, CODE_USAGE, "penstock bind once for each",
				       "--%s and --%s: a binding listens to one thing", found->name,
				       kinds[i].name);
			return NULL;
		}
		found = &kinds[i];
	}
	if (!found)
		(void)cli_fail(c, CODE_USAGE, "penstock bind NAME --mqtt 'sensors/+/temperature'",
			       "what to listen to is missing: --mqtt FILTER, --gpio LINE, --every "
			       "TIME ... (penstock bind --help has them all)");
	return found;
}

/* --with KEY=VALUE ..., checked as the gateway will check it; NULL: said. */
static json_t *options_of(struct cli *c, const struct kind *k)
{
	char canonical[KIND_OPTIONS_BYTES];
	struct why why = { 0 };
	json_t *all = json_object();
	for (size_t i = 0; i < c->args.ngiven; i++) {
		const struct option_given *g = &c->args.given[i];
		if (strcmp(g->row->name, "with") != 0)
			continue;
		const char *eq = strchr(g->text, '=');
		OWN_FREE char *name = eq ? strndup(g->text, (size_t)(eq - g->text)) : NULL;
		if (!name || json_object_get(all, name) ||
		    json_object_set_new(all, name, json_string(eq + 1)) < 0) {
			(void)cli_fail(c, CODE_USAGE, NULL,
				       "--with %s: expected KEY=VALUE, each key once", g->text);
			json_decref(all);
			return NULL;
		}
	}
	if (kind_options(k, all, canonical, &why) == 0)
		return all;
	(void)cli_fail(c, CODE_USAGE, NULL, "%s", why.text);
	json_decref(all);
	return NULL;
}

/* The gateway checks the same; here the answer comes without one. */
static int topics_check(struct cli *c, const struct kind *k, const char *filter,
			const char *publish)
{
	struct why why = { 0 };
	bool topics = strcmp(k->name, "mqtt") == 0;
	if (topics && !topic_filter_ok(span_of(filter)))
		return cli_fail(c, CODE_USAGE,
				"+ and # stand for whole levels, # only for the last: a/+/b, a/#",
				"--mqtt %s is not an MQTT topic filter", filter);
	if (publish &&
	    topic_template_check(span_of(publish), span_of(topics ? filter : ""), &why) < 0)
		return cli_fail(c, CODE_USAGE, NULL, "--publish %s: %s", publish, why.text);
	return CODE_OK;
}

static json_t *binding_of(const struct cli *c, const struct kind *k, json_t *options)
{
	const struct args *a = &c->args;
	json_t *j =
		json_pack("{s:s, s:s, s:s, s:O, s:i, s:b, s:s*, s:s*, s:s*}", "function",
			  cli_arg(c, 0), "kind", k->name, "filter", args_text(a, k->name),
			  "options", options, "qos", (int)args_number(a, "qos", 1), "retain",
			  args_flag(a, "retain"), "publish", args_text(a, "publish"), "broker",
			  args_text(a, "broker"), "publish_broker", args_text(a, "publish-broker"));
	if (j && args_flag(a, "deadline"))
		(void)json_object_set_new(j, "deadline_ms",
					  json_integer((json_int_t)args_number(a, "deadline", 1)));
	if (j && args_text(a, "criticality"))
		(void)json_object_set_new(j, "criticality",
					  json_string(args_text(a, "criticality")));
	if (j && args_text(a, "durability"))
		(void)json_object_set_new(j, "durability", json_string(args_text(a, "durability")));
	if (j && args_flag(a, "retry"))
		(void)json_object_set_new(j, "retry",
					  json_integer((json_int_t)args_number(a, "retry", 0)));
	if (j && args_flag(a, "backoff"))
		(void)json_object_set_new(j, "backoff_ms",
					  json_integer((json_int_t)args_number(a, "backoff", 0)));
	if (j && args_flag(a, "ordered"))
		(void)json_object_set_new(j, "ordered", json_true());
	if (j && args_flag(a, "publish-qos"))
		(void)json_object_set_new(
			j, "publish_qos",
			json_integer((json_int_t)args_number(a, "publish-qos", 0)));
	return j;
}

static void binding_say(const json_t *b, bool is_new, FILE *out)
{
	(void)fprintf(out,
		      is_new ? "bound     %.0f: " : "already bound as %.0f: ", json_num(b, "id"));
	text_put(out, json_text(b, "filter"));
	(void)fputs(" -> ", out);
	text_put(out, json_text(b, "function"));
	if (json_text(b, "publish")[0]) {
		(void)fputs(" -> ", out);
		text_put(out, json_text(b, "publish"));
	}
	(void)fputc('\n', out);
}

static void warnings_say(struct cli *c, const json_t *list)
{
	size_t i;
	json_t *text;
	(void)fflush(c->out);
	json_array_foreach(list, i, text)
	{
		(void)fputs("warning   ", c->err);
		text_put_n(c->err, json_string_value(text), json_string_length(text));
		(void)fputc('\n', c->err);
	}
}

int binding_make(struct cli *c, struct client *k, const json_t *body, FILE *say)
{
	OWN_FREE char *text = body ? json_dumps(body, 0) : NULL;
	OWN_JSON *item = NULL;
	if (!text)
		return cli_fail(c, CODE_USAGE, NULL, "the names are not UTF-8");
	const struct client_request q = { .method = CLIENT_POST,
					  .path = "/bindings",
					  .content_type = "application/json",
					  .body = span_of(text) };
	int code = client_do(k, &q, &item);
	if (code != CODE_OK)
		return code;
	if (say)
		binding_say(item, client_status(k) == HTTP_CREATED, say);
	else
		json_print(c, item);
	warnings_say(c, json_object_get(item, "warnings"));
	return CODE_OK;
}

static int bind_run(struct cli *c)
{
	const struct kind *kind = kind_of(c);
	if (!kind)
		return CODE_USAGE;
	OWN_JSON *options = options_of(c, kind);
	int code = options ? topics_check(c, kind, args_text(&c->args, kind->name),
					  args_text(&c->args, "publish"))
			   : CODE_USAGE;
	if (code != CODE_OK)
		return code;
	OWN_JSON *body = binding_of(c, kind, options);
	OWN_CLIENT *k = client_new(c);
	return k ? binding_make(c, k, body, cli_json(c) ? NULL : c->out) : CODE_FAILED;
}

const struct command command_bind = {
	.name = "bind",
	.group = GROUP,
	.summary = "Let something start a function: messages, edges, time, requests",
	.usage =
		"NAME --mqtt FILTER | --gpio LINE | --every TIME | ... [--publish TOPIC] [options]",
	.more = "TOPIC is a template: {1}, {2} ... are what the filter's wildcards matched, "
		"{topic}\n"
		"the message's topic, {id} the event's id, {function} the function's name.\n"
		"$output/NAME sets the output [output.NAME] of the configuration.\n"
		"  penstock bind overheat --mqtt 'sensors/+/temperature' --publish 'alerts/{1}'\n"
		"  penstock bind lamp --gpio GPIO17 --with edge=rising --publish '$output/lamp'\n"
		"\n"
		"Options of each kind, with their defaults (--with KEY=VALUE):\n"
#define INPUT(...)
#define HELP_FLAG(choices)
#define HELP_NUMBER(choices)
#define HELP_TIME(choices)
#define HELP_WORDS(choices)
#define HELP_CHOICE(choices) " (one of " choices ")"
#define KEY(kind, name, type, def, least, most, choices, help)                                     \
	"  " #kind "  " #name "=" def "  " help HELP_##type(choices) "\n"
#include "proto/kinds.def"
#undef INPUT
#undef KEY
		"",
	.options = bind_rows,
	.noptions = ARRAY_LEN(bind_rows),
	.needs = "NAME",
	.least_args = 1,
	.most_args = 1,
	.prints_data = true,
	.asks_gateway = true,
	.run = bind_run,
};

/* ---- unbind ---- */

/* All of them are tried; the first trouble gives the exit code. */
static int unbind_run(struct cli *c)
{
	OWN_CLIENT *k = client_new(c);
	OWN_JSON *done = json_array();
	int code = CODE_OK;
	if (!k)
		return CODE_FAILED;
	for (size_t i = 0; i < c->args.nrest && code != CODE_AWAY; i++) {
		OWN_FREE char *path = client_path("/bindings/%s", cli_arg(c, i));
		const struct client_request q = { .method = CLIENT_DELETE, .path = path };
		int one = client_do(k, &q, NULL);
		if (one != CODE_OK) {
			code = code == CODE_OK || one == CODE_AWAY ? one : code;
			continue;
		}
		(void)json_array_append_new(
			done, json_integer((json_int_t)strtoull(cli_arg(c, i), NULL, 10)));
		if (cli_json(c))
			continue;
		(void)fprintf(c->out, "unbound   ");
		text_put(c->out, cli_arg(c, i));
		(void)fputc('\n', c->out);
	}
	if (cli_json(c)) {
		OWN_JSON *answer = json_pack("{s:O}", "unbound", done);
		json_print(c, answer);
	}
	return code;
}

const struct command command_unbind = {
	.name = "unbind",
	.group = GROUP,
	.summary = "Remove bindings, by their ids",
	.usage = "ID...",
	.more = "penstock bindings shows the ids.",
	.needs = "ID",
	.least_args = 1,
	.most_args = 1000,
	.prints_data = true,
	.asks_gateway = true,
	.run = unbind_run,
};

/* ---- bindings ---- */

static void binding_row(struct table *t, const json_t *b)
{
	const json_t *counts = json_object_get(b, "counts");
	table_cell_fmt(t, "%.0f", json_num(b, "id"));
	table_cell(t, json_text(b, "function"));
	table_cell(t, json_text(b, "broker"));
	table_cell(t, json_text(b, "filter"));
	table_cell_fmt(t, "%.0f", json_num(b, "qos"));
	table_cell(t, json_text(b, "publish"));
	table_cell_fmt(t, "%.0f%s", json_num(b, "publish_qos"),
		       json_is_true(json_object_get(b, "retain")) ? " retain" : "");
	table_cell_fmt(t, "%.0f", json_num(counts, "invoked"));
}

static int bindings_run(struct cli *c)
{
	static const char *const heads[] = { "ID",  "FUNCTION", "BROKER", "FILTER",
					     "QOS", "PUBLISH",  "QOS",    "EVENTS" };
	OWN_CLIENT *k = client_new(c);
	if (!k)
		return CODE_FAILED;
	OWN_JSON *list = NULL;
	int code = client_do(k, &(struct client_request){ .path = "/bindings" }, &list);
	if (code != CODE_OK)
		return code;
	if (cli_json(c)) {
		json_print(c, list);
		return CODE_OK;
	}
	size_t i;
	json_t *b;
	struct table t;
	table_init(&t, heads, ARRAY_LEN(heads), 1 | 1 << 4 | 1 << 7);
	json_array_foreach(json_object_get(list, "items"), i, b) binding_row(&t, b);
	table_print(&t, c->out);
	table_fini(&t);
	return CODE_OK;
}

const struct command command_bindings = {
	.name = "bindings",
	.group = GROUP,
	.summary = "List what starts which function, and where its answers go",
	.usage = "",
	.more = "",
	.prints_data = true,
	.asks_gateway = true,
	.run = bindings_run,
};
