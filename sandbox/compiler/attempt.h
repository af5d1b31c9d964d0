/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One attempt at compiling, in a process that is thrown away: it decodes hostile bytes and runs
 * LLVM on them, so it is jailed, and whatever happens to it is an answer.
 */
#ifndef COMPILER_ATTEMPT_H
#define COMPILER_ATTEMPT_H

#include "sandbox/compiler/compile.h"
#include "sandbox/compiler/jail.h"

struct attempt {
	const void *wasm;
	size_t len;
	const struct target *target;
	struct compile_options options;
	struct jail_limits limits;
	int object_fd; /* the object is written here */
	int report_fd; /* and here the report, up to report_close(); on failure nothing */
};

/* Returns 0; -E_INVALID, -E_UNSUPPORTED, -E_LIMIT: the module is refused; -E_TIME, -ENOMEM: out of
 * what the limits give; -E_GONE: LLVM crashed or left the jail; -EIO: it failed.
 * *ret_cpu_ms is what it used, always. */
int attempt_run(const struct attempt *a, unsigned *ret_cpu_ms, struct why *why) MUST_USE;

#endif
