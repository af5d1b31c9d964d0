/* SPDX-License-Identifier: Apache-2.0 */
/* state: what functions remember */
#include <string.h>

#include "base/own.h"
#include "cli/client.h"
#include "cli/text.h"

#define GROUP "Events"

static const struct option_row state_rows[] = {
	{ "bucket", 0, OPT_TEXT, "NAME", "a shared bucket, instead of a function's own", 0, 0 },
	{ "prefix", 0, OPT_TEXT, "TEXT", "only keys that begin so", 0, 0 },
	{ "limit", 0, OPT_NUMBER, "N", "at most so many (default 100)", 1, 1000 },
	{ "delete", 0, OPT_TEXT, "KEY", "take this key away", 0, 0 },
	{ "delete-all", 0, OPT_FLAG, NULL, "take all of the bucket away", 0, 0 },
};

static void buckets_print(struct cli *c, const json_t *items)
{
	static const char *const heads[] = { "FUNCTION", "BUCKET", "KEYS", "BYTES" };
	size_t i;
	json_t *b;
	struct table t;
	table_init(&t, heads, ARRAY_LEN(heads), 1 << 2 | 1 << 3);
	json_array_foreach(items, i, b)
	{
		table_cell(&t, json_text(b, "function"));
		table_cell(&t, json_text(b, "bucket"));
		table_cell_fmt(&t, "%.0f", json_num(b, "keys"));
		table_cell_fmt(&t, "%.0f", json_num(b, "bytes"));
	}
	table_print(&t, c->out);
	table_fini(&t);
	if (json_array_size(items) == 0)
		(void)fprintf(c->err, "no function remembers anything yet\n");
}

/* Bytes that are no text are shown escaped, as everything that a guest wrote. */
static void bytes_print(struct cli *c, const json_t *row, const char *name)
{
	OWN_BYTES b = json_bytes(row, name);
	text_put_n(c->out, b.at, b.len);
}

static void rows_print(struct cli *c, const json_t *items)
{
	size_t i;
	json_t *row;
	json_array_foreach(items, i, row)
	{
		bytes_print(c, row, "key");
		(void)fputs(": ", c->out);
		bytes_print(c, row, "value");
		(void)fputc('\n', c->out);
	}
	if (json_array_size(items) == 0)
		(void)fprintf(c->err, "nothing there\n");
}

static char *keys_path(struct cli *c)
{
	const char *bucket = args_text(&c->args, "bucket"), *key = args_text(&c->args, "delete");
	const char *prefix = args_text(&c->args, "prefix");
	OWN_FREE char *head = bucket ? client_path("/state/keys?bucket=%s", bucket)
				     : client_path("/state/keys?function=%s", cli_arg(c, 0));
	OWN_FREE char *tail = key      ? client_path("&key=%s", key)
			      : prefix ? client_path("&prefix=%s", prefix)
				       : strdup("");
	unsigned limit = (unsigned)args_number(&c->args, "limit", 0);
	char number[32] = "", *path = NULL;
	if (limit)
		(void)snprintf(number, sizeof(number), "&limit=%u", limit);
	ENSURE(tail && asprintf(&path, "%s%s%s", head, tail, number) >= 0);
	return path;
}

static int remove_keys(struct cli *c, struct client *k)
{
	OWN_FREE char *path = keys_path(c);
	int code = client_do(k, &(struct client_request){ .method = CLIENT_DELETE, .path = path },
			     NULL);
	if (code != CODE_OK)
		return code;
	if (cli_json(c)) {
		OWN_JSON *answer = json_pack("{s:b}", "removed", 1);
		json_print(c, answer);
	} else {
		(void)fputs("removed\n", c->out);
	}
	return CODE_OK;
}

static int state_run(struct cli *c)
{
	bool is_one = c->args.nrest > 0 || args_text(&c->args, "bucket");
	bool removes = args_text(&c->args, "delete") || args_flag(&c->args, "delete-all");
	OWN_JSON *answer = NULL;
	if (c->args.nrest > 0 && args_text(&c->args, "bucket"))
		return cli_fail(c, CODE_USAGE, NULL, "give a function or --bucket, not both");
	if ((removes || args_text(&c->args, "prefix")) && !is_one)
		return cli_fail(c, CODE_USAGE, NULL, "of which function, or which --bucket?");
	if (removes && (args_text(&c->args, "prefix") ||
			(args_text(&c->args, "delete") && args_flag(&c->args, "delete-all"))))
		return cli_fail(c, CODE_USAGE, NULL,
				"one key or all of them: --delete KEY or --delete-all alone");
	OWN_CLIENT *k = client_new(c);
	if (!k)
		return CODE_FAILED;
	if (removes)
		return remove_keys(c, k);
	OWN_FREE char *path = is_one ? keys_path(c) : strdup("/state");
	int code = client_do(k, &(struct client_request){ .path = path }, &answer);
	if (code != CODE_OK)
		return code;
	if (cli_json(c))
		json_print(c, answer);
	else if (is_one)
		rows_print(c, json_object_get(answer, "items"));
	else
		buckets_print(c, json_object_get(answer, "items"));
	return CODE_OK;
}

const struct command command_state = {
	.name = "state",
	.group = GROUP,
	.summary = "Show what functions remember, or take it away",
	.usage = "[FUNCTION | --bucket NAME] [--prefix TEXT | --delete KEY | --delete-all]",
	.more = "Without arguments: the buckets, and how much is in them. What is taken away while "
		"an\n"
		"event uses it makes that event run again.",
	.options = state_rows,
	.noptions = ARRAY_LEN(state_rows),
	.most_args = 1,
	.prints_data = true,
	.asks_gateway = true,
	.run = state_run,
};
