/* SPDX-License-Identifier: Apache-2.0 */
/* One test script, as wast2json wrote it: each of its commands, in order. */
#ifndef SPEC_SCRIPT_H
#define SPEC_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/aot_job.h"

enum { TALLY_DEATHS_MAX = 32 };

#define SKIPS(SKIP) SKIP(TEXT, "assertions about the text format, which is not ours")

enum skip {
#define SKIP(name, text) SKIP_##name,
	SKIPS(SKIP)
#undef SKIP
		SKIP_COUNT
};

/* Shared by the process that runs a script and the one that watches it. Assertions are counted;
 * other commands only when they fail. */
struct tally {
	unsigned passed, failed, skipped[SKIP_COUNT];
	unsigned modules; /* compiled */
	unsigned at;      /* the command that runs now */
	/* Commands that the process died of in earlier attempts: not run again. */
	unsigned ndeaths;
	struct {
		unsigned at;
		int status; /* of waitpid() */
	} deaths[TALLY_DEATHS_MAX];
};

struct script_options {
	struct aot_job_options compile;
	bool verbose; /* tell of passed assertions too */
};

/* Runs the script; failures go to stdout. Returns 0, or -errno when it cannot be run at all; then
 * the reason was printed. */
int script_run(const char *json, const struct script_options *o, struct tally *t) MUST_USE;

#endif
