/* SPDX-License-Identifier: Apache-2.0 */
/* Long options of the benchmark programs as a table. */
#ifndef BENCH_PATH_ARGS_H
#define BENCH_PATH_ARGS_H

#include <stddef.h>

struct arg {
	const char *name;  /* without its dashes */
	const char *value; /* what the help calls it */
	const char *help;
	unsigned *number; /* one of the two is set */
	const char **text;
};

/* Returns the index of the first operand, or -1 - EXIT_CODE when the program has to end: after
 * --help, an unknown option, a number that is none. about is the head of the help text. */
int args_parse(int argc, char **argv, const struct arg *args, size_t nargs, const char *about);

#endif
