/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vector instructions: what the simd_*.c files share.
 *
 * Between instructions a v128 is <16 x i8>; each instruction sees its operands as the lanes of its
 * shape and may give a vector of any shape back. Both are bitcasts, which cost nothing: lane 0 is at
 * the lowest address on both machines, as in Wasm.
 */
#ifndef COMPILER_SIMD_H
#define COMPILER_SIMD_H

#include "sandbox/compiler/codegen.h"

enum simd_shape { I8X16, I16X8, I32X4, I64X2, F32X4, F64X2 };

struct simd;
/* The result: a vector of 128 bits, a number, or NULL where the instruction has none. */
typedef LLVMValueRef simd_emit(const struct simd *s);

/* One row of the opcode table. */
struct simd_op {
	simd_emit *emit;
	uint8_t shape; /* of its operands; of its result where no operand is a vector */
	unsigned as;   /* an LLVM opcode or predicate, or flags */
	const char *intrinsic;
};

enum { SIMD_UNSIGNED = 0, SIMD_SIGNED = 1, SIMD_HIGH = 2 };

/* One instruction in translation. */
struct simd {
	struct fn *fn;
	struct gen *g;
	LLVMBuilderRef b;
	const struct wasm_insn *insn;
	const struct simd_op *op;
	LLVMTypeRef type, lane; /* of the shape */
	unsigned lanes, bits;
	LLVMValueRef x, y, z; /* operands, first pushed first; NULL behind the last */
};

/* simd.c */
LLVMTypeRef simd_ints(const struct simd *s, unsigned bits, unsigned lanes);
LLVMValueRef simd_splat(const struct simd *s, LLVMTypeRef type, LLVMValueRef v);
LLVMValueRef simd_splat_int(const struct simd *s, LLVMTypeRef type, uint64_t v);
/* Lanes first, first + step, ... of x and, behind its last, of y; n of them. */
LLVMValueRef simd_pick(const struct simd *s, LLVMValueRef x, LLVMValueRef y, unsigned first,
		       unsigned step, unsigned n);
LLVMValueRef simd_extend(const struct simd *s, LLVMValueRef v, bool is_signed);
LLVMValueRef simd_intrinsic(const struct simd *s, const char *name, LLVMValueRef x, LLVMValueRef y);

/* simd_lanes.c */
simd_emit simd_const, simd_shuffle, simd_swizzle, simd_make, simd_extract, simd_replace;
simd_emit simd_any_true, simd_all_true, simd_bitmask;
/* simd_memory.c */
simd_emit simd_load, simd_load_extend, simd_load_splat, simd_load_zero, simd_load_lane;
simd_emit simd_store, simd_store_lane;
/* simd_numeric.c */
simd_emit simd_not, simd_and_not, simd_select, simd_binary, simd_shift, simd_compare;
simd_emit simd_fcompare, simd_call, simd_abs, simd_neg, simd_fneg, simd_minmax, simd_pseudo;
simd_emit simd_average, simd_q15;
/* simd_convert.c */
simd_emit simd_narrow, simd_widen, simd_widen_multiply, simd_widen_pairs, simd_dot;
simd_emit simd_from_int, simd_from_int_low, simd_saturate, simd_saturate_zero;
simd_emit simd_demote, simd_promote;

#endif
