/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/compiler/flow.h"

#include <string.h>

#include "sandbox/compiler/codegen.h"

static uint32_t slot_of(const struct flow *flow, LLVMBasicBlockRef b)
{
	uint32_t i = (uint32_t)(((uintptr_t)b >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 32);
	for (i &= flow->mask; flow->slots[i]; i = (i + 1) & flow->mask)
		if (flow->block[flow->slots[i] - 1] == b)
			break;
	return i;
}

uint32_t flow_number(const struct flow *flow, LLVMBasicBlockRef b)
{
	return flow->slots[slot_of(flow, b)] - 1;
}

/* A block that is left by its successors one after the other. */
struct step {
	uint32_t number; /* in the order of arrival */
	unsigned next;
};

/* Depth first, without recursion. Fills in `block` in the order of arrival and returns the numbers
 * in the order in which all below a block is done. */
static uint32_t *postorder(struct flow *flow, LLVMValueRef f)
{
	unsigned most = LLVMCountBasicBlocks(f);
	uint32_t *order = gen_alloc(most, sizeof(order[0])), ndone = 0;
	struct step *stack = gen_alloc(most, sizeof(stack[0]));
	flow->block[0] = LLVMGetEntryBasicBlock(f);
	flow->slots[slot_of(flow, flow->block[0])] = ++flow->n;
	for (uint32_t depth = 1; depth > 0;) {
		struct step *at = &stack[depth - 1];
		LLVMValueRef last = LLVMGetBasicBlockTerminator(flow->block[at->number]);
		if (at->next == LLVMGetNumSuccessors(last)) {
			order[ndone++] = at->number;
			depth--;
			continue;
		}
		LLVMBasicBlockRef to = LLVMGetSuccessor(last, at->next++);
		uint32_t slot = slot_of(flow, to);
		if (flow->slots[slot])
			continue;
		flow->block[flow->n] = to;
		stack[depth++] = (struct step){ .number = flow->n };
		flow->slots[slot] = ++flow->n;
	}
	free(stack);
	return order;
}

static void number_blocks(struct flow *flow, LLVMValueRef f)
{
	unsigned most = LLVMCountBasicBlocks(f);
	for (flow->mask = 63; flow->mask < 2 * most; flow->mask = 2 * flow->mask + 1)
		;
	flow->slots = gen_alloc((size_t)flow->mask + 1, sizeof(flow->slots[0]));
	flow->block = gen_alloc(most, sizeof(flow->block[0]));
	uint32_t *order = postorder(flow, f);
	LLVMBasicBlockRef *arrived = flow->block;
	flow->block = gen_alloc(most, sizeof(flow->block[0]));
	memset(flow->slots, 0, ((size_t)flow->mask + 1) * sizeof(flow->slots[0]));
	for (uint32_t i = 0; i < flow->n; i++) {
		flow->block[i] = arrived[order[flow->n - 1 - i]];
		flow->slots[slot_of(flow, flow->block[i])] = i + 1;
	}
	free(arrived);
	free(order);
}

static void each_edge(struct flow *flow, void (*what)(struct flow *, uint32_t from, uint32_t to))
{
	for (uint32_t b = 0; b < flow->n; b++) {
		LLVMValueRef last = LLVMGetBasicBlockTerminator(flow->block[b]);
		for (unsigned i = 0; i < LLVMGetNumSuccessors(last); i++)
			what(flow, b, flow_number(flow, LLVMGetSuccessor(last, i)));
	}
}

static void count_edge(struct flow *flow, uint32_t from, uint32_t to)
{
	(void)from;
	flow->first_pred[to]++;
}

/* Filled from behind, so that first_pred ends where the block's own begin. */
static void note_edge(struct flow *flow, uint32_t from, uint32_t to)
{
	flow->pred[--flow->first_pred[to]] = from;
}

static void note_edges(struct flow *flow)
{
	flow->first_pred = gen_alloc((size_t)flow->n + 1, sizeof(flow->first_pred[0]));
	each_edge(flow, count_edge);
	uint32_t sum = 0;
	for (uint32_t b = 0; b <= flow->n; b++)
		sum = flow->first_pred[b] += sum;
	flow->pred = gen_alloc(sum, sizeof(flow->pred[0]));
	each_edge(flow, note_edge);
}

static uint32_t common(const struct flow *flow, uint32_t a, uint32_t b)
{
	while (a != b) {
		if (a > b)
			a = flow->idom[a];
		else
			b = flow->idom[b];
	}
	return a;
}

/* Cooper, Harvey, Kennedy: A Simple, Fast Dominance Algorithm. */
static void find_dominators(struct flow *flow)
{
	flow->idom = gen_alloc(flow->n, sizeof(flow->idom[0]));
	memset(flow->idom, 0xff, flow->n * sizeof(flow->idom[0]));
	flow->idom[0] = 0;
	for (bool changed = true; changed;) {
		changed = false;
		for (uint32_t b = 1; b < flow->n; b++) {
			uint32_t best = FLOW_NONE;
			for (uint32_t i = flow->first_pred[b]; i < flow->first_pred[b + 1]; i++) {
				uint32_t p = flow->pred[i];
				if (flow->idom[p] != FLOW_NONE)
					best = best == FLOW_NONE ? p : common(flow, best, p);
			}
			changed |= flow->idom[b] != best;
			flow->idom[b] = best;
		}
	}
}

void flow_init(struct flow *flow, LLVMValueRef f)
{
	*flow = (struct flow){ 0 };
	number_blocks(flow, f);
	note_edges(flow);
	find_dominators(flow);
}

void flow_fini(struct flow *flow)
{
	free(flow->block);
	free(flow->slots);
	free(flow->first_pred);
	free(flow->pred);
	free(flow->idom);
	*flow = (struct flow){ 0 };
}

bool flow_dominates(const struct flow *flow, uint32_t a, uint32_t b)
{
	while (b > a)
		b = flow->idom[b];
	return a == b;
}

/* The last block that leads back to b; FLOW_NONE: it heads no loop. */
static uint32_t latch_of(const struct flow *flow, uint32_t b)
{
	for (uint32_t i = flow->first_pred[b]; i < flow->first_pred[b + 1]; i++)
		if (flow->pred[i] >= b && flow_dominates(flow, b, flow->pred[i]))
			return flow->pred[i];
	return FLOW_NONE;
}

static bool has_its_edges(const struct flow *flow, struct flow_loop *loop)
{
	uint32_t first = flow->first_pred[loop->header];
	if (flow->first_pred[loop->header + 1] - first != 2)
		return false;
	loop->preheader =
		flow->pred[first] == loop->latch ? flow->pred[first + 1] : flow->pred[first];
	LLVMValueRef last = LLVMGetBasicBlockTerminator(flow->block[loop->preheader]);
	return loop->preheader != loop->latch && LLVMGetNumSuccessors(last) == 1;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

/* Backwards from the latch; false if that meets another loop's header. `seen` is left all false. */
static bool find_blocks(const struct flow *flow, struct flow_loop *loop, bool *seen)
{
	bool simple = true;
	loop->nblocks = 0;
	loop->blocks[loop->nblocks++] = loop->header;
	if (loop->latch != loop->header)
		loop->blocks[loop->nblocks++] = loop->latch;
	seen[loop->header] = seen[loop->latch] = true;
	for (uint32_t i = 1; simple && i < loop->nblocks; i++) {
		uint32_t b = loop->blocks[i];
		simple = latch_of(flow, b) == FLOW_NONE;
		for (uint32_t k = flow->first_pred[b]; k < flow->first_pred[b + 1]; k++) {
			if (!seen[flow->pred[k]])
				loop->blocks[loop->nblocks++] = flow->pred[k];
			seen[flow->pred[k]] = true;
		}
	}
	for (uint32_t i = 0; i < loop->nblocks; i++)
		seen[loop->blocks[i]] = false;
	qsort(loop->blocks, loop->nblocks, sizeof(loop->blocks[0]), by_number);
	return simple && loop->blocks[0] == loop->header;
}

void flow_each_loop(const struct flow *flow, flow_visit_loop *what, void *with)
{
	struct flow_loop loop = { .blocks = gen_alloc(flow->n, sizeof(loop.blocks[0])) };
	bool *seen = gen_alloc(flow->n, sizeof(seen[0]));
	for (loop.header = 0; loop.header < flow->n; loop.header++) {
		loop.latch = latch_of(flow, loop.header);
		if (loop.latch != FLOW_NONE && has_its_edges(flow, &loop) &&
		    find_blocks(flow, &loop, seen))
			what(with, flow, &loop);
	}
	free(loop.blocks);
	free(seen);
}
