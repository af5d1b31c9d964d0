/* SPDX-License-Identifier: Apache-2.0 */
/* From one shape to another. Of two shapes, the row in the opcode table has that of the operands. */
#include "sandbox/compiler/simd.h"

/* Operands are signed in any case; the result's range is what is signed or not. */
LLVMValueRef simd_narrow(const struct simd *s)
{
	LLVMValueRef v = simd_pick(s, s->x, s->y, 0, 1, s->lanes * 2);
	LLVMTypeRef wide = LLVMTypeOf(v);
	unsigned bits = s->bits / 2;
	bool is_signed = s->op->as == SIMD_SIGNED;
	uint64_t most = (UINT64_C(1) << (is_signed ? bits - 1 : bits)) - 1;
	uint64_t least = is_signed ? ~most : 0;
	v = simd_intrinsic(s, "llvm.smax", v, simd_splat_int(s, wide, least));
	v = simd_intrinsic(s, "llvm.smin", v, simd_splat_int(s, wide, most));
	return LLVMBuildTrunc(s->b, v, simd_ints(s, bits, s->lanes * 2), "");
}

static LLVMValueRef widened(const struct simd *s, LLVMValueRef v)
{
	unsigned half = s->lanes / 2, first = s->op->as & SIMD_HIGH ? half : 0;
	return simd_extend(s, simd_pick(s, v, v, first, 1, half), s->op->as & SIMD_SIGNED);
}

LLVMValueRef simd_widen(const struct simd *s)
{
	return widened(s, s->x);
}

LLVMValueRef simd_widen_multiply(const struct simd *s)
{
	LLVMValueRef x = widened(s, s->x);
	return LLVMBuildMul(s->b, x, widened(s, s->y), "");
}

/* The sums of neighbours in v. */
static LLVMValueRef add_pairs(const struct simd *s, LLVMValueRef v)
{
	unsigned n = LLVMGetVectorSize(LLVMTypeOf(v)) / 2;
	LLVMValueRef even = simd_pick(s, v, v, 0, 2, n);
	return LLVMBuildAdd(s->b, even, simd_pick(s, v, v, 1, 2, n), "");
}

LLVMValueRef simd_widen_pairs(const struct simd *s)
{
	return add_pairs(s, simd_extend(s, s->x, s->op->as & SIMD_SIGNED));
}

LLVMValueRef simd_dot(const struct simd *s)
{
	LLVMValueRef x = simd_extend(s, s->x, true);
	return add_pairs(s, LLVMBuildMul(s->b, x, simd_extend(s, s->y, true), ""));
}

static LLVMValueRef low_two(const struct simd *s, LLVMValueRef v)
{
	return simd_pick(s, v, v, 0, 1, 2);
}

static LLVMValueRef two_and_zero(const struct simd *s, LLVMValueRef v)
{
	return simd_pick(s, v, LLVMConstNull(LLVMTypeOf(v)), 0, 1, 4);
}

LLVMValueRef simd_from_int(const struct simd *s)
{
	LLVMTypeRef to = LLVMVectorType(s->g->f32, 4);
	return LLVMBuildCast(s->b, (LLVMOpcode)s->op->as, s->x, to, "");
}

LLVMValueRef simd_from_int_low(const struct simd *s)
{
	LLVMTypeRef to = LLVMVectorType(s->g->f64, 2);
	return LLVMBuildCast(s->b, (LLVMOpcode)s->op->as, low_two(s, s->x), to, "");
}

/* `most` where x is too large and, of signed numbers, `least` where it is too small; LLVM's
 * conversion has no value there, and needs none, as it is not selected. */
static LLVMValueRef convert_in_range(const struct simd *s, LLVMTypeRef to, bool is_signed)
{
	LLVMBuilderRef b = s->b;
	LLVMValueRef v =
		is_signed ? LLVMBuildFPToSI(b, s->x, to, "") : LLVMBuildFPToUI(b, s->x, to, "");
	LLVMValueRef low = LLVMConstReal(s->type, is_signed ? -0x1p31 : 0.0);
	LLVMValueRef high = LLVMConstReal(s->type, is_signed ? 0x1p31 : 0x1p32);
	LLVMValueRef least = simd_splat_int(s, to, is_signed ? (uint32_t)INT32_MIN : 0);
	LLVMValueRef most = simd_splat_int(s, to, is_signed ? INT32_MAX : UINT32_MAX);
	LLVMValueRef small = LLVMBuildFCmp(b, LLVMRealULT, s->x, low, "");
	LLVMValueRef large = LLVMBuildFCmp(b, LLVMRealOGE, s->x, high, "");
	v = LLVMBuildSelect(b, small, least, v, "");
	v = LLVMBuildSelect(b, large, most, v, "");
	if (!is_signed)
		return v; /* a NaN counts as small */
	LLVMValueRef nan = LLVMBuildFCmp(b, LLVMRealUNO, s->x, s->x, "");
	return LLVMBuildSelect(b, nan, LLVMConstNull(to), v, "");
}

/* For x86, LLVM 19 makes four scalar conversions out of the saturating one: 32 instructions. */
LLVMValueRef simd_saturate(const struct simd *s)
{
	LLVMTypeRef over[] = { simd_ints(s, 32, s->lanes), s->type };
	LLVMValueRef x = s->x;
	if (s->g->t->is_x86)
		return convert_in_range(s, over[0], s->op->as == SIMD_SIGNED);
	return gen_intrinsic(s->g, s->op->as == SIMD_SIGNED ? "llvm.fptosi.sat" : "llvm.fptoui.sat",
			     over, 2, &x, 1);
}

LLVMValueRef simd_saturate_zero(const struct simd *s)
{
	return two_and_zero(s, simd_saturate(s));
}

LLVMValueRef simd_demote(const struct simd *s)
{
	return two_and_zero(s, LLVMBuildFPTrunc(s->b, s->x, LLVMVectorType(s->g->f32, 2), ""));
}

LLVMValueRef simd_promote(const struct simd *s)
{
	return LLVMBuildFPExt(s->b, low_two(s, s->x), LLVMVectorType(s->g->f64, 2), "");
}
