/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exit. As it is, it is taken in the first round i with
 *     first + i * step  CMP  end
 * after i * copies + before copies. With one copy a round and small steps, the comparison is with
 *     first + j * small - (before - 1) * small
 * (reroll.c writes it so), and must first be true for j = i * copies + before - 1.
 */
#include "sandbox/compiler/reroll.h"

enum { ROUNDS_MAX = 1 << 16 };

/* The side of the comparison that counts: a multiple of one counter, and what does not change. */
static bool counts(struct loop *l, LLVMValueRef v)
{
	struct form *f = &l->exit_form;
	l->exit_counter = NULL;
	if (!loop_has(l, v) || !form_of(l, v, f))
		return false;
	for (unsigned i = 0; i < f->n; i++) {
		struct counter *c = form_counter(l, f->term[i].atom);
		if (!c || f->term[i].k == 0)
			continue;
		if (l->exit_counter)
			return false;
		l->exit_counter = c;
		l->exit_term = i;
	}
	return l->exit_counter;
}

bool reroll_exit_find(struct loop *l)
{
	l->branch = LLVMGetBasicBlockTerminator(l->head);
	l->cmp = LLVMGetCondition(l->branch);
	if (!loop_has(l, l->cmp) || !LLVMIsAICmpInst(l->cmp))
		return false;
	for (unsigned i = 0; i < 2; i++) {
		l->exit_operand = i;
		l->end = LLVMGetOperand(l->cmp, !i);
		if (!loop_has(l, l->end) && counts(l, LLVMGetOperand(l->cmp, i)))
			return true;
	}
	return false;
}

static int64_t as_signed(uint64_t v, unsigned bits)
{
	return bits < 64 ? (int64_t)(v << (64 - bits)) >> (64 - bits) : (int64_t)v;
}

static bool compares(LLVMIntPredicate p, uint64_t a, uint64_t b, unsigned bits)
{
	uint64_t mask = bits < 64 ? (UINT64_C(1) << bits) - 1 : UINT64_MAX;
	int64_t sa = as_signed(a, bits), sb = as_signed(b, bits);
	a &= mask;
	b &= mask;
	switch (p) {
	case LLVMIntEQ:
		return a == b;
	case LLVMIntNE:
		return a != b;
	case LLVMIntUGT:
		return a > b;
	case LLVMIntUGE:
		return a >= b;
	case LLVMIntULT:
		return a < b;
	case LLVMIntULE:
		return a <= b;
	case LLVMIntSGT:
		return sa > sb;
	case LLVMIntSGE:
		return sa >= sb;
	case LLVMIntSLT:
		return sa < sb;
	default:
		return sa <= sb;
	}
}

struct count {
	LLVMIntPredicate p;
	bool flipped,
		leave_on; /* end is the left operand; the exit is taken when the result is this */
	unsigned bits;
	uint64_t first, end;
	int64_t step;
};

/* The round in which the exit is taken, or ROUNDS_MAX. */
static unsigned rounds(const struct count *c, unsigned most)
{
	uint64_t v = c->first;
	for (unsigned i = 0; i < most; i++, v += (uint64_t)c->step) {
		uint64_t a = c->flipped ? c->end : v, b = c->flipped ? v : c->end;
		if (compares(c->p, a, b, c->bits) == c->leave_on)
			return i;
	}
	return most;
}

static bool counted_alike(const struct loop *l, struct count *c)
{
	int64_t small = c->step / (int)l->copies;
	unsigned i = rounds(c, ROUNDS_MAX);
	if (i == ROUNDS_MAX)
		return false;
	unsigned want = i * l->copies + l->before - 1;
	c->first -= (uint64_t)small * (l->before - 1);
	c->step = small;
	return rounds(c, want + 1) == want;
}

/* What is compared in the first round. */
static bool first_of(const struct loop *l, struct form *ret)
{
	const struct counter *c = l->exit_counter;
	struct form start;
	uint64_t k = l->exit_form.term[l->exit_term].k;
	if (!form_of(l, LLVMGetOperand(c->phi, !c->latch), &start))
		return false;
	*ret = l->exit_form;
	ret->term[l->exit_term].k = 0;
	form_add(ret, &start, k);
	return true;
}

int64_t reroll_exit_step(const struct loop *l)
{
	const struct form *f = &l->exit_form;
	return as_signed((uint64_t)l->exit_counter->step * f->term[l->exit_term].k, f->bits);
}

/* For == with a number of copies that is a power of two it is enough that a power of two divides both the
 * step and the way to the end; then i * copies + before - 1 is the first j, also where it wraps. */
static bool divides(const struct loop *l, const struct form *first, int64_t step)
{
	struct form way;
	if ((l->copies & (l->copies - 1)) != 0 || !form_of(l, l->end, &way))
		return false;
	form_add(&way, first, UINT64_MAX);
	return form_zeros(&way) >= (unsigned)__builtin_ctzll((uint64_t)step);
}

bool reroll_exit_alike(const struct loop *l)
{
	LLVMBasicBlockRef stay = l->tail ? l->tail : l->head;
	struct count c = { .p = LLVMGetICmpPredicate(l->cmp),
			   .flipped = l->exit_operand == 1,
			   .leave_on = LLVMGetSuccessor(l->branch, 0) != stay,
			   .bits = l->exit_form.bits,
			   .step = reroll_exit_step(l) };
	bool equal = c.p == (c.leave_on ? LLVMIntEQ : LLVMIntNE);
	struct form first;
	if (c.step == 0 || c.step % (int)l->copies || !first_of(l, &first))
		return false;
	if (equal && divides(l, &first, c.step))
		return true;
	if (!form_is_constant(&first) || !LLVMIsAConstantInt(l->end))
		return false;
	c.first = first.c;
	c.end = LLVMConstIntGetZExtValue(l->end);
	return counted_alike(l, &c);
}
