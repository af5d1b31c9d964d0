/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control flow of one function: which blocks can be reached, who dominates whom, and the loops
 * that have no other inside. LLVM's C interface shows blocks and branches only.
 *
 * Blocks go by number, in reverse postorder; 0 is the entry. What is said holds for the blocks that
 * there were at flow_init(), as long as no edges between those are made.
 */
#ifndef COMPILER_FLOW_H
#define COMPILER_FLOW_H

#include <llvm-c/Core.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLOW_NONE UINT32_MAX

struct flow {
	uint32_t n;
	LLVMBasicBlockRef *block;
	uint32_t *idom; /* of the entry: itself */
	uint32_t *first_pred,
		*pred;         /* those of b: pred[first_pred[b]] .. below first_pred[b + 1] */
	uint32_t *slots, mask; /* from block to number */
};

void flow_init(struct flow *flow, LLVMValueRef f);
void flow_fini(struct flow *flow);
uint32_t flow_number(const struct flow *flow, LLVMBasicBlockRef b); /* FLOW_NONE: not reached */
bool flow_dominates(const struct flow *flow, uint32_t a, uint32_t b);

/* header and latch: the one block that leads back to it. preheader: the one outside that leads to it,
 * and nowhere else. */
struct flow_loop {
	uint32_t header, latch, preheader;
	uint32_t nblocks, *blocks; /* the header first, in reverse postorder */
};

/* The loops in `flow` that have one latch, one preheader and no loop inside; calls what() for each.
 * It may add blocks and change how the preheader ends. */
typedef void flow_visit_loop(void *with, const struct flow *flow, const struct flow_loop *loop);
void flow_each_loop(const struct flow *flow, flow_visit_loop *what, void *with);

#endif
