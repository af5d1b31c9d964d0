/* SPDX-License-Identifier: Apache-2.0 */
/* Single lanes: constants, lanes in and out, permutations, and questions about all of them. */
#include "sandbox/compiler/simd.h"

LLVMValueRef simd_const(const struct simd *s)
{
	return gen_constant(s->g, AOT_V128, &s->insn->value);
}

LLVMValueRef simd_shuffle(const struct simd *s)
{
	LLVMValueRef mask[16];
	for (size_t i = 0; i < ARRAY_LEN(mask); i++)
		mask[i] = gen_i32(s->g, s->insn->value.v128[i]);
	return LLVMBuildShuffleVector(s->b, s->x, s->y, LLVMConstVector(mask, 16), "");
}

/* Lane by lane, from which LLVM makes one pshufb or tbl. Indices are masked first, as one out of
 * range would be poison; their lanes are 0 in the end. */
LLVMValueRef simd_swizzle(const struct simd *s)
{
	LLVMBuilderRef b = s->b;
	LLVMValueRef at = LLVMBuildAnd(b, s->y, simd_splat_int(s, s->type, 15), "");
	LLVMValueRef v = LLVMGetPoison(s->type);
	for (unsigned i = 0; i < s->lanes; i++) {
		LLVMValueRef lane = gen_i32(s->g, i);
		LLVMValueRef from = LLVMBuildExtractElement(b, at, lane, "");
		v = LLVMBuildInsertElement(b, v, LLVMBuildExtractElement(b, s->x, from, ""), lane,
					   "");
	}
	LLVMValueRef inside =
		LLVMBuildICmp(b, LLVMIntULT, s->y, simd_splat_int(s, s->type, s->lanes), "");
	return LLVMBuildSelect(b, inside, v, LLVMConstNull(s->type), "");
}

/* Lanes of 8 and 16 bits are i32 outside. */
static LLVMValueRef to_lane(const struct simd *s, LLVMValueRef v)
{
	return s->bits < 32 ? LLVMBuildTrunc(s->b, v, s->lane, "") : v;
}

LLVMValueRef simd_make(const struct simd *s)
{
	return simd_splat(s, s->type, to_lane(s, s->x));
}

LLVMValueRef simd_extract(const struct simd *s)
{
	LLVMValueRef v = LLVMBuildExtractElement(s->b, s->x, gen_i32(s->g, s->insn->index), "");
	if (s->bits >= 32)
		return v;
	return s->op->as == SIMD_SIGNED ? LLVMBuildSExt(s->b, v, s->g->i32, "")
					: LLVMBuildZExt(s->b, v, s->g->i32, "");
}

LLVMValueRef simd_replace(const struct simd *s)
{
	return LLVMBuildInsertElement(s->b, s->x, to_lane(s, s->y), gen_i32(s->g, s->insn->index),
				      "");
}

static LLVMValueRef to_i32(const struct simd *s, LLVMValueRef v)
{
	return LLVMBuildZExt(s->b, v, s->g->i32, "");
}

LLVMValueRef simd_any_true(const struct simd *s)
{
	LLVMValueRef all = LLVMBuildBitCast(s->b, s->x, LLVMIntTypeInContext(s->g->ctx, 128), "");
	return to_i32(s, LLVMBuildIsNotNull(s->b, all, ""));
}

LLVMValueRef simd_all_true(const struct simd *s)
{
	LLVMValueRef is = LLVMBuildICmp(s->b, LLVMIntNE, s->x, LLVMConstNull(s->type), "");
	return to_i32(s, simd_intrinsic(s, "llvm.vector.reduce.and", is, NULL));
}

LLVMValueRef simd_bitmask(const struct simd *s)
{
	LLVMValueRef is = LLVMBuildICmp(s->b, LLVMIntSLT, s->x, LLVMConstNull(s->type), "");
	LLVMTypeRef bits = LLVMIntTypeInContext(s->g->ctx, s->lanes);
	return to_i32(s, LLVMBuildBitCast(s->b, is, bits, ""));
}
