/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linear memory. An address is base + zext(i32) + offset and always lies inside the reservation
 * of AOT_RESERVE_BYTES, so an access beyond the memory's size faults and the runtime makes that a
 * trap; this is why the arithmetic may be called in bounds. Loads may be of any alignment.
 */
#include "sandbox/compiler/codegen.h"

/* mem_base is read once per function, before everything else: an invariant value that no store
 * can change keeps loops over arrays countable. */
static LLVMValueRef mem_base(struct fn *fn)
{
	struct gen *g = fn->g;
	if (!fn->mem_base)
		fn->mem_base = gen_load_const(g, g->prologue, g->ptr, fn->self,
					      offsetof(struct aot_instance, mem_base));
	return fn->mem_base;
}

LLVMValueRef memory_address(struct fn *fn, const struct wasm_insn *insn, LLVMValueRef at)
{
	struct gen *g = fn->g;
	LLVMBuilderRef b = g->b;
	at = LLVMBuildZExt(b, at, g->i64, "");
	if (insn->offset) {
		at = LLVMBuildNUWAdd(b, at, gen_i64(g, insn->offset), "");
		if (LLVMIsAInstruction(at))
			LLVMSetNSW(at, true);
	}
	if (g->o->bounds_check || insn->offset >= AOT_GUARD_BYTES)
		bounds_check(fn,
			     LLVMBuildNUWAdd(b, at, gen_i64(g, wasm_access_bytes(insn->info)), ""));
	return LLVMBuildInBoundsGEP2(b, g->i8, mem_base(fn), &at, 1, "");
}

static bool is_signed(const struct wasm_insn *insn)
{
	const char *text = insn->info->text;
	while (text[1])
		text++;
	return *text == 's';
}

static LLVMTypeRef type_of(const struct gen *g, char letter)
{
	switch (letter) {
	case 'i':
		return g->i32;
	case 'I':
		return g->i64;
	case 'f':
		return g->f32;
	default:
		ENSURE(letter == 'F');
		return g->f64;
	}
}

void emit_load(struct fn *fn, const struct wasm_insn *insn)
{
	struct gen *g = fn->g;
	LLVMTypeRef type = type_of(g, insn->info->pushes[0]);
	unsigned bits = wasm_access_bytes(insn->info) * 8;
	bool narrow =
		LLVMGetTypeKind(type) == LLVMIntegerTypeKind && bits < LLVMGetIntTypeWidth(type);
	LLVMTypeRef in_memory = narrow ? LLVMIntTypeInContext(g->ctx, bits) : type;
	LLVMValueRef v = gen_load(g, in_memory, memory_address(fn, insn, fn_pop(fn)), ALIAS_MEMORY);
	if (narrow)
		v = is_signed(insn) ? LLVMBuildSExt(g->b, v, type, "")
				    : LLVMBuildZExt(g->b, v, type, "");
	fn_push(fn, v);
}

void emit_store(struct fn *fn, const struct wasm_insn *insn)
{
	struct gen *g = fn->g;
	LLVMValueRef v = fn_pop(fn);
	LLVMTypeRef type = LLVMTypeOf(v);
	unsigned bits = wasm_access_bytes(insn->info) * 8;
	if (LLVMGetTypeKind(type) == LLVMIntegerTypeKind && bits < LLVMGetIntTypeWidth(type))
		v = LLVMBuildTrunc(g->b, v, LLVMIntTypeInContext(g->ctx, bits), "");
	gen_store(g, v, memory_address(fn, insn, fn_pop(fn)), ALIAS_MEMORY);
}

static void helper3(struct fn *fn, size_t op, LLVMValueRef first)
{
	LLVMValueRef args[4] = { first };
	unsigned n = first ? 1 : 0;
	ENSURE(fn->depth >= 3);
	fn->depth -= 3;
	for (size_t i = 0; i < 3; i++)
		args[n++] = fn->stack[fn->depth + i];
	(void)fn_helper(fn, op, NULL, args, n);
}

void emit_memory(struct fn *fn, const struct wasm_insn *insn)
{
	struct gen *g = fn->g;
	LLVMValueRef v;
	switch (insn->op) {
	case WASM_MEMORY_SIZE:
		v = LLVMBuildUDiv(g->b, bounds_size(fn), gen_i64(g, AOT_PAGE_BYTES), "");
		fn_push(fn, LLVMBuildTrunc(g->b, v, g->i32, ""));
		break;
	case WASM_MEMORY_GROW:
		v = fn_pop(fn);
		fn_push(fn, fn_helper(fn, offsetof(struct aot_ops, memory_grow), g->i32, &v, 1));
		break;
	case WASM_MEMORY_FILL:
		helper3(fn, offsetof(struct aot_ops, memory_fill), NULL);
		break;
	case WASM_MEMORY_COPY:
		helper3(fn, offsetof(struct aot_ops, memory_copy), NULL);
		break;
	case WASM_MEMORY_INIT:
		helper3(fn, offsetof(struct aot_ops, memory_init), gen_i32(g, insn->index));
		break;
	default:
		ENSURE(insn->op == WASM_DATA_DROP);
		v = gen_i32(g, insn->index);
		(void)fn_helper(fn, offsetof(struct aot_ops, data_drop), NULL, &v, 1);
	}
}
