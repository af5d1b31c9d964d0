/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <stdarg.h>
#include <string.h>

#include "base/own.h"
#include "cli/text.h"

static const struct command *const commands[] = {
#define COMMAND(id) &command_##id,
#include "cli/commands.def"
#undef COMMAND
};

static const struct option_row help_rows[] = {
	{ "help", 'h', OPT_FLAG, NULL, "show this", 0, 0 },
};
static const struct option_row json_rows[] = {
	{ "json", 0, OPT_FLAG, NULL, "print JSON, for programs", 0, 0 },
};
static const struct option_row socket_rows[] = {
	{ "socket", 0, OPT_TEXT, "PATH", "the gateway's socket (or $PENSTOCK_SOCKET)", 0, 0 },
};

static struct options options_of(const struct command *cmd)
{
	struct options o = { .rest_is_foreign = cmd->rest_is_foreign };
	options_add(&o, cmd->options, cmd->noptions);
	if (cmd->prints_data)
		options_add(&o, json_rows, ARRAY_LEN(json_rows));
	if (cmd->asks_gateway)
		options_add(&o, socket_rows, ARRAY_LEN(socket_rows));
	options_add(&o, help_rows, ARRAY_LEN(help_rows));
	return o;
}

/* ---- help ---- */

/* cmd NULL: all of them */
static void codes_help(const struct command *cmd, FILE *out)
{
	static const struct command all = { .may = MAY_REFUSE | MAY_LACK_FILE | MAY_TRAP,
					    .asks_gateway = true };
	const struct command *c = cmd ? cmd : &all;
	const struct {
		int code;
		bool applies;
		const char *text;
	} rows[] = {
#define CODE(name, number, applies, text) { (number), (applies) != 0, (text) },
		CLI_CODES(CODE)
#undef CODE
	};
	(void)fprintf(out, "\nExit codes:\n");
	if (c->may & MAY_BE_THE_PROGRAMS)
		(void)fprintf(out, "       the program's own, or\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].applies)
			(void)fprintf(out, "  %3d  %s\n", rows[i].code, rows[i].text);
}

static void command_help(const struct command *cmd, FILE *out)
{
	struct options o = options_of(cmd);
	(void)fprintf(out, "Usage: penstock %s%s%s\n\n%s.\n", cmd->name, cmd->usage[0] ? " " : "",
		      cmd->usage, cmd->summary);
	if (cmd->more[0])
		(void)fprintf(out, "\n%s\n", cmd->more);
	(void)fprintf(out, "\nOptions:\n");
	options_help(&o, out);
	codes_help(cmd, out);
}

static void all_help(FILE *out)
{
	const char *group = "";
	(void)fprintf(out, "Usage: penstock COMMAND [options]\n"
			   "\n"
			   "Events trigger signed WebAssembly functions on this gateway.\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(group, commands[i]->group) != 0)
			(void)fprintf(out, "\n%s:\n", commands[i]->group);
		group = commands[i]->group;
		(void)fprintf(out, "  %-11s %s\n", commands[i]->name, commands[i]->summary);
	}
	(void)fprintf(out,
		      "\npenstock COMMAND --help tells more; penstock --version the version.\n");
	codes_help(NULL, out);
}

/* ---- errors ---- */

int cli_fail(struct cli *c, enum cli_code code, const char *hint, const char *fmt, ...)
{
	OWN_FREE char *text = NULL;
	va_list ap;
	va_start(ap, fmt);
	ENSURE(vasprintf(&text, fmt, ap) >= 0);
	va_end(ap);
	(void)fflush(c->out); /* what was said before stands before it */
	(void)fprintf(c->err, "penstock%s%s: ", c->cmd ? " " : "", c->cmd ? c->cmd->name : "");
	text_put(c->err, text);
	(void)fputc('\n', c->err);
	if (hint && hint[0]) {
		(void)fprintf(c->err, "  hint: ");
		text_put(c->err, hint);
		(void)fputc('\n', c->err);
	}
	return (int)code;
}

/* What an error number means here; the rest is CODE_FAILED. */
static const struct {
	int err;
	enum cli_code code;
	const char *hint;
} meanings[] = {
	{ E_INVALID, CODE_REFUSED, NULL },
	{ E_UNSUPPORTED, CODE_REFUSED, NULL },
	{ E_LIMIT, CODE_REFUSED, NULL },
	{ E_SIGNATURE, CODE_REFUSED, NULL },
	{ E_TRUST, CODE_REFUSED,
	  "trust the key, if you know whose it is: penstock trust NAME.pub" },
	{ E_CONFIG, CODE_USAGE, NULL },
};

int cli_fail_why(struct cli *c, int err, const struct why *why)
{
	for (size_t i = 0; i < ARRAY_LEN(meanings); i++) {
		if (meanings[i].err == -err)
			return cli_fail(c, meanings[i].code, meanings[i].hint, "%s",
					why_text(why, err));
	}
	return cli_fail(c, CODE_FAILED, NULL, "%s", why_text(why, err));
}

static int usage(struct cli *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

static int usage(struct cli *c, const char *fmt, ...)
{
	char text[600], hint[128];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (c->cmd)
		(void)snprintf(hint, sizeof(hint), "penstock %s%s%s (penstock %s --help)",
			       c->cmd->name, c->cmd->usage[0] ? " " : "", c->cmd->usage,
			       c->cmd->name);
	else
		(void)snprintf(hint, sizeof(hint), "penstock --help lists the commands");
	return cli_fail(c, CODE_USAGE, hint, "%s", text);
}

/* ---- the program ---- */

const char *cli_arg(const struct cli *c, size_t i)
{
	ENSURE(i < c->args.nrest);
	return c->args.rest[i];
}

bool cli_json(const struct cli *c)
{
	return args_flag(&c->args, "json");
}

static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	}
	return NULL;
}

static int unknown_command(struct cli *c, const char *name)
{
	const char *names[ARRAY_LEN(commands)];
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		names[i] = commands[i]->name;
	const char *meant = nearest_name(name, names, ARRAY_LEN(names));
	if (meant)
		return usage(c, "there is no command %.64s; did you mean %s?", name, meant);
	return usage(c, "there is no command %.64s", name);
}

static int command_start(struct cli *c, const char *const *argv)
{
	struct options o = options_of(c->cmd);
	struct why why = { 0 };
	int err = options_parse(&o, argv, &c->args, &why);
	if (args_flag(&c->args, "help")) { /* also when the rest makes no sense */
		command_help(c->cmd, c->out);
		return CODE_OK;
	}
	if (err < 0)
		return usage(c, "%s", why_text(&why, err));
	if (c->args.nrest < c->cmd->least_args)
		return usage(c, "%s is missing", c->cmd->needs);
	if (c->args.nrest > c->cmd->most_args)
		return usage(c, "%.64s is one argument too many", c->args.rest[c->cmd->most_args]);
	return c->cmd->run(c);
}

static int help_run(struct cli *c, const char *name)
{
	const struct command *cmd = name ? command_find(name) : NULL;
	if (name && !cmd)
		return unknown_command(c, name);
	if (cmd)
		command_help(cmd, c->out);
	else
		all_help(c->out);
	return CODE_OK;
}

static int dispatch(struct cli *c, int argc, const char *const *argv)
{
	if (argc < 2) {
		all_help(c->err);
		return CODE_USAGE;
	}
	const char *word = argv[1];
	if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
		(void)fprintf(c->out, "penstock %s\n", PENSTOCK_VERSION);
		return CODE_OK;
	}
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		return help_run(c, NULL);
	if (strcmp(word, "help") == 0)
		return help_run(c, argv[2]);
	if (word[0] == '-')
		return usage(c, "the command comes first, before %.64s", word);
	c->cmd = command_find(word);
	return c->cmd ? command_start(c, argv + 2) : unknown_command(c, word);
}

int cli_main(int argc, const char *const *argv, FILE *out, FILE *err)
{
	struct cli c = { .out = out, .err = err };
	int code = dispatch(&c, argc, argv);
	args_fini(&c.args);
	/* Output that was lost (a full disk, a closed pipe) is no success. */
	if (fflush(out) != 0 && code == CODE_OK)
		code = CODE_FAILED;
	return code;
}
