/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounds checks out of counted loops. Where an address goes up or down by the same step in every
 * iteration, its first and its last value tell about all between. Before the loop both are computed
 * in 64 bits and compared with the memory's size, which does not change where the checks of the loop
 * share one reading of it. If all is in bounds the loop runs without these checks, else a copy of it
 * that has them all, so a trap comes after exactly the stores before it.
 *
 * The first kind, without other exits then, is what LLVM's vectoriser takes. That its addresses do
 * not wrap at 32 bits is known as well, so they become 64-bit ones: consecutive accesses for the
 * vectoriser, pointers that are counted up for what stays scalar.
 */
#include "sandbox/compiler/checks.h"
#include "sandbox/compiler/flow.h"
#include "sandbox/compiler/version.h"

enum {
	INSTRUCTIONS = 600, /* of a loop that gets a second copy */
	CHECKS = 64,        /* of a loop that are looked at */
	DEPTH = 8,          /* of an expression */
};

/* start + step * i in iteration i, modulo 2^32; both are i32 and available before the loop. */
struct line {
	LLVMValueRef start, step;
};

/* Checks of the same x and size, as one: low is the lowest c, reach the highest end above it. */
struct stretch {
	LLVMValueRef x, size;
	struct line line;
	uint32_t low;
	uint64_t reach;
	LLVMValueRef first; /* x + low before the loop, i64 */
	LLVMValueRef wide;  /* x + low in the loop, i64; NULL: not made yet */
};

struct hoist {
	struct gen *g;
	const struct flow *flow;
	const struct flow_loop *loop;
	LLVMBuilderRef b;   /* at the end of the preheader */
	LLVMValueRef holds; /* i1: all that is needed so far */
	LLVMValueRef last;  /* i64: the number of the last iteration */
	unsigned nstretches, nchecks;
	struct stretch stretches[CHECKS];
	struct check checks[CHECKS];
};

static bool is_inside(const struct hoist *h, LLVMValueRef v)
{
	if (!LLVMIsAInstruction(v))
		return false;
	uint32_t b = flow_number(h->flow, LLVMGetInstructionParent(v));
	for (uint32_t i = 0; i < h->loop->nblocks; i++)
		if (h->loop->blocks[i] == b)
			return true;
	return false;
}

static bool is_number(LLVMValueRef v, int32_t *ret)
{
	if (!LLVMIsAConstantInt(v))
		return false;
	*ret = (int32_t)LLVMConstIntGetSExtValue(v);
	return true;
}

static bool is_zero(LLVMValueRef v)
{
	int32_t n;
	return is_number(v, &n) && n == 0;
}

static void and_holds(struct hoist *h, LLVMValueRef v)
{
	h->holds = h->holds ? LLVMBuildAnd(h->b, h->holds, v, "") : v;
}

static LLVMValueRef incoming(LLVMValueRef phi, LLVMBasicBlockRef from)
{
	for (unsigned i = 0; i < LLVMCountIncoming(phi); i++)
		if (LLVMGetIncomingBlock(phi, i) == from)
			return LLVMGetIncomingValue(phi, i);
	return NULL;
}

/* A phi of the header that one thing is added to in every iteration. */
static bool read_counter(const struct hoist *h, LLVMValueRef phi, struct line *ret)
{
	if (LLVMGetInstructionParent(phi) != h->flow->block[h->loop->header])
		return false;
	LLVMValueRef next = incoming(phi, h->flow->block[h->loop->latch]);
	if (!next || !LLVMIsAInstruction(next) || LLVMGetInstructionOpcode(next) != LLVMAdd)
		return false;
	unsigned other = LLVMGetOperand(next, 0) == phi;
	if (LLVMGetOperand(next, !other) != phi || is_inside(h, LLVMGetOperand(next, other)))
		return false;
	ret->start = incoming(phi, h->flow->block[h->loop->preheader]);
	ret->step = LLVMGetOperand(next, other);
	return true;
}

static bool read_line(struct hoist *h, LLVMValueRef v, unsigned depth, struct line *ret);

static bool read_product(struct hoist *h, LLVMValueRef v, struct line x, struct line y,
			 struct line *ret)
{
	LLVMValueRef by = y.start;
	LLVMBuilderRef b = h->b;
	int32_t shift;
	switch (LLVMGetInstructionOpcode(v)) {
	case LLVMMul:
		if (is_zero(x.step) && !is_zero(y.step)) {
			by = x.start;
			x = y;
		} else if (!is_zero(y.step)) {
			return false;
		}
		break;
	case LLVMShl:
		if (!is_zero(y.step) || !is_number(by, &shift) || (uint32_t)shift >= 32)
			return false;
		by = gen_i32(h->g, UINT32_C(1) << shift);
		break;
	default:
		return false;
	}
	ret->start = LLVMBuildMul(b, x.start, by, "");
	ret->step = LLVMBuildMul(b, x.step, by, "");
	return true;
}

/* v as a line; builds what it needs before the loop. What comes to nothing is left to LLVM. */
static bool read_line(struct hoist *h, LLVMValueRef v, unsigned depth, struct line *ret)
{
	struct line x, y;
	if (!is_inside(h, v)) {
		*ret = (struct line){ v, gen_i32(h->g, 0) };
		return true;
	}
	if (LLVMIsAPHINode(v))
		return read_counter(h, v, ret);
	LLVMOpcode op = LLVMGetInstructionOpcode(v);
	bool disjoint = op == LLVMOr && LLVMGetIsDisjoint(v);
	if (depth == DEPTH ||
	    (op != LLVMAdd && op != LLVMSub && op != LLVMMul && op != LLVMShl && !disjoint))
		return false;
	if (!read_line(h, LLVMGetOperand(v, 0), depth + 1, &x) ||
	    !read_line(h, LLVMGetOperand(v, 1), depth + 1, &y))
		return false;
	if (op == LLVMMul || op == LLVMShl)
		return read_product(h, v, x, y, ret);
	LLVMOpcode sum = op == LLVMSub ? LLVMSub : LLVMAdd;
	ret->start = LLVMBuildBinOp(h->b, sum, x.start, y.start, "");
	ret->step = LLVMBuildBinOp(h->b, sum, x.step, y.step, "");
	return true;
}

/* --- how often the loop runs --- */

/* The loop goes on while `goes_on` holds between the counter and `bound`. */
struct exit_test {
	struct line counter;
	int32_t step;
	LLVMValueRef bound;
	LLVMIntPredicate goes_on;
};

static LLVMIntPredicate negated(LLVMIntPredicate p)
{
	static const LLVMIntPredicate other[] = {
		[LLVMIntEQ] = LLVMIntNE,   [LLVMIntNE] = LLVMIntEQ,   [LLVMIntUGT] = LLVMIntULE,
		[LLVMIntUGE] = LLVMIntULT, [LLVMIntULT] = LLVMIntUGE, [LLVMIntULE] = LLVMIntUGT,
		[LLVMIntSGT] = LLVMIntSLE, [LLVMIntSGE] = LLVMIntSLT, [LLVMIntSLT] = LLVMIntSGE,
		[LLVMIntSLE] = LLVMIntSGT,
	};
	return other[p];
}

static LLVMIntPredicate swapped(LLVMIntPredicate p)
{
	static const LLVMIntPredicate other[] = {
		[LLVMIntEQ] = LLVMIntEQ,   [LLVMIntNE] = LLVMIntNE,   [LLVMIntUGT] = LLVMIntULT,
		[LLVMIntUGE] = LLVMIntULE, [LLVMIntULT] = LLVMIntUGT, [LLVMIntULE] = LLVMIntUGE,
		[LLVMIntSGT] = LLVMIntSLT, [LLVMIntSGE] = LLVMIntSLE, [LLVMIntSLT] = LLVMIntSGT,
		[LLVMIntSLE] = LLVMIntSGE,
	};
	return other[p];
}

static bool read_exit(struct hoist *h, uint32_t block, struct exit_test *ret)
{
	LLVMValueRef last = LLVMGetBasicBlockTerminator(h->flow->block[block]);
	if (!LLVMIsABranchInst(last) || !LLVMIsConditional(last))
		return false;
	LLVMValueRef test = LLVMGetCondition(last);
	if (!LLVMIsAICmpInst(test) || LLVMTypeOf(LLVMGetOperand(test, 0)) != h->g->i32)
		return false;
	bool stays[2];
	for (unsigned i = 0; i < 2; i++)
		stays[i] = is_inside(h, LLVMGetFirstInstruction(LLVMGetSuccessor(last, i)));
	if (stays[0] == stays[1])
		return false;
	unsigned counter = !is_inside(h, LLVMGetOperand(test, 0));
	ret->goes_on = LLVMGetICmpPredicate(test);
	if (counter)
		ret->goes_on = swapped(ret->goes_on);
	if (!stays[0])
		ret->goes_on = negated(ret->goes_on);
	ret->bound = LLVMGetOperand(test, !counter);
	return !is_inside(h, ret->bound) &&
	       read_line(h, LLVMGetOperand(test, counter), 0, &ret->counter) &&
	       is_number(ret->counter.step, &ret->step) && ret->step != 0 && ret->step != INT32_MIN;
}

/* Until it is equal: the distance must be a multiple of the step, modulo 2^32. */
static void count_to_equal(struct hoist *h, const struct exit_test *e)
{
	struct gen *g = h->g;
	bool up = e->step > 0;
	LLVMValueRef by = gen_i32(g, (uint32_t)(up ? e->step : -e->step));
	LLVMValueRef from = up ? e->counter.start : e->bound;
	LLVMValueRef to = up ? e->bound : e->counter.start;
	LLVMValueRef distance = LLVMBuildSub(h->b, to, from, "");
	LLVMValueRef rest = LLVMBuildURem(h->b, distance, by, "");
	and_holds(h, LLVMBuildICmp(h->b, LLVMIntEQ, rest, gen_i32(g, 0), ""));
	LLVMValueRef n = LLVMBuildUDiv(h->b, distance, by, "");
	h->last = LLVMBuildZExt(h->b, n, g->i64, "");
}

/* Until it has passed the bound, in 64 bits; it must not wrap before. */
static bool count_to_beyond(struct hoist *h, const struct exit_test *e)
{
	struct gen *g = h->g;
	LLVMBuilderRef b = h->b;
	LLVMIntPredicate p = e->goes_on;
	bool is_signed = p >= LLVMIntSGT, up = e->step > 0;
	bool wants_up = p == LLVMIntULT || p == LLVMIntULE || p == LLVMIntSLT || p == LLVMIntSLE;
	bool inclusive = p == LLVMIntULE || p == LLVMIntUGE || p == LLVMIntSLE || p == LLVMIntSGE;
	if (up != wants_up || p == LLVMIntEQ)
		return false;
	LLVMOpcode extend = is_signed ? LLVMSExt : LLVMZExt;
	LLVMValueRef start = LLVMBuildCast(b, extend, e->counter.start, g->i64, "");
	LLVMValueRef bound = LLVMBuildCast(b, extend, e->bound, g->i64, "");
	uint64_t by = (uint64_t)(up ? e->step : -(int64_t)e->step);
	LLVMValueRef distance = LLVMBuildSub(b, up ? bound : start, up ? start : bound, "");
	LLVMValueRef more = gen_i64(g, by - !inclusive);
	LLVMValueRef some =
		LLVMBuildICmp(b, inclusive ? LLVMIntSGE : LLVMIntSGT, distance, gen_i64(g, 0), "");
	LLVMValueRef n = LLVMBuildUDiv(b, LLVMBuildAdd(b, distance, more, ""), gen_i64(g, by), "");
	h->last = LLVMBuildSelect(b, some, n, gen_i64(g, 0), "");
	LLVMValueRef end = LLVMBuildMul(b, h->last, gen_i64(g, (uint64_t)(int64_t)e->step), "");
	end = LLVMBuildAdd(b, start, end, "");
	LLVMValueRef same =
		LLVMBuildCast(b, extend, LLVMBuildTrunc(b, end, g->i32, ""), g->i64, "");
	and_holds(h, LLVMBuildICmp(b, LLVMIntEQ, end, same, ""));
	return true;
}

/* Any test that every iteration makes gives a number that is not too small. */
static bool count_iterations(struct hoist *h)
{
	const struct flow_loop *loop = h->loop;
	struct exit_test e;
	for (uint32_t i = loop->nblocks; i-- > 0;) {
		if (!flow_dominates(h->flow, loop->blocks[i], loop->latch) ||
		    !read_exit(h, loop->blocks[i], &e))
			continue;
		if (e.goes_on == LLVMIntNE)
			count_to_equal(h, &e);
		if (e.goes_on == LLVMIntNE || count_to_beyond(h, &e))
			return true;
	}
	return false;
}

/* --- what it accesses --- */

static void note_check(struct hoist *h, const struct check *c)
{
	struct stretch *s = h->stretches;
	while (s < h->stretches + h->nstretches && (s->x != c->x || s->size != c->size))
		s++;
	if (s == h->stretches + h->nstretches) {
		struct line line;
		if (is_inside(h, c->size) || !read_line(h, c->x, 0, &line))
			return;
		*s = (struct stretch){ c->x, c->size, line, c->c, c->k, NULL, NULL };
		h->nstretches++;
	}
	/* Lower by less than half of 2^32 is lower. */
	int32_t above = (int32_t)(c->c - s->low);
	if (above < 0) {
		s->reach += -(uint64_t)(int64_t)above;
		s->low = c->c;
		above = 0;
	}
	if ((uint64_t)above + c->k > s->reach)
		s->reach = (uint64_t)above + c->k;
	h->checks[h->nchecks++] = *c;
}

/* Returns false for a loop that is too long. */
static bool find_checks(struct hoist *h)
{
	unsigned n = 0;
	struct check c;
	for (uint32_t i = 0; i < h->loop->nblocks; i++) {
		LLVMValueRef v = LLVMGetFirstInstruction(h->flow->block[h->loop->blocks[i]]);
		for (; v; v = LLVMGetNextInstruction(v)) {
			if (++n > INSTRUCTIONS)
				return false;
			if (h->nchecks < CHECKS && check_read(h->g, v, &c))
				note_check(h, &c);
		}
	}
	return true;
}

static void need_end(struct hoist *h, const struct stretch *s, LLVMValueRef at)
{
	LLVMValueRef end = LLVMBuildAdd(h->b, at, gen_i64(h->g, s->reach), "");
	and_holds(h, LLVMBuildICmp(h->b, LLVMIntULE, end, s->size, ""));
}

/* at + reach <= size for the first and the last iteration. No sum wraps at 64 bits: where the other
 * conditions hold there are at most 2^32 iterations, and no step is over 2^31. */
static void need_ends(struct hoist *h, struct stretch *s)
{
	struct gen *g = h->g;
	LLVMBuilderRef b = h->b;
	int32_t step = 0;
	bool known = is_number(s->line.step, &step);
	LLVMValueRef first = LLVMBuildAdd(b, s->line.start, gen_i32(g, s->low), "");
	s->first = LLVMBuildZExt(b, first, g->i64, "");
	if (!known || step <= 0)
		need_end(h, s, s->first);
	if (known && step == 0)
		return;
	LLVMValueRef way = LLVMBuildSExt(b, s->line.step, g->i64, "");
	LLVMValueRef last = LLVMBuildAdd(b, s->first, LLVMBuildMul(b, way, h->last, ""), "");
	if (!known || step < 0)
		and_holds(h, LLVMBuildICmp(b, LLVMIntSGE, last, gen_i64(g, 0), ""));
	if (!known || step > 0)
		need_end(h, s, last);
}

/* --- the loop without checks --- */

static LLVMValueRef widen(struct hoist *h, struct stretch *s)
{
	struct gen *g = h->g;
	if (s->wide || is_zero(s->line.step))
		return s->wide ? s->wide : s->first;
	LLVMBasicBlockRef header = h->flow->block[h->loop->header];
	LLVMBasicBlockRef latch = h->flow->block[h->loop->latch];
	LLVMBasicBlockRef from[] = { h->flow->block[h->loop->preheader], latch };
	LLVMPositionBuilderBefore(h->b, LLVMGetBasicBlockTerminator(from[0]));
	LLVMValueRef step = LLVMBuildSExt(h->b, s->line.step, g->i64, "");
	LLVMPositionBuilderBefore(g->b, LLVMGetFirstInstruction(header));
	s->wide = LLVMBuildPhi(g->b, g->i64, "");
	LLVMPositionBuilderBefore(g->b, LLVMGetBasicBlockTerminator(latch));
	LLVMValueRef values[] = { s->first, LLVMBuildNSWAdd(g->b, s->wide, step, "") };
	LLVMAddIncoming(s->wide, values, from, 2);
	return s->wide;
}

/* The i64 of an i32 that a hoisted check was about. */
static void widen_index(struct hoist *h, LLVMValueRef v)
{
	LLVMValueRef x;
	if (!LLVMIsAZExtInst(v) || LLVMTypeOf(v) != h->g->i64 ||
	    LLVMTypeOf(LLVMGetOperand(v, 0)) != h->g->i32)
		return;
	uint32_t c = check_sum(LLVMGetOperand(v, 0), &x);
	for (unsigned i = 0; i < h->nstretches; i++) {
		struct stretch *s = &h->stretches[i];
		if (s->x != x || (uint64_t)(uint32_t)(c - s->low) >= s->reach)
			continue;
		LLVMValueRef wide = widen(h, s);
		LLVMPositionBuilderBefore(h->g->b, v);
		if (c != s->low)
			wide = LLVMBuildNUWAdd(h->g->b, wide, gen_i64(h->g, c - s->low), "");
		LLVMReplaceAllUsesWith(v, wide);
		return;
	}
}

static void free_loop(struct hoist *h)
{
	for (unsigned i = 0; i < h->nchecks; i++)
		LLVMInstructionEraseFromParent(h->checks[i].call);
	for (uint32_t i = 0; i < h->loop->nblocks; i++) {
		LLVMValueRef v = LLVMGetFirstInstruction(h->flow->block[h->loop->blocks[i]]);
		for (; v; v = LLVMGetNextInstruction(v))
			widen_index(h, v);
	}
}

static void visit_loop(void *with, const struct flow *flow, const struct flow_loop *loop)
{
	struct hoist *h = with;
	h->flow = flow;
	h->loop = loop;
	h->holds = h->last = NULL;
	h->nstretches = h->nchecks = 0;
	LLVMPositionBuilderBefore(h->b, LLVMGetBasicBlockTerminator(flow->block[loop->preheader]));
	if (!find_checks(h) || h->nchecks == 0 || !count_iterations(h))
		return;
	for (unsigned i = 0; i < h->nstretches; i++)
		need_ends(h, &h->stretches[i]);
	version_loop(h->g, flow, loop, h->holds);
	free_loop(h);
}

void hoist_run(struct gen *g)
{
	if (!g->check)
		return;
	struct hoist *h = gen_alloc(1, sizeof(*h));
	h->g = g;
	h->b = LLVMCreateBuilderInContext(g->ctx);
	for (LLVMValueRef f = LLVMGetFirstFunction(g->mod); f; f = LLVMGetNextFunction(f)) {
		struct flow flow;
		if (LLVMIsDeclaration(f))
			continue;
		flow_init(&flow, f);
		flow_each_loop(&flow, visit_loop, h);
		flow_fini(&flow);
	}
	LLVMDisposeBuilder(h->b);
	free(h);
}
