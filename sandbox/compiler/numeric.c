/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic and comparison on numbers: tables from opcode to LLVM's instruction or intrinsic. */
#include "sandbox/compiler/codegen.h"

#include <string.h>

/* What an opcode is called behind its type: "add" of i32.add. */
static const char *operation(const struct wasm_insn *insn)
{
	const char *dot = strchr(insn->info->text, '.');
	ENSURE(dot != NULL);
	return dot + 1;
}

static bool is_float(const struct wasm_insn *insn)
{
	return insn->info->text[0] == 'f';
}

struct row {
	const char *name;
	unsigned as; /* an LLVM opcode or predicate */
	const char *intrinsic;
};

/* The row of an operation; every one has a row, the unit test covers the opcode table. */
static const struct row *find(const struct row *rows, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	}
	fprintf(stderr, "no translation for operation %s\n", name);
	abort();
}

static void push_bool(struct fn *fn, LLVMValueRef v)
{
	fn_push(fn, LLVMBuildZExt(fn->g->b, v, fn->g->i32, ""));
}

void emit_test(struct fn *fn, const struct wasm_insn *insn)
{
	ENSURE(insn->op == WASM_I32_EQZ || insn->op == WASM_I64_EQZ);
	push_bool(fn, LLVMBuildIsNull(fn->g->b, fn_pop(fn), ""));
}

/* All float predicates are ordered but `ne`: a NaN compares unequal to everything. */
void emit_compare(struct fn *fn, const struct wasm_insn *insn)
{
	static const struct row ints[] = {
		{ "eq", LLVMIntEQ, 0 },    { "ne", LLVMIntNE, 0 },    { "lt_s", LLVMIntSLT, 0 },
		{ "lt_u", LLVMIntULT, 0 }, { "gt_s", LLVMIntSGT, 0 }, { "gt_u", LLVMIntUGT, 0 },
		{ "le_s", LLVMIntSLE, 0 }, { "le_u", LLVMIntULE, 0 }, { "ge_s", LLVMIntSGE, 0 },
		{ "ge_u", LLVMIntUGE, 0 },
	};
	static const struct row floats[] = {
		{ "eq", LLVMRealOEQ, 0 }, { "ne", LLVMRealUNE, 0 }, { "lt", LLVMRealOLT, 0 },
		{ "gt", LLVMRealOGT, 0 }, { "le", LLVMRealOLE, 0 }, { "ge", LLVMRealOGE, 0 },
	};
	LLVMBuilderRef b = fn->g->b;
	LLVMValueRef y = fn_pop(fn), x = fn_pop(fn);
	if (is_float(insn)) {
		const struct row *row = find(floats, ARRAY_LEN(floats), operation(insn));
		push_bool(fn, LLVMBuildFCmp(b, (LLVMRealPredicate)row->as, x, y, ""));
	} else {
		const struct row *row = find(ints, ARRAY_LEN(ints), operation(insn));
		push_bool(fn, LLVMBuildICmp(b, (LLVMIntPredicate)row->as, x, y, ""));
	}
}

static LLVMValueRef intrinsic(struct fn *fn, const char *name, LLVMValueRef x, LLVMValueRef y)
{
	LLVMTypeRef type = LLVMTypeOf(x);
	LLVMValueRef args[] = { x, y };
	return gen_intrinsic(fn->g, name, &type, 1, args, y ? 2 : 1);
}

void emit_unary(struct fn *fn, const struct wasm_insn *insn)
{
	/* as: for clz and ctz, that 0 is a defined operand; for extend, the bits kept. */
	static const struct row rows[] = {
		{ "clz", 1, "llvm.ctlz" },
		{ "ctz", 1, "llvm.cttz" },
		{ "popcnt", 0, "llvm.ctpop" },
		{ "abs", 0, "llvm.fabs" },
		{ "neg", 0, NULL },
		{ "ceil", 0, "llvm.ceil" },
		{ "floor", 0, "llvm.floor" },
		{ "trunc", 0, "llvm.trunc" },
		{ "nearest", 0, "llvm.roundeven" },
		{ "sqrt", 0, "llvm.sqrt" },
		{ "extend8_s", 8, NULL },
		{ "extend16_s", 16, NULL },
		{ "extend32_s", 32, NULL },
	};
	struct gen *g = fn->g;
	const struct row *row = find(rows, ARRAY_LEN(rows), operation(insn));
	LLVMValueRef x = fn_pop(fn), v;
	if (row->intrinsic) {
		v = intrinsic(fn, row->intrinsic, x, row->as ? LLVMConstInt(g->i1, 0, 0) : NULL);
	} else if (row->as) {
		v = LLVMBuildTrunc(g->b, x, LLVMIntTypeInContext(g->ctx, row->as), "");
		v = LLVMBuildSExt(g->b, v, LLVMTypeOf(x), "");
	} else {
		v = LLVMBuildFNeg(g->b, x, "");
	}
	fn_push(fn, v);
}

/* x86 has no instruction for llvm.minimum, and what LLVM makes of it passes a signalling NaN on as
 * it is. Multiplying by a 1 that the optimiser does not know makes it quiet and changes nothing
 * else. */
LLVMValueRef numeric_quiet(struct fn *fn, LLVMValueRef v)
{
	if (!fn->g->t->is_x86)
		return v;
	LLVMValueRef one = LLVMConstReal(LLVMTypeOf(v), 1.0);
	return LLVMBuildFMul(fn->g->b, v, intrinsic(fn, "llvm.arithmetic.fence", one, NULL), "");
}

/* minimum and maximum are those of IEEE 754-2019: NaN wins, -0 is less than +0. */
void emit_binary(struct fn *fn, const struct wasm_insn *insn)
{
	static const struct row ints[] = {
		{ "add", LLVMAdd, 0 }, { "sub", LLVMSub, 0 }, { "mul", LLVMMul, 0 },
		{ "and", LLVMAnd, 0 }, { "or", LLVMOr, 0 },   { "xor", LLVMXor, 0 },
	};
	/* as: of an intrinsic, that the result needs to be made quiet */
	static const struct row floats[] = {
		{ "add", LLVMFAdd, 0 },
		{ "sub", LLVMFSub, 0 },
		{ "mul", LLVMFMul, 0 },
		{ "div", LLVMFDiv, 0 },
		{ "min", 1, "llvm.minimum" },
		{ "max", 1, "llvm.maximum" },
		{ "copysign", 0, "llvm.copysign" },
	};
	LLVMValueRef y = fn_pop(fn), x = fn_pop(fn);
	const struct row *row = is_float(insn) ? find(floats, ARRAY_LEN(floats), operation(insn))
					       : find(ints, ARRAY_LEN(ints), operation(insn));
	if (!row->intrinsic) {
		fn_push(fn, LLVMBuildBinOp(fn->g->b, (LLVMOpcode)row->as, x, y, ""));
		return;
	}
	LLVMValueRef v = intrinsic(fn, row->intrinsic, x, y);
	fn_push(fn, row->as ? numeric_quiet(fn, v) : v);
}

/* Wasm takes the count modulo the width, LLVM calls a larger one poison (but not for funnels). */
void emit_shift(struct fn *fn, const struct wasm_insn *insn)
{
	static const struct row rows[] = {
		{ "shl", LLVMShl, 0 },      { "shr_s", LLVMAShr, 0 },   { "shr_u", LLVMLShr, 0 },
		{ "rotl", 0, "llvm.fshl" }, { "rotr", 0, "llvm.fshr" },
	};
	struct gen *g = fn->g;
	const struct row *row = find(rows, ARRAY_LEN(rows), operation(insn));
	LLVMValueRef y = fn_pop(fn), x = fn_pop(fn);
	LLVMTypeRef type = LLVMTypeOf(x);
	if (row->intrinsic) {
		LLVMValueRef args[] = { x, x, y };
		fn_push(fn, gen_intrinsic(g, row->intrinsic, &type, 1, args, 3));
		return;
	}
	LLVMValueRef mask = LLVMConstInt(type, LLVMGetIntTypeWidth(type) - 1, false);
	y = LLVMBuildAnd(g->b, y, mask, "");
	fn_push(fn, LLVMBuildBinOp(g->b, (LLVMOpcode)row->as, x, y, ""));
}

static LLVMValueRef both(struct fn *fn, LLVMValueRef x, LLVMValueRef is, LLVMValueRef y,
			 LLVMValueRef minus_one)
{
	LLVMBuilderRef b = fn->g->b;
	return LLVMBuildAnd(b, LLVMBuildICmp(b, LLVMIntEQ, x, is, ""),
			    LLVMBuildICmp(b, LLVMIntEQ, y, minus_one, ""), "");
}

void emit_divide(struct fn *fn, const struct wasm_insn *insn)
{
	static const struct row rows[] = {
		{ "div_s", LLVMSDiv, 0 },
		{ "div_u", LLVMUDiv, 0 },
		{ "rem_s", LLVMSRem, 0 },
		{ "rem_u", LLVMURem, 0 },
	};
	LLVMBuilderRef b = fn->g->b;
	const struct row *row = find(rows, ARRAY_LEN(rows), operation(insn));
	LLVMValueRef y = fn_pop(fn), x = fn_pop(fn);
	LLVMTypeRef type = LLVMTypeOf(x);
	LLVMValueRef minus_one = LLVMConstAllOnes(type);
	fn_trap_if(fn, LLVMBuildIsNull(b, y, ""), fn_trap_kind(fn, AOT_TRAP_DIVIDE));
	if (row->as == LLVMSDiv) {
		LLVMValueRef least =
			LLVMConstInt(type, UINT64_C(1) << (LLVMGetIntTypeWidth(type) - 1), false);
		fn_trap_if(fn, both(fn, x, least, y, minus_one),
			   fn_trap_kind(fn, AOT_TRAP_OVERFLOW));
	} else if (row->as == LLVMSRem) {
		/* x rem -1 = x rem 1 = 0 for every x, and only the former can overflow. */
		LLVMValueRef is = LLVMBuildICmp(b, LLVMIntEQ, y, minus_one, "");
		y = LLVMBuildSelect(b, is, LLVMConstInt(type, 1, false), y, "");
	}
	fn_push(fn, LLVMBuildBinOp(b, (LLVMOpcode)row->as, x, y, ""));
}
