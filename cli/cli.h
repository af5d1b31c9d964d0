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

/* Exit codes. CODE(name, number, text): text is in --help. */
#define CLI_CODES(CODE)                                                                            \
	CODE(OK, 0, "done; penstock run: the program's own exit code")                             \
	CODE(FAILED, 1, "the gateway refused, or the operation failed")                            \
	CODE(USAGE, 64, "wrong usage")                                                             \
	CODE(REFUSED, 65, "the module was refused")                                                \
	CODE(NOFILE, 66, "a file cannot be read")                                                  \
	CODE(AWAY, 69, "the gateway cannot be reached")                                            \
	CODE(TRAP, 134, "the program trapped")

enum cli_code {
#define CODE(name, number, text) CODE_##name = (number),
	CLI_CODES(CODE)
#undef CODE
};

struct cli;

struct command {
	const char *name, *group, *summary;
	const char *usage; /* after the name: "FILE.wasm [options]" */
	const char *more;  /* paragraphs of --help; may be "" */
	const struct option_row *options;
	size_t noptions;
	unsigned least_args, most_args;
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
