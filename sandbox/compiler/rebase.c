/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Neighbouring addresses, as neighbours. Wasm's x + 8 wraps at 32 bits, so LLVM does not know that
 * base + zext(x + 8) lies eight bytes behind base + zext(x): it sees no consecutive accesses to make
 * vectors of, forwards no store to a load, and computes every address anew. This pass writes such an
 * address as (base + zext(x)) + 8 where both are the same, or both trap.
 *
 * Let an access at zext(x + c) + offset, the anchor, be one that was executed, or will be before
 * anything can be observed. Let n be at zext(x + c + d) + offset', 0 <= d < NEAR.
 *  1. x + c is less than the memory's size, which is at most 2^32 - 64 Ki (AOT_PAGES_GROWN_MAX; a
 *     memory that may be larger is left alone). So x + c + d does not wrap, and zext(x + c) + d is
 *     the same number, whatever is in bounds. Memory never shrinks: this stays true afterwards.
 *  2. x + c is not less, and the anchor comes first: it has trapped, n is not reached.
 *  3. x + c is not less, and the anchor comes later: it will trap, unless n does so before it, for
 *     the same reason. n is now at zext(x + c) + d + offset', not below the memory's size and not
 *     beyond the reservation (offset' < AOT_GUARD_BYTES, d < NEAR): it traps. Between the two there
 *     is nothing but loads and arithmetic, so nobody can tell which of them did. This is what a
 *     stretch is: loads of one block, up to and with the first store, or up to a call.
 * It makes no difference whether the anchor itself is still there in the end: nothing is said to LLVM
 * that would be undefined, only the address of n is another expression.
 */
#include "sandbox/compiler/codegen.h"

#include <string.h>

enum {
	NEAR = 32 << 10,
	STRETCH = 256,   /* accesses; a longer one is taken in parts */
	ANCHORS = 1024,  /* at one time; later ones are not remembered */
	LOOK_BACK = 128, /* anchors that are compared */
};
_Static_assert((uint64_t)NEAR + 16 <= AOT_PAGE_BYTES, "the reservation's last page is for both");

/* base + zext(x + c) + offset; index is the zext */
struct place {
	LLVMValueRef base, x, index;
	uint32_t c;
	uint64_t offset;
};

struct access {
	LLVMValueRef insn;
	unsigned operand;
	struct place at;
	bool done;
};

/* A block to visit, and how many anchors hold when it begins. */
struct visit {
	LLVMBasicBlockRef block;
	unsigned nanchors;
};

struct rebase {
	struct gen *g;
	unsigned memory_kind; /* of the attribute that says what a function does to memory */
	unsigned nanchors, nstretch;
	struct place anchors[ANCHORS];
	struct access stretch[STRETCH];
	struct visit *todo;
	size_t ntodo, blocks;
};

static bool constant(LLVMValueRef v, uint64_t *ret)
{
	if (!LLVMIsAConstantInt(v) || LLVMGetIntTypeWidth(LLVMTypeOf(v)) > 64)
		return false;
	*ret = (uint64_t)LLVMConstIntGetSExtValue(v);
	return true;
}

/* v is the sum of its first operand and *ret, as a number or, with wraps, modulo 2^32. */
static bool is_sum(LLVMValueRef v, bool wraps, uint64_t *ret)
{
	if (!LLVMIsAInstruction(v))
		return false;
	LLVMOpcode op = LLVMGetInstructionOpcode(v);
	if (op == LLVMOr && LLVMGetIsDisjoint(v))
		return constant(LLVMGetOperand(v, 1), ret);
	return op == LLVMAdd && (wraps || LLVMGetNUW(v)) && constant(LLVMGetOperand(v, 1), ret);
}

static bool is_byte_gep(const struct gen *g, LLVMValueRef v)
{
	return LLVMIsAGetElementPtrInst(v) && LLVMGetNumOperands(v) == 2 &&
	       LLVMGetGEPSourceElementType(v) == g->i8;
}

/* The base is the one pointer to bytes that is read once and for all; see mem_base() in memory.c. */
static bool is_base(const struct gen *g, LLVMValueRef v)
{
	return LLVMIsALoadInst(v) && LLVMGetMetadata(v, g->md_invariant);
}

static bool take_apart(const struct gen *g, LLVMValueRef address, struct place *ret)
{
	uint64_t k;
	*ret = (struct place){ 0 };
	for (; is_byte_gep(g, address) && constant(LLVMGetOperand(address, 1), &k);
	     address = LLVMGetOperand(address, 0))
		ret->offset += k;
	if (!is_byte_gep(g, address))
		return false;
	ret->base = LLVMGetOperand(address, 0);
	ret->index = LLVMGetOperand(address, 1);
	for (; is_sum(ret->index, false, &k); ret->index = LLVMGetOperand(ret->index, 0))
		ret->offset += k;
	if (!is_base(g, ret->base) || !LLVMIsAZExtInst(ret->index) ||
	    ret->offset >= AOT_GUARD_BYTES)
		return false;
	ret->x = LLVMGetOperand(ret->index, 0);
	if (LLVMTypeOf(ret->x) != g->i32)
		return false;
	for (; is_sum(ret->x, true, &k); ret->x = LLVMGetOperand(ret->x, 0))
		ret->c += (uint32_t)k;
	return true;
}

/* at lies above the anchor, and not far. */
static bool is_near(const struct place *anchor, const struct place *at)
{
	return at->base == anchor->base && at->x == anchor->x && at->c - anchor->c < NEAR;
}

static void move(struct rebase *r, struct access *a, const struct place *anchor)
{
	struct gen *g = r->g;
	a->done = true;
	if (a->at.index == anchor->index)
		return;
	LLVMValueRef index = anchor->index;
	LLVMValueRef away = gen_i64(g, a->at.offset + (a->at.c - anchor->c));
	LLVMPositionBuilderBefore(g->b, a->insn);
	LLVMValueRef p = LLVMBuildInBoundsGEP2(g->b, g->i8, anchor->base, &index, 1, "");
	p = LLVMBuildInBoundsGEP2(g->b, g->i8, p, &away, 1, "");
	LLVMSetOperand(a->insn, a->operand, p);
}

static const struct place *anchor_of(const struct rebase *r, const struct place *at)
{
	unsigned least = r->nanchors > LOOK_BACK ? r->nanchors - LOOK_BACK : 0;
	for (unsigned i = r->nanchors; i > least; i--) {
		if (is_near(&r->anchors[i - 1], at))
			return &r->anchors[i - 1];
	}
	return NULL;
}

/* The lowest that the stretch has near to its access number `first`. */
static struct place lowest(struct rebase *r, unsigned first)
{
	struct gen *g = r->g;
	struct place *from = &r->stretch[first].at, low = *from;
	for (unsigned i = first + 1; i < r->nstretch; i++) {
		const struct access *a = &r->stretch[i];
		if (!a->done && is_near(&a->at, &low) && is_near(&a->at, from))
			low = a->at;
	}
	if (low.c == from->c)
		return *from;
	/* Its index may be computed only later. */
	LLVMPositionBuilderBefore(g->b, r->stretch[first].insn);
	LLVMValueRef v = low.x;
	if (low.c != 0)
		v = LLVMBuildAdd(g->b, v, gen_i32(g, low.c), "");
	low.index = LLVMBuildZExt(g->b, v, g->i64, "");
	return low;
}

static void end_stretch(struct rebase *r)
{
	for (unsigned i = 0; i < r->nstretch; i++) {
		struct access *first = &r->stretch[i];
		if (first->done)
			continue;
		const struct place *known = anchor_of(r, &first->at);
		if (known) {
			move(r, first, known);
			continue;
		}
		struct place anchor = lowest(r, i);
		if (r->nanchors < ANCHORS)
			r->anchors[r->nanchors++] = anchor;
		for (unsigned k = i; k < r->nstretch; k++) {
			struct access *a = &r->stretch[k];
			if (!a->done && is_near(&anchor, &a->at))
				move(r, a, &anchor);
		}
	}
	r->nstretch = 0;
}

/* Whether a call may do more than arithmetic. */
static bool has_effects(const struct rebase *r, LLVMValueRef call)
{
	LLVMValueRef f = LLVMGetCalledValue(call);
	if (LLVMGetIntrinsicID(f) == 0)
		return true;
	LLVMAttributeRef memory =
		LLVMGetEnumAttributeAtIndex(f, LLVMAttributeFunctionIndex, r->memory_kind);
	return !memory || LLVMGetEnumAttributeValue(memory) != 0;
}

static void visit_instruction(struct rebase *r, LLVMValueRef v)
{
	LLVMOpcode op = LLVMGetInstructionOpcode(v);
	if (op == LLVMCall && has_effects(r, v))
		end_stretch(r);
	if (op != LLVMLoad && op != LLVMStore)
		return;
	struct access a = { .insn = v, .operand = op == LLVMStore };
	if (take_apart(r->g, LLVMGetOperand(v, a.operand), &a.at))
		r->stretch[r->nstretch++] = a;
	if (op == LLVMStore || r->nstretch == STRETCH)
		end_stretch(r);
}

/* A use of a block is an edge to it. Whether this is one, the first of those that lead to it, and
 * the others have the same origin. */
static bool is_only_way(LLVMUseRef edge, LLVMBasicBlockRef from)
{
	LLVMValueRef to = LLVMGetUsedValue(edge);
	if (!LLVMValueIsBasicBlock(to) || LLVMGetFirstUse(to) != edge)
		return false;
	while (edge && LLVMGetInstructionParent(LLVMGetUser(edge)) == from)
		edge = LLVMGetNextUse(edge);
	return !edge;
}

static void push(struct rebase *r, LLVMBasicBlockRef block, unsigned nanchors)
{
	ENSURE(r->ntodo < r->blocks);
	r->todo[r->ntodo++] = (struct visit){ block, nanchors };
}

/* From a block on to those that are reached from it only; there its anchors hold, too. */
static void visit_tree(struct rebase *r, LLVMBasicBlockRef root)
{
	push(r, root, 0);
	while (r->ntodo > 0) {
		struct visit now = r->todo[--r->ntodo];
		r->nanchors = now.nanchors;
		LLVMValueRef v = LLVMGetFirstInstruction(now.block);
		for (; v; v = LLVMGetNextInstruction(v))
			visit_instruction(r, v);
		end_stretch(r);
		LLVMValueRef last = LLVMGetBasicBlockTerminator(now.block);
		for (unsigned i = 0; i < (unsigned)LLVMGetNumOperands(last); i++) {
			LLVMUseRef edge = LLVMGetOperandUse(last, i);
			if (is_only_way(edge, now.block))
				push(r, LLVMValueAsBasicBlock(LLVMGetUsedValue(edge)), r->nanchors);
		}
	}
}

static bool is_root(LLVMBasicBlockRef block)
{
	LLVMUseRef edge = LLVMGetFirstUse(LLVMBasicBlockAsValue(block));
	return !edge || !is_only_way(edge, LLVMGetInstructionParent(LLVMGetUser(edge)));
}

bool rebase_memory_is_smaller(const struct wasm_module *m)
{
	uint32_t most = m->nimported_memories ? m->memory.max : m->memory.min;
	return m->nmemories && most <= AOT_PAGES_GROWN_MAX;
}

void rebase_run(struct gen *g)
{
	if (g->o->bounds_check || !rebase_memory_is_smaller(g->m))
		return;
	struct rebase *r = gen_alloc(1, sizeof(*r));
	r->g = g;
	r->memory_kind = LLVMGetEnumAttributeKindForName("memory", strlen("memory"));
	for (LLVMValueRef f = LLVMGetFirstFunction(g->mod); f; f = LLVMGetNextFunction(f)) {
		r->blocks = LLVMCountBasicBlocks(f);
		r->todo = gen_alloc(r->blocks, sizeof(r->todo[0]));
		LLVMBasicBlockRef block = LLVMGetFirstBasicBlock(f);
		for (; block; block = LLVMGetNextBasicBlock(block)) {
			if (is_root(block))
				visit_tree(r, block);
		}
		free(r->todo);
	}
	free(r);
}
