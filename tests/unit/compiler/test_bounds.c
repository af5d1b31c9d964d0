/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loops over memory with bounds checks: whatever is done before or without them, each traps where the
 * first access out of bounds is, and what was stored before it stays stored. (An optimised loop with
 * a guarded memory stores a vector at once or not at all.)
 */
#define WAYS                                                                                       \
	{ .opt = 0 }, { .opt = 0, .bounds_check = true }, { .opt = 2, .bounds_check = true },      \
	{                                                                                          \
		.opt = 3, .bounds_check = true                                                     \
	}
#include "tests/unit/compiler/run_calls.h"

/* Addresses at the end of what an i32 can name */
#define TOP(n) (UINT64_C(0x100000000) - (n))

/* 64 KiB; sum: what is stored from an address on, so what a loop before it has done. */
#define MODULE(functions)                                                                          \
	"(module (memory 1 2)"                                                                     \
	"(func (export \"clear\") (memory.fill (i32.const 0) (i32.const 0) (i32.const 65536)))"    \
	"(func (export \"peek\") (param i32) (result i32) (i32.load (local.get 0)))"               \
	"(func (export \"stored\") (result i32) (local $p i32) (local $n i32)"                     \
	" (loop $next (local.set $n (i32.add (local.get $n) (i32.ne (i32.load (local.get $p))"     \
	"  (i32.const 0)))) (local.set $p (i32.add (local.get $p) (i32.const 4)))"                 \
	"  (br_if $next (i32.lt_u (local.get $p) (i32.const 65536)))) (local.get $n))" functions   \
	")"

/* From `p` on, `n` times, by `step` */
#define FILL(name, type_of_step, store, step)                                                      \
	"(func (export \"" name "\") (param $p i32) (param $n i32)" type_of_step                   \
	" (loop $next " store " (local.set $p (i32.add (local.get $p) " step "))"                  \
	" (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))"

#define STORE "(i32.store (local.get $p) (local.get $n))"

static void a_loop_traps_after_exactly_the_stores_before(void **state)
{
	(void)state;
	RUN(MODULE(FILL("up", "", STORE, "(i32.const 4)") FILL("down", "", STORE, "(i32.const -4)")
			   FILL("by", "(param $by i32)", STORE, "(local.get $by)")
				   FILL("up16", "", STORE, "(i32.const 16)")),
	    { "up", { 0, 16384 }, 0, { 0 } }, { "stored", { 0 }, 0, { 16384 } },
	    { "peek", { 0 }, 0, { 16384 } }, { "peek", { 65532 }, 0, { 1 } },
	    { "clear", { 0 }, 0, { 0 } }, { "up", { 4, 16384 }, AOT_TRAP_MEMORY, { 0 } },
	    { "stored", { 0 }, 0, { 16383 } }, { "peek", { 65532 }, 0, { 2 } },
	    { "clear", { 0 }, 0, { 0 } }, { "up", { 65500, 100 }, AOT_TRAP_MEMORY, { 0 } },
	    { "stored", { 0 }, 0, { 9 } }, { "clear", { 0 }, 0, { 0 } },
	    { "up", { 65501, 100 }, AOT_TRAP_MEMORY, { 0 } }, { "peek", { 65525 }, 0, { 94 } },
	    { "peek", { 65532 }, 0, { 0 } }, { "clear", { 0 }, 0, { 0 } },
	    { "up", { TOP(8), 100 }, AOT_TRAP_MEMORY, { 0 } },
	    { "up", { 65536, 0 }, AOT_TRAP_MEMORY, { 0 } }, { "stored", { 0 }, 0, { 0 } },
	    /* 0 times is 2^32 times */
	    { "up", { 0, 0 }, AOT_TRAP_MEMORY, { 0 } }, { "stored", { 0 }, 0, { 16383 } },
	    { "clear", { 0 }, 0, { 0 } }, { "down", { 65532, 16384 }, 0, { 0 } },
	    { "stored", { 0 }, 0, { 16384 } }, { "clear", { 0 }, 0, { 0 } },
	    { "down", { 400, 200 }, AOT_TRAP_MEMORY, { 0 } }, { "stored", { 0 }, 0, { 101 } },
	    { "peek", { 0 }, 0, { 100 } }, { "clear", { 0 }, 0, { 0 } },
	    { "down", { 65536, 3 }, AOT_TRAP_MEMORY, { 0 } }, { "stored", { 0 }, 0, { 0 } },
	    { "by", { 0, 10, 4000 }, 0, { 0 } }, { "stored", { 0 }, 0, { 10 } },
	    { "clear", { 0 }, 0, { 0 } },
	    { "by", { 65532, 20, TOP(4096) }, AOT_TRAP_MEMORY, { 0 } },
	    { "stored", { 0 }, 0, { 16 } }, { "clear", { 0 }, 0, { 0 } },
	    { "by", { 0, 20, 0x80000000 }, AOT_TRAP_MEMORY, { 0 } }, { "peek", { 0 }, 0, { 20 } },
	    { "by", { 0, 7, 0 }, 0, { 0 } }, { "peek", { 0 }, 0, { 1 } },
	    /* 2^30 times round: the last address is in bounds, others are not */
	    { "clear", { 0 }, 0, { 0 } }, { "up16", { 0, 0x10000001 }, AOT_TRAP_MEMORY, { 0 } },
	    { "stored", { 0 }, 0, { 4096 } });
}

/* Until p is what the second parameter says, by this test. */
#define UNTIL(name, test, step)                                                                    \
	"(func (export \"" name "\") (param $p i32) (param $end i32)"                              \
	" (loop $next (i32.store8 (local.get $p) (i32.const 1))"                                   \
	" (br_if $next (" test " (local.tee $p (i32.add (local.get $p) (i32.const " step ")))"     \
	" (local.get $end)))))"

static void every_kind_of_end_counts(void **state)
{
	(void)state;
	RUN(MODULE(UNTIL("ne", "i32.ne", "4") UNTIL("ne3", "i32.ne", "3") UNTIL(
		    "lt", "i32.lt_s", "4") UNTIL("below", "i32.lt_u", "12")
			   UNTIL("to", "i32.le_u", "4") UNTIL("le", "i32.le_s", "4") UNTIL(
				   "gt", "i32.gt_s", "-4") UNTIL("above", "i32.gt_u", "-4")
				   UNTIL("from", "i32.ge_u", "-4") UNTIL("eq", "i32.eq", "4")),
	    { "ne", { 0, 40 }, 0, { 0 } }, { "stored", { 0 }, 0, { 10 } },
	    /* never equal */
	    { "ne", { 0, 41 }, AOT_TRAP_MEMORY, { 0 } }, { "stored", { 0 }, 0, { 16384 } },
	    { "clear", { 0 }, 0, { 0 } }, { "ne3", { 65500, 4 }, AOT_TRAP_MEMORY, { 0 } },
	    { "stored", { 0 }, 0, { 9 } }, { "clear", { 0 }, 0, { 0 } },
	    { "ne", { 8, 4 }, AOT_TRAP_MEMORY, { 0 } }, { "stored", { 0 }, 0, { 16382 } },
	    { "clear", { 0 }, 0, { 0 } }, { "lt", { 0, 41 }, 0, { 0 } },
	    { "stored", { 0 }, 0, { 11 } }, { "clear", { 0 }, 0, { 0 } },
	    { "lt", { 0, TOP(1) }, 0, { 0 } }, { "stored", { 0 }, 0, { 1 } },
	    { "lt", { TOP(8), 40 }, AOT_TRAP_MEMORY, { 0 } }, { "clear", { 0 }, 0, { 0 } },
	    { "lt", { 0, 0x7fffffff }, AOT_TRAP_MEMORY, { 0 } }, { "stored", { 0 }, 0, { 16384 } },
	    { "clear", { 0 }, 0, { 0 } }, { "below", { 0, 25 }, 0, { 0 } },
	    { "stored", { 0 }, 0, { 3 } }, { "clear", { 0 }, 0, { 0 } },
	    { "below", { 0, TOP(1) }, AOT_TRAP_MEMORY, { 0 } }, { "stored", { 0 }, 0, { 5462 } },
	    { "clear", { 0 }, 0, { 0 } }, { "to", { 0, 65532 }, 0, { 0 } },
	    { "stored", { 0 }, 0, { 16384 } }, { "clear", { 0 }, 0, { 0 } },
	    { "to", { 0, 65536 }, AOT_TRAP_MEMORY, { 0 } },
	    { "to", { 4, TOP(1) }, AOT_TRAP_MEMORY, { 0 } }, { "stored", { 0 }, 0, { 16384 } },
	    { "clear", { 0 }, 0, { 0 } }, { "le", { 0, 8 }, 0, { 0 } },
	    { "stored", { 0 }, 0, { 3 } }, { "clear", { 0 }, 0, { 0 } },
	    { "le", { 65532, 0x7fffffff }, AOT_TRAP_MEMORY, { 0 } }, { "stored", { 0 }, 0, { 1 } },
	    { "clear", { 0 }, 0, { 0 } }, { "gt", { 40, 0 }, 0, { 0 } },
	    { "stored", { 0 }, 0, { 10 } }, { "clear", { 0 }, 0, { 0 } },
	    { "gt", { 40, TOP(8) }, AOT_TRAP_MEMORY, { 0 } }, { "stored", { 0 }, 0, { 11 } },
	    { "clear", { 0 }, 0, { 0 } }, { "above", { 40, 1 }, 0, { 0 } },
	    { "stored", { 0 }, 0, { 10 } }, { "clear", { 0 }, 0, { 0 } },
	    { "from", { 40, 0 }, AOT_TRAP_MEMORY, { 0 } }, { "stored", { 0 }, 0, { 11 } },
	    { "clear", { 0 }, 0, { 0 } }, { "eq", { 0, 4 }, 0, { 0 } },
	    { "stored", { 0 }, 0, { 2 } });
}

static void neighbours_in_a_loop_trap_one_by_one(void **state)
{
	(void)state;
	RUN(MODULE(FILL("around", "",
			"(i32.store (i32.sub (local.get $p) (i32.const 4)) (i32.const 1))"
			"(i32.store (local.get $p) (i32.const 2))"
			"(i32.store offset=4 (local.get $p) (i32.const 3))",
			"(i32.const 12)")
			   FILL("smooth", "",
				"(i32.store (local.get $p) (i32.add (i32.const 1) (i32.add "
				"(i32.load"
				" (i32.sub (local.get $p) (i32.const 4))) (i32.load (i32.add"
				" (local.get $p) (i32.const 4))))))",
				"(i32.const 4)") FILL("behind", "",
						      "(i32.store (local.get $p) (i32.const 1))"
						      "(i32.store (i32.sub (local.get $p)"
						      " (i32.const 4)) (i32.const 1))",
						      "(i32.const 4)")
				   FILL("far", "",
					"(i32.store (local.get $p) (i32.const 1))"
					"(i32.store offset=60000 (local.get $p)"
					" (i32.const 1))",
					"(i32.const 4)")),
	    { "around", { 4, 5 }, 0, { 0 } }, { "stored", { 0 }, 0, { 15 } },
	    { "clear", { 0 }, 0, { 0 } }, { "around", { 0, 5 }, AOT_TRAP_MEMORY, { 0 } },
	    { "stored", { 0 }, 0, { 0 } }, { "around", { 65520, 5 }, AOT_TRAP_MEMORY, { 0 } },
	    { "stored", { 0 }, 0, { 5 } }, { "peek", { 65532 }, 0, { 2 } },
	    { "clear", { 0 }, 0, { 0 } }, { "around", { TOP(12), 5 }, AOT_TRAP_MEMORY, { 0 } },
	    { "stored", { 0 }, 0, { 0 } }, { "smooth", { 4, 16382 }, 0, { 0 } },
	    { "stored", { 0 }, 0, { 16382 } }, { "clear", { 0 }, 0, { 0 } },
	    { "smooth", { 4, 16383 }, AOT_TRAP_MEMORY, { 0 } }, { "stored", { 0 }, 0, { 16382 } },
	    { "clear", { 0 }, 0, { 0 } }, { "smooth", { 0, 10 }, AOT_TRAP_MEMORY, { 0 } },
	    { "stored", { 0 }, 0, { 0 } }, { "far", { 0, 1384 }, 0, { 0 } },
	    { "stored", { 0 }, 0, { 2768 } }, { "clear", { 0 }, 0, { 0 } },
	    { "far", { 0, 1385 }, AOT_TRAP_MEMORY, { 0 } }, { "stored", { 0 }, 0, { 2769 } },
	    { "clear", { 0 }, 0, { 0 } }, { "behind", { 4, 16384 }, AOT_TRAP_MEMORY, { 0 } },
	    { "stored", { 0 }, 0, { 16384 } }, { "clear", { 0 }, 0, { 0 } },
	    { "behind", { 0, 4 }, AOT_TRAP_MEMORY, { 0 } }, { "stored", { 0 }, 0, { 1 } });
}

/* What is out of bounds but never reached does not trap. */
static void accesses_that_are_not_made_do_not_trap(void **state)
{
	(void)state;
	RUN(MODULE("(func (export \"some\") (param $p i32) (param $n i32) (param $only i32)"
		   " (loop $next (if (i32.lt_u (local.get $p) (local.get $only))"
		   "  (then (i32.store (local.get $p) (i32.const 1))))"
		   " (local.set $p (i32.add (local.get $p) (i32.const 4)))"
		   " (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))"
		   "(func (export \"find\") (param $p i32) (param $n i32) (result i32)"
		   " (block $found (loop $next (br_if $found (i32.load8_u (local.get $p)))"
		   " (local.set $p (i32.add (local.get $p) (i32.const 1)))"
		   " (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))"
		   " (local.get $p))"
		   "(func (export \"poke\") (param i32) (i32.store8 (local.get 0) (i32.const 1)))"),
	    { "some", { 65500, 100, 65536 }, 0, { 0 } }, { "stored", { 0 }, 0, { 9 } },
	    { "some", { 65500, 100, 65537 }, AOT_TRAP_MEMORY, { 0 } }, { "clear", { 0 }, 0, { 0 } },
	    { "poke", { 65535 }, 0, { 0 } }, { "find", { 10, 1000000 }, 0, { 65535 } },
	    { "find", { 10, 100 }, 0, { 110 } }, { "clear", { 0 }, 0, { 0 } },
	    { "find", { 10, 1000000 }, AOT_TRAP_MEMORY, { 0 } },
	    { "find", { 10, 65526 }, 0, { 65536 } });
}

/* A check may be left out after another only while the size that it saw is good. */
static void a_memory_that_grows_in_a_loop_is_in_bounds(void **state)
{
	(void)state;
	RUN(MODULE("(func (export \"grow\") (param $p i32) (param $n i32) (param $at i32)"
		   " (loop $next (if (i32.eq (local.get $p) (local.get $at))"
		   "  (then (drop (memory.grow (i32.const 1)))))"
		   " (i32.store (local.get $p) (i32.const 1))"
		   " (local.set $p (i32.add (local.get $p) (i32.const 4)))"
		   " (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))"
		   "(func (export \"size\") (result i32) (memory.size))"),
	    { "grow", { 65500, 10, 0 }, AOT_TRAP_MEMORY, { 0 } }, { "size", { 0 }, 0, { 1 } },
	    { "stored", { 0 }, 0, { 9 } }, { "grow", { 65500, 10, 65536 }, 0, { 0 } },
	    { "size", { 0 }, 0, { 2 } }, { "peek", { 65536 }, 0, { 1 } },
	    { "grow", { 131064, 3, 0 }, AOT_TRAP_MEMORY, { 0 } }, { "peek", { 131068 }, 0, { 1 } });
}

static void what_cannot_leave_the_memory_is_told_from_what_can(void **state)
{
	(void)state;
	RUN(MODULE("(func (export \"last\") (param i32) (result i32) (i32.load offset=64512 "
		   "(i32.shl"
		   " (i32.and (local.get 0) (i32.const 255)) (i32.const 2))))"
		   "(func (export \"over\") (param i32) (result i32) (i32.load offset=64513 "
		   "(i32.shl"
		   " (i32.and (local.get 0) (i32.const 255)) (i32.const 2))))"
		   "(func (export \"high\") (param i32) (result i32) (i32.load8_u (i32.shr_u"
		   " (local.get 0) (i32.const 16))))"
		   "(func (export \"higher\") (param i32) (result i32) (i32.load8_u (i32.add"
		   " (i32.const 1) (i32.shr_u (local.get 0) (i32.const 16)))))"
		   "(func (export \"round\") (param i32) (result i32) (i32.load8_u (i32.add"
		   " (i32.const -1) (i32.and (local.get 0) (i32.const 255)))))"
		   "(func (export \"shifted\") (param i32) (result i32) (i32.load8_u (i32.shl"
		   " (i32.and (local.get 0) (i32.const 0x1ffff)) (i32.const 31))))"
		   "(func (export \"either\") (param i32) (result i32) (i32.load8_u (i32.or"
		   " (i32.and (local.get 0) (i32.const 0xffff)) (i32.const 0x10000))))"),
	    { "last", { 255 }, 0, { 0 } }, { "last", { TOP(1) }, 0, { 0 } },
	    { "over", { 254 }, 0, { 0 } }, { "over", { 255 }, AOT_TRAP_MEMORY, { 0 } },
	    { "high", { TOP(1) }, 0, { 0 } }, { "higher", { 0xfffeffff }, 0, { 0 } },
	    { "higher", { TOP(1) }, AOT_TRAP_MEMORY, { 0 } }, { "round", { 1 }, 0, { 0 } },
	    { "round", { 256 }, AOT_TRAP_MEMORY, { 0 } }, { "shifted", { 2 }, 0, { 0 } },
	    { "shifted", { 1 }, AOT_TRAP_MEMORY, { 0 } },
	    { "either", { 0 }, AOT_TRAP_MEMORY, { 0 } });
}

/* As --opt 3 did: the same address in every iteration, and its value says whether to go on. */
static void no_access_moves_before_its_check(void **state)
{
	(void)state;
	RUN(MODULE("(func (export \"same\") (param $n i32) (result i32) (local $i i32)"
		   " (block $out (loop $next (br_if $out (i32.eq (i32.const 81)"
		   "  (i32.load16_s offset=0xf0000000 (i32.const 0xf0000000))))"
		   " (br_if $out (i32.eqz (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))"
		   " (br_if $next (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1)))"
		   "  (i32.const 201))))) (local.get $i))"),
	    { "same", { 100 }, AOT_TRAP_MEMORY, { 0 } });
}

/* Only a sum or a product goes on by the same step. */
static void what_is_shifted_by_a_counter_is_no_line(void **state)
{
	(void)state;
	RUN(MODULE("(func (export \"powers\") (param $n i32) (local $i i32)"
		   " (loop $next (i32.store (i32.shl (i32.const 4) (local.get $i)) (i32.const 1))"
		   " (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))"
		   "  (i32.and (local.get $n) (i32.const 31))))))"),
	    { "powers", { 14 }, 0, { 0 } }, { "stored", { 0 }, 0, { 14 } },
	    { "clear", { 0 }, 0, { 0 } }, { "powers", { 15 }, AOT_TRAP_MEMORY, { 0 } },
	    { "stored", { 0 }, 0, { 14 } }, { "powers", { 31 }, AOT_TRAP_MEMORY, { 0 } });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_loop_traps_after_exactly_the_stores_before),
		cmocka_unit_test(every_kind_of_end_counts),
		cmocka_unit_test(neighbours_in_a_loop_trap_one_by_one),
		cmocka_unit_test(accesses_that_are_not_made_do_not_trap),
		cmocka_unit_test(a_memory_that_grows_in_a_loop_is_in_bounds),
		cmocka_unit_test(what_is_shifted_by_a_counter_is_no_line),
		cmocka_unit_test(no_access_moves_before_its_check),
		cmocka_unit_test(what_cannot_leave_the_memory_is_told_from_what_can),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
