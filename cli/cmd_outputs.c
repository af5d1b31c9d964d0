/* SPDX-License-Identifier: Apache-2.0 */
/* outputs, output: what functions can set */
#include <string.h>

#include "base/own.h"
#include "cli/client.h"
#include "cli/text.h"

#define GROUP "Events"

static void row_print(struct table *t, const json_t *o)
{
	const char *value = json_text(o, "value"), *function = json_text(o, "function");
	table_cell(t, json_text(o, "name"));
	table_cell(t, json_text(o, "kind"));
	table_cell(t, json_text(o, "target"));
	table_cell(t, *value ? value : "-");
	table_cell(t, *function ? function : "-");
	table_cell(t, json_text(o, "state"));
}

static void list_print(struct cli *c, const json_t *items)
{
	static const char *const heads[] = { "NAME", "KIND", "TARGET", "VALUE", "BY", "STATE" };
	size_t i;
	json_t *o;
	struct table t;
	table_init(&t, heads, ARRAY_LEN(heads), 1 << 3);
	json_array_foreach(items, i, o) row_print(&t, o);
	table_print(&t, c->out);
	table_fini(&t);
	json_array_foreach(items, i, o)
	{
		if (!json_text(o, "detail")[0])
			continue;
		text_put(c->out, json_text(o, "name"));
		(void)fputs(": ", c->out);
		text_put(c->out, json_text(o, "detail"));
		(void)fputc('\n', c->out);
	}
	if (json_array_size(items) == 0)
		(void)fprintf(c->err, "no outputs: [output.NAME] in the configuration makes one "
				      "(penstockd --help-config)\n");
}

static int outputs_run(struct cli *c)
{
	OWN_JSON *answer = NULL;
	OWN_CLIENT *k = client_new(c);
	if (!k)
		return CODE_FAILED;
	int code = client_do(k, &(struct client_request){ .path = "/outputs" }, &answer);
	if (code != CODE_OK)
		return code;
	if (cli_json(c))
		json_print(c, answer);
	else
		list_print(c, json_object_get(answer, "items"));
	return CODE_OK;
}

const struct command command_outputs = {
	.name = "outputs",
	.group = GROUP,
	.summary = "List the outputs: lamps, relays, registers that functions set",
	.usage = "",
	.more = "BY is the function that set the value; - is by hand, or the gateway (initial, "
		"safe).",
	.prints_data = true,
	.asks_gateway = true,
	.run = outputs_run,
};

/* ---- by hand ---- */

static int output_run(struct cli *c)
{
	OWN_JSON *answer = NULL;
	if (strcmp(cli_arg(c, 0), "set") != 0)
		return cli_fail(c, CODE_USAGE, "penstock output set NAME VALUE",
				"\"%s\" is nothing that can be done with an output", cli_arg(c, 0));
	OWN_JSON *body = json_pack("{s:s}", "value", cli_arg(c, 2));
	if (!body)
		return cli_fail(c, CODE_USAGE, NULL, "the value is no UTF-8");
	OWN_FREE char *text = json_dumps(body, JSON_COMPACT);
	OWN_FREE char *path = client_path("/outputs/%s", cli_arg(c, 1));
	OWN_CLIENT *k = client_new(c);
	if (!k || !text)
		return CODE_FAILED;
	const struct client_request q = { .method = CLIENT_POST,
					  .path = path,
					  .content_type = "application/json",
					  .body = { (const uint8_t *)text, strlen(text) } };
	int code = client_do(k, &q, &answer);
	if (code != CODE_OK)
		return code;
	if (cli_json(c)) {
		json_print(c, answer);
		return CODE_OK;
	}
	bool waits = client_status(k) == 202;
	(void)fputs(waits ? "waits     " : "set       ", c->out);
	text_put(c->out, cli_arg(c, 1));
	(void)fputs(" = ", c->out);
	text_put(c->out, cli_arg(c, 2));
	if (waits) {
		(void)fputs("\n          ", c->out);
		text_put(c->out, json_text(answer, "detail"));
	}
	(void)fputc('\n', c->out);
	return CODE_OK;
}

const struct command command_output = {
	.name = "output",
	.group = GROUP,
	.summary = "Set an output by hand",
	.usage = "set NAME VALUE",
	.more = "VALUE: 1, 0, on, off or a number, as the output's kind takes it. When its device "
		"is "
		"away\nthe value waits until it comes back. A function may set it again at any "
		"time.",
	.needs = "set NAME VALUE",
	.least_args = 3,
	.most_args = 3,
	.prints_data = true,
	.asks_gateway = true,
	.run = output_run,
};
