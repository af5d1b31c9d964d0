/* SPDX-License-Identifier: Apache-2.0 */
/* rollback, promote: which version of a function is the active one */
#include <string.h>

#include "base/own.h"
#include "cli/client.h"
#include "cli/text.h"
#include "cli/versions.h"

#define GROUP "Functions"

enum { SWITCH_TIMEOUT_S = 180 }; /* its code may have to be compiled again */

static void tally_print(FILE *out, const char *who, const json_t *t)
{
	(void)fprintf(out, "  %-10s %8.0f events, %.0f failed, %.0f late", who,
		      json_num(t, "ended"), json_num(t, "failed"), json_num(t, "late"));
	if (json_num(t, "compared") > 0)
		(void)fprintf(out, "; of %.0f compared, %.0f had other effects",
			      json_num(t, "compared"), json_num(t, "differing"));
	(void)fputc('\n', out);
}

void rollout_print(FILE *out, const json_t *function)
{
	const json_t *o = json_object_get(function, "rollout");
	const json_t *trial = json_object_get(function, "trial");
	if (!json_is_object(o))
		return;
	(void)fprintf(out, "%s    revision %.0f with %.0f %% of the events: %s",
		      json_text(o, "mode"), json_num(o, "revision"), json_num(o, "percent"),
		      json_text(o, "state"));
	if (json_text(o, "reason")[0]) {
		(void)fputs(", ", out);
		text_put(out, json_text(o, "reason"));
	}
	(void)fputc('\n', out);
	if (!trial)
		return;
	tally_print(out, "candidate", json_object_get(trial, "candidate"));
	tally_print(out, "active", json_object_get(trial, "active"));
}

static int show(struct cli *c, const json_t *answer)
{
	if (cli_json(c)) {
		json_print(c, answer);
		return CODE_OK;
	}
	(void)fprintf(c->out, "active    ");
	text_put(c->out, json_text(answer, "name"));
	(void)fprintf(c->out, "@%.0f (", json_num(answer, "revision"));
	text_put(c->out, json_text(answer, "version"));
	(void)fprintf(c->out, ")\n");
	return CODE_OK;
}

static int ask(struct client *k, const char *path, json_t **ret)
{
	const struct client_request q = { .method = CLIENT_POST,
					  .path = path,
					  .timeout_s = SWITCH_TIMEOUT_S };
	return client_do(k, &q, ret);
}

/* ---- rollback ---- */

static const struct option_row rollback_rows[] = {
	{ "to", 0, OPT_NUMBER, "REVISION", "go to this one (default: the one before)", 1,
	  INT32_MAX },
};

/* A candidate is the last change; taking it back is the rollback. */
static int withdraw(struct cli *c, struct client *k, const char *name)
{
	OWN_JSON *answer = NULL;
	OWN_FREE char *path = client_path("/functions/%s/candidate", name);
	int code = client_do(k, &(struct client_request){ .method = CLIENT_DELETE, .path = path },
			     &answer);
	if (code != CODE_OK)
		return code;
	if (cli_json(c)) {
		json_print(c, answer);
		return CODE_OK;
	}
	(void)fprintf(c->out, "withdrawn candidate ");
	text_put(c->out, name);
	(void)fprintf(c->out, "@%.0f; the active version stays\n", json_num(answer, "withdrawn"));
	return CODE_OK;
}

static int has_candidate(struct client *k, const char *name, bool *ret)
{
	OWN_JSON *f = NULL;
	OWN_FREE char *path = client_path("/functions/%s", name);
	int code = client_do(k, &(struct client_request){ .path = path }, &f);
	if (code == CODE_OK)
		*ret = strcmp(json_text(json_object_get(f, "rollout"), "state"), "running") == 0;
	return code;
}

static int rollback_run(struct cli *c)
{
	const char *name = cli_arg(c, 0);
	OWN_JSON *answer = NULL;
	uint64_t to = args_number(&c->args, "to", 0);
	bool candidate = false;
	OWN_CLIENT *k = client_new(c);
	if (!k)
		return CODE_FAILED;
	int code = to ? CODE_OK : has_candidate(k, name, &candidate);
	if (code != CODE_OK)
		return code;
	if (candidate)
		return withdraw(c, k, name);
	char revision[16];
	(void)snprintf(revision, sizeof(revision), "%u", (unsigned)to);
	OWN_FREE char *path = to ? client_path("/functions/%s/rollback?revision=%s", name, revision)
				 : client_path("/functions/%s/rollback", name);
	code = ask(k, path, &answer);
	return code == CODE_OK ? show(c, answer) : code;
}

const struct command command_rollback = {
	.name = "rollback",
	.group = GROUP,
	.summary = "Take back the last change of a function",
	.usage = "NAME [--to REVISION]",
	.more = "While a candidate (deploy --canary, --shadow) runs, it is withdrawn. Otherwise "
		"the\n"
		"newest version older than the active one becomes the active one, at once: its\n"
		"compiled code is still here. No event is lost. `penstock functions NAME` lists "
		"the\n"
		"revisions; --to goes to any of them, also forward again.",
	.options = rollback_rows,
	.noptions = ARRAY_LEN(rollback_rows),
	.needs = "NAME",
	.least_args = 1,
	.most_args = 1,
	.prints_data = true,
	.asks_gateway = true,
	.run = rollback_run,
};

/* ---- promote ---- */

static int promote_run(struct cli *c)
{
	OWN_JSON *answer = NULL;
	OWN_FREE char *path = client_path("/functions/%s/promote", cli_arg(c, 0));
	OWN_CLIENT *k = client_new(c);
	if (!k)
		return CODE_FAILED;
	int code = ask(k, path, &answer);
	return code == CODE_OK ? show(c, answer) : code;
}

const struct command command_promote = {
	.name = "promote",
	.group = GROUP,
	.summary = "Make a function's candidate its active version",
	.usage = "NAME",
	.more = "`penstock functions NAME` shows how the candidate does beside the active version.",
	.needs = "NAME",
	.least_args = 1,
	.most_args = 1,
	.prints_data = true,
	.asks_gateway = true,
	.run = promote_run,
};
