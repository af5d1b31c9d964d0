/* SPDX-License-Identifier: Apache-2.0 */
/* run: a module on this machine, without a gateway and without a signature */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/own.h"
#include "cli/cache.h"
#include "cli/compile.h"
#include "cli/event_file.h"
#include "cli/file.h"

#define GROUP "Modules, without a gateway"

enum { NUMBER_TEXT = 24, RUN_WORDS = 24 };

static const struct option_row run_rows[] = {
	{ "invoke", 0, OPT_TEXT, "FUNCTION", "call this export; the arguments are its parameters",
	  0, 0 },
	{ "env", 'e', OPT_TEXT, "NAME=VALUE", "for the program; NAME alone passes yours on", 0, 0 },
	{ "replay", 0, OPT_TEXT, "FILE",
	  "run the event of this file of penstock events export again", 0, 0 },
	{ "cpu-ms", 0, OPT_NUMBER, "N", "CPU time it may use (default: no limit)", 1, 86400000 },
	{ "memory", 0, OPT_SIZE, "SIZE", "linear memory it may have (default: 4GiB)", 65536,
	  UINT64_C(4) << 30 },
	{ "stack", 0, OPT_SIZE, "SIZE", "stack it may use", 65536, 1 << 30 },
	COMPILE_OPTION_ROWS,
};

struct words {
	const char **v; /* malloc'd, NULL-terminated */
	size_t n;
	char numbers[5][NUMBER_TEXT];
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

struct program {
	int so_fd;
	const char *so_path; /* NULL, or where it is */
	char **envs;
	int replay_fd; /* -1: none */
	const char *name;
};

/* The command line of `penstock-sandbox run`. */
static void words_make(struct cli *c, struct words *w, const struct program *p)
{
	const struct args *a = &c->args;
	const char *invoke = args_text(a, "invoke");
	w->v[w->n++] = "penstock-sandbox";
	w->v[w->n++] = "run";
	words_number(w, "--so-fd", (uint64_t)p->so_fd);
	if (p->so_path)
		words_option(w, "--so-path", p->so_path);
	if (p->replay_fd >= 0)
		words_number(w, "--replay-fd", (uint64_t)p->replay_fd);
	for (char **env = p->envs; *env; env++)
		words_option(w, "--env", *env);
	if (args_flag(a, "cpu-ms"))
		words_number(w, "--cpu-ms", args_number(a, "cpu-ms", 0));
	if (args_flag(a, "memory"))
		words_number(w, "--memory", args_number(a, "memory", 0));
	if (args_flag(a, "stack"))
		words_number(w, "--stack", args_number(a, "stack", 0));
	if (invoke)
		words_option(w, "--invoke", invoke);
	w->v[w->n++] = "--";
	w->v[w->n++] = p->name;
	for (size_t i = 1; i < a->nrest; i++)
		w->v[w->n++] = a->rest[i];
}

/* Becomes the sandbox: signals, exit code and terminal are then those of the program. */
static int become(struct cli *c, const struct program *p)
{
	struct why why = { 0 };
	OWN_FREE char *path = child_sibling("penstock-sandbox", &why);
	if (!path)
		return cli_fail(c, CODE_FAILED, NULL, "%s", why.text);
	size_t room = RUN_WORDS + c->args.ngiven * 2 + c->args.nrest;
	struct words w = { .v = calloc(room, sizeof(*w.v)) };
	ENSURE(w.v);
	words_make(c, &w, p);
	ENSURE(w.n < room);
	if (fcntl(p->so_fd, F_SETFD, 0) == 0 &&
	    (p->replay_fd < 0 || fcntl(p->replay_fd, F_SETFD, 0) == 0))
		(void)execv(path, (char *const *)w.v);
	int err = errno;
	free(w.v);
	return cli_fail(c, CODE_FAILED, NULL, "%s: %s", path, strerrordesc_np(err));
}

/* Debuggers and profilers look for code in files: with --debug it lies in one of the user's. */
static int so_publish(struct cli *c, int *so, char **ret_path)
{
	struct why why = { 0 };
	OWN_FREE char *path = NULL;
	OWN_BYTES all = { 0 };
	int err = cache_path("debug", cli_arg(c, 0), ".so", &path, &why);
	if (err == 0 && lseek(*so, 0, SEEK_SET) < 0)
		err = why_set(&why, -errno, "the compiler's output: %s", strerrordesc_np(errno));
	if (err == 0)
		err = file_read_fd(*so, "the compiler's output", SIZE_MAX / 4, &all, &why);
	if (err == 0)
		err = file_write(path, bytes_span(&all), FILE_REPLACE, 0700, &why);
	int fd = err == 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (err == 0 && fd < 0)
		err = why_set(&why, -errno, "%s: %s", path, strerrordesc_np(errno));
	if (err < 0)
		return cli_fail(c, CODE_FAILED, NULL, "%s", why_text(&why, err));
	own_fd_close(so);
	*so = fd;
	*ret_path = ptr_steal(&path);
	return CODE_OK;
}

/* The event of --replay, packed, in a memfd; and the function's name, which is the program's there. */
static int replay_open(struct cli *c, int *ret_fd, char **ret_name)
{
	const char *path = args_text(&c->args, "replay");
	struct why why = { 0 };
	OWN_BYTES json = { 0 };
	OWN_EVENT_FILE f = { 0 };
	if (!path)
		return CODE_OK;
	if (args_text(&c->args, "invoke") || args_text(&c->args, "env") || c->args.nrest > 1)
		return cli_fail(
			c, CODE_USAGE, NULL,
			"--replay takes neither --invoke nor --env nor arguments: the event "
			"has its own");
	if (file_read(path, EVENT_FILE_MAX, &json, &why) < 0)
		return cli_fail(c, CODE_NOFILE, NULL, "%s", why.text);
	int err = event_file_parse(bytes_span(&json), &f, &why);
	if (err < 0)
		return cli_fail(c, CODE_FAILED, "penstock events export ID -o FILE makes one",
				"%s: %s", path, why_text(&why, err));
	const struct span all = bytes_span(&f.packed);
	*ret_fd = ipc_memfd("event", &all, 1);
	*ret_name = strdup(f.function);
	ENSURE(*ret_name);
	return *ret_fd >= 0
		       ? CODE_OK
		       : cli_fail(c, CODE_FAILED, NULL, "%s: %s", path, strerrordesc_np(-*ret_fd));
}

static int run_run(struct cli *c)
{
	const struct aot_job_options o = compile_options_of(&c->args);
	char *envs[OPTIONS_GIVEN_MAX + 1] = { NULL };
	OWN_FD so = -1;
	OWN_FREE char *report = NULL;
	OWN_FREE char *path = NULL;
	OWN_FD event = -1;
	OWN_FREE char *name = NULL;
	int code = replay_open(c, &event, &name);
	if (code == CODE_OK)
		code = envs_make(c, envs);
	if (code == CODE_OK)
		code = compile_file(c, &o, &so, &report);
	if (code == CODE_OK && o.debug)
		code = so_publish(c, &so, &path);
	if (code == CODE_OK)
		code = become(
			c, &(struct program){ so, path, envs, event, name ? name : cli_arg(c, 0) });
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
		"--replay FILE gives it an event of a gateway again, with the clocks, random bytes "
		"and state\n"
		"that it saw there, and says whether it does the same: code 0, else 1.\n"
		"--debug keeps the code in ~/.cache/penstock/debug for gdb and perf: "
		"doc/DEBUGGING.md.\n"
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
