/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which loads LLVM would narrow to what is needed of them: of the eight bytes of
 * i32.wrap_i64(i64.load) it reads four, of a vector the lanes that are used. A load is out of bounds
 * exactly if its last byte is, so those that still read it trap as they should; the others are found
 * here. The last byte is followed through what only moves bytes.
 */
#include "sandbox/compiler/codegen.h"

/* How far a byte is followed; what goes further counts as needed. */
enum { STEPS = 64 };

static unsigned bytes_of(LLVMTypeRef type)
{
	switch (LLVMGetTypeKind(type)) {
	case LLVMVectorTypeKind:
		return bytes_of(LLVMGetElementType(type)) * LLVMGetVectorSize(type);
	case LLVMIntegerTypeKind:
		return LLVMGetIntTypeWidth(type) / 8;
	case LLVMFloatTypeKind:
		return 4;
	default:
		return 8;
	}
}

static bool is_needed(unsigned *steps, LLVMValueRef v, unsigned byte);

static bool lane_is_needed(LLVMValueRef extract, LLVMValueRef vector, unsigned byte)
{
	LLVMValueRef index = LLVMGetOperand(extract, 1);
	unsigned lane = byte / bytes_of(LLVMGetElementType(LLVMTypeOf(vector)));
	return index == vector || !LLVMIsAConstantInt(index) ||
	       LLVMConstIntGetZExtValue(index) == lane;
}

static bool inserted_is_needed(unsigned *steps, LLVMValueRef insert, LLVMValueRef v, unsigned byte)
{
	LLVMValueRef index = LLVMGetOperand(insert, 2);
	unsigned size = bytes_of(LLVMGetElementType(LLVMTypeOf(insert)));
	if (!LLVMIsAConstantInt(index))
		return true;
	unsigned lane = (unsigned)LLVMConstIntGetZExtValue(index);
	if (LLVMGetOperand(insert, 1) == v)
		return is_needed(steps, insert, lane * size + byte);
	return byte / size != lane && is_needed(steps, insert, byte);
}

static bool permuted_is_needed(unsigned *steps, LLVMValueRef shuffle, unsigned operand,
			       unsigned byte)
{
	LLVMTypeRef from = LLVMTypeOf(LLVMGetOperand(shuffle, operand));
	unsigned size = bytes_of(LLVMGetElementType(from));
	int lane = (int)(operand * LLVMGetVectorSize(from) + byte / size);
	for (unsigned i = 0; i < LLVMGetNumMaskElements(shuffle); i++) {
		if (LLVMGetMaskValue(shuffle, i) == lane &&
		    is_needed(steps, shuffle, i * size + byte % size))
			return true;
	}
	return false;
}

static bool masked_is_needed(LLVMValueRef mask, unsigned byte)
{
	return !LLVMIsAConstantInt(mask) ||
	       (LLVMConstIntGetZExtValue(mask) >> (8 * byte) & 0xff) != 0;
}

/* Sums and products carry to the bytes above, never below. */
static bool carried_is_needed(unsigned *steps, LLVMValueRef sum, unsigned byte)
{
	LLVMTypeRef type = LLVMTypeOf(sum);
	bool is_vector = LLVMGetTypeKind(type) == LLVMVectorTypeKind;
	unsigned size = bytes_of(is_vector ? LLVMGetElementType(type) : type);
	unsigned end = size ? byte / size * size + size : 0;
	for (; byte < end; byte++) {
		if (is_needed(steps, sum, byte))
			return true;
	}
	return false;
}

static bool use_needs(unsigned *steps, LLVMUseRef use, unsigned byte)
{
	LLVMValueRef user = LLVMGetUser(use), v = LLVMGetUsedValue(use);
	unsigned operand = LLVMGetOperand(user, 0) == v ? 0 : 1;
	switch (LLVMGetInstructionOpcode(user)) {
	case LLVMTrunc:
		return byte < bytes_of(LLVMTypeOf(user)) && is_needed(steps, user, byte);
	case LLVMAnd:
		return masked_is_needed(LLVMGetOperand(user, !operand), byte);
	case LLVMAdd:
	case LLVMSub:
	case LLVMMul:
		return carried_is_needed(steps, user, byte);
	case LLVMOr:
	case LLVMXor:
	case LLVMBitCast:
		return is_needed(steps, user, byte);
	case LLVMExtractElement:
		return lane_is_needed(user, v, byte);
	case LLVMInsertElement:
		return inserted_is_needed(steps, user, v, byte);
	case LLVMShuffleVector:
		return permuted_is_needed(steps, user, operand, byte);
	default:
		return true;
	}
}

static bool is_needed(unsigned *steps, LLVMValueRef v, unsigned byte)
{
	if (*steps == 0)
		return true;
	--*steps;
	for (LLVMUseRef use = LLVMGetFirstUse(v); use; use = LLVMGetNextUse(use)) {
		if (use_needs(steps, use, byte))
			return true;
	}
	return false;
}

bool keep_needs_last_byte(LLVMValueRef load)
{
	unsigned steps = STEPS;
	return is_needed(&steps, load, bytes_of(LLVMTypeOf(load)) - 1);
}
