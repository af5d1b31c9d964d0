/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the code generator would read or write less of: one byte of the four of (x >> 8) & 255, and
 * the one that "x |= 1" changes in memory. It knows nothing of accesses that trap as a whole. As long
 * as the last byte is among those that are left, the trap is the same one, because memory ends
 * upwards; accesses of which it may be left out become volatile here, and stay as wide as they are.
 *
 * This runs at the very end, when no loop is to be vectorised any more. What the optimiser itself
 * narrows has to be found before it: keep_narrow.c.
 */
#include "sandbox/compiler/codegen.h"

enum { HOPS_MAX = 8 };

static bool is_access(LLVMValueRef v)
{
	return LLVMGetInstructionOpcode(v) == LLVMLoad && LLVMGetAlignment(v) == 1;
}

static LLVMValueRef only_user(LLVMValueRef v)
{
	LLVMUseRef u = LLVMGetFirstUse(v);
	return u && !LLVMGetNextUse(u) ? LLVMGetUser(u) : NULL;
}

/* The constant among the operands of v; false: there is none, or it is too wide. */
static bool constant_of(LLVMValueRef v, unsigned *ret_at, uint64_t *ret)
{
	for (unsigned i = 0; i < 2; i++) {
		LLVMValueRef c = LLVMGetOperand(v, i);
		if (!LLVMIsAConstantInt(c) || LLVMGetIntTypeWidth(LLVMTypeOf(c)) > 64)
			continue;
		*ret_at = i;
		*ret = LLVMConstIntGetZExtValue(c);
		return true;
	}
	return false;
}

/* How many bits, from the lowest, reach up to the highest that is set. */
static unsigned width_of(uint64_t v)
{
	return v ? 64 - (unsigned)__builtin_clzll(v) : 0;
}

/* The store that v goes to, also after other bits have been put in: x & ~255 | y. */
static LLVMValueRef store_of(LLVMValueRef v)
{
	LLVMValueRef user = only_user(v);
	if (user && LLVMIsAInstruction(v) && LLVMGetInstructionOpcode(v) == LLVMAnd &&
	    LLVMGetInstructionOpcode(user) == LLVMOr)
		user = only_user(user);
	return user && LLVMGetInstructionOpcode(user) == LLVMStore ? user : NULL;
}

/* One step from what was loaded to who uses it. Returns how many of the loaded bits, from the lowest,
 * are needed (or, before a store, changed); `all` when that is not known; 0 to go on. */
static unsigned needed_by(LLVMValueRef user, unsigned all, unsigned *shift)
{
	LLVMOpcode op = LLVMGetInstructionOpcode(user);
	uint64_t c = 0, mask = all < 64 ? (UINT64_C(1) << all) - 1 : UINT64_MAX;
	unsigned at;
	if (op == LLVMTrunc)
		return *shift + LLVMGetIntTypeWidth(LLVMTypeOf(user));
	if (op != LLVMAnd && op != LLVMOr && op != LLVMXor && op != LLVMLShr && op != LLVMAShr)
		return all;
	if (!constant_of(user, &at, &c))
		return op == LLVMLShr || op == LLVMAShr ? all : 0;
	if (op == LLVMLShr || op == LLVMAShr) {
		*shift += (unsigned)c;
		return at == 1 && *shift < all ? 0 : all;
	}
	if (store_of(user) && *shift == 0)
		return width_of((op == LLVMAnd ? ~c : c) & mask);
	return op == LLVMAnd ? *shift + width_of(c & mask) : 0;
}

/* Whether the last byte of a loaded integer may be left out; *ret_last is its last user looked at. */
static bool may_shrink(LLVMValueRef load, LLVMValueRef *ret_last)
{
	LLVMTypeRef type = LLVMTypeOf(load);
	unsigned shift = 0, needed = 0;
	if (LLVMGetTypeKind(type) != LLVMIntegerTypeKind)
		return false;
	unsigned all = LLVMGetIntTypeWidth(type);
	LLVMValueRef v = load;
	for (unsigned hops = 0; all > 8 && needed == 0 && hops < HOPS_MAX; hops++) {
		v = only_user(v);
		if (!v || !LLVMIsAInstruction(v))
			return false;
		needed = needed_by(v, all, &shift);
	}
	*ret_last = v;
	return needed > 0 && needed <= all - 8;
}

static void keep(LLVMValueRef load)
{
	LLVMValueRef last;
	if (!is_access(load) || !may_shrink(load, &last))
		return;
	LLVMSetVolatile(load, true);
	/* Where the result goes back to memory it is the store that has to be; LLVM narrows even a
	 * volatile load to fit it. */
	if (store_of(last))
		LLVMSetVolatile(store_of(last), true);
}

void widths_keep(struct gen *g)
{
	for (uint32_t i = g->first; i < g->end; i++) {
		LLVMBasicBlockRef block = LLVMGetFirstBasicBlock(g->funcs[i]);
		for (; block; block = LLVMGetNextBasicBlock(block)) {
			LLVMValueRef v = LLVMGetFirstInstruction(block);
			for (; v; v = LLVMGetNextInstruction(v))
				keep(v);
		}
	}
}
