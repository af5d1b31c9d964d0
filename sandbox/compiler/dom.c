/* SPDX-License-Identifier: Apache-2.0 */
/* Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm" (2001). */
#include "sandbox/compiler/dom.h"

/* A block and its number, by address of the block. */
struct number {
	LLVMBasicBlockRef block;
	uint32_t number; /* DOM_NONE: not reached yet */
	unsigned todo;   /* successors to visit */
};

struct numbers {
	struct number *of;
	uint32_t n;
};

static int by_address(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t) * (LLVMBasicBlockRef const *)a;
	uintptr_t y = (uintptr_t) * (LLVMBasicBlockRef const *)b;
	return x < y ? -1 : x > y;
}

static struct number *find(const struct numbers *all, LLVMBasicBlockRef block)
{
	return bsearch(&block, all->of, all->n, sizeof(all->of[0]), by_address);
}

/* Numbers the blocks in reverse postorder, so that all but the way back of a loop leads upwards.
 * Returns how many are reached. */
static uint32_t number_blocks(struct numbers *all, LLVMBasicBlockRef entry)
{
	struct number **path = gen_alloc(all->n, sizeof(path[0]));
	uint32_t depth = 0, least = all->n;
	for (uint32_t i = 0; i < all->n; i++)
		all->of[i].todo =
			LLVMGetNumSuccessors(LLVMGetBasicBlockTerminator(all->of[i].block));
	path[depth++] = find(all, entry);
	path[0]->number = 0;
	while (depth > 0) {
		struct number *now = path[depth - 1];
		if (now->todo == 0) {
			now->number = --least;
			depth--;
			continue;
		}
		LLVMValueRef last = LLVMGetBasicBlockTerminator(now->block);
		struct number *to = find(all, LLVMGetSuccessor(last, --now->todo));
		if (to->number == DOM_NONE) {
			to->number = 0;
			path[depth++] = to;
		}
	}
	free(path);
	for (uint32_t i = 0; i < all->n; i++) {
		if (all->of[i].number != DOM_NONE)
			all->of[i].number -= least;
	}
	return all->n - least;
}

/* The last block that both ways have in common. */
static uint32_t common(const struct dom *dom, uint32_t a, uint32_t b)
{
	while (a != b) {
		while (a > b)
			a = dom->blocks[a].parent;
		while (b > a)
			b = dom->blocks[b].parent;
	}
	return a;
}

static uint32_t parent_of(const struct dom *dom, const struct numbers *all, uint32_t block)
{
	LLVMValueRef to = LLVMBasicBlockAsValue(dom->blocks[block].block);
	uint32_t parent = DOM_NONE;
	for (LLVMUseRef use = LLVMGetFirstUse(to); use; use = LLVMGetNextUse(use)) {
		uint32_t from = find(all, LLVMGetInstructionParent(LLVMGetUser(use)))->number;
		if (from == DOM_NONE || dom->blocks[from].parent == DOM_NONE)
			continue;
		parent = parent == DOM_NONE ? from : common(dom, parent, from);
	}
	return parent;
}

static void find_parents(struct dom *dom, const struct numbers *all)
{
	bool changed = true;
	dom->blocks[0].parent = 0;
	while (changed) {
		changed = false;
		for (uint32_t i = 1; i < dom->nblocks; i++) {
			uint32_t parent = parent_of(dom, all, i);
			changed = changed || parent != dom->blocks[i].parent;
			dom->blocks[i].parent = parent;
		}
	}
}

void dom_init(struct dom *dom, LLVMValueRef function)
{
	struct numbers all = { .n = LLVMCountBasicBlocks(function) };
	*dom = (struct dom){ 0 };
	if (all.n == 0 || all.n > DOM_BLOCKS_MAX)
		return;
	all.of = gen_alloc(all.n, sizeof(all.of[0]));
	LLVMBasicBlockRef block = LLVMGetFirstBasicBlock(function);
	for (uint32_t i = 0; block; block = LLVMGetNextBasicBlock(block))
		all.of[i++] = (struct number){ block, DOM_NONE, 0 };
	qsort(all.of, all.n, sizeof(all.of[0]), by_address);
	dom->nblocks = number_blocks(&all, LLVMGetEntryBasicBlock(function));
	dom->blocks = gen_alloc(dom->nblocks, sizeof(dom->blocks[0]));
	for (uint32_t i = 0; i < all.n; i++) {
		if (all.of[i].number != DOM_NONE)
			dom->blocks[all.of[i].number] =
				(struct dom_block){ all.of[i].block, DOM_NONE, DOM_NONE, DOM_NONE };
	}
	find_parents(dom, &all);
	for (uint32_t i = dom->nblocks - 1; i > 0; i--) {
		struct dom_block *b = &dom->blocks[i], *parent = &dom->blocks[b->parent];
		b->next = parent->child;
		parent->child = i;
	}
	free(all.of);
}

void dom_fini(struct dom *dom)
{
	free(dom->blocks);
	*dom = (struct dom){ 0 };
}
