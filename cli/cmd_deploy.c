/* SPDX-License-Identifier: Apache-2.0 */
/* deploy: upload, show what it asks for, let the operator grant it */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "cli/bind.h"
#include "cli/client.h"
#include "cli/sheet.h"
#include "cli/text.h"

#define GROUP "Functions"

enum {
	COMPILE_TIMEOUT_S = 180, /* the gateway's own limit for a compile is shorter */
	ANSWER_BYTES = 16,
	HTTP_CONFLICT = 409,
};

static const struct option_row deploy_rows[] = {
	{ "grant", 0, OPT_FLAG, NULL, "grant what it asks for, without asking you", 0, 0 },
	{ "yes", 'y', OPT_FLAG, NULL, "the same as --grant", 0, 0 },
	{ "name", 0, OPT_TEXT, "NAME", "deploy it under this name (default: its manifest's)", 0,
	  0 },
	{ "canary", 0, OPT_NUMBER, "PERCENT",
	  "give it this part of the events, beside the active version", 1, 100 },
	{ "shadow", 0, OPT_NUMBER, "PERCENT",
	  "run it on copies of this part, and only compare what it would do", 1, 100 },
	{ "older", 0, OPT_FLAG, NULL, "also when a newer version was active before", 0, 0 },
	{ "bind", 0, OPT_FLAG, NULL, "make the bindings that its manifest suggests", 0, 0 },
};

static char *upload_path(const struct args *a, bool granted)
{
	unsigned canary = (unsigned)args_number(a, "canary", 0);
	unsigned shadow = (unsigned)args_number(a, "shadow", 0);
	const char *name = args_text(a, "name");
	char role[32] = "";
	if (canary || shadow)
		(void)snprintf(role, sizeof(role), "&%s=%u", canary ? "canary" : "shadow",
			       canary ? canary : shadow);
	OWN_FREE char *named = name ? client_path("&name=%s", name) : strdup("");
	char *path = NULL;
	if (!named || asprintf(&path, "/functions?granted=%d%s%s%s", granted,
			       args_flag(a, "older") ? "&older=1" : "", role, named) < 0)
		return NULL;
	return path;
}

static int upload(struct cli *c, struct client *k, bool granted, struct span module,
		  json_t **ret_json, struct why *why)
{
	OWN_FREE char *path = upload_path(&c->args, granted);
	if (!path)
		return why_set(why, -ENOMEM, "out of memory");
	const struct client_request q = { .method = CLIENT_POST,
					  .path = path,
					  .content_type = "application/wasm",
					  .body = module,
					  .timeout_s = COMPILE_TIMEOUT_S };
	return client_call(k, &q, ret_json, why);
}

/* For people; with --json the sheet would be in the way. */
static FILE *people(const struct cli *c)
{
	return cli_json(c) ? c->err : c->out;
}

static void sheet_show(struct cli *c, const json_t *answer)
{
	FILE *out = people(c);
	const json_t *sheet = json_object_get(answer, "manifest");
	const json_t *previous = json_object_get(answer, "previous");
	if (!json_is_object(sheet))
		return;
	sheet_print(sheet, out);
	if (!json_is_object(previous))
		return;
	(void)fprintf(out, "changes since revision %.0f (", json_num(previous, "revision"));
	text_put(out, json_text(previous, "version"));
	(void)fputs(")\n", out);
	sheet_diff_print(json_object_get(previous, "manifest"), sheet, out);
}

/* CODE_OK: granted. */
static int grant_ask(struct cli *c)
{
	char answer[ANSWER_BYTES];
	if (args_flag(&c->args, "grant") || args_flag(&c->args, "yes"))
		return CODE_OK;
	if (!isatty(STDIN_FILENO))
		return cli_fail(c, CODE_FAILED, "read the sheet above; then deploy it with --grant",
				"nobody is here to grant what it asks for");
	(void)fprintf(c->err, "Grant this? [y/N] ");
	(void)fflush(c->err);
	if (fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
		return CODE_OK;
	return cli_fail(c, CODE_FAILED, NULL, "not granted, not deployed");
}

static void compiled_print(FILE *out, const json_t *answer)
{
	const json_t *report = json_object_get(answer, "report");
	(void)fprintf(out, "\ncompiled  in %.0f ms", json_num(answer, "compile_ms"));
	if (json_num(report, "reused") > 0)
		(void)fprintf(out, ", reused %.0f of %.0f chunks", json_num(report, "reused"),
			      json_num(report, "chunks"));
	(void)fprintf(out, "\n%-10s", json_text(answer, "state"));
}

static void done_print(struct cli *c, const json_t *answer)
{
	FILE *out = people(c);
	(void)fprintf(out, "verified  signed by key ");
	text_put(out, json_text(answer, "key_id"));
	if (json_is_true(json_object_get(answer, "unchanged")))
		(void)fprintf(out, "\nunchanged, active as ");
	else
		compiled_print(out, answer);
	text_put(out, json_text(answer, "name"));
	(void)fprintf(out, "@%.0f (", json_num(answer, "revision"));
	text_put(out, json_text(answer, "version"));
	(void)fprintf(out, ")\n");
}

/* What is suggested and not done is shown as commands to copy. */
static void suggest(struct cli *c, const char *name, const json_t *bindings)
{
	size_t i;
	json_t *b;
	json_array_foreach(bindings, i, b)
	{
		(void)fprintf(people(c),
			      i == 0 ? "to bind   penstock bind " : "          penstock bind ");
		text_put(people(c), name);
		(void)fprintf(people(c), " --mqtt ");
		text_put_quoted(people(c), json_text(b, "mqtt"));
		if (json_text(b, "publish")[0]) {
			(void)fprintf(people(c), " --publish ");
			text_put_quoted(people(c), json_text(b, "publish"));
		}
		(void)fputc('\n', people(c));
	}
}

static int bind_suggested(struct cli *c, struct client *k, const char *name, const json_t *bindings)
{
	size_t i;
	json_t *b;
	json_array_foreach(bindings, i, b)
	{
		OWN_JSON *body = json_pack("{s:s, s:s, s:s, s:s, s:i}", "function", name, "kind",
					   "mqtt", "filter", json_text(b, "mqtt"), "publish",
					   json_text(b, "publish"), "qos", (int)json_num(b, "qos"));
		int code = binding_make(c, k, body, people(c));
		if (code != CODE_OK)
			return code;
	}
	return CODE_OK;
}

static bool asks_for_grant(int status, const json_t *answer)
{
	const char *code = json_text(json_object_get(answer, "error"), "code");
	return status == HTTP_CONFLICT && strcmp(code, "E_GRANT") == 0;
}

static int deploy_done(struct cli *c, struct client *k, const json_t *answer)
{
	const char *name = json_text(answer, "name");
	const json_t *bindings = json_object_get(json_object_get(answer, "manifest"), "bindings");
	int code = CODE_OK;
	done_print(c, answer);
	if (args_flag(&c->args, "bind"))
		code = bind_suggested(c, k, name, bindings);
	else
		suggest(c, name, bindings);
	if (cli_json(c))
		json_print(c, answer);
	return code;
}

static int deploy_run(struct cli *c)
{
	const char *path = cli_arg(c, 0);
	struct why why = { 0 };
	OWN_BYTES module = { 0 };
	OWN_JSON *answer = NULL;
	if (args_number(&c->args, "canary", 0) && args_number(&c->args, "shadow", 0))
		return cli_fail(c, CODE_USAGE, NULL,
				"a candidate is a canary or a shadow, not both");
	if (file_read(path, FILE_MODULE_MAX, &module, &why) < 0)
		return cli_fail(c, CODE_NOFILE, NULL, "%s", why.text);
	OWN_CLIENT *k = client_new(c);
	if (!k)
		return CODE_FAILED;
	/* Ungranted first: the gateway verifies, and says what there is to grant. */
	int status = upload(c, k, false, bytes_span(&module), &answer, &why);
	bool asks = asks_for_grant(status, answer);
	if (asks || (status >= 200 && status <= 299))
		sheet_show(c, answer);
	if (asks) {
		int code = grant_ask(c);
		if (code != CODE_OK)
			return code;
		json_decref(answer);
		status = upload(c, k, true, bytes_span(&module), &answer, &why);
	}
	if (status < 200 || status > 299)
		return client_refused(k, status, answer, &why);
	return deploy_done(c, k, answer);
}

const struct command command_deploy = {
	.name = "deploy",
	.group = GROUP,
	.summary = "Upload a signed module, grant it, make it active",
	.usage = "FILE.wasm [--grant] [--name NAME] [--bind] [--canary PERCENT | --shadow PERCENT]",
	.more = "Shows what the function asks for and what changes, and asks you to grant what "
		"the\n"
		"active version has not been granted. The gateway verifies the signature, "
		"compiles,\n"
		"and replaces the version before without losing an event. Where no terminal is,\n"
		"--grant has to be given. --bind can be repeated: a binding that is there stays.\n"
		"\n"
		"With --canary or --shadow the active version stays, and the new one is its "
		"candidate:\n"
		"`penstock functions NAME` compares them, `penstock promote NAME` makes it the "
		"active\n"
		"one, `penstock rollback NAME` withdraws it. One that does worse (failures, "
		"missed\n"
		"deadlines, other effects) is withdrawn by the gateway.",
	.options = deploy_rows,
	.noptions = ARRAY_LEN(deploy_rows),
	.needs = "FILE.wasm",
	.least_args = 1,
	.most_args = 1,
	.prints_data = true,
	.asks_gateway = true,
	.may = MAY_REFUSE | MAY_LACK_FILE,
	.run = deploy_run,
};
