/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which loads LLVM would narrow to what is needed of them: of the eight bytes of
 * i32.wrap_i64(i64.load) it reads four, of a vector the lanes that are used. A load is out of bounds
 * exactly if its last byte is, so those that still read it trap as they should; the others are found
 * here. The users of a value are looked at, not the users of what they make of it.
 */
#include "sandbox/compiler/codegen.h"

/* Whether a permutation takes the last lane of an operand. */
static bool takes_last_lane(LLVMValueRef shuffle, unsigned operand)
{
	unsigned lanes = LLVMGetVectorSize(LLVMTypeOf(LLVMGetOperand(shuffle, operand)));
	int last = (int)(lanes * (operand + 1) - 1);
	for (unsigned i = 0; i < LLVMGetNumMaskElements(shuffle); i++) {
		if (LLVMGetMaskValue(shuffle, i) == last)
			return true;
	}
	return false;
}

static bool is_last_lane(LLVMValueRef vector, LLVMValueRef index)
{
	return !LLVMIsAConstantInt(index) ||
	       LLVMConstIntGetZExtValue(index) + 1 == LLVMGetVectorSize(LLVMTypeOf(vector));
}

/* Whether a mask of a number takes its highest byte. */
static bool takes_last_byte(LLVMValueRef mask)
{
	if (!LLVMIsAConstantInt(mask))
		return true;
	unsigned bits = LLVMGetIntTypeWidth(LLVMTypeOf(mask));
	return LLVMConstIntGetZExtValue(mask) >> (bits - 8) != 0;
}

static bool use_needs_last_byte(LLVMUseRef use)
{
	LLVMValueRef user = LLVMGetUser(use), v = LLVMGetUsedValue(use);
	unsigned operand = LLVMGetOperand(user, 0) == v ? 0 : 1;
	switch (LLVMGetInstructionOpcode(user)) {
	case LLVMTrunc:
		return false;
	case LLVMAnd:
		return takes_last_byte(LLVMGetOperand(user, !operand));
	case LLVMBitCast:
		return keep_needs_last_byte(user);
	case LLVMExtractElement:
		return is_last_lane(v, LLVMGetOperand(user, 1));
	case LLVMShuffleVector:
		return takes_last_lane(user, operand);
	default:
		return true;
	}
}

bool keep_needs_last_byte(LLVMValueRef v)
{
	for (LLVMUseRef use = LLVMGetFirstUse(v); use; use = LLVMGetNextUse(use)) {
		if (use_needs_last_byte(use))
			return true;
	}
	return false;
}
