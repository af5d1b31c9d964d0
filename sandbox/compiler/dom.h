/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which blocks every way to a block leads through: the dominator tree of one function. LLVM has
 * one, its C interface has not.
 */
#ifndef COMPILER_DOM_H
#define COMPILER_DOM_H

#include "sandbox/compiler/codegen.h"

#define DOM_NONE UINT32_MAX

/* A block that can be reached; number 0 is the entry, and each comes after its parent. */
struct dom_block {
	LLVMBasicBlockRef block;
	uint32_t parent; /* the last block that every way here leads through; the entry's: itself */
	uint32_t child, next; /* a first child, and its siblings; DOM_NONE */
};

struct dom {
	struct dom_block *blocks;
	uint32_t nblocks; /* 0: more than DOM_BLOCKS_MAX, for which it would take too long */
};
#define DOM_BLOCKS_MAX 32768u

void dom_init(struct dom *dom, LLVMValueRef function);
void dom_fini(struct dom *dom);

#endif
