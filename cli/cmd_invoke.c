/* SPDX-License-Identifier: Apache-2.0 */
/* invoke: one event for one function; its effects are shown, not published */
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "cli/client.h"
#include "cli/text.h"
#include "proto/ipc.h"
#include "proto/topic.h"

#define GROUP "Events"

enum { INVOKE_TIMEOUT_S = 660 }; /* a minute more than the gateway waits at most */

static const struct option_row invoke_rows[] = {
	{ "topic", 't', OPT_TEXT, "TOPIC", "the event's topic", 0, 0 },
	{ "payload", 'p', OPT_TEXT, "TEXT", "its payload (default: standard input); - is stdin", 0,
	  0 },
	{ "attr", 'a', OPT_TEXT, "NAME=VALUE", "another attribute; may be given several times", 0,
	  0 },
	{ "timeout-ms", 0, OPT_NUMBER, "N", "how long to wait for the function", 1, 600000 },
};

/* The query, from what was given. */
static char *path_make(struct cli *c)
{
	const struct args *a = &c->args;
	const char *topic = args_text(a, "topic"), *timeout = args_text(a, "timeout-ms");
	const char *attr;
	char *path = client_path("/functions/%s/invoke?", cli_arg(c, 0));
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	ENSURE(out);
	(void)fputs(path, out);
	free(path);
	OWN_FREE char *t = topic ? client_path("topic=%s&", topic) : NULL;
	OWN_FREE char *ms = timeout ? client_path("timeout_ms=%s&", timeout) : NULL;
	(void)fprintf(out, "%s%s", t ? t : "", ms ? ms : "");
	for (size_t i = 0; (attr = args_each(a, "attr", i)); i++) {
		OWN_FREE char *name = strndup(attr, strcspn(attr, "="));
		ENSURE(name);
		OWN_FREE char *one = client_path("attr.%s=%s&", name, attr + strlen(name) + 1);
		(void)fputs(one, out);
	}
	ENSURE(fclose(out) == 0);
	text[strlen(text) - 1] = '\0'; /* the last & or the ? */
	return text;
}

static int attrs_check(struct cli *c)
{
	const char *attr;
	for (size_t i = 0; (attr = args_each(&c->args, "attr", i)); i++) {
		if (attr[0] == '=' || !strchr(attr, '='))
			return cli_fail(c, CODE_USAGE, NULL, "--attr %s is not NAME=VALUE", attr);
		if (strncmp(attr, "topic=", 6) == 0)
			return cli_fail(c, CODE_USAGE, "--topic gives it", "--attr %s", attr);
	}
	const char *topic = args_text(&c->args, "topic");
	if (topic && !topic_name_ok((struct span){ (const uint8_t *)topic, strlen(topic) }))
		return cli_fail(c, CODE_USAGE, "+ and # are for filters: a topic has no wildcards",
				"--topic %s is not an MQTT topic", topic);
	return CODE_OK;
}

static int payload_take(struct cli *c, struct bytes *ret)
{
	const char *text = args_text(&c->args, "payload");
	struct why why = { 0 };
	if (text && strcmp(text, "-") != 0) {
		*ret = (struct bytes){ (uint8_t *)strdup(text), strlen(text) };
		ENSURE(ret->at);
		return CODE_OK;
	}
	if (!text && isatty(STDIN_FILENO))
		return CODE_OK; /* nobody means to type it */
	if (file_read("-", IPC_PAYLOAD_BYTES, ret, &why) < 0)
		return cli_fail(c, CODE_NOFILE, NULL, "%s", why.text);
	return CODE_OK;
}

/* Exactly as it is for pipes, as text on a terminal. What is said about it begins on a line of its own. */
static void reply_print(struct cli *c, const json_t *r)
{
	OWN_BYTES reply = json_bytes(r, "reply");
	if (isatty(fileno(c->out))) {
		text_put_lines(c->out, reply.at, reply.len);
	} else {
		(void)fwrite(reply.at, 1, reply.len, c->out);
		(void)fflush(c->out);
		if (reply.len > 0 && reply.at[reply.len - 1] != '\n')
			(void)fputc('\n', c->err);
	}
	(void)fflush(c->out);
}

static void log_print(const json_t *list, FILE *out)
{
	size_t i;
	json_t *line;
	json_array_foreach(list, i, line)
	{
		(void)fprintf(out, "log       %-8s", json_text(line, "level"));
		text_put(out, json_text(line, "text"));
		(void)fputc('\n', out);
	}
}

static void effects_print(const json_t *list, bool ok, FILE *out)
{
	size_t i;
	json_t *e;
	json_array_foreach(list, i, e)
	{
		const char *topic = json_text(e, "topic");
		(void)fputs(ok ? "publish   " : "withheld  ", out);
		text_put(out, topic[0] ? topic : "(the binding's topic)");
		(void)fprintf(out, "  qos %.0f%s  ", json_num(e, "qos"),
			      json_is_true(json_object_get(e, "retain")) ? " retain" : "");
		OWN_BYTES payload = json_bytes(e, "payload");
		text_put_n(out, payload.at, payload.len);
		(void)fputc('\n', out);
	}
}

static int result_print(struct cli *c, const json_t *r)
{
	char run[32], cpu[32];
	const char *status = json_text(r, "status"), *reason = json_text(r, "reason");
	const json_t *effects = json_object_get(r, "effects");
	bool ok = strcmp(status, "ok") == 0;
	reply_print(c, r);
	log_print(json_object_get(r, "log"), c->err);
	effects_print(effects, ok, c->err);
	(void)fprintf(c->err, "%-10s", status);
	if (reason[0]) {
		text_put(c->err, reason);
		(void)fputs("; ", c->err);
	}
	(void)fprintf(c->err, "ran %s, %s of CPU\n",
		      text_us(json_num(r, "run_us"), run, sizeof(run)),
		      text_us(json_num(r, "cpu_us"), cpu, sizeof(cpu)));
	if (!ok && json_array_size(effects) > 0)
		(void)fputs("          what it emitted is not published when it fails\n", c->err);
	if (strcmp(status, "trapped") == 0)
		return CODE_TRAP;
	return ok ? CODE_OK : CODE_FAILED;
}

static int invoke_run(struct cli *c)
{
	OWN_BYTES payload = { 0 };
	int code = attrs_check(c);
	if (code == CODE_OK)
		code = payload_take(c, &payload);
	if (code != CODE_OK)
		return code;
	OWN_FREE char *path = path_make(c);
	OWN_CLIENT *k = client_new(c);
	if (!k)
		return CODE_FAILED;
	OWN_JSON *result = NULL;
	const struct client_request q = { .method = CLIENT_POST,
					  .path = path,
					  .content_type = "application/octet-stream",
					  .body = bytes_span(&payload),
					  .timeout_s = INVOKE_TIMEOUT_S };
	code = client_do(k, &q, &result);
	if (code != CODE_OK)
		return code;
	if (!cli_json(c))
		return result_print(c, result);
	json_print(c, result);
	const char *status = json_text(result, "status");
	return strcmp(status, "ok") == 0        ? CODE_OK
	       : strcmp(status, "trapped") == 0 ? CODE_TRAP
						: CODE_FAILED;
}

const struct command command_invoke = {
	.name = "invoke",
	.group = GROUP,
	.summary = "Give a function one event by hand",
	.usage = "NAME [--topic T] [--payload TEXT | - ]",
	.more = "What a command writes to standard output is its answer, and goes to yours. What "
		"a\n"
		"reactor emits is shown on standard error with its topic, as is everybody's log.\n"
		"Nothing is published.\n"
		"  echo '{\"sensor\":\"p1\",\"celsius\":93}' | penstock invoke overheat",
	.options = invoke_rows,
	.noptions = ARRAY_LEN(invoke_rows),
	.needs = "NAME",
	.least_args = 1,
	.most_args = 1,
	.prints_data = true,
	.asks_gateway = true,
	.may = MAY_LACK_FILE | MAY_TRAP,
	.run = invoke_run,
};
