/* SPDX-License-Identifier: Apache-2.0 */
/* run, compile: a module on this machine, without a gateway and without a signature */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/child.h"
#include "base/own.h"
#include "cli/client.h"
#include "cli/text.h"
#include "proto/aot_job.h"
#include "proto/ipc.h"
#include "proto/manifest.h"

#define GROUP "Modules, without a gateway"

enum { NUMBER_TEXT = 24, RUN_WORDS = 24 };

/* "refused: REASON" is what scripts look for. */
static int refused(struct cli *c, int err, const struct why *why)
{
	bool is_refusal =
		err == -E_INVALID || err == -E_UNSUPPORTED || err == -E_LIMIT || err == -E_TIME;
	if (!is_refusal)
		return cli_fail_why(c, err, why);
	(void)fprintf(c->err, "refused: ");
	text_put(c->err, why_text(why, err));
	(void)fputc('\n', c->err);
	return CODE_REFUSED;
}

/* A memfd with the file: what is compiled cannot change while it is. */
static int module_open(struct cli *c, int *ret_fd)
{
	OWN_BYTES module = { 0 };
	struct why why = { 0 };
	int err = file_read(cli_arg(c, 0), FILE_MODULE_MAX, &module, &why);
	if (err == -E_LIMIT)
		return refused(c, err, &why);
	if (err < 0)
		return cli_fail(c, CODE_NOFILE, NULL, "%s", why.text);
	const struct span all = bytes_span(&module);
	int fd = ipc_memfd("penstock-module", &all, 1);
	if (fd < 0)
		return cli_fail(c, CODE_FAILED, NULL, "a file in memory: %s", strerrordesc_np(-fd));
	*ret_fd = fd;
	return CODE_OK;
}

static int compile(struct cli *c, const struct aot_job_options *o, int *ret_so, char **ret_report)
{
	OWN_FD wasm = -1;
	struct why why = { 0 };
	int code = module_open(c, &wasm);
	if (code != CODE_OK)
		return code;
	int err = aot_job_run(wasm, o, ret_so, ret_report, &why);
	return err < 0 ? refused(c, err, &why) : CODE_OK;
}

/* ---- run ---- */

static const struct option_row run_rows[] = {
	{ "invoke", 0, OPT_TEXT, "FUNCTION", "call this export; the arguments are its parameters",
	  0, 0 },
	{ "env", 'e', OPT_TEXT, "NAME=VALUE", "for the program; NAME alone passes yours on", 0, 0 },
	{ "cpu-ms", 0, OPT_NUMBER, "N", "CPU time it may use (default: no limit)", 1, 86400000 },
	{ "memory", 0, OPT_SIZE, "SIZE", "linear memory it may have (default: 4GiB)", 65536,
	  UINT64_C(4) << 30 },
	{ "stack", 0, OPT_SIZE, "SIZE", "stack it may use", 65536, 1 << 30 },
	{ "bounds", 0, OPT_CHOICE, "guard|check", "how memory accesses are checked", 0, 0 },
	{ "opt", 'O', OPT_NUMBER, "0..3", "effort of the compiler (default 2)", 0, 3 },
};

struct words {
	const char **v; /* malloc'd, NULL-terminated */
	size_t n;
	char numbers[4][NUMBER_TEXT];
	unsigned nnumbers;
};

static void words_option(struct words *w, const char *name, const char *value)
{
	w->v[w->n++] = name;
	w->v[w->n++] = value;
}

static void words_number(struct words *w, const char *name, uint64_t value)
{
	char *text = w->numbers[w->nnumbers++];
	(void)snprintf(text, NUMBER_TEXT, "%llu", (unsigned long long)value);
	words_option(w, name, text);
}

/* NAME=VALUE for each --env; malloc'd strings into list (as many as there are). */
static int envs_make(struct cli *c, char **list)
{
	const char *given;
	for (size_t i = 0; (given = args_each(&c->args, "env", i)); i++) {
		const char *mine = strchr(given, '=') ? NULL : getenv(given);
		if (given[0] == '=')
			return cli_fail(c, CODE_USAGE, NULL, "--env %s has no name", given);
		if (strchr(given, '='))
			list[i] = strdup(given);
		else if (asprintf(&list[i], "%s=%s", given, mine ? mine : "") < 0)
			list[i] = NULL;
		ENSURE(list[i]);
	}
	return CODE_OK;
}

/* The command line of `penstock-sandbox run`. */
static void words_make(struct cli *c, struct words *w, int so_fd, char **envs)
{
	const struct args *a = &c->args;
	const char *invoke = args_text(a, "invoke");
	w->v[w->n++] = "penstock-sandbox";
	w->v[w->n++] = "run";
	words_number(w, "--so-fd", (uint64_t)so_fd);
	for (; *envs; envs++)
		words_option(w, "--env", *envs);
	if (args_flag(a, "cpu-ms"))
		words_number(w, "--cpu-ms", args_number(a, "cpu-ms", 0));
	if (args_flag(a, "memory"))
		words_number(w, "--memory", args_number(a, "memory", 0));
	if (args_flag(a, "stack"))
		words_number(w, "--stack", args_number(a, "stack", 0));
	if (invoke)
		words_option(w, "--invoke", invoke);
	w->v[w->n++] = "--";
	for (size_t i = 0; i < a->nrest; i++)
		w->v[w->n++] = a->rest[i];
}

/* Becomes the sandbox: signals, exit code and terminal are then those of the program. */
static int become(struct cli *c, int so_fd, char **envs)
{
	struct why why = { 0 };
	OWN_FREE char *path = child_sibling("penstock-sandbox", &why);
	if (!path)
		return cli_fail(c, CODE_FAILED, NULL, "%s", why.text);
	size_t room = RUN_WORDS + c->args.ngiven * 2 + c->args.nrest;
	struct words w = { .v = calloc(room, sizeof(*w.v)) };
	ENSURE(w.v);
	words_make(c, &w, so_fd, envs);
	ENSURE(w.n < room);
	if (fcntl(so_fd, F_SETFD, 0) == 0)
		(void)execv(path, (char *const *)w.v);
	int err = errno;
	free(w.v);
	return cli_fail(c, CODE_FAILED, NULL, "%s: %s", path, strerrordesc_np(err));
}

static int run_run(struct cli *c)
{
	const char *bounds = args_text(&c->args, "bounds");
	const struct aot_job_options o = {
		.bounds_check = bounds && strcmp(bounds, "check") == 0,
		.opt = args_flag(&c->args, "opt") ? (int)args_number(&c->args, "opt", 0) : -1,
	};
	char *envs[OPTIONS_GIVEN_MAX + 1] = { NULL };
	OWN_FD so = -1;
	OWN_FREE char *report = NULL;
	int code = envs_make(c, envs);
	if (code == CODE_OK)
		code = compile(c, &o, &so, &report);
	if (code == CODE_OK)
		code = become(c, so, envs);
	for (size_t i = 0; envs[i]; i++)
		free(envs[i]);
	return code;
}

const struct command command_run = {
	.name = "run",
	.group = GROUP,
	.summary = "Run a module here: stdin, stdout, exit code",
	.usage = "[options] FILE.wasm [options] [--] [ARGUMENTS]",
	.more = "A reactor (it exports on_event) gets standard input as the payload of one event "
		"and\n"
		"--env MQTT_TOPIC=... as its topic; each message that it emits is printed as\n"
		"\"emit TOPIC: PAYLOAD\", its log on standard error.\n"
		"A WASI program gets the arguments, standard input, output and error; no files, "
		"no\n"
		"network. --invoke FUNCTION calls one export instead and prints its results. No\n"
		"signature is needed here.\n"
		"After FILE.wasm the options above are still ours; what follows the first "
		"argument\n"
		"that is none of them, or --, belongs to the program.\n"
		"A trap prints \"trap: KIND at FILE:LINE FUNCTION\" and the functions that called, "
		"or\n"
		"without -g in the module FUNCTION+OFFSET (OFFSET IN THE MODULE); a refused "
		"module\n"
		"\"refused: REASON\".",
	.options = run_rows,
	.noptions = ARRAY_LEN(run_rows),
	.needs = "FILE.wasm",
	.least_args = 1,
	.most_args = UINT16_MAX,
	.rest_is_foreign = true,
	.may = MAY_REFUSE | MAY_LACK_FILE | MAY_TRAP | MAY_BE_THE_PROGRAMS,
	.run = run_run,
};

/* ---- compile ---- */

static const struct option_row compile_rows[] = {
	{ "output", 'o', OPT_TEXT, "FILE.so", "where the shared object goes", 0, 0 },
	{ "target", 0, OPT_TEXT, "TRIPLE", "for another machine (default: this one)", 0, 0 },
	{ "cpu", 0, OPT_TEXT, "NAME", "for this CPU (default: this one's)", 0, 0 },
	{ "bounds", 0, OPT_CHOICE, "guard|check", "how memory accesses are checked", 0, 0 },
	{ "opt", 'O', OPT_NUMBER, "0..3", "effort of the compiler (default 2)", 0, 3 },
};

/* The finished object as bytes; it lies in a sealed memfd. */
static int so_write(struct cli *c, int so, const char *path, size_t *ret_bytes)
{
	OWN_BYTES all = { 0 };
	struct why why = { 0 };
	if (lseek(so, 0, SEEK_SET) < 0)
		return cli_fail(c, CODE_FAILED, NULL, "the compiler's output: %s",
				strerrordesc_np(errno));
	if (file_read_fd(so, "the compiler's output", SIZE_MAX / 4, &all, &why) < 0 ||
	    file_write(path, bytes_span(&all), FILE_REPLACE, 0755, &why) < 0)
		return cli_fail(c, CODE_FAILED, NULL, "%s", why.text);
	*ret_bytes = all.len;
	return CODE_OK;
}

static int compile_run(struct cli *c)
{
	const struct args *a = &c->args;
	const char *out = args_text(a, "output"), *bounds = args_text(a, "bounds");
	const struct aot_job_options o = {
		.target = args_text(a, "target"),
		.cpu = args_text(a, "cpu"),
		.bounds_check = bounds && strcmp(bounds, "check") == 0,
		.opt = args_flag(a, "opt") ? (int)args_number(a, "opt", 0) : -1,
	};
	OWN_FD so = -1;
	OWN_FREE char *text = NULL;
	size_t bytes;
	if (!out)
		return cli_fail(c, CODE_USAGE, "penstock compile FILE.wasm -o FILE.so",
				"-o is missing");
	int code = compile(c, &o, &so, &text);
	if (code == CODE_OK)
		code = so_write(c, so, out, &bytes);
	if (code != CODE_OK)
		return code;
	OWN_JSON *report = json_loads(text, JSON_ALLOW_NUL, NULL);
	if (cli_json(c)) {
		json_print(c, report);
		return CODE_OK;
	}
	(void)fprintf(c->out, "compiled ");
	text_put(c->out, out);
	(void)fprintf(c->out, "  %zu bytes, %.0f functions, in %.0f ms, for ", bytes,
		      json_num(report, "functions"), json_num(report, "wall_ms"));
	text_put(c->out, json_text(report, "cpu"));
	(void)fputc('\n', c->out);
	return CODE_OK;
}

const struct command command_compile = {
	.name = "compile",
	.group = GROUP,
	.summary = "Compile a module to a shared object",
	.usage = "FILE.wasm -o FILE.so [options]",
	.more = "To look at the code (objdump -d, gdb); gateways compile for themselves, from the\n"
		"signed module.",
	.options = compile_rows,
	.noptions = ARRAY_LEN(compile_rows),
	.needs = "FILE.wasm",
	.least_args = 1,
	.most_args = 1,
	.prints_data = true,
	.may = MAY_REFUSE | MAY_LACK_FILE,
	.run = compile_run,
};
