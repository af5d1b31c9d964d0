/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rolls up again what the producer of the Wasm unrolled. clang -O3 writes the body of a short loop two
 * to eight times; LLVM, which vectorises before it unrolls, makes strided accesses of such a body,
 * or nothing.
 *
 * A loop of several copies becomes one of a single copy that runs so many times as often, where that
 * cannot be told apart from outside:
 *  1. The loop is one block, or two with its only exit between them, after some of the copies.
 *  2. Each counter's step is divided by the number of copies without remainder: the small step.
 *  3. Copy k computes what copy 0 does, counters being k small steps further on. Backwards from the
 *     stores, the values that one round hands to the next, and the loads that are there for their trap
 *     only: sums of counters, constants and what does not change are compared as sums (struct form),
 *     the rest operation by operation. No arithmetic changes its order.
 *  4. Store j of copy k is store k * m + j of the loop, m being the stores of a copy, and a load of copy
 *     k stands m * k stores after that of copy 0. So loads change places only with loads between the
 *     same two stores, and nobody sees which of those trapped. No access is left over.
 *  5. The exit is taken after as many copies as before (reroll_exit.c).
 */
#include <string.h>

#include "sandbox/compiler/reroll.h"

static int by_address(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t) * (LLVMValueRef const *)a,
		  y = (uintptr_t) * (LLVMValueRef const *)b;
	return (x > y) - (x < y);
}

bool loop_has(const struct loop *l, LLVMValueRef v)
{
	if (!LLVMIsAInstruction(v))
		return false;
	LLVMBasicBlockRef b = LLVMGetInstructionParent(v);
	return b == l->head || b == l->tail;
}

int loop_index(const struct loop *l, LLVMValueRef v)
{
	const void *found = bsearch(&v, l->index, l->n, sizeof(l->index[0]), by_address);
	return found ? (int)*(const unsigned *)((const char *)found + sizeof(v)) : -1;
}

static bool leads_to(LLVMBasicBlockRef from, LLVMBasicBlockRef to)
{
	LLVMValueRef t = LLVMGetBasicBlockTerminator(from);
	unsigned n = LLVMGetNumSuccessors(t);
	for (unsigned i = 0; i < n; i++) {
		if (LLVMGetSuccessor(t, i) == to)
			return true;
	}
	return false;
}

/* The block after head, when the loop is these two: it has no other way in, and leads back. */
static LLVMBasicBlockRef tail_of(LLVMBasicBlockRef head, LLVMValueRef branch)
{
	for (unsigned i = 0; i < 2; i++) {
		LLVMBasicBlockRef b = LLVMGetSuccessor(branch, i);
		LLVMUseRef use = LLVMGetFirstUse(LLVMBasicBlockAsValue(b));
		LLVMValueRef t = LLVMGetBasicBlockTerminator(b);
		if (use && !LLVMGetNextUse(use) && LLVMIsABranchInst(t) &&
		    LLVMGetNumSuccessors(t) == 1 && leads_to(b, head) &&
		    !LLVMIsAPHINode(LLVMGetFirstInstruction(b)))
			return b;
	}
	return NULL;
}

static bool take_insn(struct loop *l, LLVMValueRef v)
{
	if (l->n == REROLL_INSNS || !reroll_is_plain(v))
		return false;
	l->insn[l->n] = (struct insn){ .v = v, .stretch = l->nstores, .image = -1, .last = -1 };
	l->index[l->n].v = v;
	l->index[l->n].at = l->n;
	if (LLVMIsAStoreInst(v))
		l->store[l->nstores++] = l->n;
	else if (LLVMIsALoadInst(v) && !LLVMGetFirstUse(v))
		l->bare[l->nbare++] = l->n;
	l->n++;
	return true;
}

/* x | 1 for even x is how producers write the second copy's x + 1. */
static LLVMValueRef or_to_add(const struct gen *g, LLVMValueRef v)
{
	LLVMPositionBuilderBefore(g->b, v);
	LLVMValueRef add = LLVMBuildAdd(g->b, LLVMGetOperand(v, 0), LLVMGetOperand(v, 1), "");
	LLVMReplaceAllUsesWith(v, add);
	LLVMInstructionEraseFromParent(v);
	return add;
}

static bool take_block(struct loop *l, LLVMBasicBlockRef b)
{
	LLVMValueRef end = LLVMGetBasicBlockTerminator(b), v = LLVMGetFirstInstruction(b), next;
	for (; v != end; v = next) {
		next = LLVMGetNextInstruction(v);
		if (form_or_adds(v))
			v = or_to_add(l->g, v);
		if (!LLVMIsAPHINode(v) && !take_insn(l, v))
			return false;
	}
	return true;
}

static bool take_phi(struct loop *l, LLVMValueRef phi)
{
	LLVMBasicBlockRef back = l->tail ? l->tail : l->head;
	if (l->ncounters == REROLL_PHIS || l->ncarried == REROLL_PHIS ||
	    LLVMCountIncoming(phi) != 2)
		return false;
	unsigned latch = LLVMGetIncomingBlock(phi, 1) == back;
	if (LLVMGetIncomingBlock(phi, latch) != back)
		return false;
	struct counter *c = &l->counter[l->ncounters];
	struct form f;
	*c = (struct counter){ .phi = phi, .next = LLVMGetOperand(phi, latch), .latch = latch };
	l->ncounters++; /* so that form_of takes the phi for what it may be */
	if (loop_has(l, c->next) && form_of(l, c->next, &f) && f.n == 1 && f.term[0].atom == phi &&
	    f.term[0].k == 1 && f.c != 0) {
		c->step = f.bits == 32 ? (int32_t)f.c : (int64_t)f.c;
		return true;
	}
	l->ncounters--;
	l->carried[l->ncarried++] = (struct carried){ .phi = phi, .latch = latch };
	return true;
}

static bool take_loop(struct loop *l, LLVMBasicBlockRef head)
{
	LLVMValueRef branch = LLVMGetBasicBlockTerminator(head),
		     phi = LLVMGetFirstInstruction(head);
	if (!LLVMIsABranchInst(branch) || !LLVMIsConditional(branch) || !LLVMIsAPHINode(phi))
		return false;
	l->head = head;
	l->tail = leads_to(head, head) ? NULL : tail_of(head, branch);
	if (!l->tail && !leads_to(head, head))
		return false;
	l->n = l->nstores = l->nbare = l->ncounters = l->ncarried = 0;
	if (!take_block(l, head) || (l->tail && !take_block(l, l->tail)))
		return false;
	qsort(l->index, l->n, sizeof(l->index[0]), by_address);
	for (; LLVMIsAPHINode(phi); phi = LLVMGetNextInstruction(phi)) {
		if (!take_phi(l, phi))
			return false;
	}
	return l->ncounters > 0 && reroll_exit_find(l);
}

/* Which value of copy 0, in the last round, is what v was; NULL: none. */
static LLVMValueRef seen_outside_as(const struct loop *l, LLVMValueRef v)
{
	if (LLVMIsAPHINode(v)) /* what was handed to the first of the copies before the exit */
		return l->before == 1 ? v : NULL;
	int at = loop_index(l, v);
	for (unsigned i = 0; i < l->n; i++) {
		if (l->insn[i].kept && l->insn[i].last == at)
			return l->insn[i].v;
	}
	return NULL;
}

static bool is_next(const struct loop *l, LLVMValueRef v)
{
	for (unsigned i = 0; i < l->ncounters; i++) {
		if (l->counter[i].next == v)
			return true;
	}
	return false;
}

static LLVMUseRef use_outside(const struct loop *l, LLVMValueRef v)
{
	LLVMUseRef use = LLVMGetFirstUse(v);
	while (use && loop_has(l, LLVMGetUser(use)))
		use = LLVMGetNextUse(use);
	return use;
}

static bool outside_is_served(const struct loop *l)
{
	LLVMValueRef phi = LLVMGetFirstInstruction(l->head);
	for (; LLVMIsAPHINode(phi); phi = LLVMGetNextInstruction(phi)) {
		if (use_outside(l, phi) && !seen_outside_as(l, phi))
			return false;
	}
	for (unsigned i = 0; i < l->n; i++) {
		LLVMValueRef v = l->insn[i].v;
		if (use_outside(l, v) && !(is_next(l, v) && l->before == l->copies) &&
		    !seen_outside_as(l, v))
			return false;
	}
	return true;
}

static void replace_outside(const struct loop *l, LLVMValueRef v, LLVMValueRef by)
{
	for (LLVMUseRef use; v != by && (use = use_outside(l, v));) {
		LLVMValueRef user = LLVMGetUser(use);
		unsigned n = (unsigned)LLVMGetNumOperands(user);
		for (unsigned i = 0; i < n; i++) {
			if (LLVMGetOperand(user, i) == v)
				LLVMSetOperand(user, i, by);
		}
	}
}

static LLVMValueRef plus(const struct gen *g, LLVMValueRef v, uint64_t c)
{
	return LLVMBuildAdd(g->b, v, LLVMConstInt(LLVMTypeOf(v), c, false), "");
}

static void write_exit(struct loop *l)
{
	int64_t small = reroll_exit_step(l) / (int)l->copies;
	bool second = l->exit_operand == 1;
	LLVMPositionBuilderBefore(l->g->b, l->branch);
	LLVMValueRef v = plus(l->g, LLVMGetOperand(l->cmp, l->exit_operand),
			      0 - (uint64_t)small * (l->before - 1));
	v = LLVMBuildICmp(l->g->b, LLVMGetICmpPredicate(l->cmp), second ? l->end : v,
			  second ? v : l->end, "");
	LLVMSetCondition(l->branch, v);
}

static void write_counters(struct loop *l)
{
	LLVMPositionBuilderBefore(l->g->b, l->branch);
	for (unsigned i = 0; i < l->ncounters; i++) {
		const struct counter *c = &l->counter[i];
		LLVMValueRef next = plus(l->g, c->phi, (uint64_t)(c->step / (int)l->copies));
		if (l->before == l->copies)
			replace_outside(l, c->next, next);
		LLVMSetOperand(c->phi, c->latch, next);
	}
}

/* Flags were true of copy 0 only. That an address and its static offset do not wrap is true of all. */
static void unflag(LLVMValueRef v)
{
	LLVMOpcode op = LLVMGetInstructionOpcode(v);
	bool offset = op == LLVMAdd && LLVMIsAZExtInst(LLVMGetOperand(v, 0)) &&
		      LLVMIsAConstantInt(LLVMGetOperand(v, 1));
	if ((op == LLVMAdd && !offset) || op == LLVMSub || op == LLVMMul || op == LLVMShl) {
		LLVMSetNUW(v, false);
		LLVMSetNSW(v, false);
	} else if (op == LLVMUDiv || op == LLVMSDiv || op == LLVMLShr || op == LLVMAShr) {
		LLVMSetExact(v, false);
	} else if (op == LLVMZExt || op == LLVMUIToFP) {
		LLVMSetNNeg(v, false);
	} else if (op == LLVMOr) {
		LLVMSetIsDisjoint(v, false);
	}
}

static void delete_rest(struct loop *l)
{
	for (unsigned i = l->n; i-- > 0;) {
		struct insn *in = &l->insn[i];
		bool access = LLVMIsALoadInst(in->v) || LLVMIsAStoreInst(in->v);
		ENSURE(!access || in->kept || !LLVMGetFirstUse(in->v));
		if (in->kept || LLVMGetFirstUse(in->v))
			unflag(in->v);
		else
			LLVMInstructionEraseFromParent(in->v);
	}
}

static void roll_up(struct loop *l)
{
	for (unsigned i = 0; i < l->n; i++) {
		LLVMValueRef v = l->insn[i].v;
		if (use_outside(l, v) && !(is_next(l, v) && l->before == l->copies))
			replace_outside(l, v, seen_outside_as(l, v));
	}
	for (unsigned i = 0; i < l->ncarried; i++)
		LLVMSetOperand(l->carried[i].phi, l->carried[i].latch, l->carried[i].at[0]);
	write_exit(l);
	write_counters(l);
	delete_rest(l);
}

static void try_block(struct loop *l, LLVMBasicBlockRef head)
{
	if (!take_loop(l, head) || l->nstores + l->nbare + l->ncarried == 0)
		return;
	for (unsigned copies = REROLL_COPIES; copies > 1; copies--) {
		if (reroll_match(l, copies) && reroll_exit_alike(l) && outside_is_served(l)) {
			roll_up(l);
			l->g->result->rolled_loops++;
			return;
		}
	}
}

static bool is_left_alone(LLVMValueRef f)
{
	static const char optnone[] = "optnone";
	unsigned kind = LLVMGetEnumAttributeKindForName(optnone, strlen(optnone));
	return LLVMGetEnumAttributeAtIndex(f, LLVMAttributeFunctionIndex, kind);
}

void reroll_run(struct gen *g)
{
	struct loop *l = gen_alloc(1, sizeof(*l));
	l->g = g;
	l->ends_early = rebase_memory_is_smaller(g->m);
	for (uint32_t i = g->first; i < g->end; i++) {
		LLVMBasicBlockRef b =
			is_left_alone(g->funcs[i]) ? NULL : LLVMGetFirstBasicBlock(g->funcs[i]);
		for (; b; b = LLVMGetNextBasicBlock(b))
			try_block(l, b);
	}
	free(l);
}
