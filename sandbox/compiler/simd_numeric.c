/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic, comparison and bits, lane by lane. */
#include "sandbox/compiler/simd.h"

LLVMValueRef simd_not(const struct simd *s)
{
	return LLVMBuildNot(s->b, s->x, "");
}

LLVMValueRef simd_and_not(const struct simd *s)
{
	return LLVMBuildAnd(s->b, s->x, LLVMBuildNot(s->b, s->y, ""), "");
}

LLVMValueRef simd_select(const struct simd *s)
{
	LLVMValueRef x = LLVMBuildAnd(s->b, s->x, s->z, "");
	LLVMValueRef y = LLVMBuildAnd(s->b, s->y, LLVMBuildNot(s->b, s->z, ""), "");
	return LLVMBuildOr(s->b, x, y, "");
}

LLVMValueRef simd_binary(const struct simd *s)
{
	return LLVMBuildBinOp(s->b, (LLVMOpcode)s->op->as, s->x, s->y, "");
}

/* Wasm takes the count modulo the lane's width, LLVM calls a larger one poison. */
LLVMValueRef simd_shift(const struct simd *s)
{
	LLVMValueRef count = LLVMBuildAnd(s->b, s->y, gen_i32(s->g, s->bits - 1), "");
	count = s->bits < 32   ? LLVMBuildTrunc(s->b, count, s->lane, "")
		: s->bits > 32 ? LLVMBuildZExt(s->b, count, s->lane, "")
			       : count;
	return LLVMBuildBinOp(s->b, (LLVMOpcode)s->op->as, s->x, simd_splat(s, s->type, count), "");
}

LLVMValueRef simd_compare(const struct simd *s)
{
	LLVMValueRef is = LLVMBuildICmp(s->b, (LLVMIntPredicate)s->op->as, s->x, s->y, "");
	return LLVMBuildSExt(s->b, is, s->type, "");
}

LLVMValueRef simd_fcompare(const struct simd *s)
{
	LLVMValueRef is = LLVMBuildFCmp(s->b, (LLVMRealPredicate)s->op->as, s->x, s->y, "");
	return LLVMBuildSExt(s->b, is, simd_ints(s, s->bits, s->lanes), "");
}

LLVMValueRef simd_call(const struct simd *s)
{
	return simd_intrinsic(s, s->op->intrinsic, s->x, s->y);
}

/* The least number is its own absolute value, not poison. */
LLVMValueRef simd_abs(const struct simd *s)
{
	return simd_intrinsic(s, "llvm.abs", s->x, LLVMConstInt(s->g->i1, 0, false));
}

LLVMValueRef simd_neg(const struct simd *s)
{
	return LLVMBuildNeg(s->b, s->x, "");
}

LLVMValueRef simd_fneg(const struct simd *s)
{
	return LLVMBuildFNeg(s->b, s->x, "");
}

LLVMValueRef simd_minmax(const struct simd *s)
{
	return numeric_quiet(s->fn, simd_call(s));
}

/* pmin is y < x ? y : x with all that follows for NaN and zero; no arithmetic, so nothing becomes
 * quiet. On x86 that is minps; for aarch64, LLVM would take fminnm where one operand is known not to
 * be NaN, and that makes a NaN of a signalling one. So it must not see what is compared. */
LLVMValueRef simd_pseudo(const struct simd *s)
{
	LLVMValueRef y = s->y;
	if (!s->g->t->is_x86)
		y = simd_intrinsic(s, "llvm.arithmetic.fence", y, NULL);
	LLVMValueRef is = LLVMBuildFCmp(s->b, (LLVMRealPredicate)s->op->as, y, s->x, "");
	return LLVMBuildSelect(s->b, is, s->y, s->x, "");
}

/* (x + y + 1) / 2 without overflow; LLVM knows this form as pavgb and urhadd. */
LLVMValueRef simd_average(const struct simd *s)
{
	LLVMValueRef x = simd_extend(s, s->x, false), y = simd_extend(s, s->y, false);
	LLVMValueRef one = simd_splat_int(s, LLVMTypeOf(x), 1);
	LLVMValueRef sum = LLVMBuildAdd(s->b, LLVMBuildAdd(s->b, x, y, ""), one, "");
	return LLVMBuildTrunc(s->b, LLVMBuildLShr(s->b, sum, one, ""), s->type, "");
}

/* (x * y + 2^14) >> 15; only -1 * -1 is too large, by one. */
LLVMValueRef simd_q15(const struct simd *s)
{
	LLVMValueRef x = simd_extend(s, s->x, true), y = simd_extend(s, s->y, true);
	LLVMTypeRef wide = LLVMTypeOf(x);
	LLVMValueRef v = LLVMBuildMul(s->b, x, y, "");
	v = LLVMBuildAdd(s->b, v, simd_splat_int(s, wide, 1 << 14), "");
	v = LLVMBuildAShr(s->b, v, simd_splat_int(s, wide, 15), "");
	v = simd_intrinsic(s, "llvm.smin", v, simd_splat_int(s, wide, INT16_MAX));
	return LLVMBuildTrunc(s->b, v, s->type, "");
}
