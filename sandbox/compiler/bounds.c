/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounds checks in code (--bounds=check). While functions are inlined and simplified, a check is a call
 * of a function that nobody defines, check(holds): no branch that would cut blocks into pieces and give
 * every loop many exits, but nothing that has an effect moves across it. Checks are thinned out
 * (checks.c) and taken out of loops (hoist.c) in that form; then each becomes a branch to a trap of
 * its own.
 *
 * No access moves before its check:
 *  1. As long as checks are calls every load of memory is volatile, so stays behind a call that may not
 *     return. LLVM does not keep others there: SimpleLoopUnswitch at -O3 copies loads of a loop's
 *     header to before the loop, without asking what comes before them in it (LLVM 19,
 *     hasPartialIVCondition()).
 *  2. Before the second half of the optimiser, where loads are free, checks are branches. What stands
 *     behind a branch runs only when that is taken: LLVM moves a load to where it would not have been
 *     made only if it knows the place to be readable, and nothing tells it that of linear memory.
 *     Every language with checked arrays relies on this.
 *
 * A check is zext(x) + k <= size, where k is the static offset and the width of the access.
 *
 * llvm.experimental.guard is the same idea, but with it ScalarEvolution walks through all guards of
 * the module for every question (LLVM 19, isBasicBlockEntryGuardedByCond()).
 */
#include "sandbox/compiler/codegen.h"

#include <llvm-c/DebugInfo.h>
#include <string.h>

static LLVMValueRef range(struct gen *g, uint64_t least, uint64_t most)
{
	LLVMMetadataRef ends[] = { LLVMValueAsMetadata(gen_i64(g, least)),
				   LLVMValueAsMetadata(gen_i64(g, most + 1)) };
	return LLVMMetadataAsValue(g->ctx, LLVMMDNodeInContext2(g->ctx, ends, 2));
}

static LLVMValueRef one_number(struct gen *g, uint64_t v)
{
	LLVMMetadataRef number = LLVMValueAsMetadata(gen_i64(g, v));
	return LLVMMetadataAsValue(g->ctx, LLVMMDNodeInContext2(g->ctx, &number, 1));
}

static unsigned kind(struct gen *g, const char *name)
{
	return LLVMGetMDKindIDInContext(g->ctx, name, (unsigned)strlen(name));
}

/* The size can be read at any time, so LLVM may read it before a loop. It is never below the
 * minimum of the memory's type: what lies there needs no check. */
LLVMValueRef bounds_size(struct fn *fn)
{
	struct gen *g = fn->g;
	LLVMValueRef memory =
		gen_load_const(g, g->b, g->ptr, fn->self, offsetof(struct aot_instance, memory));
	LLVMSetMetadata(memory, kind(g, "dereferenceable"),
			one_number(g, sizeof(struct aot_memory)));
	LLVMSetMetadata(memory, kind(g, "align"), one_number(g, _Alignof(struct aot_memory)));
	LLVMValueRef size =
		gen_load(g, g->i64, gen_at(g, memory, offsetof(struct aot_memory, bytes)),
			 ALIAS_MEMORY_SIZE);
	LLVMSetMetadata(size, kind(g, "range"),
			range(g, (uint64_t)g->m->memory.min * AOT_PAGE_BYTES,
			      (uint64_t)AOT_PAGES_MAX * AOT_PAGE_BYTES));
	return size;
}

/* It reads everything, so stores stay before it; it may throw, as far as LLVM knows, so what could
 * trap stays behind it; and it changes nothing that others read, so loads need not be repeated. */
static void declare(struct gen *g)
{
	enum { READ = 1, WRITE = 2, ARGUMENTS = 0, INACCESSIBLE = 2, OTHER = 4 };
	static const uint64_t effects =
		READ << ARGUMENTS | (READ | WRITE) << INACCESSIBLE | READ << OTHER;
	LLVMTypeRef type = LLVMFunctionType(g->void_, &g->i1, 1, false);
	unsigned memory = LLVMGetEnumAttributeKindForName("memory", strlen("memory"));
	g->check = LLVMAddFunction(g->mod, BOUNDS_CHECK_NAME, type);
	LLVMAddAttributeAtIndex(g->check, LLVMAttributeFunctionIndex,
				LLVMCreateEnumAttribute(g->ctx, memory, effects));
}

void bounds_check(struct fn *fn, LLVMValueRef end)
{
	struct gen *g = fn->g;
	if (!g->check)
		declare(g);
	LLVMValueRef holds = LLVMBuildICmp(g->b, LLVMIntULE, end, bounds_size(fn), "");
	(void)LLVMBuildCall2(g->b, LLVMGlobalGetValueType(g->check), g->check, &holds, 1, "");
}

bool bounds_is_check(const struct gen *g, LLVMValueRef v)
{
	return g->check && LLVMIsACallInst(v) && LLVMGetCalledValue(v) == g->check;
}

static void redirect(LLVMBasicBlockRef from, LLVMBasicBlockRef to)
{
	LLVMUseRef use;
	while ((use = LLVMGetFirstUse(LLVMBasicBlockAsValue(from)))) {
		LLVMValueRef branch = LLVMGetUser(use);
		for (unsigned i = 0; i < LLVMGetNumSuccessors(branch); i++)
			if (LLVMGetSuccessor(branch, i) == from)
				LLVMSetSuccessor(branch, i, to);
	}
}

/* What comes before the check moves to a block of its own: so those after this one, whose phis name
 * it, need not be touched. */
static void lower(struct gen *g, LLVMValueRef check)
{
	LLVMBasicBlockRef rest = LLVMGetInstructionParent(check);
	LLVMBasicBlockRef before = LLVMInsertBasicBlockInContext(g->ctx, rest, "");
	LLVMValueRef f = LLVMGetBasicBlockParent(rest), v;
	struct fn fn = { .g = g, .f = f, .self = LLVMGetParam(f, 0) };
	redirect(rest, before);
	LLVMPositionBuilderAtEnd(g->b, before);
	LLVMSetCurrentDebugLocation2(g->b, NULL); /* what moves keeps its own */
	while ((v = LLVMGetFirstInstruction(rest)) != check) {
		LLVMInstructionRemoveFromParent(v);
		LLVMInsertIntoBuilder(g->b, v);
	}
	LLVMSetCurrentDebugLocation2(g->b, LLVMInstructionGetDebugLoc(check));
	LLVMBasicBlockRef bad = LLVMAppendBasicBlockInContext(g->ctx, f, "");
	(void)LLVMBuildCondBr(g->b, LLVMGetOperand(check, 0), rest, bad);
	LLVMPositionBuilderAtEnd(g->b, bad);
	fn_trap(&fn, AOT_TRAP_MEMORY);
	LLVMInstructionEraseFromParent(check);
	LLVMSetCurrentDebugLocation2(g->b, NULL);
}

void bounds_lower(struct gen *g)
{
	LLVMUseRef use;
	if (!g->check)
		return;
	while ((use = LLVMGetFirstUse(g->check)))
		lower(g, LLVMGetUser(use));
	LLVMDeleteFunction(g->check);
	g->check = NULL;
}
