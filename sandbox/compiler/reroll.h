/* SPDX-License-Identifier: Apache-2.0 */
/* One loop, while reroll.c finds out whether it was unrolled. */
#ifndef COMPILER_REROLL_H
#define COMPILER_REROLL_H

#include "sandbox/compiler/codegen.h"

enum { REROLL_INSNS = 512, REROLL_PHIS = 16, REROLL_COPIES = 32, REROLL_TERMS = 8 };

struct insn {
	LLVMValueRef v;
	unsigned stretch; /* stores before it */
	int image;        /* what it is in the copy now looked at; -1: not known */
	int last;         /* the same, in the copy before the exit */
	bool kept;        /* what copy 0 consists of */
	bool covered;     /* stands for something of copy 0, in some copy */
};

/* A phi that goes on by a constant. */
struct counter {
	LLVMValueRef phi, next;
	int64_t step;   /* of the loop as it is */
	unsigned latch; /* the operand of phi that is next */
};

/* A phi by which one copy hands a value to the next; at[k] is what copy k makes of it. */
struct carried {
	LLVMValueRef phi, at[REROLL_COPIES];
	unsigned latch;
};

/* A sum of k * atom over all terms, and c, modulo 2^bits. Atoms are counters and what does not
 * change in the loop. */
struct form {
	unsigned bits, n;
	uint64_t c;
	struct {
		LLVMValueRef atom;
		uint64_t k;
	} term[REROLL_TERMS];
};

struct loop {
	struct gen *g;
	bool ends_early;              /* the memory does, below 4 GiB; see rebase.c */
	LLVMBasicBlockRef head, tail; /* tail: NULL, or what comes after the exit */
	unsigned copies, before;      /* `before` of them come before the exit */
	unsigned n, nstores, nbare, ncounters, ncarried;
	struct insn insn[REROLL_INSNS]; /* in order; without phis and branches */
	struct {
		LLVMValueRef v;
		unsigned at;
	} index[REROLL_INSNS]; /* of insn, by address */
	unsigned store[REROLL_INSNS];
	unsigned bare[REROLL_INSNS]; /* loads that nobody uses */
	struct counter counter[REROLL_PHIS];
	struct carried carried[REROLL_PHIS];
	LLVMValueRef branch, cmp,
		end;           /* the exit compares something with end, which does not change, */
	struct form exit_form; /* and this is that: a sum with one counter */
	struct counter *exit_counter;
	unsigned exit_operand, exit_term;
};

/* reroll.c */
bool loop_has(const struct loop *l, LLVMValueRef v);
int loop_index(const struct loop *l, LLVMValueRef v); /* -1: not in insn */

/* reroll_form.c. False: v is no such sum. */
bool form_of(const struct loop *l, LLVMValueRef v, struct form *ret);
struct counter *form_counter(const struct loop *l, LLVMValueRef v); /* NULL: it is none */
void form_add(struct form *f, const struct form *by, uint64_t k);
uint64_t form_shift(const struct loop *l, const struct form *f, unsigned copies);
bool form_is_constant(const struct form *f);
bool form_is_zero(const struct form *f);
bool form_or_adds(LLVMValueRef v); /* whether v is x | c, and x + c is the same */
/* How many of the lowest bits of f are 0, at least. */
unsigned form_zeros(const struct form *f);

/* reroll_match.c: whether the loop is so many copies; fills in image, last, kept, covered, at. */
bool reroll_is_plain(LLVMValueRef v);
bool reroll_match(struct loop *l, unsigned copies);

/* reroll_exit.c */
bool reroll_exit_find(struct loop *l);
int64_t reroll_exit_step(const struct loop *l); /* by which it goes on in a round */
/* Whether the exit is taken after as many copies as before, once the loop has one of them. */
bool reroll_exit_alike(const struct loop *l);

#endif
