/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcmp brings its libc along into the Wasm, as a loop over bytes. This
 * finds such loops, whatever the function's name, and puts one before them that skips eight equal bytes
 * at a time:
 *
 *     do { if (*l != *r) break; l++; r++; } while (--n != 0);
 *
 * Skipping is what the loop itself would have done, as long as more than eight bytes are left (so it comes to its
 * own ends by itself), all of them are in bounds (so nothing traps here), and they are equal.
 */
#include "sandbox/compiler/codegen.h"

enum { BYTES = 8, INSNS_MAX = 24 };

struct compare {
	struct gen *g;
	LLVMBasicBlockRef before, head, tail;
	LLVMValueRef left, right, count; /* phis */
	LLVMValueRef base;               /* of memory */
	uint64_t offset[2];              /* static, of the two loads */
};

static bool is(LLVMValueRef v, LLVMOpcode op)
{
	return LLVMIsAInstruction(v) && LLVMGetInstructionOpcode(v) == op;
}

static bool is_number(LLVMValueRef v, uint32_t n)
{
	return LLVMIsAConstantInt(v) && (uint32_t)LLVMConstIntGetZExtValue(v) == n;
}

/* Where a branch on a comparison of equality goes when its sides are equal; NULL: it is no such branch. */
static LLVMBasicBlockRef when_equal(LLVMValueRef branch, LLVMBasicBlockRef *ret_else)
{
	if (!LLVMIsABranchInst(branch) || !LLVMIsConditional(branch) ||
	    !is(LLVMGetCondition(branch), LLVMICmp))
		return NULL;
	LLVMIntPredicate p = LLVMGetICmpPredicate(LLVMGetCondition(branch));
	if (p != LLVMIntEQ && p != LLVMIntNE)
		return NULL;
	*ret_else = LLVMGetSuccessor(branch, p == LLVMIntEQ);
	return LLVMGetSuccessor(branch, p != LLVMIntEQ);
}

/* The phi whose byte is loaded into v, which may be widened in the same way as `other`: equal bytes must
 * be equal numbers. */
static LLVMValueRef byte_at(struct compare *c, LLVMValueRef v, LLVMValueRef other,
			    uint64_t *ret_offset)
{
	if ((is(v, LLVMZExt) && is(other, LLVMZExt)) || (is(v, LLVMSExt) && is(other, LLVMSExt)))
		v = LLVMGetOperand(v, 0);
	if (!is(v, LLVMLoad) || LLVMTypeOf(v) != c->g->i8)
		return NULL;
	LLVMValueRef gep = LLVMGetOperand(v, 0);
	if (!LLVMIsAGetElementPtrInst(gep) || LLVMGetNumOperands(gep) != 2 ||
	    (c->base && c->base != LLVMGetOperand(gep, 0)))
		return NULL;
	c->base = LLVMGetOperand(gep, 0);
	LLVMValueRef at = LLVMGetOperand(gep, 1);
	*ret_offset = 0;
	if (is(at, LLVMAdd) && LLVMGetNUW(at) && LLVMIsAConstantInt(LLVMGetOperand(at, 1))) {
		*ret_offset = LLVMConstIntGetZExtValue(LLVMGetOperand(at, 1));
		at = LLVMGetOperand(at, 0);
	}
	if (!is(at, LLVMZExt) || !LLVMIsAPHINode(LLVMGetOperand(at, 0)))
		return NULL;
	return LLVMGetOperand(at, 0);
}

/* Whether phi, one of two ways into head, goes on by `by` in tail. */
static bool steps(const struct compare *c, LLVMValueRef phi, uint32_t by)
{
	if (!LLVMIsAPHINode(phi) || LLVMGetInstructionParent(phi) != c->head ||
	    LLVMTypeOf(phi) != c->g->i32 || LLVMCountIncoming(phi) != 2)
		return false;
	unsigned back = LLVMGetIncomingBlock(phi, 1) == c->tail;
	LLVMValueRef next = LLVMGetIncomingValue(phi, back);
	return LLVMGetIncomingBlock(phi, back) == c->tail && is(next, LLVMAdd) &&
	       LLVMGetOperand(next, 0) == phi && is_number(LLVMGetOperand(next, 1), by);
}

/* Nothing but arithmetic and two loads, and no phis but the three. */
static bool is_pure(const struct compare *c, LLVMBasicBlockRef b)
{
	unsigned n = 0;
	for (LLVMValueRef v = LLVMGetFirstInstruction(b); v; v = LLVMGetNextInstruction(v)) {
		bool known = v == c->left || v == c->right || v == c->count;
		if (++n > INSNS_MAX || (LLVMIsAPHINode(v) && !known) || LLVMIsAStoreInst(v) ||
		    LLVMIsACallInst(v))
			return false;
	}
	return true;
}

static unsigned loads_in(LLVMBasicBlockRef b)
{
	unsigned n = 0;
	for (LLVMValueRef v = LLVMGetFirstInstruction(b); v; v = LLVMGetNextInstruction(v))
		n += LLVMIsALoadInst(v) != NULL;
	return n;
}

static bool only_head_leads_to(const struct compare *c, LLVMBasicBlockRef b)
{
	LLVMUseRef use = LLVMGetFirstUse(LLVMBasicBlockAsValue(b));
	return use && !LLVMGetNextUse(use) &&
	       LLVMGetUser(use) == LLVMGetBasicBlockTerminator(c->head);
}

static bool find(struct compare *c)
{
	LLVMBasicBlockRef other, end;
	LLVMValueRef branch = LLVMGetBasicBlockTerminator(c->head), different;
	c->tail = when_equal(branch, &other);
	if (!c->tail || c->tail == c->head || !only_head_leads_to(c, c->tail))
		return false;
	end = when_equal(LLVMGetBasicBlockTerminator(c->tail), &other);
	if (!end || end == c->head || other != c->head)
		return false;
	different = LLVMGetCondition(branch);
	c->base = NULL;
	LLVMValueRef l = LLVMGetOperand(different, 0), r = LLVMGetOperand(different, 1);
	c->left = byte_at(c, l, r, &c->offset[0]);
	c->right = byte_at(c, r, l, &c->offset[1]);
	if (!c->left || !c->right || c->left == c->right || !steps(c, c->left, 1) ||
	    !steps(c, c->right, 1))
		return false;
	LLVMValueRef left = LLVMGetCondition(LLVMGetBasicBlockTerminator(c->tail));
	LLVMValueRef next = LLVMGetOperand(left, 0);
	c->count = is(next, LLVMAdd) ? LLVMGetOperand(next, 0) : NULL;
	if (!is_number(LLVMGetOperand(left, 1), 0) || !c->count || !steps(c, c->count, UINT32_MAX))
		return false;
	unsigned back = LLVMGetIncomingBlock(c->count, 1) == c->tail;
	if (LLVMGetIncomingValue(c->count, back) != next)
		return false;
	c->before = LLVMGetIncomingBlock(c->count, !back);
	return loads_in(c->head) == 2 && loads_in(c->tail) == 0 && is_pure(c, c->head) &&
	       is_pure(c, c->tail);
}

/* A phi at the start of `skip` for one in head, which takes its value from there instead. */
static LLVMValueRef phi_before(struct compare *c, LLVMValueRef old)
{
	unsigned back = LLVMGetIncomingBlock(old, 1) == c->tail;
	LLVMValueRef first = LLVMGetIncomingValue(old, !back);
	LLVMValueRef phi = LLVMBuildPhi(c->g->b, c->g->i32, "");
	LLVMAddIncoming(phi, &first, &c->before, 1);
	return phi;
}

static void takes_from(struct compare *c, LLVMValueRef old, LLVMValueRef v,
		       const LLVMBasicBlockRef *from, unsigned n)
{
	unsigned back = LLVMGetIncomingBlock(old, 1) == c->tail;
	LLVMValueRef next = LLVMGetIncomingValue(old, back);
	LLVMPositionBuilderBefore(c->g->b, old);
	LLVMValueRef phi = LLVMBuildPhi(c->g->b, c->g->i32, "");
	LLVMReplaceAllUsesWith(old, phi);
	LLVMAddIncoming(phi, &next, &c->tail, 1);
	for (unsigned i = 0; i < n; i++)
		LLVMAddIncoming(phi, &v, (LLVMBasicBlockRef[]){ from[i] }, 1);
	LLVMInstructionEraseFromParent(old);
}

static LLVMValueRef is_inside(struct compare *c, LLVMValueRef at, uint64_t offset,
			      LLVMValueRef size)
{
	LLVMBuilderRef b = c->g->b;
	LLVMValueRef end = LLVMBuildNUWAdd(b, LLVMBuildZExt(b, at, c->g->i64, ""),
					   gen_i64(c->g, offset + BYTES), "");
	return LLVMBuildICmp(b, LLVMIntULE, end, size, "");
}

static LLVMValueRef eight_bytes(struct compare *c, LLVMValueRef at, uint64_t offset)
{
	struct gen *g = c->g;
	at = LLVMBuildNUWAdd(g->b, LLVMBuildZExt(g->b, at, g->i64, ""), gen_i64(g, offset), "");
	return gen_load(g, g->i64, LLVMBuildInBoundsGEP2(g->b, g->i8, c->base, &at, 1, ""),
			ALIAS_MEMORY);
}

/* before -> skip -> inside -> equal -> skip; each of the three leaves to head */
static void skip_equal(struct compare *c, LLVMValueRef f)
{
	struct gen *g = c->g;
	LLVMBuilderRef b = g->b;
	struct fn fn = { .g = g, .f = f, .self = LLVMGetParam(f, 0) };
	LLVMBasicBlockRef part[3];
	for (size_t i = 0; i < ARRAY_LEN(part); i++)
		part[i] = LLVMInsertBasicBlockInContext(g->ctx, c->head, "");
	LLVMPositionBuilderAtEnd(b, part[0]);
	LLVMValueRef old[] = { c->left, c->right, c->count }, at[3];
	for (size_t i = 0; i < ARRAY_LEN(old); i++)
		at[i] = phi_before(c, old[i]);
	LLVMBuildCondBr(b, LLVMBuildICmp(b, LLVMIntUGT, at[2], gen_i32(g, BYTES), ""), part[1],
			c->head);
	LLVMPositionBuilderAtEnd(b, part[1]);
	LLVMValueRef size = bounds_size(&fn);
	LLVMValueRef in = LLVMBuildAnd(b, is_inside(c, at[0], c->offset[0], size),
				       is_inside(c, at[1], c->offset[1], size), "");
	LLVMBuildCondBr(b, in, part[2], c->head);
	LLVMPositionBuilderAtEnd(b, part[2]);
	LLVMValueRef same = LLVMBuildICmp(b, LLVMIntEQ, eight_bytes(c, at[0], c->offset[0]),
					  eight_bytes(c, at[1], c->offset[1]), "");
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		uint32_t by = i == 2 ? (uint32_t)-BYTES : BYTES;
		LLVMValueRef next = LLVMBuildAdd(b, at[i], gen_i32(g, by), "");
		LLVMAddIncoming(at[i], &next, &part[2], 1);
	}
	LLVMBuildCondBr(b, same, part[0], c->head);
	LLVMValueRef branch = LLVMGetBasicBlockTerminator(c->before);
	for (unsigned i = 0; i < LLVMGetNumSuccessors(branch); i++) {
		if (LLVMGetSuccessor(branch, i) == c->head)
			LLVMSetSuccessor(branch, i, part[0]);
	}
	for (size_t i = 0; i < ARRAY_LEN(old); i++)
		takes_from(c, old[i], at[i], part, ARRAY_LEN(part));
}

static void try_block(struct gen *g, LLVMValueRef f, LLVMBasicBlockRef b)
{
	struct compare c = { .g = g, .head = b };
	if (!find(&c))
		return;
	skip_equal(&c, f);
	g->result->skipping_loops++;
}

void compare_run(struct gen *g)
{
	if (g->o->bounds_check)
		return; /* there the checks lie between */
	for (uint32_t i = g->first; i < g->end; i++) {
		LLVMBasicBlockRef b = LLVMGetFirstBasicBlock(g->funcs[i]);
		for (; b; b = LLVMGetNextBasicBlock(b))
			try_block(g, g->funcs[i], b);
	}
}
