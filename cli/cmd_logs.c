/* SPDX-License-Identifier: Apache-2.0 */
/* logs: the gateway's and the functions' lines, also as they come */
#include <string.h>
#include <time.h>

#include "base/own.h"
#include "cli/client.h"
#include "cli/text.h"

#define GROUP "Looking on"

enum {
	LINES_DEFAULT = 100,
	LINES_MAX = 1000,
	WAIT_MS = 20000, /* how long the gateway holds a call that has nothing to say */
	WAIT_TIMEOUT_S = 40,
	HTTP_NOT_FOUND = 404,
	RETRY_S = 1, /* after the gateway went away */
};

static const struct option_row logs_rows[] = {
	{ "follow", 'f', OPT_FLAG, NULL, "go on, with lines as they come", 0, 0 },
	{ "function", 0, OPT_TEXT, "NAME", "only lines about this function", 0, 0 },
	{ "level", 'l', OPT_CHOICE, "error|warning|notice|info|debug", "this and what is worse", 0,
	  0 },
	{ "lines", 'n', OPT_NUMBER, "N", "how many of the last ones (default 100)", 0, LINES_MAX },
};

static void value_put(const json_t *v, FILE *out)
{
	OWN_FREE char *text = json_is_string(v) ? NULL : json_dumps(v, JSON_ENCODE_ANY);
	text_put(out, text ? text : json_is_string(v) ? json_string_value(v) : "?");
}

/* "2026-11-20T09:00:00.000Z warning   function trapped  function=overheat event=17" */
static void line_print(const json_t *line, FILE *out)
{
	const char *key;
	json_t *v;
	text_put(out, json_text(line, "at"));
	(void)fputs("  ", out);
	(void)fprintf(out, "%-8s", json_text(line, "level"));
	text_put(out, json_text(line, "message"));
	json_object_foreach(json_object_get(line, "fields"), key, v)
	{
		(void)fputs("  ", out);
		text_put(out, key);
		(void)fputc('=', out);
		value_put(v, out);
	}
	(void)fputc('\n', out);
}

static void lines_print(const struct cli *c, const json_t *answer)
{
	size_t i;
	json_t *line;
	json_array_foreach(json_object_get(answer, "items"), i, line)
	{
		if (!cli_json(c)) {
			line_print(line, c->out);
			continue;
		}
		(void)json_dumpf(line, c->out, JSON_COMPACT);
		(void)fputc('\n', c->out);
	}
	(void)fflush(c->out);
}

static char *path_make(const struct cli *c, const char *after, bool wait)
{
	const struct args *a = &c->args;
	const char *function = args_text(a, "function"), *level = args_text(a, "level");
	char limit[24], wait_ms[24];
	unsigned last = (unsigned)args_number(a, "lines", LINES_DEFAULT);
	/* With -n 0 only to learn where the log ends. */
	(void)snprintf(limit, sizeof(limit), "%u", after[0] ? LINES_MAX : last ? last : 1);
	(void)snprintf(wait_ms, sizeof(wait_ms), "%d", wait ? WAIT_MS : 0);
	OWN_FREE char *f = function ? client_path("&function=%s", function) : NULL;
	OWN_FREE char *l = level ? client_path("&level=%s", level) : NULL;
	OWN_FREE char *from = after[0] ? client_path("&after=%s", after) : NULL;
	OWN_FREE char *w = wait ? client_path("&wait_ms=%s", wait_ms) : NULL;
	char *path = NULL;
	ENSURE(asprintf(&path, "/logs?limit=%s%s%s%s%s", limit, from ? from : "", w ? w : "",
			f ? f : "", l ? l : "") >= 0);
	return path;
}

/* As text, exactly. */
static void next_take(const json_t *answer, char *after, size_t cap)
{
	const json_t *next = json_object_get(answer, "next");
	if (json_is_integer(next))
		(void)snprintf(after, cap, "%lld", (long long)json_integer_value(next));
}

/* Who follows wants to see the gateway come back, and to know why nothing comes until then. */
static void away_say(struct cli *c, bool is_away)
{
	(void)fprintf(c->err, "penstock logs: the gateway is %s\n",
		      is_away ? "away; waiting for it, Ctrl-C ends this" : "back");
	(void)fflush(c->err);
}

/* No line about a function: perhaps there is none of that name. */
static void nobody_say(struct cli *c, struct client *k)
{
	const char *function = args_text(&c->args, "function");
	struct why why = { 0 };
	OWN_JSON *answer = NULL;
	if (!function)
		return;
	OWN_FREE char *path = client_path("/functions/%s", function);
	const struct client_request q = { .path = path };
	if (client_call(k, &q, &answer, &why) == HTTP_NOT_FOUND)
		(void)cli_fail(c, CODE_OK, "penstock functions lists them",
			       "no function %s is deployed, and no line names it", function);
}

static int logs_run(struct cli *c)
{
	OWN_CLIENT *k = client_new(c);
	if (!k)
		return CODE_FAILED;
	bool follow = args_flag(&c->args, "follow"), connected = false, away = false;
	char after[24] = "";
	for (;;) {
		OWN_JSON *answer = NULL;
		OWN_FREE char *path = path_make(c, after, after[0] != '\0');
		struct why why = { 0 };
		const struct client_request q = { .path = path, .timeout_s = WAIT_TIMEOUT_S };
		int status = client_call(k, &q, &answer, &why);
		bool gone = status == -E_GONE && follow && connected;
		if (gone != away)
			away_say(c, gone);
		away = gone;
		if (gone) {
			(void)nanosleep(&(struct timespec){ .tv_sec = RETRY_S }, NULL);
			continue;
		}
		if (status < 200 || status > 299)
			return client_refused(k, status, answer, &why);
		if (!connected && json_array_size(json_object_get(answer, "items")) == 0)
			nobody_say(c, k);
		connected = true;
		if (after[0] || args_number(&c->args, "lines", 1) > 0)
			lines_print(c, answer);
		next_take(answer, after, sizeof(after));
		if (!follow || ferror(c->out) || after[0] == '\0')
			return CODE_OK;
	}
}

const struct command command_logs = {
	.name = "logs",
	.group = GROUP,
	.summary = "Show the log of the gateway and its functions",
	.usage = "[-f] [--function NAME] [--level L] [-n N]",
	.more = "-f goes on when the gateway is restarted. With --json one object a line. The "
		"full\n"
		"log is in the journal: journalctl -u penstock.",
	.options = logs_rows,
	.noptions = ARRAY_LEN(logs_rows),
	.prints_data = true,
	.asks_gateway = true,
	.run = logs_run,
};
