/* SPDX-License-Identifier: Apache-2.0 */
/* aot_invoke: the bridge from the runtime, which knows types only at run time, to a function. */
#include "sandbox/compiler/codegen.h"

static LLVMValueRef slot(struct gen *g, LLVMValueRef values, uint32_t i)
{
	return gen_at(g, values, (uint64_t)i * sizeof(union aot_value));
}

LLVMValueRef thunk_emit(struct gen *g, uint32_t type)
{
	const struct aot_functype *t = &g->m->types[type];
	LLVMTypeRef takes[] = { g->ptr, g->ptr, g->ptr };
	char name[32];
	/* Two dots: no function of a guest has them (names.c). */
	(void)snprintf(name, sizeof(name), "invoke..%u", type);
	LLVMValueRef f = LLVMAddFunction(g->mod, name, LLVMFunctionType(g->void_, takes, 3, false));
	LLVMSetLinkage(f, LLVMInternalLinkage);
	gen_attributes(g, f);
	LLVMPositionBuilderAtEnd(g->b, LLVMAppendBasicBlockInContext(g->ctx, f, ""));
	LLVMValueRef values = LLVMGetParam(f, 2);
	LLVMValueRef args[WASM_MAX_params + 1] = { LLVMGetParam(f, 1) };
	for (uint32_t i = 0; i < t->nparams; i++)
		args[i + 1] =
			LLVMBuildLoad2(g->b, gen_type(g, t->types[i]), slot(g, values, i), "");
	LLVMValueRef r = LLVMBuildCall2(g->b, gen_functype(g, type), LLVMGetParam(f, 0), args,
					t->nparams + 1, "");
	LLVMSetTailCallKind(r, LLVMTailCallKindNoTail);
	for (uint32_t i = 0; i < t->nresults; i++) {
		LLVMValueRef v = t->nresults == 1 ? r : LLVMBuildExtractValue(g->b, r, i, "");
		LLVMBuildStore(g->b, v, slot(g, values, i));
	}
	LLVMBuildRetVoid(g->b);
	return f;
}
