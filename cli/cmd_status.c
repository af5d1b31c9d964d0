/* SPDX-License-Identifier: Apache-2.0 */
/* status: how the gateway is */
#include <string.h>

#include "base/own.h"
#include "cli/client.h"
#include "cli/text.h"

#define GROUP "Looking on"

static void brokers_print(const json_t *list, FILE *out)
{
	static const char *const heads[] = { "BROKER",   "STATE",     "URL",     "SUBSCRIPTIONS",
					     "RECEIVED", "PUBLISHED", "DROPPED", "" };
	size_t i;
	json_t *b;
	struct table t;
	table_init(&t, heads, ARRAY_LEN(heads), 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6);
	json_array_foreach(list, i, b)
	{
		table_cell(&t, json_text(b, "name"));
		table_cell(&t, json_text(b, "state"));
		table_cell(&t, json_text(b, "url"));
		table_cell_fmt(&t, "%.0f", json_num(b, "subscriptions"));
		table_cell_fmt(&t, "%.0f", json_num(b, "received"));
		table_cell_fmt(&t, "%.0f", json_num(b, "published"));
		table_cell_fmt(&t, "%.0f", json_num(b, "dropped"));
		table_cell(&t, json_text(b, "detail"));
	}
	(void)fputc('\n', out);
	table_print(&t, out);
	table_fini(&t);
}

static void things_print(const json_t *list, FILE *out)
{
	static const char *const heads[] = { "KIND",   "NAME",   "STATE", "BOUND",
					     "EVENTS", "MISSED", "" };
	size_t i;
	json_t *b;
	struct table t;
	if (json_array_size(list) == 0)
		return;
	table_init(&t, heads, ARRAY_LEN(heads), 1 << 3 | 1 << 4 | 1 << 5);
	json_array_foreach(list, i, b)
	{
		table_cell(&t, json_text(b, "kind"));
		table_cell(&t, json_text(b, "name"));
		table_cell(&t, json_text(b, "state"));
		table_cell_fmt(&t, "%.0f", json_num(b, "subscriptions"));
		table_cell_fmt(&t, "%.0f", json_num(b, "received"));
		table_cell_fmt(&t, "%.0f", json_num(b, "dropped") + json_num(b, "missed"));
		table_cell(&t, json_text(b, "detail"));
	}
	(void)fputc('\n', out);
	table_print(&t, out);
	table_fini(&t);
}

/* What waits, and what nobody could handle. */
static void journal_print(const json_t *j, FILE *out)
{
	if (!json_is_object(j))
		return;
	(void)fprintf(out, "journal    %s, %.0f waiting, %.0f dead letters, %.1f MiB",
		      json_text(j, "state"), json_num(j, "open"), json_num(j, "dead"),
		      json_num(j, "file_bytes") / (1 << 20));
	(void)fputs(json_num(j, "dead") > 0 ? "   (penstock events --state dead)\n" : "\n", out);
	if (json_text(j, "reason")[0]) {
		(void)fputs("           ", out);
		text_put(out, json_text(j, "reason"));
		(void)fputc('\n', out);
	}
}

static void memory_print(const json_t *list, FILE *out)
{
	static const char *const heads[] = { "PROCESS", "PID", "RSS", "PSS" };
	size_t i;
	json_t *m;
	struct table t;
	table_init(&t, heads, ARRAY_LEN(heads), 1 << 1 | 1 << 2 | 1 << 3);
	json_array_foreach(list, i, m)
	{
		table_cell(&t, json_text(m, "process"));
		table_cell_fmt(&t, "%.0f", json_num(m, "pid"));
		table_cell_fmt(&t, "%.1f MiB", json_num(m, "rss_kb") / 1024);
		table_cell_fmt(&t, "%.1f MiB", json_num(m, "pss_kb") / 1024);
	}
	(void)fputc('\n', out);
	table_print(&t, out);
	table_fini(&t);
}

static const char *time_of(const json_t *stage, const char *key, char *buf, size_t cap)
{
	double us = json_num(stage, key);
	if (us < 1000)
		(void)snprintf(buf, cap, "%.3g us", us);
	else if (us < 1e6)
		(void)snprintf(buf, cap, "%.3g ms", us / 1e3);
	else
		(void)snprintf(buf, cap, "%.3g s", us / 1e6);
	return buf;
}

/* How long events wait and run: the middle one, and the slowest of a hundred. */
static void times_print(const json_t *list, FILE *out)
{
	static const char *const heads[] = { "FUNCTION", "EVENTS", "QUEUE p50", "p99",
					     "RUN p50",  "p99",    "TOO LATE",  "REFUSED" };
	size_t i;
	json_t *f;
	struct table t;
	if (json_array_size(list) == 0)
		return;
	table_init(&t, heads, ARRAY_LEN(heads), 0xfe);
	json_array_foreach(list, i, f)
	{
		char text[32];
		const json_t *queue = json_object_get(f, "queue"), *run = json_object_get(f, "run");
		table_cell(&t, json_text(f, "name"));
		table_cell_fmt(&t, "%.0f", json_num(run, "count"));
		table_cell(&t, time_of(queue, "p50_us", text, sizeof(text)));
		table_cell(&t, time_of(queue, "p99_us", text, sizeof(text)));
		table_cell(&t, time_of(run, "p50_us", text, sizeof(text)));
		table_cell(&t, time_of(run, "p99_us", text, sizeof(text)));
		table_cell_fmt(&t, "%.0f", json_num(f, "deadline_misses"));
		table_cell_fmt(&t, "%.0f", json_num(f, "refused"));
	}
	(void)fputc('\n', out);
	table_print(&t, out);
	table_fini(&t);
}

static void events_print(const json_t *events, FILE *out)
{
	static const char *const keys[] = { "received", "invoked", "ok",      "failed",   "trapped",
					    "refused",  "retried", "dropped", "in_flight" };
	(void)fputs("events     ", out);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		(void)fprintf(out, "%s%.0f %s", i ? ", " : "", json_num(events, keys[i]), keys[i]);
	(void)fputc('\n', out);
}

static void count_put(double n, const char *what, const char *then, FILE *out)
{
	(void)fprintf(out, "%.0f %s%s%s", n, what, n == 1 ? "" : "s", then);
}

static void status_print(struct cli *c, const json_t *s)
{
	const json_t *sandbox = json_object_get(s, "sandbox");
	char up[32];
	bool ready = json_is_true(json_object_get(s, "ready"));
	(void)fprintf(c->out, "penstockd  ");
	text_put(c->out, json_text(s, "version"));
	(void)fprintf(c->out, ", pid %.0f, up %s, %s\n", json_num(s, "pid"),
		      text_seconds(json_num(s, "uptime_s"), up, sizeof(up)),
		      ready ? "ready" : "not ready");
	(void)fprintf(c->out, "sandbox    ");
	text_put(c->out, json_text(sandbox, "state"));
	(void)fprintf(c->out, ", pid %.0f, ", json_num(sandbox, "pid"));
	count_put(json_num(sandbox, "workers"), "worker", ", restarted ", c->out);
	count_put(json_num(sandbox, "restarts"), "time", "\ndeployed   ", c->out);
	count_put(json_num(s, "functions"), "function", ", ", c->out);
	count_put(json_num(s, "bindings"), "binding", "\n", c->out);
	events_print(json_object_get(s, "events"), c->out);
	journal_print(json_object_get(s, "journal"), c->out);
	brokers_print(json_object_get(s, "brokers"), c->out);
	things_print(json_object_get(s, "things"), c->out);
	times_print(json_object_get(s, "times"), c->out);
	memory_print(json_object_get(s, "memory"), c->out);
}

static int status_run(struct cli *c)
{
	OWN_CLIENT *k = client_new(c);
	if (!k)
		return CODE_FAILED;
	OWN_JSON *s = NULL;
	int code = client_do(k, &(struct client_request){ .path = "/status" }, &s);
	if (code != CODE_OK)
		return code;
	if (cli_json(c))
		json_print(c, s);
	else
		status_print(c, s);
	return CODE_OK;
}

const struct command command_status = {
	.name = "status",
	.group = GROUP,
	.summary = "Show how the gateway is: brokers, events, times, memory",
	.usage = "",
	.more = "",
	.prints_data = true,
	.asks_gateway = true,
	.run = status_run,
};
