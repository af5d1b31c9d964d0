/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the optimiser would take away although Wasm promises it.
 *
 * 1. A load whose value is not needed still traps when it is out of bounds. LLVM deletes it. Making
 *    every load volatile costs all vectorisation (WAVM measured 28 %), so only those become
 *    volatile that are not needed: we find them as dead-code elimination would, going back from
 *    what has effects, once, after mem2reg has removed the detour through locals.
 *
 *    LLVM inlines, so we look through calls as well: a result counts as needed only when all calls
 *    of the function need it (by other names, through a table, it is never inlined), an argument
 *    only when the function needs it. In a circle of functions that pass a value on to each other
 *    nobody needs it first, and its loads become volatile: slower, not wrong. A function is not
 *    inlined into itself, so calls of itself do not count.
 *
 *    Functions are inlined and the code is made simple beforehand (passes.c), while every load is still
 *    volatile: what arithmetic (x * 0, x & 0), ranges of values and branches never taken make useless
 *    is seen to be so here. What is needed on one way only, LLVM would move there: keep_ways.c.
 *    What is lost: a load that becomes useless only by what the second half of the optimiser finds.
 *
 * 2. LLVM narrows loads to the bytes that are needed, and their traps with them (keep_narrow.c).
 *
 * 3. Arithmetic makes a signalling NaN quiet, even where it does nothing else (keep_quiet.c).
 */
#include "sandbox/compiler/codegen.h"

/* A set of values, by address; slots is as large as a power of two and at most half full. */
struct set {
	LLVMValueRef *slots;
	size_t mask;
};

struct live {
	struct set needed; /* instructions (of calls: their results) and parameters */
	LLVMValueRef *todo;
	size_t ntodo, nvalues;
	struct set functions;
	uint32_t *calls; /* per slot of functions: how many may not need the result */
};

static void set_init(struct set *set, size_t most)
{
	size_t n = 64;
	while (n < most * 2)
		n *= 2;
	set->slots = gen_alloc(n, sizeof(set->slots[0]));
	set->mask = n - 1;
}

static size_t set_slot(const struct set *set, LLVMValueRef v)
{
	size_t i = ((uintptr_t)v >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 20 & set->mask;
	while (set->slots[i] && set->slots[i] != v)
		i = (i + 1) & set->mask;
	return i;
}

static void need(struct live *live, LLVMValueRef v)
{
	if (!LLVMIsAInstruction(v) && !LLVMIsAArgument(v))
		return;
	size_t i = set_slot(&live->needed, v);
	if (live->needed.slots[i])
		return;
	live->needed.slots[i] = v;
	ENSURE(live->ntodo < live->nvalues);
	live->todo[live->ntodo++] = v;
}

static void need_operands(struct live *live, LLVMValueRef v)
{
	unsigned n = (unsigned)LLVMGetNumOperands(v);
	for (unsigned i = 0; i < n; i++)
		need(live, LLVMGetOperand(v, i));
}

/* The guest's function that a call names; NULL for helpers, imports and through tables. */
static LLVMValueRef callee_of(LLVMValueRef call)
{
	if (LLVMGetInstructionOpcode(call) != LLVMCall)
		return NULL;
	LLVMValueRef f = LLVMGetCalledValue(call);
	return LLVMIsAFunction(f) && !LLVMIsDeclaration(f) ? f : NULL;
}

static bool calls_itself(LLVMValueRef call)
{
	return callee_of(call) == LLVMGetBasicBlockParent(LLVMGetInstructionParent(call));
}

static uint32_t *calls_of(struct live *live, LLVMValueRef f)
{
	size_t i = set_slot(&live->functions, f);
	live->functions.slots[i] = f;
	return &live->calls[i];
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

static void each_function(struct gen *g, struct live *live, visit *what)
{
	for (uint32_t i = g->first; i < g->end; i++)
		each_instruction(g, g->funcs[i], live, what);
}

static void count_value(struct gen *g, struct live *live, LLVMValueRef v)
{
	(void)g;
	(void)v;
	live->nvalues++;
}

static void count_call(struct gen *g, struct live *live, LLVMValueRef v)
{
	(void)g;
	LLVMValueRef f = callee_of(v);
	if (f && !calls_itself(v))
		++*calls_of(live, f);
}

/* Where the search begins: what happens whoever looks at the result. Nothing is inlined without the
 * optimiser, so then every result and argument counts. */
static void need_by_effect(struct gen *g, struct live *live, LLVMValueRef v)
{
	LLVMValueRef f = LLVMGetBasicBlockParent(LLVMGetInstructionParent(v));
	switch (LLVMGetInstructionOpcode(v)) {
	case LLVMStore:
	case LLVMBr:
	case LLVMSwitch:
		need_operands(live, v);
		break;
	case LLVMRet:
		if (g->opt == 0 || *calls_of(live, f) == 0)
			need_operands(live, v);
		break;
	case LLVMCall:
		if (LLVMGetIntrinsicID(LLVMGetCalledValue(v)) == 0 &&
		    (g->opt == 0 || !callee_of(v)))
			need_operands(live, v);
		break;
	default:
		break;
	}
}

static void need_results(struct live *live, LLVMValueRef f)
{
	LLVMBasicBlockRef block = LLVMGetFirstBasicBlock(f);
	for (; block; block = LLVMGetNextBasicBlock(block)) {
		LLVMValueRef last = LLVMGetBasicBlockTerminator(block);
		if (LLVMGetInstructionOpcode(last) == LLVMRet)
			need_operands(live, last);
	}
}

/* What every direct call gives for this parameter. */
static void need_arguments(struct live *live, LLVMValueRef param)
{
	LLVMValueRef f = LLVMGetParamParent(param);
	unsigned index = 0;
	for (LLVMValueRef p = LLVMGetFirstParam(f); p != param; p = LLVMGetNextParam(p))
		index++;
	for (LLVMUseRef u = LLVMGetFirstUse(f); u; u = LLVMGetNextUse(u)) {
		LLVMValueRef user = LLVMGetUser(u);
		if (LLVMIsAInstruction(user) && callee_of(user) == f)
			need(live, LLVMGetOperand(user, index));
	}
}

static void follow(struct live *live, LLVMValueRef v)
{
	LLVMValueRef f = LLVMIsAArgument(v) ? NULL : callee_of(v);
	if (LLVMIsAArgument(v))
		need_arguments(live, v);
	else if (!f || LLVMGetIntrinsicID(f) != 0)
		need_operands(live, v);
	else if (!calls_itself(v) && --*calls_of(live, f) == 0)
		need_results(live, f);
}

/* Linear memory is the only thing read with alignment 1. */
static void keep_unneeded_load(struct gen *g, struct live *live, LLVMValueRef v)
{
	if (LLVMGetInstructionOpcode(v) == LLVMLoad && LLVMGetAlignment(v) == 1)
		LLVMSetVolatile(v, !live->needed.slots[set_slot(&live->needed, v)] ||
					   !keep_needs_last_byte(v) ||
					   (g->opt > 0 && !keep_needed_on_every_way(v, false)));
}

static void fence(struct gen *g, struct live *live, LLVMValueRef v)
{
	(void)live;
	keep_quieting(g, v);
}

void keep_quiet(struct gen *g)
{
	each_function(g, NULL, fence);
}

/* The checks trap, whatever becomes of the loads. */
static void free_load(struct gen *g, struct live *live, LLVMValueRef v)
{
	(void)g;
	(void)live;
	if (LLVMGetInstructionOpcode(v) == LLVMLoad && LLVMGetAlignment(v) == 1)
		LLVMSetVolatile(v, false);
}

void keep_traps(struct gen *g)
{
	struct live live = { 0 };
	if (g->o->bounds_check) {
		each_function(g, NULL, free_load);
		return;
	}
	uint32_t own = g->end - g->first;
	each_function(g, &live, count_value);
	for (uint32_t i = g->first; i < g->end; i++)
		live.nvalues += LLVMCountParams(g->funcs[i]);
	set_init(&live.needed, live.nvalues);
	set_init(&live.functions, own);
	live.todo = gen_alloc(live.nvalues, sizeof(live.todo[0]));
	live.calls = gen_alloc(live.functions.mask + 1, sizeof(live.calls[0]));
	each_function(g, &live, count_call);
	each_function(g, &live, need_by_effect);
	while (live.ntodo > 0)
		follow(&live, live.todo[--live.ntodo]);
	each_function(g, &live, keep_unneeded_load);
	free(live.calls);
	free(live.todo);
	free(live.functions.slots);
	free(live.needed.slots);
}
