/* SPDX-License-Identifier: Apache-2.0 */
/* Locals, globals, constants, drop and select. */
#include "sandbox/compiler/codegen.h"

void emit_const(struct fn *fn, const struct wasm_insn *insn)
{
	static const uint8_t type[] = { AOT_I32, AOT_I64, AOT_F32, AOT_F64 };
	fn_push(fn, gen_constant(fn->g, type[insn->op - WASM_I32_CONST], &insn->value));
}

void emit_parametric(struct fn *fn, const struct wasm_insn *insn)
{
	if (insn->op == WASM_DROP) {
		(void)fn_pop(fn);
		return;
	}
	LLVMBuilderRef b = fn->g->b;
	LLVMValueRef cond = LLVMBuildICmp(b, LLVMIntNE, fn_pop(fn), gen_i32(fn->g, 0), "");
	LLVMValueRef otherwise = fn_pop(fn);
	fn_push(fn, LLVMBuildSelect(b, cond, fn_pop(fn), otherwise, ""));
}

static LLVMValueRef global_address(struct fn *fn, uint32_t index)
{
	struct gen *g = fn->g;
	if (index >= g->m->nimported_globals) {
		uint64_t own = index - g->m->nimported_globals;
		return gen_at(g, fn->self,
			      offsetof(struct aot_instance, globals) +
				      own * sizeof(union aot_value));
	}
	LLVMValueRef list = gen_load_const(g, g->b, g->ptr, fn->self,
					   offsetof(struct aot_instance, imported_globals));
	return gen_load_const(g, g->b, g->ptr, list, (uint64_t)index * sizeof(void *));
}

static void global_get(struct fn *fn, uint32_t index)
{
	struct gen *g = fn->g;
	const struct wasm_global *global = &g->m->globals[index];
	if (index >= g->m->nimported_globals && !global->type.is_mutable &&
	    global->init.kind == AOT_CONST_VALUE) {
		fn_push(fn, gen_constant(g, global->type.type, &global->init.value));
		return;
	}
	fn_push(fn, gen_load(g, gen_type(g, global->type.type), global_address(fn, index),
			     ALIAS_GLOBAL));
}

void emit_variable(struct fn *fn, const struct wasm_insn *insn)
{
	struct gen *g = fn->g;
	switch (insn->op) {
	case WASM_LOCAL_GET: {
		LLVMValueRef local = fn->locals[insn->index];
		fn_push(fn, LLVMBuildLoad2(g->b, LLVMGetAllocatedType(local), local, ""));
		break;
	}
	case WASM_LOCAL_SET:
		LLVMBuildStore(g->b, fn_pop(fn), fn->locals[insn->index]);
		break;
	case WASM_LOCAL_TEE:
		LLVMBuildStore(g->b, fn->stack[fn->depth - 1], fn->locals[insn->index]);
		break;
	case WASM_GLOBAL_GET:
		global_get(fn, insn->index);
		break;
	default:
		ENSURE(insn->op == WASM_GLOBAL_SET);
		gen_store(g, fn_pop(fn), global_address(fn, insn->index), ALIAS_GLOBAL);
	}
}
