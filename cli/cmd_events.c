/* SPDX-License-Identifier: Apache-2.0 */
/* events: what the journal knows; dead letters tried again or dropped */
#include <string.h>

#include "base/own.h"
#include "cli/client.h"
#include "cli/file.h"
#include "cli/text.h"

#define GROUP "Events"

static const struct option_row events_rows[] = {
	{ "function", 0, OPT_TEXT, "NAME", "only events of this function", 0, 0 },
	{ "state", 0, OPT_CHOICE, "open|done|dead|dropped", "only these; dead: the dead letters", 0,
	  0 },
	{ "since", 0, OPT_NUMBER, "SECONDS", "only those that came since", 1, INT32_MAX },
	{ "output", 'o', OPT_TEXT, "FILE", "where export writes (default: standard output)", 0, 0 },
	{ "limit", 'n', OPT_NUMBER, "N", "at most so many, the newest (default 100)", 1, 1000 },
};

static void list_print(struct cli *c, const json_t *items)
{
	static const char *const heads[] = { "EVENT", "ARRIVED", "STATE", "FUNCTION",
					     "TOPIC", "TRIES",   "REASON" };
	size_t i;
	json_t *e;
	struct table t;
	table_init(&t, heads, ARRAY_LEN(heads), 1 << 5);
	json_array_foreach(items, i, e)
	{
		table_cell(&t, json_text(e, "id"));
		table_cell(&t, json_text(e, "arrived_at"));
		table_cell(&t, json_text(e, "state"));
		table_cell(&t, json_text(e, "function"));
		table_cell(&t, json_text(e, "topic"));
		table_cell_fmt(&t, "%.0f", json_num(e, "attempts"));
		table_cell(&t, json_text(e, "reason"));
	}
	table_print(&t, c->out);
	table_fini(&t);
}

static int list(struct cli *c, struct client *k)
{
	const struct args *a = &c->args;
	const char *function = args_text(a, "function"), *state = args_text(a, "state");
	OWN_FREE char *one = function ? client_path("&function=%s", function) : strdup("");
	OWN_FREE char *two = state ? client_path("&state=%s", state) : strdup("");
	OWN_FREE char *path = NULL;
	OWN_JSON *answer = NULL;
	ENSURE(one && two &&
	       asprintf(&path, "/events?limit=%u&since_s=%u%s%s",
			(unsigned)args_number(a, "limit", 100),
			(unsigned)args_number(a, "since", 0), one, two) >= 0);
	const struct client_request q = { .method = CLIENT_GET, .path = path };
	int code = client_do(k, &q, &answer);
	if (code != CODE_OK)
		return code;
	if (cli_json(c))
		json_print(c, answer);
	else
		list_print(c, json_object_get(answer, "items"));
	return CODE_OK;
}

static void effects_print(struct cli *c, const json_t *items)
{
	size_t i;
	json_t *e;
	json_array_foreach(items, i, e)
	{
		(void)fputs("effect    ", c->out);
		text_put(c->out, json_text(e, "id"));
		(void)fprintf(c->out, " %s -> ", json_text(e, "state"));
		text_put(c->out, json_text(e, "topic"));
		(void)fputs(": ", c->out);
		text_put(c->out, json_text(e, "payload"));
		(void)fputc('\n', c->out);
	}
}

static void story_print(struct cli *c, const json_t *e)
{
	static const char *const text[] = { "id",     "state",  "function",   "source",
					    "topic",  "status", "arrived_at", "finished_at",
					    "due_at", "reason", "payload" };
	const char *key;
	json_t *v;
	for (size_t i = 0; i < ARRAY_LEN(text); i++) {
		if (json_text(e, text[i])[0] == '\0')
			continue;
		(void)fprintf(c->out, "%-12s", text[i]);
		text_put(c->out, json_text(e, text[i]));
		(void)fputc('\n', c->out);
	}
	(void)fprintf(c->out, "%-12s%.0f\n%-12s%.0f\n", "attempts", json_num(e, "attempts"),
		      "revision", json_num(e, "revision"));
	json_object_foreach(json_object_get(e, "attributes"), key, v)
	{
		(void)fputs("attribute   ", c->out);
		text_put(c->out, key);
		(void)fputc('=', c->out);
		text_put(c->out, json_string_value(v));
		(void)fputc('\n', c->out);
	}
	const char *stack = json_text(e, "stack");
	text_put_lines(c->out, stack, strlen(stack));
	effects_print(c, json_object_get(e, "effects"));
}

static int show(struct cli *c, struct client *k, const char *id)
{
	OWN_JSON *answer = NULL;
	OWN_FREE char *path = client_path("/events/%s", id);
	const struct client_request q = { .method = CLIENT_GET, .path = path };
	int code = client_do(k, &q, &answer);
	if (code != CODE_OK)
		return code;
	if (cli_json(c))
		json_print(c, answer);
	else
		story_print(c, answer);
	return CODE_OK;
}

/* Each is tried; the exit code is that of the first that failed. */
static int decide(struct cli *c, struct client *k, const char *what)
{
	int first = CODE_OK;
	for (unsigned i = 1; i < c->args.nrest; i++) {
		OWN_JSON *answer = NULL;
		OWN_FREE char *path = client_path("/events/%s/%s", cli_arg(c, i), what);
		const struct client_request q = { .method = CLIENT_POST, .path = path };
		int code = client_do(k, &q, &answer);
		if (code != CODE_OK)
			first = first == CODE_OK ? code : first;
		else if (cli_json(c))
			json_print(c, answer);
		else
			(void)fprintf(c->out, "%s  %s\n", json_text(answer, "id"),
				      json_text(answer, "state"));
	}
	return first;
}

static int export(struct cli *c, struct client *k, const char *id)
{
	struct why why = { 0 };
	OWN_JSON *answer = NULL;
	const char *to = args_text(&c->args, "output");
	OWN_FREE char *path = client_path("/events/%s/export", id);
	int code = client_do(k, &(struct client_request){ .method = CLIENT_GET, .path = path },
			     &answer);
	if (code != CODE_OK || !to || strcmp(to, "-") == 0) {
		if (code == CODE_OK)
			json_print(c, answer);
		return code;
	}
	OWN_FREE char *text = json_dumps(answer, JSON_INDENT(2));
	ENSURE(text);
	const struct span all = { (const uint8_t *)text, strlen(text) };
	if (file_write(to, all, FILE_NEW, 0600, &why) < 0)
		return cli_fail(c, CODE_FAILED, NULL, "%s", why.text);
	(void)fprintf(c->out, "%s: event %s; penstock run --replay %s FILE.wasm\n", to, id, to);
	return CODE_OK;
}

static int events_run(struct cli *c)
{
	static const char usage[] =
		"penstock events [show ID | export ID | retry ID... | drop ID...]";
	OWN_CLIENT *k = NULL;
	const char *what = c->args.nrest > 0 ? cli_arg(c, 0) : "";
	bool decides = strcmp(what, "retry") == 0 || strcmp(what, "drop") == 0;
	bool exports = strcmp(what, "export") == 0;
	if (*what && c->args.nrest < 2)
		return cli_fail(c, CODE_USAGE, usage, "an event's number is missing");
	if (*what && !decides && !exports && strcmp(what, "show") != 0)
		return cli_fail(c, CODE_USAGE, usage, "\"%s\" is none of show, export, retry, drop",
				what);
	k = client_new(c);
	if (decides)
		return decide(c, k, what);
	if (exports)
		return export(c, k, cli_arg(c, 1));
	return *what ? show(c, k, cli_arg(c, 1)) : list(c, k);
}

const struct command command_events = {
	.name = "events",
	.group = GROUP,
	.summary = "Show what happened and what waits; try dead letters again",
	.usage =
		"[show ID | export ID | retry ID... | drop ID...] [--state dead] [--function NAME]",
	.more = "Events of QoS 1 and 2 are in the journal from their arrival on. One that failed "
		"as often\n"
		"as its binding allows is a dead letter: show tells its story, retry runs it "
		"again,\n"
		"drop puts it away. export writes what an event saw and did to a file for\n"
		"penstock run --replay on a laptop; it has payload and state in it.\n"
		"  penstock events --state dead",
	.options = events_rows,
	.noptions = ARRAY_LEN(events_rows),
	.most_args = 1000,
	.prints_data = true,
	.asks_gateway = true,
	.run = events_run,
};
