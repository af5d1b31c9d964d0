/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penstock: one table of commands (cli/commands.def), each with its options, arguments and
 * function.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdio.h>

#include "base/rd.h"
#include "cli/options.h"

#define CLI_SOCKET_DEFAULT "/run/penstock/penstock.sock"

/* Exit codes. CODE(name, number, applies, text): text is in --help, of a command c where it applies. */
#define CLI_CODES(CODE)                                                                            \
	CODE(OK, 0, !(c->may & MAY_BE_THE_PROGRAMS), "done")                                       \
	CODE(FAILED, 1, true, "the gateway refused, or the operation failed")                      \
	CODE(USAGE, 64, true, "wrong usage")                                                       \
	CODE(REFUSED, 65, c->may &MAY_REFUSE, "the module was refused")                            \
	CODE(NOFILE, 66, c->may &MAY_LACK_FILE, "a file cannot be read")                           \
	CODE(AWAY, 69, c->asks_gateway, "the gateway cannot be reached")                           \
	CODE(TRAP, 134, c->may &MAY_TRAP, "the program trapped")

enum cli_code {
#define CODE(name, number, applies, text) CODE_##name = (number),
	CLI_CODES(CODE)
#undef CODE
};

enum { MAY_REFUSE = 1, MAY_LACK_FILE = 2, MAY_TRAP = 4, MAY_BE_THE_PROGRAMS = 8 };

struct cli;

struct command {
	const char *name, *group, *summary;
	const char *usage; /* after the name: "FILE.wasm [options]"; may be "" */
	const char *more;  /* paragraphs of --help; may be "" */
	const struct option_row *options;
	size_t noptions;
	const char *needs; /* the first argument, in words of usage; NULL = none is needed */
	unsigned least_args, most_args;
	unsigned may;              /* MAY_...: which exit codes apply besides the usual ones */
	bool prints_data;          /* has --json */
	bool asks_gateway;         /* has --socket */
	bool rest_is_foreign;      /* see struct options */
	int (*run)(struct cli *c); /* returns an exit code */
};

struct cli {
	const struct command *cmd;
	struct args args;
	FILE *out, *err;
};

#define COMMAND(id) extern const struct command command_##id;
#include "cli/commands.def"
#undef COMMAND

/* The whole program, for main and for tests. */
int cli_main(int argc, const char *const *argv, FILE *out, FILE *err);

/* Says what went wrong and how to go on (hint may be NULL), and returns code:
 *	return cli_fail(c, CODE_FAILED, "is penstockd running?", "%s: %s", path, ...);
 * What is printed is escaped. */
int cli_fail(struct cli *c, enum cli_code code, const char *hint, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
/* The same for an error number with its reason; the code follows from the number. */
int cli_fail_why(struct cli *c, int err, const struct why *why);

/* The i-th argument that is no option; ENSUREs that the command's least_args promise it. */
const char *cli_arg(const struct cli *c, size_t i);
bool cli_json(const struct cli *c);

#endif
