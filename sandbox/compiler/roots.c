/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arrays, told apart. Natively two arrays are two pointers, and the vectoriser, where it cannot know
 * whether they overlap, has the loop compare them when it runs. In Wasm both are the one base of the
 * memory and an index: there it compares the indices instead, and gives up where they advance by
 * different steps (a[j][k] beside c[i][j]).
 *
 * So for the second half of the pipeline the base has a name for each of the pointers that indices
 * are made from (parameters, what was loaded or returned): the result of a function that only hands
 * it on, which LLVM knows nothing about. That is always true, and takes nothing away: accesses with
 * different names may still be the same place.
 */
#include "sandbox/compiler/codegen.h"

#include <string.h>

#define ROOT "penstock root" /* no function of a guest has a space in its name */

enum {
	POINTERS = 2, /* that an index may be made from: pointer and offset */
	NAMES = 16,   /* in one function; the other accesses keep the base */
	STEPS = 24,   /* values that are looked at to find the pointers */
};

struct key {
	LLVMValueRef base, pointers[POINTERS];
	unsigned n;
};

struct roots {
	struct gen *g;
	LLVMValueRef root; /* the function that hands on */
	struct key keys[NAMES];
	LLVMValueRef names[NAMES];
	unsigned nkeys;
};

struct seen {
	LLVMValueRef v[STEPS];
	unsigned n;
};

static bool see(struct seen *seen, LLVMValueRef v)
{
	for (unsigned i = 0; i < seen->n; i++) {
		if (seen->v[i] == v)
			return true;
	}
	if (seen->n == STEPS)
		return false;
	seen->v[seen->n++] = v;
	return true;
}

/* Adds what v is the sum or the choice of. */
static bool see_operands(struct seen *seen, LLVMValueRef v)
{
	unsigned first = 0, n = 0;
	switch (LLVMGetInstructionOpcode(v)) {
	case LLVMAdd:
	case LLVMSub:
	case LLVMOr:
		n = 2;
		break;
	case LLVMSelect:
		first = 1;
		n = 3;
		break;
	case LLVMPHI:
		n = LLVMCountIncoming(v);
		for (unsigned i = 0; i < n; i++) {
			if (!see(seen, LLVMGetIncomingValue(v, i)))
				return false;
		}
		return true;
	default:
		break;
	}
	for (unsigned i = first; i < n; i++) {
		if (!see(seen, LLVMGetOperand(v, i)))
			return false;
	}
	return true;
}

static bool is_pointer(LLVMValueRef v)
{
	return LLVMIsAArgument(v) || LLVMIsALoadInst(v) || LLVMIsACallInst(v);
}

/* Which pointers an index is made from, by address. */
static bool find_pointers(LLVMValueRef index, struct key *key)
{
	struct seen seen = { .v = { index }, .n = 1 };
	for (unsigned i = 0; i < seen.n; i++) {
		LLVMValueRef v = seen.v[i];
		if (is_pointer(v)) {
			if (key->n == POINTERS)
				return false;
			key->pointers[key->n++] = v;
		} else if (LLVMIsAInstruction(v) && !see_operands(&seen, v)) {
			return false;
		}
	}
	if (key->n == 2 && (uintptr_t)key->pointers[0] > (uintptr_t)key->pointers[1]) {
		LLVMValueRef v = key->pointers[0];
		key->pointers[0] = key->pointers[1];
		key->pointers[1] = v;
	}
	return key->n > 0;
}

static bool is_base(const struct gen *g, LLVMValueRef v)
{
	return LLVMIsALoadInst(v) && LLVMGetMetadata(v, g->md_invariant);
}

static bool find_key(const struct gen *g, LLVMValueRef v, struct key *ret)
{
	*ret = (struct key){ 0 };
	if (!LLVMIsAGetElementPtrInst(v) || LLVMGetNumOperands(v) != 2 ||
	    LLVMGetGEPSourceElementType(v) != g->i8 || !is_base(g, LLVMGetOperand(v, 0)))
		return false;
	ret->base = LLVMGetOperand(v, 0);
	LLVMValueRef index = LLVMGetOperand(v, 1);
	while (LLVMIsAInstruction(index) && LLVMGetInstructionOpcode(index) == LLVMAdd &&
	       LLVMIsAConstantInt(LLVMGetOperand(index, 1)))
		index = LLVMGetOperand(index, 0);
	return LLVMIsAZExtInst(index) && find_pointers(LLVMGetOperand(index, 0), ret);
}

static LLVMValueRef name_of(struct roots *r, const struct key *key)
{
	struct gen *g = r->g;
	for (unsigned i = 0; i < r->nkeys; i++) {
		if (memcmp(&r->keys[i], key, sizeof(*key)) == 0)
			return r->names[i];
	}
	if (r->nkeys == NAMES)
		return key->base;
	LLVMValueRef args[] = { key->base, gen_i32(g, r->nkeys) };
	LLVMPositionBuilderBefore(g->b, LLVMGetNextInstruction(key->base));
	LLVMValueRef name =
		LLVMBuildCall2(g->b, LLVMGlobalGetValueType(r->root), r->root, args, 2, "");
	r->keys[r->nkeys] = *key;
	r->names[r->nkeys++] = name;
	return name;
}

static void split_function(struct roots *r, LLVMValueRef f)
{
	struct key key;
	r->nkeys = 0;
	for (LLVMBasicBlockRef b = LLVMGetFirstBasicBlock(f); b; b = LLVMGetNextBasicBlock(b)) {
		for (LLVMValueRef v = LLVMGetFirstInstruction(b); v;
		     v = LLVMGetNextInstruction(v)) {
			if (find_key(r->g, v, &key))
				LLVMSetOperand(v, 0, name_of(r, &key));
		}
	}
}

void roots_split(struct gen *g)
{
	static const char *const attributes[] = { "nocallback", "nofree", "nosync",
						  "nounwind",   "memory", "speculatable",
						  "willreturn" };
	struct roots r = { .g = g };
	LLVMTypeRef params[] = { g->ptr, g->i32 };
	r.root = LLVMAddFunction(g->mod, ROOT, LLVMFunctionType(g->ptr, params, 2, false));
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
		unsigned kind =
			LLVMGetEnumAttributeKindForName(attributes[i], strlen(attributes[i]));
		LLVMAddAttributeAtIndex(r.root, LLVMAttributeFunctionIndex,
					LLVMCreateEnumAttribute(g->ctx, kind, 0));
	}
	for (LLVMValueRef f = LLVMGetFirstFunction(g->mod); f; f = LLVMGetNextFunction(f))
		split_function(&r, f);
}

/* A function that is not used any more is gone by now. */
void roots_join(struct gen *g)
{
	LLVMValueRef root = LLVMGetNamedFunction(g->mod, ROOT), call;
	if (!root)
		return;
	while (LLVMGetFirstUse(root)) {
		call = LLVMGetUser(LLVMGetFirstUse(root));
		LLVMReplaceAllUsesWith(call, LLVMGetOperand(call, 0));
		LLVMInstructionEraseFromParent(call);
	}
	LLVMDeleteFunction(root);
}
