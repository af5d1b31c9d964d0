/* SPDX-License-Identifier: Apache-2.0 */
/* References and tables. All but the size goes through the runtime's helpers, which check. */
#include "sandbox/compiler/codegen.h"

LLVMValueRef table_address(struct fn *fn, uint32_t table)
{
	struct gen *g = fn->g;
	LLVMValueRef tables =
		gen_load_const(g, g->b, g->ptr, fn->self, offsetof(struct aot_instance, tables));
	return gen_load_const(g, g->b, g->ptr, tables, (uint64_t)table * sizeof(void *));
}

void emit_reference(struct fn *fn, const struct wasm_insn *insn)
{
	struct gen *g = fn->g;
	switch (insn->op) {
	case WASM_REF_NULL:
		fn_push(fn, LLVMConstNull(g->ptr));
		break;
	case WASM_REF_IS_NULL:
		fn_push(fn, LLVMBuildZExt(g->b, LLVMBuildIsNull(g->b, fn_pop(fn), ""), g->i32, ""));
		break;
	default: {
		ENSURE(insn->op == WASM_REF_FUNC);
		LLVMValueRef funcs = gen_load_const(g, g->b, g->ptr, fn->self,
						    offsetof(struct aot_instance, funcs));
		fn_push(fn, gen_at(g, funcs, (uint64_t)insn->index * sizeof(struct aot_funcref)));
	}
	}
}

/* Which helper, which immediates go first ('1' index, '2' index2), how many operands follow, what
 * comes back. table.init has (segment, table) in the bytes, the helper (table, segment). */
static const struct {
	uint32_t op;
	size_t helper;
	const char *immediates;
	uint8_t noperands;
	char result; /* 0, 'i' or 'r' */
} how[] = {
	{ WASM_TABLE_GET, offsetof(struct aot_ops, table_get), "1", 1, 'r' },
	{ WASM_TABLE_SET, offsetof(struct aot_ops, table_set), "1", 2, 0 },
	{ WASM_TABLE_INIT, offsetof(struct aot_ops, table_init), "21", 3, 0 },
	{ WASM_ELEM_DROP, offsetof(struct aot_ops, elem_drop), "1", 0, 0 },
	{ WASM_TABLE_COPY, offsetof(struct aot_ops, table_copy), "12", 3, 0 },
	{ WASM_TABLE_GROW, offsetof(struct aot_ops, table_grow), "1", 2, 'i' },
	{ WASM_TABLE_FILL, offsetof(struct aot_ops, table_fill), "1", 3, 0 },
};

void emit_table(struct fn *fn, const struct wasm_insn *insn)
{
	struct gen *g = fn->g;
	if (insn->op == WASM_TABLE_SIZE) {
		LLVMValueRef at =
			gen_at(g, table_address(fn, insn->index), offsetof(struct aot_table, size));
		fn_push(fn, gen_load(g, g->i32, at, ALIAS_TABLE));
		return;
	}
	size_t i = 0;
	while (i < ARRAY_LEN(how) && how[i].op != insn->op)
		i++;
	ENSURE(i < ARRAY_LEN(how) && fn->depth >= how[i].noperands);
	LLVMValueRef args[6];
	unsigned n = 0;
	for (const char *p = how[i].immediates; *p; p++)
		args[n++] = gen_i32(g, *p == '1' ? insn->index : insn->index2);
	fn->depth -= how[i].noperands;
	for (unsigned k = 0; k < how[i].noperands; k++)
		args[n++] = fn->stack[fn->depth + k];
	LLVMTypeRef result = how[i].result == 'r' ? g->ptr : how[i].result == 'i' ? g->i32 : NULL;
	LLVMValueRef v = fn_helper(fn, how[i].helper, result, args, n);
	if (result)
		fn_push(fn, v);
}
