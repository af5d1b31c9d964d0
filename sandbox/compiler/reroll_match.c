/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a loop's body is copies of one computation (rules 2 to 4 of reroll.c). */
#include "sandbox/compiler/reroll.h"

/* How far beside an access that did not trap no address wraps, where the memory ends early: that is at least
 * 64 KiB below 4 GiB. */
enum { NEAR = 32 << 10 };

/* What may be part of a copy: no effects but those of loads and stores, and the same on every path. */
static bool is_plain_call(LLVMValueRef v)
{
	static const char memory[] = "memory";
	LLVMValueRef f = LLVMGetCalledValue(v);
	if (!LLVMIsAFunction(f) || LLVMGetIntrinsicID(f) == 0)
		return false;
	unsigned kind = LLVMGetEnumAttributeKindForName(memory, sizeof(memory) - 1);
	LLVMAttributeRef a = LLVMGetEnumAttributeAtIndex(f, LLVMAttributeFunctionIndex, kind);
	return a && LLVMGetEnumAttributeValue(a) == 0;
}

bool reroll_is_plain(LLVMValueRef v)
{
	switch (LLVMGetInstructionOpcode(v)) {
	case LLVMICmp:
	case LLVMFCmp:
	case LLVMSelect:
	case LLVMFNeg:
	case LLVMFreeze:
		return true;
	case LLVMGetElementPtr:
		return LLVMGetNumOperands(v) == 2;
	case LLVMLoad:
	case LLVMStore:
		return LLVMGetOrdering(v) == LLVMAtomicOrderingNotAtomic;
	case LLVMCall:
		return is_plain_call(v);
	default:
		return LLVMIsABinaryOperator(v) || LLVMIsACastInst(v);
	}
}

/* Whether two operations differ in nothing but their operands. Flags of integer arithmetic do not count,
 * since they are taken off (reroll.c). */
static bool same_operation(LLVMValueRef u, LLVMValueRef v)
{
	LLVMOpcode op = LLVMGetInstructionOpcode(u);
	if (op != LLVMGetInstructionOpcode(v) || LLVMTypeOf(u) != LLVMTypeOf(v) ||
	    LLVMGetNumOperands(u) != LLVMGetNumOperands(v))
		return false;
	switch (op) {
	case LLVMICmp:
		return LLVMGetICmpPredicate(u) == LLVMGetICmpPredicate(v);
	case LLVMFCmp:
		return LLVMGetFCmpPredicate(u) == LLVMGetFCmpPredicate(v);
	case LLVMGetElementPtr:
		return LLVMGetGEPSourceElementType(u) == LLVMGetGEPSourceElementType(v);
	case LLVMLoad:
	case LLVMStore:
		return LLVMGetVolatile(u) == LLVMGetVolatile(v) &&
		       LLVMGetAlignment(u) == LLVMGetAlignment(v);
	default:
		return true;
	}
}

/* zext(x) + offset; false: no such address, or one whose x is no sum. */
static bool address_of(const struct loop *l, LLVMValueRef gep, struct form *ret,
		       uint64_t *ret_offset)
{
	LLVMValueRef i = LLVMGetOperand(gep, 1);
	*ret_offset = 0;
	if (!LLVMIsAInstruction(i))
		return false;
	if (LLVMGetInstructionOpcode(i) == LLVMAdd && LLVMGetNUW(i) &&
	    LLVMIsAConstantInt(LLVMGetOperand(i, 1))) {
		*ret_offset = LLVMConstIntGetZExtValue(LLVMGetOperand(i, 1));
		i = LLVMGetOperand(i, 0);
	}
	return LLVMIsAZExtInst(i) && LLVMTypeOf(LLVMGetOperand(i, 0)) == l->g->i32 &&
	       form_of(l, LLVMGetOperand(i, 0), ret);
}

/* Two addresses of copies 0 and k. With the same static offset their sums must be k small steps apart. A
 * producer that knows more than we do puts the steps into the static offset, which does not wrap:
 * then the access of copy 0, which comes first, proves that the sum does not wrap either. */
static bool addresses_match(const struct loop *l, const struct form *x, uint64_t x_offset,
			    const struct form *y, uint64_t y_offset, unsigned k)
{
	struct form way = *y;
	form_add(&way, x, UINT64_MAX);
	int64_t far = (int32_t)form_shift(l, x, k), apart = (int32_t)way.c;
	way.c = 0;
	if (!form_is_zero(&way))
		return false;
	if (x_offset == y_offset)
		return apart == far;
	return l->ends_early && far > 0 && far < NEAR && apart >= 0 && apart < NEAR &&
	       apart + (int64_t)y_offset == far + (int64_t)x_offset;
}

static bool match(struct loop *l, LLVMValueRef u, LLVMValueRef v, unsigned k);

static bool operands_match(struct loop *l, LLVMValueRef u, LLVMValueRef v, unsigned k)
{
	unsigned n = (unsigned)LLVMGetNumOperands(u);
	for (unsigned i = 0; i < n; i++) {
		if (!match(l, LLVMGetOperand(u, i), LLVMGetOperand(v, i), k))
			return false;
	}
	return true;
}

static bool geps_match(struct loop *l, LLVMValueRef u, LLVMValueRef v, unsigned k)
{
	struct form x, y;
	uint64_t x_offset, y_offset;
	if (address_of(l, u, &x, &x_offset) && address_of(l, v, &y, &y_offset))
		return match(l, LLVMGetOperand(u, 0), LLVMGetOperand(v, 0), k) &&
		       addresses_match(l, &x, x_offset, &y, y_offset, k);
	return operands_match(l, u, v, k);
}

/* What reaches copy k where the phi reaches copy 0. */
static LLVMValueRef handed_to(const struct loop *l, LLVMValueRef phi, unsigned k)
{
	for (unsigned i = 0; i < l->ncarried; i++) {
		if (l->carried[i].phi == phi)
			return k ? l->carried[i].at[k - 1] : phi;
	}
	return NULL;
}

/* Whether v is in copy k what u is in copy 0. */
static bool match(struct loop *l, LLVMValueRef u, LLVMValueRef v, unsigned k)
{
	struct form x, y;
	if (form_of(l, u, &x) && form_of(l, v, &y)) {
		if (x.bits != y.bits)
			return false;
		y.c -= form_shift(l, &x, k);
		form_add(&y, &x, UINT64_MAX);
		return form_is_zero(&y);
	}
	if (!loop_has(l, u))
		return u == v;
	int iu = loop_index(l, u), iv = loop_index(l, v);
	if (iu < 0)
		return handed_to(l, u, k) == v;
	if (iv < 0)
		return false;
	struct insn *a = &l->insn[iu], *b = &l->insn[iv];
	if (a->image >= 0)
		return a->image == iv;
	if (!same_operation(u, v))
		return false;
	a->image = iv;
	a->kept = true;
	b->covered = true;
	bool access = LLVMIsALoadInst(u) || LLVMIsAStoreInst(u);
	if (access && b->stretch != a->stretch + k * (l->nstores / l->copies))
		return false;
	return LLVMIsAGetElementPtrInst(u) ? geps_match(l, u, v, k) : operands_match(l, u, v, k);
}

static bool roots_match(struct loop *l, const unsigned *roots, unsigned n, unsigned k)
{
	unsigned each = n / l->copies;
	for (unsigned j = 0; j < each; j++) {
		if (!match(l, l->insn[roots[j]].v, l->insn[roots[k * each + j]].v, k))
			return false;
	}
	return true;
}

static bool copy_matches(struct loop *l, unsigned k)
{
	for (unsigned i = 0; i < l->n; i++)
		l->insn[i].image = -1;
	if (!roots_match(l, l->store, l->nstores, k) || !roots_match(l, l->bare, l->nbare, k))
		return false;
	for (unsigned i = 0; i < l->ncarried; i++) {
		if (!match(l, l->carried[i].at[0], l->carried[i].at[k], k))
			return false;
	}
	for (unsigned i = 0; k == l->before - 1 && i < l->n; i++)
		l->insn[i].last = l->insn[i].image;
	return true;
}

static bool uses(const struct loop *l, const struct insn *in, LLVMValueRef phi, const bool *marked)
{
	unsigned n = (unsigned)LLVMGetNumOperands(in->v);
	for (unsigned i = 0; i < n; i++) {
		LLVMValueRef v = LLVMGetOperand(in->v, i);
		int at = loop_index(l, v);
		if (v == phi || (at >= 0 && marked[at]))
			return true;
	}
	return false;
}

/* The operations through which a value goes on its way round: those of the kind of the last one, on
 * the way from the phi to it, are spread evenly over the copies. */
static bool carried_find(const struct loop *l, struct carried *c)
{
	bool from[REROLL_INSNS] = { 0 }, to[REROLL_INSNS] = { 0 };
	unsigned way[REROLL_INSNS], n = 0;
	LLVMValueRef last = LLVMGetOperand(c->phi, c->latch);
	int end = loop_index(l, last);
	if (end < 0)
		return false;
	for (int i = 0; i <= end; i++)
		from[i] = uses(l, &l->insn[i], c->phi, from);
	to[end] = true;
	for (int i = end; i >= 0; i--) {
		unsigned operands = to[i] ? (unsigned)LLVMGetNumOperands(l->insn[i].v) : 0;
		for (unsigned k = 0; k < operands; k++) {
			int at = loop_index(l, LLVMGetOperand(l->insn[i].v, k));
			if (at >= 0)
				to[at] = true;
		}
	}
	for (int i = 0; i <= end; i++) {
		if (from[i] && to[i] && same_operation(l->insn[i].v, last))
			way[n++] = (unsigned)i;
	}
	if (n == 0 || n % l->copies)
		return false;
	for (unsigned k = 0; k < l->copies; k++)
		c->at[k] = l->insn[way[(k + 1) * (n / l->copies) - 1]].v;
	return c->at[l->copies - 1] == last;
}

/* Nothing is left over, and copy 0 lies before the exit. */
static bool complete(const struct loop *l)
{
	for (unsigned i = 0; i < l->n; i++) {
		const struct insn *in = &l->insn[i];
		bool access = LLVMIsALoadInst(in->v) || LLVMIsAStoreInst(in->v);
		if (access && !in->covered)
			return false;
		if (in->kept && LLVMGetInstructionParent(in->v) != l->head)
			return false;
	}
	return true;
}

static unsigned copies_before_exit(const struct loop *l)
{
	unsigned each = l->nstores / l->copies, n = 0;
	if (!l->tail)
		return l->copies;
	for (unsigned i = 0; i < l->nstores; i++)
		n += LLVMGetInstructionParent(l->insn[l->store[i]].v) == l->head;
	return each && n % each == 0 ? n / each : 0;
}

bool reroll_match(struct loop *l, unsigned copies)
{
	l->copies = copies;
	for (unsigned i = 0; i < l->ncounters; i++) {
		if (l->counter[i].step % (int)copies)
			return false;
	}
	if (l->nstores % copies || l->nbare % copies)
		return false;
	l->before = copies_before_exit(l);
	if (l->before == 0)
		return false;
	for (unsigned i = 0; i < l->ncarried; i++) {
		if (!carried_find(l, &l->carried[i]))
			return false;
	}
	for (unsigned i = 0; i < l->n; i++)
		l->insn[i].kept = l->insn[i].covered = false;
	for (unsigned k = 0; k < copies; k++) {
		if (!copy_matches(l, k))
			return false;
	}
	return complete(l);
}
