/* SPDX-License-Identifier: Apache-2.0 */
/* What run, compile and inspect share: a file of the user's through penstock-aot. */
#ifndef CLI_COMPILE_H
#define CLI_COMPILE_H

#include "cli/cli.h"
#include "proto/aot_job.h"

/* The options that compile and run have both, and their rows. */
#define COMPILE_OPTION_ROWS                                                                        \
	{ "bounds", 0, OPT_CHOICE, "guard|check", "how memory accesses are checked", 0, 0 },       \
		{ "opt", 'O', OPT_NUMBER, "0..3", "effort of the compiler (default 2)", 0, 3 },    \
	{                                                                                          \
		"debug", 'g', OPT_FLAG, NULL, "keep files and lines for gdb and perf", 0, 0        \
	}
struct aot_job_options compile_options_of(const struct args *a);

/* Compiles the file of the first argument. CODE_OK, the shared object and the report, which are the
 * caller's; else it has said why. */
int compile_file(struct cli *c, const struct aot_job_options *o, int *ret_so, char **ret_report);

#endif
