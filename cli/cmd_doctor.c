/* SPDX-License-Identifier: Apache-2.0 */
/* doctor: what is wrong with the gateway, and what to do */
#include <string.h>

#include "cli/client.h"
#include "cli/text.h"

static void finding_print(const json_t *f, FILE *out)
{
	static const struct {
		const char *severity, *mark;
	} marks[] = { { "ok", "ok     " }, { "warning", "warning" }, { "error", "ERROR  " } };
	const char *mark = "?      ";
	for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
		if (strcmp(json_text(f, "severity"), marks[i].severity) == 0)
			mark = marks[i].mark;
	}
	(void)fprintf(out, "%s  %-11s ", mark, json_text(f, "area"));
	text_put(out, json_text(f, "name"));
	(void)fputs(": ", out);
	text_put(out, json_text(f, "text"));
	(void)fputc('\n', out);
	if (json_text(f, "hint")[0]) {
		(void)fputs("                     ", out);
		text_put(out, json_text(f, "hint"));
		(void)fputc('\n', out);
	}
}

static int doctor_run(struct cli *c)
{
	OWN_CLIENT *k = client_new(c);
	OWN_JSON *all = NULL;
	if (!k)
		return CODE_FAILED;
	int code = client_do(k, &(struct client_request){ .path = "/doctor" }, &all);
	if (code != CODE_OK)
		return code;
	const bool every = args_flag(&c->args, "all");
	unsigned wrong = 0, warned = 0, seen = 0;
	size_t i;
	json_t *f;
	json_array_foreach(json_object_get(all, "items"), i, f)
	{
		const char *severity = json_text(f, "severity");
		wrong += strcmp(severity, "error") == 0;
		warned += strcmp(severity, "warning") == 0;
		seen++;
		if (!cli_json(c) && (every || strcmp(severity, "ok") != 0))
			finding_print(f, c->out);
	}
	if (cli_json(c))
		json_print(c, all);
	else
		(void)fprintf(c->out, "%u things looked at: %u wrong, %u to watch\n", seen, wrong,
			      warned);
	return wrong ? CODE_FAILED : CODE_OK;
}

static const struct option_row doctor_rows[] = {
	{ "all", 'a', OPT_FLAG, NULL, "also what is well", 0, 0 },
};

const struct command command_doctor = {
	.name = "doctor",
	.group = "Looking on",
	.summary = "Find what is wrong with the gateway, and what to do",
	.usage = "[--all]",
	.more = "Looks at brokers, devices, every binding and output, functions, journal, disk, "
		"memory,\n"
		"clock and certificates. Changes nothing. Exit code 1 when something is wrong.",
	.options = doctor_rows,
	.noptions = ARRAY_LEN(doctor_rows),
	.prints_data = true,
	.asks_gateway = true,
	.run = doctor_run,
};
