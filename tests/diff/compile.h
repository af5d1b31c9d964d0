/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many modules by one compiler: LLVM is set up once, a process compiles a batch, and the linker is
 * started once for all of it. Decoder, code generator and passes are penstock-aot's own; its jail,
 * its second attempt and its command line are not (diff-run --job goes that way).
 */
#ifndef DIFF_COMPILE_H
#define DIFF_COMPILE_H

#include "proto/aot_abi.h"
#include "sandbox/compiler/compile.h"

enum { BATCH_MAX = 32 };

struct compiled {
	const char *path;
	const struct aot_module *aot; /* loaded for good; NULL: refused, and why */
	int err;
	struct why why;
};

/* Compiles path of each; err and why say what came of it. Returns 0, or what kept it from trying. */
int compile_batch(const struct target *t, const struct compile_options *o, struct compiled *list,
		  size_t n, struct why *why) MUST_USE;

#endif
