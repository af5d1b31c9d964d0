/* SPDX-License-Identifier: Apache-2.0 */
/* One function: its frame, its operand stack, and the walk over its instructions. */
#include "sandbox/compiler/debug.h"

#include <string.h>

/* Room for one more element of size bytes in a growing array. */
static void *grown(void *array, size_t count, size_t *cap, size_t size)
{
	if (count < *cap)
		return array;
	*cap = *cap ? *cap * 2 : 64;
	array = realloc(array, *cap * size);
	ENSURE(array != NULL);
	return array;
}

void fn_push(struct fn *fn, LLVMValueRef v)
{
	fn->stack = grown(fn->stack, fn->depth, &fn->stack_cap, sizeof(fn->stack[0]));
	fn->stack[fn->depth++] = v;
}

LLVMValueRef fn_pop(struct fn *fn)
{
	ENSURE(fn->depth > 0);
	return fn->stack[--fn->depth];
}

LLVMBasicBlockRef fn_block(struct fn *fn)
{
	return LLVMAppendBasicBlockInContext(fn->g->ctx, fn->f, "");
}

LLVMValueRef fn_helper(struct fn *fn, size_t op, LLVMTypeRef result, LLVMValueRef *args,
		       unsigned nargs)
{
	struct gen *g = fn->g;
	LLVMValueRef ops =
		gen_load_const(g, g->b, g->ptr, fn->self, offsetof(struct aot_instance, ops));
	LLVMValueRef code = gen_load_const(g, g->b, g->ptr, ops, op);
	LLVMTypeRef types[8] = { g->ptr };
	LLVMValueRef values[8] = { fn->self };
	ENSURE(nargs < ARRAY_LEN(types));
	for (unsigned i = 0; i < nargs; i++) {
		types[i + 1] = LLVMTypeOf(args[i]);
		values[i + 1] = args[i];
	}
	LLVMTypeRef type = LLVMFunctionType(result ? result : g->void_, types, nargs + 1, false);
	LLVMValueRef call = LLVMBuildCall2(g->b, type, code, values, nargs + 1, "");
	LLVMSetTailCallKind(call, LLVMTailCallKindNoTail);
	return call;
}

LLVMValueRef fn_trap_kind(struct fn *fn, enum aot_trap kind)
{
	return gen_i32(fn->g, kind);
}

/* A call of its own for each place (nomerge), so that the return address tells where. */
static void trap_value(struct fn *fn, LLVMValueRef kind)
{
	LLVMValueRef call = fn_helper(fn, offsetof(struct aot_ops, trap), NULL, &kind, 1);
	LLVMAttributeRef attributes[] = { fn->g->cold, fn->g->noreturn, fn->g->nomerge };
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++)
		LLVMAddCallSiteAttribute(call, LLVMAttributeFunctionIndex, attributes[i]);
	LLVMBuildUnreachable(fn->g->b);
}

void fn_trap(struct fn *fn, enum aot_trap kind)
{
	trap_value(fn, fn_trap_kind(fn, kind));
}

void fn_trap_if(struct fn *fn, LLVMValueRef cond, LLVMValueRef kind)
{
	LLVMBuilderRef b = fn->g->b;
	LLVMBasicBlockRef bad = fn_block(fn), good = fn_block(fn);
	LLVMBuildCondBr(b, cond, bad, good);
	LLVMPositionBuilderAtEnd(b, bad);
	trap_value(fn, kind);
	LLVMPositionBuilderAtEnd(b, good);
}

static emit_insn *const emit[] = {
	[WASM_CLASS_CONTROL] = emit_control,   [WASM_CLASS_PARAMETRIC] = emit_parametric,
	[WASM_CLASS_VARIABLE] = emit_variable, [WASM_CLASS_REFERENCE] = emit_reference,
	[WASM_CLASS_TABLE] = emit_table,       [WASM_CLASS_LOAD] = emit_load,
	[WASM_CLASS_STORE] = emit_store,       [WASM_CLASS_MEMORY] = emit_memory,
	[WASM_CLASS_CONST] = emit_const,       [WASM_CLASS_TEST] = emit_test,
	[WASM_CLASS_COMPARE] = emit_compare,   [WASM_CLASS_UNARY] = emit_unary,
	[WASM_CLASS_BINARY] = emit_binary,     [WASM_CLASS_SHIFT] = emit_shift,
	[WASM_CLASS_DIVIDE] = emit_divide,     [WASM_CLASS_CONVERT] = emit_convert,
	[WASM_CLASS_SIMD] = emit_simd,
};

static void make_locals(struct fn *fn)
{
	struct gen *g = fn->g;
	uint32_t nparams = fn->type->nparams;
	fn->locals = gen_alloc((size_t)nparams + fn->wf->nlocals, sizeof(fn->locals[0]));
	for (uint32_t i = 0; i < nparams; i++) {
		fn->locals[i] = LLVMBuildAlloca(g->prologue, gen_type(g, fn->type->types[i]), "");
		LLVMBuildStore(g->prologue, LLVMGetParam(fn->f, i + 1), fn->locals[i]);
	}
	for (uint32_t i = 0; i < fn->wf->nlocals; i++) {
		LLVMTypeRef type = gen_type(g, fn->wf->locals[i]);
		fn->locals[nparams + i] = LLVMBuildAlloca(g->prologue, type, "");
		LLVMBuildStore(g->prologue, LLVMConstNull(type), fn->locals[nparams + i]);
	}
}

void func_emit(struct gen *g, uint32_t index)
{
	const struct wasm_func *wf = &g->m->funcs[index];
	struct fn fn = { .g = g, .wf = wf, .type = &g->m->types[wf->type], .f = g->funcs[index] };
	fn.self = LLVMGetParam(fn.f, 0);
	debug_function(g, index);
	LLVMPositionBuilderAtEnd(g->prologue, fn_block(&fn));
	make_locals(&fn);
	LLVMBasicBlockRef body = fn_block(&fn);
	LLVMPositionBuilderAtEnd(g->b, body);
	struct aot_functype results = { .types = fn.type->types + fn.type->nparams,
					.nresults = fn.type->nresults };
	control_enter(&fn, WASM_BLOCK, &results);

	struct rd code = rd_from(wf->code.at, wf->code.len);
	while (fn.nlabels > 0) {
		struct wasm_insn insn;
		int rc = wasm_insn_next(&code, &insn);
		ENSURE(rc == 0);
		if (fn.dead && control_skip(&fn, &insn))
			continue;
		debug_at(g, &insn);
		emit[insn.info->class](&fn, &insn);
	}
	if (!fn.dead)
		control_return(&fn);
	LLVMBuildBr(g->prologue, body);
	debug_leave(g);
	free(fn.locals);
	free(fn.stack);
	free(fn.labels);
}
