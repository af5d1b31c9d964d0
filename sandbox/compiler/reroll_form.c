/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of counters and of what does not change in a loop: the addresses of copies differ in c. */
#include "sandbox/compiler/reroll.h"

enum { STEPS = 64, DEPTH = 6 };

static uint64_t masked(const struct form *f, uint64_t v)
{
	return f->bits < 64 ? v & ((UINT64_C(1) << f->bits) - 1) : v;
}

struct counter *form_counter(const struct loop *l, LLVMValueRef v)
{
	for (unsigned i = 0; i < l->ncounters; i++) {
		if (l->counter[i].phi == v)
			return (struct counter *)&l->counter[i];
	}
	return NULL;
}

static bool add_term(struct form *f, LLVMValueRef atom, uint64_t k)
{
	for (unsigned i = 0; i < f->n; i++) {
		if (f->term[i].atom == atom) {
			f->term[i].k = masked(f, f->term[i].k + k);
			return true;
		}
	}
	if (f->n == ARRAY_LEN(f->term))
		return false;
	f->term[f->n].atom = atom;
	f->term[f->n++].k = masked(f, k);
	return true;
}

static bool constant_at(LLVMValueRef v, unsigned operand, uint64_t *ret)
{
	LLVMValueRef c = LLVMGetOperand(v, operand);
	if (!LLVMIsAConstantInt(c))
		return false;
	*ret = LLVMConstIntGetZExtValue(c);
	return true;
}

static bool add_value(const struct loop *l, struct form *f, LLVMValueRef v, uint64_t k, int *steps)
{
	if (--*steps < 0)
		return false;
	if (LLVMIsAConstantInt(v)) {
		f->c = masked(f, f->c + k * LLVMConstIntGetZExtValue(v));
		return true;
	}
	LLVMOpcode op = LLVMIsAInstruction(v) ? LLVMGetInstructionOpcode(v) : 0;
	uint64_t c;
	if (op == LLVMAdd || op == LLVMSub)
		return add_value(l, f, LLVMGetOperand(v, 0), k, steps) &&
		       add_value(l, f, LLVMGetOperand(v, 1), op == LLVMSub ? -k : k, steps);
	if (op == LLVMMul && constant_at(v, 1, &c))
		return add_value(l, f, LLVMGetOperand(v, 0), k * c, steps);
	if (op == LLVMShl && constant_at(v, 1, &c) && c < f->bits)
		return add_value(l, f, LLVMGetOperand(v, 0), k << c, steps);
	if (loop_has(l, v) && !form_counter(l, v))
		return false;
	return add_term(f, v, k);
}

bool form_of(const struct loop *l, LLVMValueRef v, struct form *ret)
{
	LLVMTypeRef type = LLVMTypeOf(v);
	int steps = STEPS;
	if (type != l->g->i32 && type != l->g->i64)
		return false;
	ret->bits = LLVMGetIntTypeWidth(type);
	ret->n = 0;
	ret->c = 0;
	return add_value(l, ret, v, 1, &steps);
}

void form_add(struct form *f, const struct form *by, uint64_t k)
{
	f->c = masked(f, f->c + k * by->c);
	for (unsigned i = 0; i < by->n; i++) {
		if (!add_term(f, by->term[i].atom, k * by->term[i].k))
			f->bits = 0; /* too long: no sum that is 0, and no zeros (form_zeros) */
	}
}

uint64_t form_shift(const struct loop *l, const struct form *f, unsigned copies)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < f->n; i++) {
		const struct counter *c = form_counter(l, f->term[i].atom);
		if (c)
			sum += f->term[i].k * (uint64_t)(c->step / (int)l->copies) * copies;
	}
	return masked(f, sum);
}

bool form_is_constant(const struct form *f)
{
	for (unsigned i = 0; i < f->n; i++) {
		if (f->term[i].k)
			return false;
	}
	return f->bits > 0;
}

bool form_is_zero(const struct form *f)
{
	return form_is_constant(f) && f->c == 0;
}

static unsigned zeros_of(uint64_t v)
{
	return v ? (unsigned)__builtin_ctzll(v) : 64;
}

static unsigned lesser(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static unsigned value_zeros(LLVMValueRef v, int depth);

static unsigned phi_zeros(LLVMValueRef phi, int depth)
{
	unsigned zeros = 64, n = LLVMCountIncoming(phi);
	uint64_t c;
	for (unsigned i = 0; i < n; i++) {
		LLVMValueRef v = LLVMGetIncomingValue(phi, i);
		bool steps = LLVMIsAInstruction(v) && LLVMGetInstructionOpcode(v) == LLVMAdd &&
			     LLVMGetOperand(v, 0) == phi && constant_at(v, 1, &c);
		zeros = lesser(zeros, steps ? zeros_of(c) : value_zeros(v, depth - 1));
	}
	return zeros;
}

static unsigned value_zeros(LLVMValueRef v, int depth)
{
	if (LLVMIsAConstantInt(v))
		return zeros_of(LLVMConstIntGetZExtValue(v));
	if (!LLVMIsAInstruction(v) || depth == 0)
		return 0;
	LLVMOpcode op = LLVMGetInstructionOpcode(v);
	uint64_t c;
	if (op == LLVMPHI)
		return phi_zeros(v, depth);
	if (op == LLVMShl)
		return constant_at(v, 1, &c) ? value_zeros(LLVMGetOperand(v, 0), depth - 1) + c : 0;
	if (op != LLVMAnd && op != LLVMOr && op != LLVMAdd && op != LLVMSub && op != LLVMMul)
		return 0;
	unsigned a = value_zeros(LLVMGetOperand(v, 0), depth - 1);
	unsigned b = value_zeros(LLVMGetOperand(v, 1), depth - 1);
	if (op == LLVMMul)
		return a + b;
	return op == LLVMAnd && a > b ? a : op == LLVMAnd ? b : lesser(a, b);
}

bool form_or_adds(LLVMValueRef v)
{
	uint64_t c;
	if (LLVMGetInstructionOpcode(v) != LLVMOr || !constant_at(v, 1, &c))
		return false;
	unsigned zeros = value_zeros(LLVMGetOperand(v, 0), DEPTH);
	return zeros < 64 && c < UINT64_C(1) << zeros;
}

unsigned form_zeros(const struct form *f)
{
	unsigned zeros = zeros_of(f->c);
	for (unsigned i = 0; i < f->n; i++) {
		unsigned z = zeros_of(f->term[i].k) + value_zeros(f->term[i].atom, DEPTH);
		zeros = lesser(zeros, z);
	}
	return lesser(zeros, f->bits);
}
