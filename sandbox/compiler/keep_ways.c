/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the value of a load is needed on every way that the program can take from there. Where it
 * is not, LLVM moves the load to where it is (InstCombine, LICM, the code generator's MachineSink),
 * and on the other ways its trap is lost: behind a branch, behind another trap, behind a loop.
 *
 * From the load we follow its value to what happens whoever looks at it: a store, a call, a branch,
 * a result; a phi is needed on the way that leads into it. When the load's block has none of these,
 * each successor must, or each of theirs, and so on for a few steps. Not finding one costs speed
 * (the load becomes volatile), never a trap.
 */
#include "sandbox/compiler/codegen.h"

#include <llvm-c/Target.h>

enum { STEPS = 96, PLACES = 32, HOPS = 12, AHEAD = 256 };

/* Where the value is needed: in a block, or (to set) on the way from a block to another. */
struct place {
	LLVMBasicBlockRef block, to;
};

struct ways {
	bool in_machine; /* before the code generator, which makes branches of what it likes */
	LLVMBasicBlockRef home;
	LLVMValueRef todo[STEPS];
	size_t ntodo, nseen;
	struct place places[PLACES];
	size_t nplaces;
	unsigned hops;
};

static void place(struct ways *w, LLVMBasicBlockRef block, LLVMBasicBlockRef to)
{
	if (w->nplaces < PLACES)
		w->places[w->nplaces++] = (struct place){ block, to };
}

static void follow(struct ways *w, LLVMValueRef v)
{
	for (size_t i = 0; i < w->nseen; i++) {
		if (w->todo[i] == v)
			return;
	}
	if (w->nseen < STEPS)
		w->todo[w->nseen++] = v;
}

static void place_phi(struct ways *w, LLVMValueRef phi, LLVMValueRef v)
{
	unsigned n = LLVMCountIncoming(phi);
	for (unsigned i = 0; i < n; i++) {
		if (LLVMGetIncomingValue(phi, i) == v)
			place(w, LLVMGetIncomingBlock(phi, i), LLVMGetInstructionParent(phi));
	}
}

/* The code generator turns "c ? x : y" into a branch when it likes, and "if (a && b)" into two. */
static bool may_become_branch(LLVMValueRef user, LLVMUseRef use)
{
	LLVMTypeRef type = LLVMTypeOf(user);
	bool bit = LLVMGetTypeKind(type) == LLVMIntegerTypeKind && LLVMGetIntTypeWidth(type) == 1;
	switch (LLVMGetInstructionOpcode(user)) {
	case LLVMSelect:
		return LLVMGetTypeKind(type) != LLVMVectorTypeKind &&
		       (bit || LLVMGetUsedValue(use) != LLVMGetOperand(user, 0));
	case LLVMAnd:
	case LLVMOr:
		return bit;
	default:
		return false;
	}
}

/* The number of bytes that it is behind what it was computed from. */
static int64_t without_offset(LLVMValueRef *address)
{
	LLVMValueRef v = *address;
	int64_t offset = 0;
	for (; LLVMIsAGetElementPtrInst(v) && LLVMIsAConstantInt(LLVMGetOperand(v, 1));
	     v = LLVMGetOperand(v, 0)) {
		LLVMTypeRef type = LLVMGetGEPSourceElementType(v);
		if (LLVMGetTypeKind(type) != LLVMIntegerTypeKind || LLVMGetIntTypeWidth(type) != 8)
			break;
		offset += LLVMConstIntGetSExtValue(LLVMGetOperand(v, 1));
	}
	*address = v;
	return offset;
}

/* Whether a store behind it in its block writes all of its bytes again. When LLVM finds out what is
 * read of them between, the store goes, and what was loaded for it. */
static bool is_overwritten(LLVMValueRef store)
{
	LLVMValueRef f = LLVMGetBasicBlockParent(LLVMGetInstructionParent(store));
	LLVMTargetDataRef layout = LLVMGetModuleDataLayout(LLVMGetGlobalParent(f));
	LLVMValueRef base = LLVMGetOperand(store, 1), other;
	int64_t begin = without_offset(&base), at;
	int64_t end =
		begin + (int64_t)LLVMStoreSizeOfType(layout, LLVMTypeOf(LLVMGetOperand(store, 0)));
	LLVMValueRef v = store;
	for (unsigned n = 0; n < AHEAD && (v = LLVMGetNextInstruction(v)); n++) {
		if (LLVMIsACallInst(v) && LLVMGetIntrinsicID(LLVMGetCalledValue(v)) == 0)
			return false;
		if (!LLVMIsAStoreInst(v))
			continue;
		other = LLVMGetOperand(v, 1);
		at = without_offset(&other);
		LLVMTypeRef type = LLVMTypeOf(LLVMGetOperand(v, 0));
		if (other == base && at <= begin &&
		    at + (int64_t)LLVMStoreSizeOfType(layout, type) >= end)
			return true;
	}
	return false;
}

static void visit(struct ways *w, LLVMValueRef v, LLVMUseRef use)
{
	LLVMValueRef user = LLVMGetUser(use);
	LLVMBasicBlockRef block = LLVMGetInstructionParent(user);
	switch (LLVMGetInstructionOpcode(user)) {
	case LLVMPHI:
		place_phi(w, user, v);
		return;
	case LLVMStore:
		if (is_overwritten(user))
			return;
		place(w, block, NULL);
		return;
	case LLVMBr:
	case LLVMSwitch:
	case LLVMRet:
		place(w, block, NULL);
		return;
	case LLVMCall:
		if (LLVMGetIntrinsicID(LLVMGetCalledValue(user)) == 0)
			place(w, block, NULL);
		else
			follow(w, user);
		return;
	default:
		if (!w->in_machine || !may_become_branch(user, use))
			follow(w, user);
	}
}

static bool is_needed_in(const struct ways *w, LLVMBasicBlockRef block, LLVMBasicBlockRef to)
{
	for (size_t i = 0; i < w->nplaces; i++) {
		const struct place *p = &w->places[i];
		/* Round a loop of one block: no way but this one leads back in. */
		if (p->block == block && (!p->to || p->to == to || p->to == block))
			return true;
	}
	return false;
}

static bool is_needed_behind(struct ways *w, LLVMBasicBlockRef block)
{
	LLVMValueRef last = LLVMGetBasicBlockTerminator(block);
	unsigned n = LLVMGetNumSuccessors(last);
	if (n == 0 || w->hops++ == HOPS)
		return false;
	for (unsigned i = 0; i < n; i++) {
		LLVMBasicBlockRef to = LLVMGetSuccessor(last, i);
		if (is_needed_in(w, block, to) || is_needed_in(w, to, NULL))
			continue;
		if (to == w->home || !is_needed_behind(w, to))
			return false;
	}
	return true;
}

bool keep_needed_on_every_way(LLVMValueRef load, bool in_machine)
{
	struct ways w = { .in_machine = in_machine, .home = LLVMGetInstructionParent(load) };
	follow(&w, load);
	for (; w.ntodo < w.nseen; w.ntodo++) {
		LLVMValueRef v = w.todo[w.ntodo];
		for (LLVMUseRef u = LLVMGetFirstUse(v); u; u = LLVMGetNextUse(u))
			visit(&w, v, u);
		if (is_needed_in(&w, w.home, NULL))
			return true;
	}
	return is_needed_behind(&w, w.home);
}

/* Linear memory is the only thing read with alignment 1. */
static void keep_in_machine(LLVMValueRef v)
{
	if (LLVMGetInstructionOpcode(v) == LLVMLoad && LLVMGetAlignment(v) == 1 &&
	    !LLVMGetVolatile(v) && !keep_needed_on_every_way(v, true))
		LLVMSetVolatile(v, true);
}

void keep_ways(struct gen *g)
{
	if (g->o->bounds_check || g->opt == 0)
		return;
	for (uint32_t i = g->first; i < g->end; i++) {
		LLVMBasicBlockRef block = LLVMGetFirstBasicBlock(g->funcs[i]);
		for (; block; block = LLVMGetNextBasicBlock(block)) {
			LLVMValueRef v = LLVMGetFirstInstruction(block);
			for (; v; v = LLVMGetNextInstruction(v))
				keep_in_machine(v);
		}
	}
}
