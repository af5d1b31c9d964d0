/* SPDX-License-Identifier: Apache-2.0 */
/* Calls: direct, imported, indirect. All use the convention of proto/aot_abi.h. */
#include "sandbox/compiler/codegen.h"

/* Takes the arguments from the operand stack and leaves the results there. */
static void call(struct fn *fn, uint32_t type, LLVMValueRef code, LLVMValueRef instance)
{
	struct gen *g = fn->g;
	const struct aot_functype *t = &g->m->types[type];
	LLVMValueRef args[WASM_MAX_params + 1] = { instance };
	ENSURE(t->nparams <= fn->depth);
	fn->depth -= t->nparams;
	for (uint32_t i = 0; i < t->nparams; i++)
		args[i + 1] = fn->stack[fn->depth + i];
	LLVMValueRef v =
		LLVMBuildCall2(g->b, gen_functype(g, type), code, args, t->nparams + 1, "");
	LLVMSetTailCallKind(v, LLVMTailCallKindNoTail);
	if (t->nresults == 1)
		fn_push(fn, v);
	for (uint32_t i = 0; t->nresults > 1 && i < t->nresults; i++)
		fn_push(fn, LLVMBuildExtractValue(g->b, v, i, ""));
}

static void call_ref(struct fn *fn, uint32_t type, LLVMValueRef ref, uint64_t offset)
{
	struct gen *g = fn->g;
	LLVMValueRef code =
		gen_load_const(g, g->b, g->ptr, ref, offset + offsetof(struct aot_funcref, code));
	LLVMValueRef instance = gen_load_const(g, g->b, g->ptr, ref,
					       offset + offsetof(struct aot_funcref, instance));
	call(fn, type, code, instance);
}

void emit_call(struct fn *fn, const struct wasm_insn *insn)
{
	struct gen *g = fn->g;
	uint32_t type = g->m->funcs[insn->index].type;
	LLVMValueRef f = gen_func(g, insn->index);
	if (f) {
		call(fn, type, f, fn->self);
		return;
	}
	LLVMValueRef imports =
		gen_load_const(g, g->b, g->ptr, fn->self, offsetof(struct aot_instance, imports));
	call_ref(fn, type, imports, (uint64_t)insn->index * sizeof(struct aot_funcref));
}

/* The order of the checks is the specification's: bounds, null, type. */
void emit_call_indirect(struct fn *fn, const struct wasm_insn *insn)
{
	struct gen *g = fn->g;
	LLVMBuilderRef b = g->b;
	LLVMValueRef at = fn_pop(fn);
	LLVMValueRef table = table_address(fn, insn->index2);
	LLVMValueRef size = gen_load(g, g->i32, gen_at(g, table, offsetof(struct aot_table, size)),
				     ALIAS_TABLE);
	fn_trap_if(fn, LLVMBuildICmp(b, LLVMIntUGE, at, size, ""),
		   fn_trap_kind(fn, AOT_TRAP_TABLE));
	LLVMValueRef elems = gen_load(
		g, g->ptr, gen_at(g, table, offsetof(struct aot_table, elems)), ALIAS_TABLE);
	LLVMValueRef wide = LLVMBuildZExt(b, at, g->i64, "");
	LLVMValueRef ref = gen_load(
		g, g->ptr, LLVMBuildInBoundsGEP2(b, g->ptr, elems, &wide, 1, ""), ALIAS_TABLE);
	fn_trap_if(fn, LLVMBuildIsNull(b, ref, ""), fn_trap_kind(fn, AOT_TRAP_INDIRECT_NULL));
	LLVMValueRef is = gen_load_const(g, b, g->i32, ref, offsetof(struct aot_funcref, type));
	LLVMValueRef want =
		gen_load_const(g, b, g->i32, g->type_ids, (uint64_t)insn->index * sizeof(uint32_t));
	fn_trap_if(fn, LLVMBuildICmp(b, LLVMIntNE, is, want, ""),
		   fn_trap_kind(fn, AOT_TRAP_INDIRECT_TYPE));
	call_ref(fn, insn->index, ref, 0);
}
