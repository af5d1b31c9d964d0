/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounds checks in code (--bounds=check). While LLVM works on it, a check is a call of
 * llvm.experimental.guard: no branch that would cut blocks into pieces and give every loop many
 * exits, but nothing that has an effect moves across it. Checks are thinned out (checks.c) and taken
 * out of loops (hoist.c) in that form; in the end each becomes a branch to a trap of its own.
 *
 * A check is zext(x) + k <= size, where k is the static offset and the width of the access.
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

static LLVMValueRef guard_intrinsic(struct gen *g)
{
	static const char name[] = "llvm.experimental.guard";
	if (!g->guard)
		g->guard = LLVMGetIntrinsicDeclaration(
			g->mod, LLVMLookupIntrinsicID(name, strlen(name)), NULL, 0);
	return g->guard;
}

void bounds_guard(struct gen *g, LLVMValueRef holds)
{
	LLVMValueRef f = guard_intrinsic(g);
	LLVMOperandBundleRef deopt = LLVMCreateOperandBundle("deopt", strlen("deopt"), NULL, 0);
	(void)LLVMBuildCallWithOperandBundles(g->b, LLVMGlobalGetValueType(f), f, &holds, 1, &deopt,
					      1, "");
	LLVMDisposeOperandBundle(deopt);
}

void bounds_check(struct fn *fn, LLVMValueRef end)
{
	struct gen *g = fn->g;
	(void)bounds_guard(g, LLVMBuildICmp(g->b, LLVMIntULE, end, bounds_size(fn), ""));
}

bool bounds_is_guard(const struct gen *g, LLVMValueRef v)
{
	return g->guard && LLVMIsACallInst(v) && LLVMGetCalledValue(v) == g->guard;
}

/* LLVM has made guards into branches to a call that would leave for an interpreter, and a return. */
static void trap_instead(struct gen *g, LLVMBasicBlockRef block, unsigned leaving)
{
	LLVMValueRef call = LLVMGetFirstInstruction(block);
	if (!LLVMIsACallInst(call) || LLVMGetIntrinsicID(LLVMGetCalledValue(call)) != leaving)
		return;
	struct fn fn = { .g = g, .f = LLVMGetBasicBlockParent(block) };
	fn.self = LLVMGetParam(fn.f, 0);
	LLVMPositionBuilderAtEnd(g->b, block);
	LLVMSetCurrentDebugLocation2(g->b, LLVMInstructionGetDebugLoc(call));
	LLVMInstructionEraseFromParent(LLVMGetBasicBlockTerminator(block));
	LLVMInstructionEraseFromParent(call);
	fn_trap(&fn, AOT_TRAP_MEMORY);
	LLVMSetCurrentDebugLocation2(g->b, NULL);
}

void bounds_lower(struct gen *g)
{
	static const char name[] = "llvm.experimental.deoptimize";
	unsigned leaving = LLVMLookupIntrinsicID(name, strlen(name));
	for (LLVMValueRef f = LLVMGetFirstFunction(g->mod); f; f = LLVMGetNextFunction(f)) {
		LLVMBasicBlockRef block = LLVMGetFirstBasicBlock(f);
		for (; block; block = LLVMGetNextBasicBlock(block))
			trap_instead(g, block, leaving);
	}
}
