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
 * The same holds where d is not a constant, as long as it is known to be less than NEAR: the index of
 * a table that was accessed before, table + (x & 255) * 4 (is_beyond).
 *
 * It makes no difference whether the anchor itself is still there in the end: nothing is said to LLVM
 * that would be undefined, only the address of n is another expression.
 */
#include "sandbox/compiler/dom.h"

#include <string.h>

enum {
	NEAR = 32 << 10,
	STRETCH = 256,   /* accesses; a longer one is taken in parts */
	ANCHORS = 1024,  /* at one time; later ones are not remembered */
	LOOK_BACK = 128, /* anchors that are compared */
	TERMS = 4,
	STEPS = 16, /* instructions that a sum is followed through */
};
_Static_assert((uint64_t)NEAR + 16 <= AOT_PAGE_BYTES, "the reservation's last page is for both");

/* base + zext(x + c) + offset, where x is a sum of terms; index is the zext. All modulo 2^32, so that
 * sums are equal however they were made. */
struct term {
	LLVMValueRef v;
	uint32_t factor;
};
struct place {
	LLVMValueRef base, index;
	struct term x[TERMS]; /* by address of v */
	unsigned nterms;
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
	uint32_t block;
	unsigned nanchors;
};

struct rebase {
	struct gen *g;
	unsigned memory_kind; /* of the attribute that says what a function does to memory */
	unsigned nanchors, nstretch;
	struct place anchors[ANCHORS];
	struct access stretch[STRETCH];
};

static bool constant(LLVMValueRef v, uint64_t *ret)
{
	if (!LLVMIsAConstantInt(v) || LLVMGetIntTypeWidth(LLVMTypeOf(v)) > 64)
		return false;
	*ret = (uint64_t)LLVMConstIntGetSExtValue(v);
	return true;
}

static void add_term(struct place *p, LLVMValueRef v, uint32_t factor)
{
	unsigned at = 0;
	while (at < p->nterms && (uintptr_t)p->x[at].v < (uintptr_t)v)
		at++;
	if (at == p->nterms || p->x[at].v != v) {
		memmove(&p->x[at + 1], &p->x[at], (p->nterms - at) * sizeof(p->x[0]));
		p->x[at] = (struct term){ v, 0 };
		p->nterms++;
	}
	p->x[at].factor += factor;
}

/* What two operands make of their sum; 0: v is no sum. */
static unsigned factors_of(LLVMValueRef v, uint32_t ret[2])
{
	uint64_t k;
	LLVMOpcode op = LLVMIsAInstruction(v) ? LLVMGetInstructionOpcode(v) : LLVMRet;
	ret[0] = ret[1] = 1;
	if (op == LLVMAdd || (op == LLVMOr && LLVMGetIsDisjoint(v)))
		return 2;
	if (op == LLVMSub) {
		ret[1] = UINT32_MAX;
		return 2;
	}
	if ((op != LLVMShl && op != LLVMMul) || !constant(LLVMGetOperand(v, 1), &k))
		return 0;
	ret[0] = op == LLVMMul ? (uint32_t)k : k < 32 ? UINT32_C(1) << k : 0;
	return 1;
}

/* Adds v to the sum. At each time every term that is still to be taken apart has its place. */
static void add_sum(struct place *p, LLVMValueRef v)
{
	struct term todo[TERMS] = { { v, 1 } };
	unsigned ntodo = 1, steps = STEPS;
	while (ntodo > 0) {
		struct term t = todo[--ntodo];
		uint32_t factors[2];
		uint64_t k;
		unsigned n = steps > 0 ? factors_of(t.v, factors) : 0;
		if (constant(t.v, &k))
			p->c += t.factor * (uint32_t)k;
		else if (n == 0 || p->nterms + ntodo + n > TERMS)
			add_term(p, t.v, t.factor);
		else
			for (steps--; n > 0; n--)
				todo[ntodo++] = (struct term){ LLVMGetOperand(t.v, n - 1),
							       t.factor * factors[n - 1] };
	}
}

/* v = its first operand + *ret, both not negative, without a wrap */
static bool is_plain_sum(LLVMValueRef v, uint64_t *ret)
{
	if (!LLVMIsAInstruction(v))
		return false;
	LLVMOpcode op = LLVMGetInstructionOpcode(v);
	return ((op == LLVMAdd && LLVMGetNUW(v)) || (op == LLVMOr && LLVMGetIsDisjoint(v))) &&
	       constant(LLVMGetOperand(v, 1), ret);
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
	for (; is_plain_sum(ret->index, &k); ret->index = LLVMGetOperand(ret->index, 0))
		ret->offset += k;
	if (!is_base(g, ret->base) || !LLVMIsAZExtInst(ret->index) ||
	    ret->offset >= AOT_GUARD_BYTES)
		return false;
	LLVMValueRef x = LLVMGetOperand(ret->index, 0);
	if (LLVMTypeOf(x) != g->i32)
		return false;
	add_sum(ret, x);
	return true;
}

static bool same_terms(const struct place *a, const struct place *b)
{
	unsigned i = 0;
	while (i < a->nterms && a->x[i].v == b->x[i].v && a->x[i].factor == b->x[i].factor)
		i++;
	return i == a->nterms;
}

/* at lies above the anchor, and not far. */
static bool is_near(const struct place *anchor, const struct place *at)
{
	return at->c - anchor->c < NEAR && at->base == anchor->base &&
	       at->nterms == anchor->nterms && same_terms(at, anchor);
}

/* The most that v can be; UINT32_MAX: unknown. Of the index of a table it is a mask or a narrow load
 * that tells. */
static uint32_t most(LLVMValueRef v)
{
	uint64_t k;
	if (LLVMIsAZExtInst(v))
		return UINT32_MAX >> (32 - LLVMGetIntTypeWidth(LLVMTypeOf(LLVMGetOperand(v, 0))));
	if (!LLVMIsAInstruction(v) || LLVMGetNumOperands(v) != 2 ||
	    !constant(LLVMGetOperand(v, 1), &k))
		return UINT32_MAX;
	switch (LLVMGetInstructionOpcode(v)) {
	case LLVMAnd:
		return (uint32_t)k;
	case LLVMLShr:
		return k < 32 ? UINT32_MAX >> k : 0;
	default:
		return UINT32_MAX;
	}
}

/* What at has beyond the anchor's terms and above them: rest, and the most that it can be. */
static bool is_beyond(const struct place *anchor, const struct place *at, struct place *rest)
{
	unsigned k = 0;
	uint64_t reach = at->c - anchor->c;
	*rest = (struct place){ 0 };
	if (at->base != anchor->base)
		return false;
	for (unsigned i = 0; i < at->nterms; i++) {
		if (k < anchor->nterms && at->x[i].v == anchor->x[k].v &&
		    at->x[i].factor == anchor->x[k].factor) {
			k++;
			continue;
		}
		rest->x[rest->nterms++] = at->x[i];
		reach += (uint64_t)most(at->x[i].v) * at->x[i].factor;
		if (reach >= NEAR)
			return false;
	}
	return k == anchor->nterms && k > 0 && reach < NEAR;
}

static void move(struct rebase *r, struct access *a, const struct place *anchor,
		 const struct place *rest)
{
	struct gen *g = r->g;
	a->done = true;
	if (a->at.index == anchor->index)
		return;
	LLVMValueRef index = anchor->index;
	LLVMValueRef away = gen_i64(g, a->at.offset + (a->at.c - anchor->c));
	LLVMPositionBuilderBefore(g->b, a->insn);
	LLVMValueRef p = LLVMBuildInBoundsGEP2(g->b, g->i8, anchor->base, &index, 1, "");
	for (unsigned i = 0; i < rest->nterms; i++) {
		LLVMValueRef v = LLVMBuildZExt(g->b, rest->x[i].v, g->i64, "");
		v = LLVMBuildNUWMul(g->b, v, gen_i64(g, rest->x[i].factor), "");
		p = LLVMBuildInBoundsGEP2(g->b, g->i8, p, &v, 1, "");
	}
	p = LLVMBuildInBoundsGEP2(g->b, g->i8, p, &away, 1, "");
	LLVMSetOperand(a->insn, a->operand, p);
}

static const struct place *anchor_of(const struct rebase *r, const struct place *at,
				     struct place *rest)
{
	const struct place *beyond = NULL;
	unsigned least = r->nanchors > LOOK_BACK ? r->nanchors - LOOK_BACK : 0;
	struct place more;
	for (unsigned i = r->nanchors; i > least; i--) {
		const struct place *anchor = &r->anchors[i - 1];
		*rest = (struct place){ 0 };
		if (is_near(anchor, at))
			return anchor;
		if (!beyond && is_beyond(anchor, at, &more))
			beyond = anchor;
	}
	if (beyond)
		(void)is_beyond(beyond, at, rest);
	return beyond;
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
	LLVMValueRef x = LLVMGetOperand(from->index, 0);
	x = LLVMBuildAdd(g->b, x, gen_i32(g, low.c - from->c), "");
	low.index = LLVMBuildZExt(g->b, x, g->i64, "");
	return low;
}

static void end_stretch(struct rebase *r)
{
	static const struct place nothing;
	struct place rest;
	for (unsigned i = 0; i < r->nstretch; i++) {
		struct access *first = &r->stretch[i];
		if (first->done)
			continue;
		const struct place *known = anchor_of(r, &first->at, &rest);
		if (known) {
			move(r, first, known, &rest);
			continue;
		}
		struct place anchor = lowest(r, i);
		if (r->nanchors < ANCHORS)
			r->anchors[r->nanchors++] = anchor;
		for (unsigned k = i; k < r->nstretch; k++) {
			struct access *a = &r->stretch[k];
			if (!a->done && is_near(&anchor, &a->at))
				move(r, a, &anchor, &nothing);
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

static void visit_block(struct rebase *r, LLVMBasicBlockRef block)
{
	for (LLVMValueRef v = LLVMGetFirstInstruction(block); v; v = LLVMGetNextInstruction(v))
		visit_instruction(r, v);
	end_stretch(r);
}

/* From a block on to those that are reached through it only; there its anchors hold, too. */
static void visit_function(struct rebase *r, const struct dom *dom)
{
	struct visit *todo = gen_alloc(dom->nblocks, sizeof(todo[0]));
	uint32_t n = 0;
	todo[n++] = (struct visit){ 0, 0 };
	while (n > 0) {
		struct visit now = todo[--n];
		r->nanchors = now.nanchors;
		visit_block(r, dom->blocks[now.block].block);
		uint32_t child = dom->blocks[now.block].child;
		for (; child != DOM_NONE; child = dom->blocks[child].next)
			todo[n++] = (struct visit){ child, r->nanchors };
	}
	free(todo);
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
		struct dom dom;
		dom_init(&dom, f);
		if (dom.nblocks > 0)
			visit_function(r, &dom);
		dom_fini(&dom);
	}
	free(r);
}
