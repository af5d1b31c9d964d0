/* SPDX-License-Identifier: Apache-2.0 */
/* functions, remove */
#include <string.h>

#include "base/own.h"
#include "cli/client.h"
#include "cli/sheet.h"
#include "cli/text.h"
#include "cli/versions.h"

#define GROUP "Functions"

static void row_print(struct table *t, const json_t *f)
{
	const json_t *counts = json_object_get(f, "counts");
	char mean[32];
	double failed = json_num(counts, "failed") + json_num(counts, "trapped") +
			json_num(counts, "refused");
	table_cell(t, json_text(f, "name"));
	table_cell(t, json_text(f, "version"));
	table_cell_fmt(t, "%.0f", json_num(f, "revision"));
	table_cell(t, json_text(f, "kind"));
	table_cell(t, json_text(f, "state"));
	table_cell_fmt(t, "%.0f", json_num(counts, "ok"));
	table_cell_fmt(t, "%.0f", failed);
	table_cell(t, text_us(json_num(f, "cpu_us_mean"), mean, sizeof(mean)));
	table_cell(t, json_text(f, "key_id"));
}

static void list_print(struct cli *c, const json_t *items)
{
	static const char *const heads[] = { "NAME", "VERSION", "REV", "KIND", "STATE",
					     "OK",   "FAILED",  "CPU", "KEY" };
	size_t i;
	json_t *f;
	struct table t;
	table_init(&t, heads, ARRAY_LEN(heads), 1 << 2 | 1 << 5 | 1 << 6 | 1 << 7);
	json_array_foreach(items, i, f) row_print(&t, f);
	table_print(&t, c->out);
	table_fini(&t);
	/* What is wrong is worth more than a column. */
	json_array_foreach(items, i, f)
	{
		const json_t *last = json_object_get(f, "last_error");
		const char *reason = json_text(f, "reason");
		if (!reason[0])
			reason = json_text(last, "reason");
		if (!reason[0])
			continue;
		text_put(c->out, json_text(f, "name"));
		(void)fputs(": ", c->out);
		text_put(c->out, reason);
		if (json_text(last, "at")[0])
			(void)fprintf(c->out, " (%s)", json_text(last, "at"));
		(void)fputc('\n', c->out);
	}
	if (json_array_size(items) == 0)
		(void)fprintf(c->err, "no functions yet: penstock deploy FILE.wasm\n");
}

static void one_print(struct cli *c, const json_t *f)
{
	static const char *const heads[] = { "REV", "VERSION", "DEPLOYED", "HASH", "" };
	size_t i;
	json_t *v;
	struct table t;
	sheet_print(f, c->out);
	table_init(&t, heads, ARRAY_LEN(heads), 1);
	json_array_foreach(json_object_get(f, "versions"), i, v)
	{
		table_cell_fmt(&t, "%.0f", json_num(v, "revision"));
		table_cell(&t, json_text(v, "version"));
		table_cell(&t, json_text(v, "deployed_at"));
		table_cell_fmt(&t, "%.16s", json_text(v, "hash"));
		table_cell(&t, json_is_true(json_object_get(v, "active")) ? "active" : "");
	}
	table_print(&t, c->out);
	table_fini(&t);
}

static int functions_run(struct cli *c)
{
	OWN_JSON *answer = NULL;
	OWN_FREE char *path = c->args.nrest ? client_path("/functions/%s", cli_arg(c, 0))
					    : client_path("/functions");
	OWN_CLIENT *k = client_new(c);
	if (!k)
		return CODE_FAILED;
	int code = client_do(k, &(struct client_request){ .path = path }, &answer);
	if (code != CODE_OK)
		return code;
	if (cli_json(c)) {
		json_print(c, answer);
		return CODE_OK;
	}
	if (c->args.nrest == 0) {
		list_print(c, json_object_get(answer, "items"));
		return CODE_OK;
	}
	one_print(c, answer);
	rollout_print(c->out, answer);
	OWN_JSON *items = json_pack("[O]", answer);
	list_print(c, items);
	return CODE_OK;
}

const struct command command_functions = {
	.name = "functions",
	.group = GROUP,
	.summary = "List the functions, or show one",
	.usage = "[NAME]",
	.more = "FAILED counts events that the function refused, trapped on, or was not given.",
	.most_args = 1,
	.prints_data = true,
	.asks_gateway = true,
	.run = functions_run,
};

/* ---- remove ---- */

static const struct option_row remove_rows[] = {
	{ "bindings", 0, OPT_FLAG, NULL, "and the bindings that name it", 0, 0 },
};

static int remove_run(struct cli *c)
{
	const char *name = cli_arg(c, 0);
	const char *bindings = args_flag(&c->args, "bindings") ? "1" : "0";
	OWN_FREE char *path = client_path("/functions/%s?bindings=%s", name, bindings);
	OWN_CLIENT *k = client_new(c);
	if (!k)
		return CODE_FAILED;
	const struct client_request q = { .method = CLIENT_DELETE, .path = path };
	int code = client_do(k, &q, NULL);
	if (code != CODE_OK)
		return code;
	if (cli_json(c)) {
		OWN_JSON *answer = json_pack("{s:s}", "removed", name);
		json_print(c, answer);
		return CODE_OK;
	}
	(void)fprintf(c->out, "removed   ");
	text_put(c->out, name);
	(void)fputc('\n', c->out);
	return CODE_OK;
}

const struct command command_remove = {
	.name = "remove",
	.group = GROUP,
	.summary = "Remove a function and all its versions",
	.usage = "NAME [--bindings]",
	.more = "",
	.options = remove_rows,
	.noptions = ARRAY_LEN(remove_rows),
	.needs = "NAME",
	.least_args = 1,
	.most_args = 1,
	.prints_data = true,
	.asks_gateway = true,
	.run = remove_run,
};
