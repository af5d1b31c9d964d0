/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of the stack at function entry, put in after all optimisation: what was inlined then
 * needs none of its own, and every frame has its final shape.
 *
 * Compared is the stack pointer behind the prologue, so the frame itself counts: whatever a function
 * calls, trap helpers and host calls too, finds the whole reserve below stack_limit
 * (AOT_STACK_RESERVE_BYTES). A frame of several pages touches each of them in its prologue
 * ("probe-stack"), so one that does not fit at all faults in the stack's guard page.
 */
#include "sandbox/compiler/codegen.h"

#include <string.h>

/* A function that calls nothing and is this short has a frame that the reserve does not notice. */
enum { SMALL_FUNCTION_INSTRUCTIONS = 300 };

static bool is_trap_or_intrinsic(struct gen *g, LLVMValueRef call)
{
	if (LLVMGetIntrinsicID(LLVMGetCalledValue(call)) != 0)
		return true;
	unsigned nomerge = LLVMGetEnumAttributeKind(g->nomerge);
	return LLVMGetCallSiteEnumAttribute(call, LLVMAttributeFunctionIndex, nomerge) != NULL;
}

static bool needs_check(struct gen *g, LLVMValueRef f)
{
	unsigned count = 0;
	LLVMBasicBlockRef block = LLVMGetFirstBasicBlock(f);
	for (; block; block = LLVMGetNextBasicBlock(block)) {
		LLVMValueRef v = LLVMGetFirstInstruction(block);
		for (; v; v = LLVMGetNextInstruction(v)) {
			if (++count > SMALL_FUNCTION_INSTRUCTIONS)
				return true;
			if (LLVMIsACallInst(v) && !is_trap_or_intrinsic(g, v))
				return true;
		}
	}
	return false;
}

/* A new entry block; only in it are allocas part of the fixed frame. */
static LLVMBasicBlockRef new_entry(struct gen *g, LLVMBasicBlockRef old)
{
	LLVMBasicBlockRef entry = LLVMInsertBasicBlockInContext(g->ctx, old, "");
	LLVMPositionBuilderAtEnd(g->b, entry);
	LLVMValueRef v = LLVMGetFirstInstruction(old), next;
	for (; v; v = next) {
		next = LLVMGetNextInstruction(v);
		if (!LLVMIsAAllocaInst(v))
			continue;
		LLVMInstructionRemoveFromParent(v);
		LLVMInsertIntoBuilder(g->b, v);
	}
	return entry;
}

static LLVMValueRef stack_pointer(struct gen *g)
{
	const char *name = g->t->is_x86 ? "rsp" : "sp";
	LLVMMetadataRef md = LLVMMDStringInContext2(g->ctx, name, strlen(name));
	LLVMValueRef arg = LLVMMetadataAsValue(g->ctx, LLVMMDNodeInContext2(g->ctx, &md, 1));
	return gen_intrinsic(g, "llvm.read_register", &g->i64, 1, &arg, 1);
}

static void add_check(struct gen *g, LLVMValueRef f)
{
	struct fn fn = { .g = g, .f = f, .self = LLVMGetParam(f, 0) };
	LLVMBasicBlockRef old = LLVMGetEntryBasicBlock(f);
	(void)new_entry(g, old);
	LLVMValueRef limit = gen_load_const(g, g->b, g->i64, fn.self,
					    offsetof(struct aot_instance, stack_limit));
	fn_trap_if(&fn, LLVMBuildICmp(g->b, LLVMIntULT, stack_pointer(g), limit, ""),
		   fn_trap_kind(&fn, AOT_TRAP_STACK));
	LLVMBuildBr(g->b, old);
}

/* The descriptor takes the address of each function, so LLVM has kept their parameters; that it has
 * made no other functions from them is what target.c's options are for. */
void stack_checks(struct gen *g)
{
	size_t found = 0;
	for (LLVMValueRef f = LLVMGetFirstFunction(g->mod); f; f = LLVMGetNextFunction(f)) {
		const char *section = LLVMIsDeclaration(f) ? NULL : LLVMGetSection(f);
		if (!section || strcmp(section, GUEST_SECTION) != 0)
			continue;
		found++;
		if (needs_check(g, f))
			add_check(g, f);
	}
	ENSURE(found == g->end - g->first);
}
