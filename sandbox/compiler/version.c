/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/compiler/version.h"

#include <llvm-c/DebugInfo.h>
#include <string.h>

/* From the values and blocks of a loop to those of its copy, by address. */
struct copies {
	struct {
		void *from, *to;
	} * slots;
	size_t mask;
};

static size_t slot_of(const struct copies *c, void *from)
{
	size_t i = ((uintptr_t)from >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 20 & c->mask;
	while (c->slots[i].from && c->slots[i].from != from)
		i = (i + 1) & c->mask;
	return i;
}

static void note(struct copies *c, void *from, void *to)
{
	size_t i = slot_of(c, from);
	c->slots[i].from = from;
	c->slots[i].to = to;
}

/* What stands for v in the copy: v itself where it is from outside. */
static void *copy_of(const struct copies *c, void *v)
{
	size_t i = slot_of(c, v);
	return c->slots[i].from ? c->slots[i].to : v;
}

static size_t count_values(const struct flow *flow, const struct flow_loop *loop)
{
	size_t n = loop->nblocks;
	for (uint32_t i = 0; i < loop->nblocks; i++) {
		LLVMValueRef v = LLVMGetFirstInstruction(flow->block[loop->blocks[i]]);
		for (; v; v = LLVMGetNextInstruction(v))
			n++;
	}
	return n;
}

static void copy_instructions(struct gen *g, struct copies *c, LLVMBasicBlockRef from)
{
	LLVMPositionBuilderAtEnd(g->b, copy_of(c, from));
	for (LLVMValueRef v = LLVMGetFirstInstruction(from); v; v = LLVMGetNextInstruction(v)) {
		LLVMValueRef copy;
		if (LLVMIsAPHINode(v)) {
			copy = LLVMBuildPhi(g->b, LLVMTypeOf(v), "");
		} else {
			copy = LLVMInstructionClone(v);
			LLVMInsertIntoBuilder(g->b, copy);
		}
		note(c, v, copy);
	}
}

static void connect_phi(const struct copies *c, LLVMValueRef phi)
{
	unsigned n = LLVMCountIncoming(phi);
	for (unsigned i = 0; i < n; i++) {
		LLVMValueRef v = copy_of(c, LLVMGetIncomingValue(phi, i));
		LLVMBasicBlockRef from = copy_of(c, LLVMGetIncomingBlock(phi, i));
		LLVMAddIncoming(copy_of(c, phi), &v, &from, 1);
	}
}

static void connect(const struct copies *c, LLVMBasicBlockRef block)
{
	for (LLVMValueRef v = LLVMGetFirstInstruction(block); v; v = LLVMGetNextInstruction(v)) {
		LLVMValueRef copy = copy_of(c, v);
		if (LLVMIsAPHINode(v)) {
			connect_phi(c, v);
			continue;
		}
		unsigned n = (unsigned)LLVMGetNumOperands(copy);
		for (unsigned i = 0; i < n; i++) {
			LLVMValueRef at = LLVMGetOperand(copy, i);
			void *old =
				LLVMValueIsBasicBlock(at) ? (void *)LLVMValueAsBasicBlock(at) : at;
			void *new = copy_of(c, old);
			if (new != old)
				LLVMSetOperand(copy, i,
					       LLVMValueIsBasicBlock(at)
						       ? LLVMBasicBlockAsValue(new)
						       : new);
		}
	}
}

/* The phis of a block that the loop leaves to, for each edge to it once. */
static void connect_exits(const struct copies *c, LLVMBasicBlockRef block)
{
	LLVMValueRef last = LLVMGetBasicBlockTerminator(block);
	for (unsigned i = 0; i < LLVMGetNumSuccessors(last); i++) {
		LLVMBasicBlockRef to = LLVMGetSuccessor(last, i);
		if (copy_of(c, to) != to)
			continue;
		LLVMValueRef v = LLVMGetFirstInstruction(to);
		for (; LLVMIsAPHINode(v); v = LLVMGetNextInstruction(v)) {
			LLVMValueRef in = NULL;
			for (unsigned k = 0; k < LLVMCountIncoming(v) && !in; k++)
				if (LLVMGetIncomingBlock(v, k) == block)
					in = LLVMGetIncomingValue(v, k);
			LLVMBasicBlockRef from = copy_of(c, block);
			in = copy_of(c, in);
			LLVMAddIncoming(v, &in, &from, 1);
		}
	}
}

/* What LLVM knows a loop by is a node whose first operand is the node itself. */
static void mark_slow(struct gen *g, LLVMValueRef branch)
{
	static const char name[] = "llvm.loop", text[] = "llvm.loop.unroll.disable";
	LLVMMetadataRef option = LLVMMDStringInContext2(g->ctx, text, strlen(text));
	option = LLVMMDNodeInContext2(g->ctx, &option, 1);
	LLVMMetadataRef self = LLVMTemporaryMDNode(g->ctx, NULL, 0);
	LLVMMetadataRef both[] = { self, option };
	LLVMMetadataRef node = LLVMMDNodeInContext2(g->ctx, both, 2);
	LLVMMetadataReplaceAllUsesWith(self, node);
	LLVMSetMetadata(branch, LLVMGetMDKindIDInContext(g->ctx, name, strlen(name)),
			LLVMMetadataAsValue(g->ctx, node));
}

void version_loop(struct gen *g, const struct flow *flow, const struct flow_loop *loop,
		  LLVMValueRef original)
{
	struct copies c = { .mask = 63 };
	size_t n = count_values(flow, loop);
	while (c.mask < 2 * n)
		c.mask = 2 * c.mask + 1;
	c.slots = gen_alloc(c.mask + 1, sizeof(c.slots[0]));
	LLVMSetCurrentDebugLocation2(g->b, NULL); /* else all copies would get it */
	LLVMBasicBlockRef header = flow->block[loop->header];
	LLVMBasicBlockRef preheader = flow->block[loop->preheader];
	LLVMValueRef f = LLVMGetBasicBlockParent(header);
	for (uint32_t i = 0; i < loop->nblocks; i++)
		note(&c, flow->block[loop->blocks[i]],
		     LLVMAppendBasicBlockInContext(g->ctx, f, ""));
	for (uint32_t i = 0; i < loop->nblocks; i++)
		copy_instructions(g, &c, flow->block[loop->blocks[i]]);
	for (uint32_t i = 0; i < loop->nblocks; i++)
		connect(&c, flow->block[loop->blocks[i]]);
	for (uint32_t i = 0; i < loop->nblocks; i++)
		connect_exits(&c, flow->block[loop->blocks[i]]);
	LLVMBasicBlockRef latch = copy_of(&c, flow->block[loop->latch]);
	mark_slow(g, LLVMGetBasicBlockTerminator(latch));
	LLVMValueRef enter = LLVMGetBasicBlockTerminator(preheader);
	LLVMPositionBuilderAtEnd(g->b, preheader);
	LLVMInstructionEraseFromParent(enter);
	(void)LLVMBuildCondBr(g->b, original, header, copy_of(&c, header));
	free(c.slots);
}
