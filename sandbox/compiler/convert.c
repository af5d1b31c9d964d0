/* SPDX-License-Identifier: Apache-2.0 */
/* Conversions between number types. */
#include "sandbox/compiler/codegen.h"

/* The open interval of floats that truncate into the target; both ends are exact, and where the
 * lower one has no exact predecessor, itself is inside (closed). */
struct range {
	uint32_t op;
	bool is_signed, closed;
	double low, high;
};

static const struct range ranges[] = {
	{ WASM_I32_TRUNC_F32_S, true, true, -0x1p31, 0x1p31 },
	{ WASM_I32_TRUNC_F32_U, false, false, -1.0, 0x1p32 },
	{ WASM_I32_TRUNC_F64_S, true, false, -0x1p31 - 1.0, 0x1p31 },
	{ WASM_I32_TRUNC_F64_U, false, false, -1.0, 0x1p32 },
	{ WASM_I64_TRUNC_F32_S, true, true, -0x1p63, 0x1p63 },
	{ WASM_I64_TRUNC_F32_U, false, false, -1.0, 0x1p64 },
	{ WASM_I64_TRUNC_F64_S, true, true, -0x1p63, 0x1p63 },
	{ WASM_I64_TRUNC_F64_U, false, false, -1.0, 0x1p64 },
};

/* One branch on the way that matters; which trap it is, is found out behind it. */
static LLVMValueRef truncate(struct fn *fn, const struct range *r, LLVMValueRef x, LLVMTypeRef to)
{
	LLVMBuilderRef b = fn->g->b;
	LLVMTypeRef from = LLVMTypeOf(x);
	LLVMValueRef above = LLVMBuildFCmp(b, r->closed ? LLVMRealOGE : LLVMRealOGT, x,
					   LLVMConstReal(from, r->low), "");
	LLVMValueRef below = LLVMBuildFCmp(b, LLVMRealOLT, x, LLVMConstReal(from, r->high), "");
	LLVMValueRef outside = LLVMBuildNot(b, LLVMBuildAnd(b, above, below, ""), "");
	LLVMValueRef nan = LLVMBuildFCmp(b, LLVMRealUNO, x, x, "");
	LLVMValueRef kind = LLVMBuildSelect(b, nan, fn_trap_kind(fn, AOT_TRAP_CONVERSION),
					    fn_trap_kind(fn, AOT_TRAP_OVERFLOW), "");
	fn_trap_if(fn, outside, kind);
	return r->is_signed ? LLVMBuildFPToSI(b, x, to, "") : LLVMBuildFPToUI(b, x, to, "");
}

static LLVMValueRef saturate(struct fn *fn, bool is_signed, LLVMValueRef x, LLVMTypeRef to)
{
	LLVMTypeRef over[] = { to, LLVMTypeOf(x) };
	return gen_intrinsic(fn->g, is_signed ? "llvm.fptosi.sat" : "llvm.fptoui.sat", over, 2, &x,
			     1);
}

static LLVMTypeRef type_of(const struct gen *g, char letter)
{
	return letter == 'i' ? g->i32 : letter == 'I' ? g->i64 : letter == 'f' ? g->f32 : g->f64;
}

void emit_convert(struct fn *fn, const struct wasm_insn *insn)
{
	static const struct {
		uint32_t op;
		LLVMOpcode as;
	} casts[] = {
		{ WASM_I32_WRAP_I64, LLVMTrunc },
		{ WASM_I64_EXTEND_I32_S, LLVMSExt },
		{ WASM_I64_EXTEND_I32_U, LLVMZExt },
		{ WASM_F32_CONVERT_I32_S, LLVMSIToFP },
		{ WASM_F32_CONVERT_I32_U, LLVMUIToFP },
		{ WASM_F32_CONVERT_I64_S, LLVMSIToFP },
		{ WASM_F32_CONVERT_I64_U, LLVMUIToFP },
		{ WASM_F32_DEMOTE_F64, LLVMFPTrunc },
		{ WASM_F64_CONVERT_I32_S, LLVMSIToFP },
		{ WASM_F64_CONVERT_I32_U, LLVMUIToFP },
		{ WASM_F64_CONVERT_I64_S, LLVMSIToFP },
		{ WASM_F64_CONVERT_I64_U, LLVMUIToFP },
		{ WASM_F64_PROMOTE_F32, LLVMFPExt },
		{ WASM_I32_REINTERPRET_F32, LLVMBitCast },
		{ WASM_I64_REINTERPRET_F64, LLVMBitCast },
		{ WASM_F32_REINTERPRET_I32, LLVMBitCast },
		{ WASM_F64_REINTERPRET_I64, LLVMBitCast },
	};
	LLVMTypeRef to = type_of(fn->g, insn->info->pushes[0]);
	LLVMValueRef x = fn_pop(fn);
	if (insn->op >= WASM_I32_TRUNC_SAT_F32_S && insn->op <= WASM_I64_TRUNC_SAT_F64_U) {
		bool is_signed = (insn->op - WASM_I32_TRUNC_SAT_F32_S) % 2 == 0;
		fn_push(fn, saturate(fn, is_signed, x, to));
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(casts); i++) {
		if (casts[i].op == insn->op) {
			fn_push(fn, LLVMBuildCast(fn->g->b, casts[i].as, x, to, ""));
			return;
		}
	}
	size_t i = 0;
	while (i < ARRAY_LEN(ranges) && ranges[i].op != insn->op)
		i++;
	ENSURE(i < ARRAY_LEN(ranges));
	fn_push(fn, truncate(fn, &ranges[i], x, to));
}
