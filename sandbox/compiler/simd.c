/* SPDX-License-Identifier: Apache-2.0 */
/* The table of all vector instructions, and what is the same for each of them. */
#include "sandbox/compiler/simd.h"

#include <string.h>

#define AT(name, shape_, emit_, as_)                                                               \
	[WASM_##name & 0xff] = { .emit = (emit_), .shape = (shape_), .as = (unsigned)(as_) }
#define CALL(name, shape_, emit_, intrinsic_)                                                      \
	[WASM_##name & 0xff] = { .emit = (emit_), .shape = (shape_), .intrinsic = (intrinsic_) }

/* The same operation for the shapes that have it. */
#define TO_16(how, op, emit, with)                                                                 \
	how(I8X16_##op, I8X16, emit, with), how(I16X8_##op, I16X8, emit, with)
#define TO_32(how, op, emit, with) TO_16(how, op, emit, with), how(I32X4_##op, I32X4, emit, with)
#define INTS(how, op, emit, with)  TO_32(how, op, emit, with), how(I64X2_##op, I64X2, emit, with)
#define FLOATS(how, op, emit, with)                                                                \
	how(F32X4_##op, F32X4, emit, with), how(F64X2_##op, F64X2, emit, with)
/* From each integer shape to the one with lanes twice as wide. */
#define WIDER(op, sign, emit, as)                                                                  \
	AT(I16X8_##op##_I8X16_##sign, I8X16, emit, as),                                            \
		AT(I32X4_##op##_I16X8_##sign, I16X8, emit, as),                                    \
		AT(I64X2_##op##_I32X4_##sign, I32X4, emit, as)

/* By the opcode's last byte; the prefix is 0xfd. */
static const struct simd_op ops[256] = {
	AT(V128_CONST, I8X16, simd_const, 0),

	/* Memory. */
	AT(V128_LOAD, I8X16, simd_load, 0),
	AT(V128_LOAD8X8_S, I8X16, simd_load_extend, SIMD_SIGNED),
	AT(V128_LOAD8X8_U, I8X16, simd_load_extend, SIMD_UNSIGNED),
	AT(V128_LOAD16X4_S, I16X8, simd_load_extend, SIMD_SIGNED),
	AT(V128_LOAD16X4_U, I16X8, simd_load_extend, SIMD_UNSIGNED),
	AT(V128_LOAD32X2_S, I32X4, simd_load_extend, SIMD_SIGNED),
	AT(V128_LOAD32X2_U, I32X4, simd_load_extend, SIMD_UNSIGNED),
	AT(V128_LOAD8_SPLAT, I8X16, simd_load_splat, 0),
	AT(V128_LOAD16_SPLAT, I16X8, simd_load_splat, 0),
	AT(V128_LOAD32_SPLAT, I32X4, simd_load_splat, 0),
	AT(V128_LOAD64_SPLAT, I64X2, simd_load_splat, 0),
	AT(V128_LOAD32_ZERO, I32X4, simd_load_zero, 0),
	AT(V128_LOAD64_ZERO, I64X2, simd_load_zero, 0),
	AT(V128_LOAD8_LANE, I8X16, simd_load_lane, 0),
	AT(V128_LOAD16_LANE, I16X8, simd_load_lane, 0),
	AT(V128_LOAD32_LANE, I32X4, simd_load_lane, 0),
	AT(V128_LOAD64_LANE, I64X2, simd_load_lane, 0),
	AT(V128_STORE, I8X16, simd_store, 0),
	AT(V128_STORE8_LANE, I8X16, simd_store_lane, 0),
	AT(V128_STORE16_LANE, I16X8, simd_store_lane, 0),
	AT(V128_STORE32_LANE, I32X4, simd_store_lane, 0),
	AT(V128_STORE64_LANE, I64X2, simd_store_lane, 0),

	/* Lanes. */
	AT(I8X16_SHUFFLE, I8X16, simd_shuffle, 0),
	AT(I8X16_SWIZZLE, I8X16, simd_swizzle, 0),
	INTS(AT, SPLAT, simd_make, 0),
	FLOATS(AT, SPLAT, simd_make, 0),
	TO_16(AT, EXTRACT_LANE_S, simd_extract, SIMD_SIGNED),
	TO_16(AT, EXTRACT_LANE_U, simd_extract, SIMD_UNSIGNED),
	AT(I32X4_EXTRACT_LANE, I32X4, simd_extract, 0),
	AT(I64X2_EXTRACT_LANE, I64X2, simd_extract, 0),
	FLOATS(AT, EXTRACT_LANE, simd_extract, 0),
	INTS(AT, REPLACE_LANE, simd_replace, 0),
	FLOATS(AT, REPLACE_LANE, simd_replace, 0),

	/* Comparisons: every bit of a lane tells. A NaN is unequal to everything. */
	INTS(AT, EQ, simd_compare, LLVMIntEQ),
	INTS(AT, NE, simd_compare, LLVMIntNE),
	INTS(AT, LT_S, simd_compare, LLVMIntSLT),
	TO_32(AT, LT_U, simd_compare, LLVMIntULT),
	INTS(AT, GT_S, simd_compare, LLVMIntSGT),
	TO_32(AT, GT_U, simd_compare, LLVMIntUGT),
	INTS(AT, LE_S, simd_compare, LLVMIntSLE),
	TO_32(AT, LE_U, simd_compare, LLVMIntULE),
	INTS(AT, GE_S, simd_compare, LLVMIntSGE),
	TO_32(AT, GE_U, simd_compare, LLVMIntUGE),
	FLOATS(AT, EQ, simd_fcompare, LLVMRealOEQ),
	FLOATS(AT, NE, simd_fcompare, LLVMRealUNE),
	FLOATS(AT, LT, simd_fcompare, LLVMRealOLT),
	FLOATS(AT, GT, simd_fcompare, LLVMRealOGT),
	FLOATS(AT, LE, simd_fcompare, LLVMRealOLE),
	FLOATS(AT, GE, simd_fcompare, LLVMRealOGE),

	/* Bits. */
	AT(V128_NOT, I8X16, simd_not, 0),
	AT(V128_AND, I8X16, simd_binary, LLVMAnd),
	AT(V128_ANDNOT, I8X16, simd_and_not, 0),
	AT(V128_OR, I8X16, simd_binary, LLVMOr),
	AT(V128_XOR, I8X16, simd_binary, LLVMXor),
	AT(V128_BITSELECT, I8X16, simd_select, 0),
	AT(V128_ANY_TRUE, I8X16, simd_any_true, 0),
	INTS(AT, ALL_TRUE, simd_all_true, 0),
	INTS(AT, BITMASK, simd_bitmask, 0),
	CALL(I8X16_POPCNT, I8X16, simd_call, "llvm.ctpop"),
	INTS(AT, SHL, simd_shift, LLVMShl),
	INTS(AT, SHR_S, simd_shift, LLVMAShr),
	INTS(AT, SHR_U, simd_shift, LLVMLShr),

	/* Integers. */
	INTS(AT, ABS, simd_abs, 0),
	INTS(AT, NEG, simd_neg, 0),
	INTS(AT, ADD, simd_binary, LLVMAdd),
	INTS(AT, SUB, simd_binary, LLVMSub),
	AT(I16X8_MUL, I16X8, simd_binary, LLVMMul),
	AT(I32X4_MUL, I32X4, simd_binary, LLVMMul),
	AT(I64X2_MUL, I64X2, simd_binary, LLVMMul),
	TO_16(CALL, ADD_SAT_S, simd_call, "llvm.sadd.sat"),
	TO_16(CALL, ADD_SAT_U, simd_call, "llvm.uadd.sat"),
	TO_16(CALL, SUB_SAT_S, simd_call, "llvm.ssub.sat"),
	TO_16(CALL, SUB_SAT_U, simd_call, "llvm.usub.sat"),
	TO_32(CALL, MIN_S, simd_call, "llvm.smin"),
	TO_32(CALL, MIN_U, simd_call, "llvm.umin"),
	TO_32(CALL, MAX_S, simd_call, "llvm.smax"),
	TO_32(CALL, MAX_U, simd_call, "llvm.umax"),
	TO_16(AT, AVGR_U, simd_average, 0),
	AT(I16X8_Q15MULR_SAT_S, I16X8, simd_q15, 0),

	/* Floats. */
	FLOATS(CALL, ABS, simd_call, "llvm.fabs"),
	FLOATS(AT, NEG, simd_fneg, 0),
	FLOATS(CALL, CEIL, simd_call, "llvm.ceil"),
	FLOATS(CALL, FLOOR, simd_call, "llvm.floor"),
	FLOATS(CALL, TRUNC, simd_call, "llvm.trunc"),
	FLOATS(CALL, NEAREST, simd_call, "llvm.roundeven"),
	FLOATS(CALL, SQRT, simd_call, "llvm.sqrt"),
	FLOATS(AT, ADD, simd_binary, LLVMFAdd),
	FLOATS(AT, SUB, simd_binary, LLVMFSub),
	FLOATS(AT, MUL, simd_binary, LLVMFMul),
	FLOATS(AT, DIV, simd_binary, LLVMFDiv),
	FLOATS(CALL, MIN, simd_minmax, "llvm.minimum"),
	FLOATS(CALL, MAX, simd_minmax, "llvm.maximum"),
	FLOATS(AT, PMIN, simd_pseudo, LLVMRealOLT),
	FLOATS(AT, PMAX, simd_pseudo, LLVMRealOGT),

	/* Between shapes; the shape here is that of the operands. */
	AT(I8X16_NARROW_I16X8_S, I16X8, simd_narrow, SIMD_SIGNED),
	AT(I8X16_NARROW_I16X8_U, I16X8, simd_narrow, SIMD_UNSIGNED),
	AT(I16X8_NARROW_I32X4_S, I32X4, simd_narrow, SIMD_SIGNED),
	AT(I16X8_NARROW_I32X4_U, I32X4, simd_narrow, SIMD_UNSIGNED),
	WIDER(EXTEND_LOW, S, simd_widen, SIMD_SIGNED),
	WIDER(EXTEND_LOW, U, simd_widen, SIMD_UNSIGNED),
	WIDER(EXTEND_HIGH, S, simd_widen, SIMD_SIGNED | SIMD_HIGH),
	WIDER(EXTEND_HIGH, U, simd_widen, SIMD_UNSIGNED | SIMD_HIGH),
	WIDER(EXTMUL_LOW, S, simd_widen_multiply, SIMD_SIGNED),
	WIDER(EXTMUL_LOW, U, simd_widen_multiply, SIMD_UNSIGNED),
	WIDER(EXTMUL_HIGH, S, simd_widen_multiply, SIMD_SIGNED | SIMD_HIGH),
	WIDER(EXTMUL_HIGH, U, simd_widen_multiply, SIMD_UNSIGNED | SIMD_HIGH),
	AT(I16X8_EXTADD_PAIRWISE_I8X16_S, I8X16, simd_widen_pairs, SIMD_SIGNED),
	AT(I16X8_EXTADD_PAIRWISE_I8X16_U, I8X16, simd_widen_pairs, SIMD_UNSIGNED),
	AT(I32X4_EXTADD_PAIRWISE_I16X8_S, I16X8, simd_widen_pairs, SIMD_SIGNED),
	AT(I32X4_EXTADD_PAIRWISE_I16X8_U, I16X8, simd_widen_pairs, SIMD_UNSIGNED),
	AT(I32X4_DOT_I16X8_S, I16X8, simd_dot, 0),
	AT(F32X4_CONVERT_I32X4_S, I32X4, simd_from_int, LLVMSIToFP),
	AT(F32X4_CONVERT_I32X4_U, I32X4, simd_from_int, LLVMUIToFP),
	AT(F64X2_CONVERT_LOW_I32X4_S, I32X4, simd_from_int_low, LLVMSIToFP),
	AT(F64X2_CONVERT_LOW_I32X4_U, I32X4, simd_from_int_low, LLVMUIToFP),
	AT(I32X4_TRUNC_SAT_F32X4_S, F32X4, simd_saturate, SIMD_SIGNED),
	AT(I32X4_TRUNC_SAT_F32X4_U, F32X4, simd_saturate, SIMD_UNSIGNED),
	AT(I32X4_TRUNC_SAT_F64X2_S_ZERO, F64X2, simd_saturate_zero, SIMD_SIGNED),
	AT(I32X4_TRUNC_SAT_F64X2_U_ZERO, F64X2, simd_saturate_zero, SIMD_UNSIGNED),
	AT(F32X4_DEMOTE_F64X2_ZERO, F64X2, simd_demote, 0),
	AT(F64X2_PROMOTE_LOW_F32X4, F32X4, simd_promote, 0),
};

LLVMTypeRef simd_ints(const struct simd *s, unsigned bits, unsigned lanes)
{
	return LLVMVectorType(LLVMIntTypeInContext(s->g->ctx, bits), lanes);
}

LLVMValueRef simd_splat(const struct simd *s, LLVMTypeRef type, LLVMValueRef v)
{
	LLVMValueRef one =
		LLVMBuildInsertElement(s->b, LLVMGetPoison(type), v, gen_i32(s->g, 0), "");
	LLVMTypeRef mask = simd_ints(s, 32, LLVMGetVectorSize(type));
	return LLVMBuildShuffleVector(s->b, one, LLVMGetPoison(type), LLVMConstNull(mask), "");
}

LLVMValueRef simd_splat_int(const struct simd *s, LLVMTypeRef type, uint64_t v)
{
	return simd_splat(s, type, LLVMConstInt(LLVMGetElementType(type), v, false));
}

LLVMValueRef simd_pick(const struct simd *s, LLVMValueRef x, LLVMValueRef y, unsigned first,
		       unsigned step, unsigned n)
{
	LLVMValueRef mask[32];
	ENSURE(n <= ARRAY_LEN(mask));
	for (unsigned i = 0; i < n; i++)
		mask[i] = gen_i32(s->g, first + i * step);
	return LLVMBuildShuffleVector(s->b, x, y, LLVMConstVector(mask, n), "");
}

LLVMValueRef simd_extend(const struct simd *s, LLVMValueRef v, bool is_signed)
{
	LLVMTypeRef from = LLVMTypeOf(v);
	unsigned bits = LLVMGetIntTypeWidth(LLVMGetElementType(from));
	LLVMTypeRef to = simd_ints(s, bits * 2, LLVMGetVectorSize(from));
	return is_signed ? LLVMBuildSExt(s->b, v, to, "") : LLVMBuildZExt(s->b, v, to, "");
}

LLVMValueRef simd_intrinsic(const struct simd *s, const char *name, LLVMValueRef x, LLVMValueRef y)
{
	LLVMTypeRef type = LLVMTypeOf(x);
	LLVMValueRef args[] = { x, y };
	return gen_intrinsic(s->g, name, &type, 1, args, y ? 2 : 1);
}

static void set_shape(struct simd *s)
{
	static const uint8_t bits[] = {
		[I8X16] = 8, [I16X8] = 16, [I32X4] = 32, [I64X2] = 64, [F32X4] = 32, [F64X2] = 64
	};
	struct gen *g = s->g;
	unsigned shape = s->op->shape;
	s->bits = bits[shape];
	s->lanes = 128 / s->bits;
	s->lane = shape == F32X4   ? g->f32
		  : shape == F64X2 ? g->f64
				   : LLVMIntTypeInContext(g->ctx, s->bits);
	s->type = LLVMVectorType(s->lane, s->lanes);
}

void emit_simd(struct fn *fn, const struct wasm_insn *insn)
{
	struct gen *g = fn->g;
	struct simd s = { .fn = fn, .g = g, .b = g->b, .insn = insn, .op = &ops[insn->op & 0xff] };
	ENSURE(s.op->emit != NULL);
	set_shape(&s);
	LLVMValueRef operand[3] = { NULL };
	size_t n = strlen(insn->info->pops);
	ENSURE(n <= ARRAY_LEN(operand));
	while (n-- > 0) {
		operand[n] = fn_pop(fn);
		if (insn->info->pops[n] == 'v')
			operand[n] = LLVMBuildBitCast(g->b, operand[n], s.type, "");
	}
	s.x = operand[0], s.y = operand[1], s.z = operand[2];
	LLVMValueRef v = s.op->emit(&s);
	if (v && insn->info->pushes[0] == 'v')
		v = LLVMBuildBitCast(g->b, v, gen_type(g, AOT_V128), "");
	if (v)
		fn_push(fn, v);
}
