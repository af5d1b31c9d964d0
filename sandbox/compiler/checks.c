/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fewer bounds checks: one for the whole of a stretch, none for what is known.
 *
 * 1. A check that has passed tells that zext(x + c) + reach <= size, and as a memory never shrinks,
 *    this is so in every block that this one dominates. A later check that asks for less goes.
 * 2. Checks of one block between which there are only loads and arithmetic, so nothing that anybody
 *    could observe, become one, where the first of them is: from the lowest x + c to the highest
 *    end. It traps when one of them would have, for the same reason. With x + c the lowest of them
 *    and x + c + d another: if x + c + d does not wrap, zext(x + c) + d is the same number. If it
 *    does, x + c > 2^32 - NEAR is beyond any size (AOT_PAGES_GROWN_MAX), and both trap.
 * 3. What is below the least size of the memory, whatever x is, needs none: table[x & 255].
 */
#include "sandbox/compiler/checks.h"

#include <string.h>

#include "sandbox/compiler/flow.h"

enum {
	NEAR = 32 << 10,
	STRETCH = 256, /* checks; a longer one is taken in parts */
	FACTS = 1024,  /* at one time; later ones are not remembered */
	LOOK_BACK = 64,
};

struct fact {
	LLVMValueRef x;
	uint32_t c;
	uint64_t reach;
};

struct thin {
	struct gen *g;
	unsigned memory_kind; /* of the attribute that says what a function does to memory */
	uint32_t near;        /* 1: a memory may take all that an i32 can name */
	unsigned nfacts, nstretch;
	struct fact facts[FACTS];
	struct check stretch[STRETCH]; /* done ones have no call */
};

static bool constant(LLVMValueRef v, uint64_t *ret)
{
	if (!LLVMIsAConstantInt(v) || LLVMGetIntTypeWidth(LLVMTypeOf(v)) > 64)
		return false;
	*ret = (uint64_t)LLVMConstIntGetSExtValue(v);
	return true;
}

static bool is_sum(LLVMValueRef v, bool wraps, uint64_t *ret)
{
	if (!LLVMIsAInstruction(v))
		return false;
	LLVMOpcode op = LLVMGetInstructionOpcode(v);
	if (op == LLVMOr && LLVMGetIsDisjoint(v))
		return constant(LLVMGetOperand(v, 1), ret);
	return op == LLVMAdd && (wraps || LLVMGetNUW(v)) && constant(LLVMGetOperand(v, 1), ret);
}

uint32_t check_sum(LLVMValueRef v, LLVMValueRef *ret_x)
{
	uint64_t k;
	uint32_t c = 0;
	for (; is_sum(v, true, &k); v = LLVMGetOperand(v, 0))
		c += (uint32_t)k;
	*ret_x = v;
	return c;
}

bool check_read(const struct gen *g, LLVMValueRef v, struct check *ret)
{
	uint64_t k;
	if (!bounds_is_check(g, v))
		return false;
	LLVMValueRef holds = LLVMGetOperand(v, 0);
	if (!LLVMIsAICmpInst(holds))
		return false;
	LLVMIntPredicate p = LLVMGetICmpPredicate(holds);
	bool swapped = p == LLVMIntUGE || p == LLVMIntUGT;
	bool strict = p == LLVMIntULT || p == LLVMIntUGT;
	if (!swapped && !strict && p != LLVMIntULE)
		return false;
	LLVMValueRef end = LLVMGetOperand(holds, swapped);
	*ret = (struct check){ .call = v, .size = LLVMGetOperand(holds, !swapped), .k = strict };
	for (; is_sum(end, false, &k); end = LLVMGetOperand(end, 0))
		ret->k += k;
	if (!LLVMIsAZExtInst(end) || LLVMTypeOf(end) != g->i64)
		return false;
	ret->index = end;
	ret->c = check_sum(LLVMGetOperand(end, 0), &ret->x);
	return LLVMTypeOf(ret->x) == g->i32 && ret->k <= UINT32_MAX + UINT64_C(64);
}

static bool is_near(const struct thin *t, LLVMValueRef x, uint32_t c, const struct check *at)
{
	return at->call && at->x == x && at->c - c < t->near;
}

static struct fact *fact_of(struct thin *t, const struct check *at)
{
	unsigned least = t->nfacts > LOOK_BACK ? t->nfacts - LOOK_BACK : 0;
	for (unsigned i = t->nfacts; i > least; i--) {
		struct fact *fact = &t->facts[i - 1];
		if (is_near(t, fact->x, fact->c, at))
			return fact;
	}
	return NULL;
}

static void drop(struct check *c)
{
	LLVMValueRef holds = LLVMGetOperand(c->call, 0);
	LLVMInstructionEraseFromParent(c->call);
	if (!LLVMGetFirstUse(holds))
		LLVMInstructionEraseFromParent(holds);
	c->call = NULL;
}

/* The stretch's checks from number `first` on that are near to it, as one. */
static void make_one(struct thin *t, unsigned first)
{
	struct gen *g = t->g;
	struct check *at = &t->stretch[first];
	struct fact whole = { .x = at->x, .c = at->c };
	const struct fact *known = fact_of(t, at);
	if (known)
		whole.c = known->c;
	for (unsigned i = first + 1; !known && i < t->nstretch; i++) {
		const struct check *c = &t->stretch[i];
		if (c->call && c->x == at->x && whole.c - c->c < t->near && at->c - c->c < t->near)
			whole.c = c->c;
	}
	unsigned n = 0;
	for (unsigned i = first; i < t->nstretch; i++) {
		struct check *c = &t->stretch[i];
		if (!is_near(t, whole.x, whole.c, c))
			continue;
		uint64_t reach = (c->c - whole.c) + c->k;
		whole.reach = reach > whole.reach ? reach : whole.reach;
		if (n++ > 0)
			drop(c);
	}
	if (n > 1 || at->c != whole.c) {
		LLVMPositionBuilderBefore(g->b, at->call);
		LLVMValueRef end = whole.x;
		if (whole.c != 0)
			end = LLVMBuildAdd(g->b, end, gen_i32(g, whole.c), "");
		end = LLVMBuildZExt(g->b, end, g->i64, "");
		end = LLVMBuildNUWAdd(g->b, end, gen_i64(g, whole.reach), "");
		LLVMSetOperand(at->call, 0, LLVMBuildICmp(g->b, LLVMIntULE, end, at->size, ""));
	}
	at->call = NULL;
	if (t->nfacts < FACTS)
		t->facts[t->nfacts++] = whole;
}

/* The most that v, an i32, can be, by what is plain to see. */
static uint64_t most_of(LLVMValueRef v, unsigned depth)
{
	enum { DEPTH = 6 };
	uint64_t k, x;
	if (LLVMIsAConstantInt(v))
		return LLVMConstIntGetZExtValue(v);
	if (LLVMIsAZExtInst(v))
		return (UINT64_C(1) << LLVMGetIntTypeWidth(LLVMTypeOf(LLVMGetOperand(v, 0)))) - 1;
	if (depth == DEPTH || !LLVMIsABinaryOperator(v) ||
	    !LLVMIsAConstantInt(LLVMGetOperand(v, 1)))
		return UINT32_MAX;
	x = most_of(LLVMGetOperand(v, 0), depth + 1);
	k = LLVMConstIntGetZExtValue(LLVMGetOperand(v, 1));
	switch (LLVMGetInstructionOpcode(v)) {
	case LLVMAnd:
		return k < x ? k : x;
	case LLVMLShr:
		return k < 32 ? x >> k : UINT32_MAX;
	case LLVMShl:
		return k < 32 && x << k <= UINT32_MAX ? x << k : UINT32_MAX;
	case LLVMAdd:
	case LLVMOr: /* at most the sum */
		return x + k <= UINT32_MAX ? x + k : UINT32_MAX;
	default:
		return UINT32_MAX;
	}
}

static bool is_always_inside(const struct thin *t, const struct check *c)
{
	uint64_t least = (uint64_t)t->g->m->memory.min * AOT_PAGE_BYTES;
	return most_of(LLVMGetOperand(c->index, 0), 0) + c->k <= least;
}

static void end_stretch(struct thin *t)
{
	for (unsigned i = 0; i < t->nstretch; i++) {
		struct check *at = &t->stretch[i];
		const struct fact *known = at->call ? fact_of(t, at) : NULL;
		if (at->call && (is_always_inside(t, at) ||
				 (known && (at->c - known->c) + at->k <= known->reach)))
			drop(at);
		else if (at->call)
			make_one(t, i);
	}
	t->nstretch = 0;
}

/* Whether a call may do more than arithmetic; checks do not count. */
static bool has_effects(const struct thin *t, LLVMValueRef call)
{
	LLVMValueRef f = LLVMGetCalledValue(call);
	if (f == t->g->check)
		return false;
	if (LLVMGetIntrinsicID(f) == 0)
		return true;
	LLVMAttributeRef memory =
		LLVMGetEnumAttributeAtIndex(f, LLVMAttributeFunctionIndex, t->memory_kind);
	return !memory || LLVMGetEnumAttributeValue(memory) != 0;
}

static void visit_block(struct thin *t, LLVMBasicBlockRef block)
{
	LLVMValueRef v = LLVMGetFirstInstruction(block), next;
	for (; v; v = next) {
		next = LLVMGetNextInstruction(v);
		LLVMOpcode op = LLVMGetInstructionOpcode(v);
		if (op == LLVMStore || t->nstretch == STRETCH ||
		    (op == LLVMCall && has_effects(t, v)))
			end_stretch(t);
		if (op == LLVMCall && check_read(t->g, v, &t->stretch[t->nstretch]))
			t->nstretch++;
	}
	end_stretch(t);
}

/* Reverse postorder visits a block after those that dominate it, but others between: each begins
 * with the facts that held at the end of its dominator, which are kept for it. */
static void visit_function(struct thin *t, LLVMValueRef f)
{
	struct flow flow;
	flow_init(&flow, f);
	uint32_t *child = gen_alloc(flow.n, sizeof(child[0]));
	uint32_t *sibling = gen_alloc(flow.n, sizeof(sibling[0]));
	uint32_t *todo = gen_alloc(flow.n, sizeof(todo[0]));
	unsigned *nfacts = gen_alloc(flow.n, sizeof(nfacts[0]));
	for (uint32_t b = flow.n; b-- > 1;) {
		sibling[b] = child[flow.idom[b]];
		child[flow.idom[b]] = b;
	}
	uint32_t ntodo = 1; /* the entry, number 0 */
	while (ntodo > 0) {
		uint32_t b = todo[--ntodo];
		t->nfacts = b ? nfacts[flow.idom[b]] : 0;
		visit_block(t, flow.block[b]);
		nfacts[b] = t->nfacts;
		for (uint32_t c = child[b]; c; c = sibling[c])
			todo[ntodo++] = c;
	}
	free(child);
	free(sibling);
	free(todo);
	free(nfacts);
	flow_fini(&flow);
}

void checks_thin(struct gen *g)
{
	if (!g->check)
		return;
	const struct wasm_module *m = g->m;
	uint32_t most = m->nimported_memories ? m->memory.max : m->memory.min;
	struct thin *t = gen_alloc(1, sizeof(*t));
	t->g = g;
	t->near = most <= AOT_PAGES_GROWN_MAX ? NEAR : 1;
	t->memory_kind = LLVMGetEnumAttributeKindForName("memory", strlen("memory"));
	for (LLVMValueRef f = LLVMGetFirstFunction(g->mod); f; f = LLVMGetNextFunction(f))
		if (!LLVMIsDeclaration(f))
			visit_function(t, f);
	free(t);
}
