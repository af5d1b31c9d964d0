/* SPDX-License-Identifier: Apache-2.0 */
/* A second copy of a loop, and which of the two runs. */
#ifndef COMPILER_VERSION_H
#define COMPILER_VERSION_H

#include "sandbox/compiler/codegen.h"
#include "sandbox/compiler/flow.h"

/* Copies the loop. Where `original` (i1, available at the preheader's end) holds, the loop runs as it
 * is, else its copy, which LLVM is asked not to unroll. The loop's values must be used outside by
 * phis of its exits only, and those be reached from the loop alone (lcssa, loop-simplify). */
void version_loop(struct gen *g, const struct flow *flow, const struct flow_loop *loop,
		  LLVMValueRef original);

#endif
