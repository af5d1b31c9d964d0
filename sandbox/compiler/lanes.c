/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a vector of lanes has to be collected from places that are apart, LLVM's vectoriser also
 * keeps their 32 bit indices in a vector, adds to that each time round, widens it and takes the lanes
 * out again, one by one: it knows better only for indices as wide as a pointer. Here such a vector
 *	v = phi [splat(x) + <c0, c1, ...>], [v + splat(step)]
 * whose lanes are taken out, as they are or widened, gets a number beside it that counts the same
 * way, and lane k is that plus ck. What is then not used any more goes.
 */
#include "sandbox/compiler/codegen.h"

struct counter {
	LLVMValueRef phi, init, next; /* of the vector */
	LLVMValueRef x, offsets, step;
	unsigned start; /* which of the two ways into the loop's block is the one from outside */
};

static bool is_splat(LLVMValueRef v, LLVMValueRef *ret)
{
	if (!LLVMIsAShuffleVectorInst(v))
		return false;
	for (unsigned i = 0; i < LLVMGetNumMaskElements(v); i++) {
		if (LLVMGetMaskValue(v, i) != 0)
			return false;
	}
	LLVMValueRef insert = LLVMGetOperand(v, 0);
	if (!LLVMIsAInsertElementInst(insert) || !LLVMIsAConstantInt(LLVMGetOperand(insert, 2)) ||
	    LLVMConstIntGetZExtValue(LLVMGetOperand(insert, 2)) != 0)
		return false;
	*ret = LLVMGetOperand(insert, 1);
	return true;
}

/* The elements of a constant vector are numbers, and the same ones if they must be. */
static bool is_constant(LLVMValueRef v, bool same)
{
	if (!LLVMIsAConstantDataVector(v))
		return false;
	unsigned n = LLVMGetVectorSize(LLVMTypeOf(v));
	LLVMValueRef first = LLVMGetAggregateElement(v, 0);
	for (unsigned i = 0; i < n; i++) {
		LLVMValueRef element = LLVMGetAggregateElement(v, i);
		if (!LLVMIsAConstantInt(element) || (same && element != first))
			return false;
	}
	return true;
}

static bool is_sum(LLVMValueRef v)
{
	return LLVMIsAInstruction(v) && LLVMGetInstructionOpcode(v) == LLVMAdd;
}

static bool find_counter(const struct gen *g, LLVMValueRef v, struct counter *ret)
{
	LLVMTypeRef type = LLVMTypeOf(v);
	if (!LLVMIsAPHINode(v) || LLVMGetTypeKind(type) != LLVMVectorTypeKind ||
	    LLVMGetElementType(type) != g->i32 || LLVMCountIncoming(v) != 2)
		return false;
	for (unsigned i = 0; i < 2; i++) {
		LLVMValueRef init = LLVMGetIncomingValue(v, i), next = LLVMGetIncomingValue(v, !i);
		*ret = (struct counter){ .phi = v, .init = init, .next = next, .start = i };
		if (is_sum(init) && is_sum(next) && LLVMGetOperand(next, 0) == v &&
		    is_constant(LLVMGetOperand(next, 1), true) &&
		    is_constant(LLVMGetOperand(init, 1), false) &&
		    is_splat(LLVMGetOperand(init, 0), &ret->x)) {
			ret->offsets = LLVMGetOperand(init, 1);
			ret->step = LLVMGetAggregateElement(LLVMGetOperand(next, 1), 0);
			return true;
		}
	}
	return false;
}

static LLVMValueRef count_beside(struct gen *g, const struct counter *c)
{
	LLVMPositionBuilderBefore(g->b, c->phi);
	LLVMValueRef number = LLVMBuildPhi(g->b, g->i32, "");
	LLVMPositionBuilderBefore(g->b, c->next);
	LLVMValueRef values[2], next = LLVMBuildAdd(g->b, number, c->step, "");
	LLVMBasicBlockRef from[2];
	for (unsigned i = 0; i < 2; i++) {
		values[i] = i == c->start ? c->x : next;
		from[i] = LLVMGetIncomingBlock(c->phi, i);
	}
	LLVMAddIncoming(number, values, from, 2);
	return number;
}

/* Lanes of v, which is the counter, or that widened. */
static void take_lanes(struct gen *g, const struct counter *c, LLVMValueRef v, LLVMValueRef *number)
{
	LLVMUseRef next;
	for (LLVMUseRef use = LLVMGetFirstUse(v); use; use = next) {
		LLVMValueRef user = LLVMGetUser(use);
		next = LLVMGetNextUse(use);
		if (LLVMIsAZExtInst(user) && v == c->phi)
			take_lanes(g, c, user, number);
		if (!LLVMIsAExtractElementInst(user) ||
		    !LLVMIsAConstantInt(LLVMGetOperand(user, 1)))
			continue;
		uint64_t lane = LLVMConstIntGetZExtValue(LLVMGetOperand(user, 1));
		if (lane >= LLVMGetVectorSize(LLVMTypeOf(v)))
			continue;
		if (!*number)
			*number = count_beside(g, c);
		LLVMPositionBuilderBefore(g->b, user);
		LLVMValueRef scalar = LLVMBuildAdd(
			g->b, *number, LLVMGetAggregateElement(c->offsets, (unsigned)lane), "");
		if (LLVMTypeOf(user) != g->i32)
			scalar = LLVMBuildZExt(g->b, scalar, LLVMTypeOf(user), "");
		LLVMReplaceAllUsesWith(user, scalar);
		LLVMInstructionEraseFromParent(user);
	}
}

void lanes_count(struct gen *g)
{
	for (LLVMValueRef f = LLVMGetFirstFunction(g->mod); f; f = LLVMGetNextFunction(f)) {
		LLVMBasicBlockRef block = LLVMGetFirstBasicBlock(f);
		for (; block; block = LLVMGetNextBasicBlock(block)) {
			LLVMValueRef v = LLVMGetFirstInstruction(block);
			for (; v && LLVMIsAPHINode(v); v = LLVMGetNextInstruction(v)) {
				struct counter c;
				LLVMValueRef number = NULL;
				if (find_counter(g, v, &c))
					take_lanes(g, &c, v, &number);
			}
		}
	}
}
