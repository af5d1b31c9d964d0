/* SPDX-License-Identifier: Apache-2.0 */
/* Loads and stores of vectors. Addresses, bounds and alignment are as for numbers (memory.c). */
#include "sandbox/compiler/simd.h"

static LLVMValueRef load(const struct simd *s, LLVMTypeRef type)
{
	return gen_load(s->g, type, memory_address(s->fn, s->insn, s->x), ALIAS_MEMORY);
}

LLVMValueRef simd_load(const struct simd *s)
{
	return load(s, s->type);
}

LLVMValueRef simd_load_extend(const struct simd *s)
{
	LLVMValueRef v = load(s, LLVMVectorType(s->lane, s->lanes / 2));
	return simd_extend(s, v, s->op->as == SIMD_SIGNED);
}

LLVMValueRef simd_load_splat(const struct simd *s)
{
	return simd_splat(s, s->type, load(s, s->lane));
}

LLVMValueRef simd_load_zero(const struct simd *s)
{
	return LLVMBuildInsertElement(s->b, LLVMConstNull(s->type), load(s, s->lane),
				      gen_i32(s->g, 0), "");
}

LLVMValueRef simd_load_lane(const struct simd *s)
{
	return LLVMBuildInsertElement(s->b, s->y, load(s, s->lane), gen_i32(s->g, s->insn->index),
				      "");
}

static void store(const struct simd *s, LLVMValueRef v)
{
	gen_store(s->g, v, memory_address(s->fn, s->insn, s->x), ALIAS_MEMORY);
}

LLVMValueRef simd_store(const struct simd *s)
{
	store(s, s->y);
	return NULL;
}

LLVMValueRef simd_store_lane(const struct simd *s)
{
	store(s, LLVMBuildExtractElement(s->b, s->y, gen_i32(s->g, s->insn->index), ""));
	return NULL;
}
