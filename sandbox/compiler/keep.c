/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the optimiser would take away although Wasm promises it.
 *
 * 1. A load whose value is not needed still traps when it is out of bounds. LLVM deletes it. Making
 *    every load volatile costs all vectorisation (WAVM measured 28 %), so only those become
 *    volatile that are not needed: we find them as dead-code elimination would, going back from
 *    what has effects, once, after mem2reg has removed the detour through locals. A load that only
 *    becomes useless by a later simplification (x * 0) is lost; its trap would have been the only
 *    thing that the program did with it.
 *
 * 2. Arithmetic makes a signalling NaN quiet, also x * 1, x - 0, and demoting what was promoted.
 *    LLVM folds these to x. Compilers that make Wasm fold them too, so they are rare, and hiding
 *    the one constant behind llvm.arithmetic.fence costs nothing elsewhere.
 */
#include "sandbox/compiler/codegen.h"

#include <math.h>

/* Instructions that were seen to matter, by address. */
struct live {
	LLVMValueRef *slots;
	size_t mask, count;
	LLVMValueRef *todo;
	size_t ntodo, todo_cap;
};

static size_t live_slot(const struct live *live, LLVMValueRef v)
{
	size_t i = ((uintptr_t)v >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 20 & live->mask;
	while (live->slots[i] && live->slots[i] != v)
		i = (i + 1) & live->mask;
	return i;
}

static void live_mark(struct live *live, LLVMValueRef v)
{
	if (!LLVMIsAInstruction(v))
		return;
	size_t i = live_slot(live, v);
	if (live->slots[i])
		return;
	live->slots[i] = v;
	ENSURE(live->ntodo < live->todo_cap);
	live->todo[live->ntodo++] = v;
}

static bool has_effects(LLVMValueRef v)
{
	switch (LLVMGetInstructionOpcode(v)) {
	case LLVMStore:
	case LLVMRet:
	case LLVMBr:
	case LLVMSwitch:
	case LLVMUnreachable:
		return true;
	case LLVMCall:
		return LLVMGetIntrinsicID(LLVMGetCalledValue(v)) == 0;
	default:
		return false;
	}
}

typedef void visit(struct gen *g, struct live *live, LLVMValueRef v);

static void each_instruction(struct gen *g, LLVMValueRef f, struct live *live, visit *what)
{
	LLVMBasicBlockRef block = LLVMGetFirstBasicBlock(f);
	for (; block; block = LLVMGetNextBasicBlock(block)) {
		LLVMValueRef v = LLVMGetFirstInstruction(block), next;
		for (; v; v = next) {
			next = LLVMGetNextInstruction(v);
			what(g, live, v);
		}
	}
}

static void count_one(struct gen *g, struct live *live, LLVMValueRef v)
{
	(void)g;
	(void)v;
	live->count++;
}

static void mark_root(struct gen *g, struct live *live, LLVMValueRef v)
{
	(void)g;
	if (has_effects(v))
		live_mark(live, v);
}

/* Linear memory is the only thing read with alignment 1. */
static void keep_dead_load(struct gen *g, struct live *live, LLVMValueRef v)
{
	(void)g;
	if (LLVMGetInstructionOpcode(v) == LLVMLoad && LLVMGetAlignment(v) == 1 &&
	    !live->slots[live_slot(live, v)])
		LLVMSetVolatile(v, true);
}

static void hide(struct gen *g, LLVMValueRef user, unsigned operand)
{
	LLVMValueRef x = LLVMGetOperand(user, operand);
	LLVMTypeRef type = LLVMTypeOf(x);
	LLVMPositionBuilderBefore(g->b, user);
	LLVMSetOperand(user, operand, gen_intrinsic(g, "llvm.arithmetic.fence", &type, 1, &x, 1));
}

/* Whether x op c or c op x would fold to x or -x. */
static bool is_neutral(LLVMOpcode op, unsigned operand, LLVMValueRef c)
{
	LLVMBool lossy;
	if (!LLVMIsAConstantFP(c))
		return false;
	double v = LLVMConstRealGetDouble(c, &lossy);
	switch (op) {
	case LLVMFAdd:
		return v == 0 && signbit(v);
	case LLVMFSub:
		return v == 0 && (operand == 1 || signbit(v));
	case LLVMFMul:
		return fabs(v) == 1;
	case LLVMFDiv:
		return fabs(v) == 1 && operand == 1;
	default:
		return false;
	}
}

static void fence(struct gen *g, struct live *live, LLVMValueRef v)
{
	(void)live;
	LLVMOpcode op = LLVMGetInstructionOpcode(v);
	if (op == LLVMFPTrunc && LLVMIsAFPExtInst(LLVMGetOperand(v, 0)))
		hide(g, v, 0);
	if (op != LLVMFAdd && op != LLVMFSub && op != LLVMFMul && op != LLVMFDiv)
		return;
	for (unsigned i = 0; i < 2; i++) {
		if (is_neutral(op, i, LLVMGetOperand(v, i)))
			hide(g, v, i);
	}
}

static void keep_in_function(struct gen *g, LLVMValueRef f)
{
	struct live live = { 0 };
	each_instruction(g, f, &live, fence);
	each_instruction(g, f, &live, count_one);
	size_t nslots = 64;
	while (nslots < live.count * 2)
		nslots *= 2;
	live.mask = nslots - 1;
	live.slots = gen_alloc(nslots, sizeof(live.slots[0]));
	live.todo_cap = live.count;
	live.todo = gen_alloc(live.count, sizeof(live.todo[0]));
	each_instruction(g, f, &live, mark_root);
	while (live.ntodo > 0) {
		LLVMValueRef v = live.todo[--live.ntodo];
		unsigned n = (unsigned)LLVMGetNumOperands(v);
		for (unsigned i = 0; i < n; i++)
			live_mark(&live, LLVMGetOperand(v, i));
	}
	each_instruction(g, f, &live, keep_dead_load);
	free(live.todo);
	free(live.slots);
}

void keep_traps(struct gen *g)
{
	for (uint32_t i = g->m->nimported_funcs; i < g->m->nfuncs; i++)
		keep_in_function(g, g->funcs[i]);
}
