/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arithmetic makes a signalling NaN quiet, also x * 1, x - 0, and demoting what was promoted. LLVM
 * folds these to x. Compilers that make Wasm fold them too, so they are rare, and hiding the one
 * constant behind llvm.arithmetic.fence costs nothing elsewhere.
 */
#include "sandbox/compiler/codegen.h"

#include <math.h>
#include <string.h>

enum { LANES = 4 }; /* of floats, at most */

/* Vectors change their shape by bitcasts, as instructions and within constants. */
static LLVMValueRef without_bitcast(LLVMValueRef v)
{
	while (LLVMIsABitCastInst(v) ||
	       (LLVMIsAConstantExpr(v) && LLVMGetConstOpcode(v) == LLVMBitCast))
		v = LLVMGetOperand(v, 0);
	return v;
}

/* What a splat repeats; v itself where it is none. */
static LLVMValueRef without_splat(LLVMValueRef v)
{
	LLVMValueRef insert = LLVMIsAShuffleVectorInst(v) ? LLVMGetOperand(v, 0) : NULL;
	return insert && LLVMIsAInsertElementInst(insert) ? LLVMGetOperand(insert, 1) : v;
}

/* The bits of a constant number. */
static bool scalar_bits(LLVMValueRef c, uint64_t *ret)
{
	LLVMBool lossy;
	if (LLVMIsAConstantInt(c)) {
		*ret = LLVMConstIntGetZExtValue(c);
		return true;
	}
	if (!LLVMIsAConstantFP(c))
		return false;
	double d = LLVMConstRealGetDouble(c, &lossy);
	float f = (float)d;
	*ret = 0;
	if (LLVMGetTypeKind(LLVMTypeOf(c)) == LLVMDoubleTypeKind)
		memcpy(ret, &d, sizeof(d));
	else
		memcpy(ret, &f, sizeof(f));
	return true;
}

/* The bytes of a constant vector as they are in memory. */
static bool vector_bytes(LLVMValueRef c, uint8_t ret[16])
{
	LLVMTypeRef type = LLVMTypeOf(c);
	if (!LLVMIsAConstant(c) || LLVMGetTypeKind(type) != LLVMVectorTypeKind)
		return false;
	unsigned n = LLVMGetVectorSize(type), bytes = 16 / n;
	for (unsigned i = 0; i < n; i++) {
		uint64_t bits;
		if (!scalar_bits(LLVMGetAggregateElement(c, i), &bits))
			return false;
		memcpy(ret + (size_t)i * bytes, &bits, bytes);
	}
	return true;
}

/* The numbers that are known to be in the lanes of v; how many. */
static unsigned numbers_of(struct gen *g, LLVMValueRef v, double numbers[LANES])
{
	LLVMBool lossy;
	uint8_t bytes[16];
	float singles[LANES];
	LLVMValueRef c = without_splat(without_bitcast(v));
	if (LLVMIsAConstantFP(c)) {
		numbers[0] = LLVMConstRealGetDouble(c, &lossy);
		return 1;
	}
	if (!vector_bytes(c, bytes))
		return 0;
	if (LLVMGetElementType(LLVMTypeOf(v)) == g->f64) {
		memcpy(numbers, bytes, sizeof(bytes));
		return 2;
	}
	memcpy(singles, bytes, sizeof(singles));
	for (size_t i = 0; i < LANES; i++)
		numbers[i] = (double)singles[i];
	return LANES;
}

/* Whether x op v or v op x would fold to x or -x. */
static bool is_neutral(LLVMOpcode op, unsigned operand, double v)
{
	switch (op) {
	case LLVMFAdd:
		return v == 0 && signbit(v);
	case LLVMFSub:
		return v == 0 && (operand == 1 || signbit(v));
	case LLVMFMul:
		return fabs(v) == 1;
	case LLVMFDiv:
		return fabs(v) == 1 && operand == 1;
	default:
		return false;
	}
}

static void hide(struct gen *g, LLVMValueRef user, unsigned operand)
{
	LLVMValueRef x = LLVMGetOperand(user, operand);
	LLVMTypeRef type = LLVMTypeOf(x);
	LLVMPositionBuilderBefore(g->b, user);
	LLVMSetOperand(user, operand, gen_intrinsic(g, "llvm.arithmetic.fence", &type, 1, &x, 1));
}

static void hide_neutral(struct gen *g, LLVMValueRef user, unsigned operand)
{
	double numbers[LANES];
	LLVMOpcode op = LLVMGetInstructionOpcode(user);
	unsigned n = numbers_of(g, LLVMGetOperand(user, operand), numbers);
	while (n > 0 && !is_neutral(op, operand, numbers[n - 1]))
		n--;
	if (n > 0)
		hide(g, user, operand);
}

void keep_quieting(struct gen *g, LLVMValueRef v)
{
	LLVMOpcode op = LLVMGetInstructionOpcode(v);
	if (op == LLVMFPTrunc && LLVMIsAFPExtInst(without_bitcast(LLVMGetOperand(v, 0))))
		hide(g, v, 0);
	if (op != LLVMFAdd && op != LLVMFSub && op != LLVMFMul && op != LLVMFDiv)
		return;
	hide_neutral(g, v, 0);
	hide_neutral(g, v, 1);
}
