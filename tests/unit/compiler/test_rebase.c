/* SPDX-License-Identifier: Apache-2.0 */
/* Neighbouring accesses: each traps where it did, and what was stored before stays stored. */
#include "tests/unit/compiler/run_calls.h"

/* Addresses at the end of what an i32 can name */
#define TOP(n) (UINT64_C(0x100000000) - (n))

static void loads_trap_each_where_it_is_out_of_bounds(void **state)
{
	(void)state;
	RUN("(module (memory 1)"
	    "(func (export \"poke\") (param i32 i32) (i32.store (local.get 0) (local.get 1)))"
	    "(func (export \"up\") (param i32) (result i32) (i32.sub (i32.load (local.get 0))"
	    " (i32.load (i32.add (local.get 0) (i32.const 4)))))"
	    "(func (export \"down\") (param i32) (result i32) (i32.sub (i32.load (i32.add"
	    " (local.get 0) (i32.const 4))) (i32.load (local.get 0))))"
	    "(func (export \"both\") (param i32) (result i32) (i32.sub (i32.load (local.get 0))"
	    " (i32.sub (i32.load (i32.add (local.get 0) (i32.const 4))) (i32.load (i32.add"
	    " (local.get 0) (i32.const -4))))))"
	    "(func (export \"bytes\") (param i32) (result i32) (i32.sub (i32.load8_u (local.get"
	    " 0)) (i32.sub (i32.load8_u (i32.add (local.get 0) (i32.const 1))) (i32.load8_u"
	    " offset=1 (i32.add (local.get 0) (i32.const 1))))))"
	    "(func (export \"far\") (param i32) (result i32) (i32.sub (i32.load (local.get 0))"
	    " (i32.load (i32.add (local.get 0) (i32.const 32772)))))"
	    "(func (export \"beyond\") (param i32) (result i32) (i32.sub (i32.load (local.get 0))"
	    " (i32.load offset=0x4000000 (i32.add (local.get 0) (i32.const 4))))))",
	    { "poke", { 0, 100 }, 0, { 0 } }, { "poke", { 4, 7 }, 0, { 0 } },
	    { "poke", { 8, 20 }, 0, { 0 } }, { "poke", { 65532, 1000 }, 0, { 0 } },
	    { "poke", { 32772, 3 }, 0, { 0 } }, { "up", { 0 }, 0, { 93 } },
	    { "up", { 65528 }, 0, { TOP(1000) } }, { "up", { 65529 }, AOT_TRAP_MEMORY, { 0 } },
	    { "up", { 65532 }, AOT_TRAP_MEMORY, { 0 } },
	    { "up", { TOP(4) }, AOT_TRAP_MEMORY, { 0 } }, { "down", { 0 }, 0, { TOP(93) } },
	    { "down", { 65528 }, 0, { 1000 } }, { "down", { 65529 }, AOT_TRAP_MEMORY, { 0 } },
	    { "down", { TOP(4) }, AOT_TRAP_MEMORY, { 0 } },
	    { "down", { TOP(1) }, AOT_TRAP_MEMORY, { 0 } }, { "both", { 4 }, 0, { 87 } },
	    { "both", { 0 }, AOT_TRAP_MEMORY, { 0 } },
	    { "both", { TOP(4) }, AOT_TRAP_MEMORY, { 0 } },
	    { "both", { 65532 }, AOT_TRAP_MEMORY, { 0 } }, { "bytes", { 0 }, 0, { 100 } },
	    { "bytes", { 65533 }, 0, { 3 } }, { "bytes", { 65534 }, AOT_TRAP_MEMORY, { 0 } },
	    { "bytes", { TOP(1) }, AOT_TRAP_MEMORY, { 0 } }, { "far", { 0 }, 0, { 97 } },
	    { "far", { TOP(32772) }, AOT_TRAP_MEMORY, { 0 } },
	    { "far", { 32768 }, AOT_TRAP_MEMORY, { 0 } },
	    { "beyond", { 0 }, AOT_TRAP_MEMORY, { 0 } },
	    { "beyond", { TOP(4) }, AOT_TRAP_MEMORY, { 0 } });
}

/* Of two stores the first is visible exactly if it comes first and is in bounds. */
static void stores_before_a_trap_stay(void **state)
{
	(void)state;
	RUN("(module (memory 1)"
	    "(func (export \"peek\") (param i32) (result i32) (i32.load (local.get 0)))"
	    "(func (export \"up\") (param i32 i32) (i32.store (local.get 0) (local.get 1))"
	    " (i32.store (i32.add (local.get 0) (i32.const 4)) (local.get 1)))"
	    "(func (export \"down\") (param i32 i32) (i32.store (i32.add (local.get 0) (i32.const"
	    " 4)) (local.get 1)) (i32.store (local.get 0) (local.get 1)))"
	    "(func (export \"move_up\") (param i32) (i32.store (local.get 0) (i32.load (i32.add"
	    " (local.get 0) (i32.const 4)))))"
	    "(func (export \"move_down\") (param i32) (i32.store (i32.add (local.get 0)"
	    " (i32.const 4)) (i32.load (local.get 0))))"
	    "(func (export \"stored_then_loaded\") (param i32 i32) (result i32) (i32.store"
	    " (i32.add (local.get 0) (i32.const 4)) (local.get 1)) (i32.load (local.get 0)))"
	    "(func (export \"filled_then_loaded\") (param i32 i32) (result i32) (drop (i32.load"
	    " (i32.add (local.get 0) (i32.const 4)))) (memory.fill (i32.const 16) (local.get 1)"
	    " (i32.const 4)) (i32.add (i32.load (i32.add (local.get 0) (i32.const 4))) (i32.load"
	    " (local.get 0)))))",
	    { "up", { 65529, 1 }, AOT_TRAP_MEMORY, { 0 } }, { "peek", { 65528 }, 0, { 0x100 } },
	    { "up", { TOP(4), 2 }, AOT_TRAP_MEMORY, { 0 } }, { "peek", { 0 }, 0, { 0 } },
	    { "up", { TOP(3), 2 }, AOT_TRAP_MEMORY, { 0 } }, { "peek", { 0 }, 0, { 0 } },
	    { "down", { 65529, 3 }, AOT_TRAP_MEMORY, { 0 } }, { "peek", { 65528 }, 0, { 0x100 } },
	    { "down", { TOP(4), 4 }, AOT_TRAP_MEMORY, { 0 } }, { "peek", { 0 }, 0, { 4 } },
	    { "move_up", { TOP(4) }, AOT_TRAP_MEMORY, { 0 } },
	    { "move_down", { TOP(4) }, AOT_TRAP_MEMORY, { 0 } }, { "peek", { 0 }, 0, { 4 } },
	    { "stored_then_loaded", { TOP(4), 5 }, AOT_TRAP_MEMORY, { 0 } },
	    { "peek", { 0 }, 0, { 5 } },
	    { "filled_then_loaded", { TOP(4), 6 }, AOT_TRAP_MEMORY, { 0 } },
	    { "peek", { 16 }, 0, { 0x06060606 } },
	    { "filled_then_loaded", { 12, 7 }, 0, { 0x07070707 } });
}

/* An access proves something about another only where it was executed. */
static void accesses_on_another_way_prove_nothing(void **state)
{
	(void)state;
	RUN("(module (memory 1)"
	    "(func (export \"poke\") (param i32 i32) (i32.store (local.get 0) (local.get 1)))"
	    "(func (export \"maybe\") (param i32 i32) (result i32) (local i32) (if (local.get 1)"
	    " (then (local.set 2 (i32.load (local.get 0))))) (i32.add (local.get 2) (i32.load"
	    " (i32.add (local.get 0) (i32.const 4)))))"
	    "(func (export \"after\") (param i32 i32) (result i32) (local i32) (local.set 2"
	    " (i32.load (local.get 0))) (if (local.get 1) (then (local.set 2 (i32.add (local.get"
	    " 2) (i32.load (i32.add (local.get 0) (i32.const 4))))))) (local.get 2))"
	    "(func (export \"later\") (param i32 i32) (result i32) (local i32) (local.set 2"
	    " (i32.load (i32.add (local.get 0) (i32.const 4)))) (if (local.get 1) (then"
	    " (local.set 2 (i32.add (local.get 2) (i32.load (local.get 0)))))) (local.get 2))"
	    "(func (export \"divided\") (param i32 i32) (result i32) (i32.sub (i32.div_u"
	    " (i32.load (i32.add (local.get 0) (i32.const 4))) (local.get 1)) (i32.load"
	    " (local.get 0)))))",
	    { "poke", { 0, 40 }, 0, { 0 } }, { "poke", { 4, 2 }, 0, { 0 } },
	    { "maybe", { TOP(4), 0 }, 0, { 40 } },
	    { "maybe", { TOP(4), 1 }, AOT_TRAP_MEMORY, { 0 } }, { "maybe", { 0, 1 }, 0, { 42 } },
	    { "after", { 65532, 0 }, 0, { 0 } }, { "after", { 65532, 1 }, AOT_TRAP_MEMORY, { 0 } },
	    { "after", { 0, 1 }, 0, { 42 } }, { "after", { TOP(4), 1 }, AOT_TRAP_MEMORY, { 0 } },
	    { "later", { TOP(4), 0 }, 0, { 40 } },
	    { "later", { TOP(4), 1 }, AOT_TRAP_MEMORY, { 0 } }, { "later", { 0, 1 }, 0, { 42 } },
	    { "divided", { TOP(4), 0 }, AOT_TRAP_DIVIDE, { 0 } },
	    { "divided", { TOP(4), 1 }, AOT_TRAP_MEMORY, { 0 } });
}

/* Where the same index means another address each time round */
static void loops_go_on_to_the_end(void **state)
{
	(void)state;
	RUN("(module (memory 1)"
	    "(func (export \"peek\") (param i32) (result i32) (i32.load (local.get 0)))"
	    "(func (export \"fill\") (param i32 i32) (loop $next (i32.store (local.get 0)"
	    " (local.get 1)) (i32.store (i32.add (local.get 0) (i32.const 4)) (local.get 1))"
	    " (local.set 0 (i32.add (local.get 0) (i32.const 8))) (br_if $next (local.get 0))))"
	    "(func (export \"fill_down\") (param i32 i32) (loop $next (local.set 0 (i32.add"
	    " (local.get 0) (i32.const -8))) (i32.store (i32.add (local.get 0) (i32.const 4))"
	    " (local.get 1)) (i32.store (local.get 0) (local.get 1)) (br_if $next (i32.ne"
	    " (local.get 0) (i32.const -8))))))",
	    { "fill", { 65500, 1 }, AOT_TRAP_MEMORY, { 0 } }, { "peek", { 65528 }, 0, { 1 } },
	    { "fill_down", { 64, 2 }, AOT_TRAP_MEMORY, { 0 } }, { "peek", { 0 }, 0, { 2 } },
	    { "peek", { 60 }, 0, { 2 } }, { "peek", { 64 }, 0, { 0 } });
}

/* Only there can an access at the very top be followed by one at the bottom. */
static void a_memory_of_4_gib_wraps(void **state)
{
	(void)state;
	RUN("(module (memory 65536)"
	    "(func (export \"around\") (param i32) (result i32) (i32.store8 (local.get 0)"
	    " (i32.const 5)) (i32.store8 (i32.add (local.get 0) (i32.const 1)) (i32.const 6))"
	    " (i32.add (i32.load8_u (i32.const -1)) (i32.load8_u (i32.const 0)))))",
	    { "around", { 0xffffffff }, 0, { 11 } });
}

/* An access says something about a table: what lies above it by the few bytes that an index can be */
static void tables_are_read_where_they_are(void **state)
{
	(void)state;
	RUN("(module (memory 1)"
	    "(func (export \"poke\") (param i32 i32) (i32.store (local.get 0) (local.get 1)))"
	    "(func (export \"masked\") (param i32 i32) (result i32) (i32.sub (i32.load8_u"
	    " (local.get 0)) (i32.load8_u (i32.add (local.get 0) (i32.and (local.get 1)"
	    " (i32.const 255))))))"
	    "(func (export \"scaled\") (param i32 i32) (result i32) (i32.sub (i32.load (local.get"
	    " 0)) (i32.load offset=4 (i32.add (local.get 0) (i32.shl (i32.and (local.get 1)"
	    " (i32.const 255)) (i32.const 2))))))"
	    "(func (export \"below\") (param i32 i32) (result i32) (i32.sub (i32.load8_u"
	    " (local.get 0)) (i32.load8_u (i32.sub (local.get 0) (i32.and (local.get 1)"
	    " (i32.const 255))))))"
	    "(func (export \"wide\") (param i32 i32) (result i32) (i32.sub (i32.load8_u"
	    " (local.get 0)) (i32.load8_u (i32.add (local.get 0) (i32.and (local.get 1)"
	    " (i32.const 0xffff))))))"
	    "(func (export \"signed\") (param i32 i32) (result i32) (i32.sub (i32.load8_u"
	    " (local.get 0)) (i32.load8_u (i32.add (local.get 0) (i32.shr_s (local.get 1)"
	    " (i32.const 24))))))"
	    "(func (export \"first\") (param i32 i32) (result i32) (i32.sub (i32.load8_u (i32.add"
	    " (local.get 0) (i32.and (local.get 1) (i32.const 255)))) (i32.load8_u (local.get"
	    " 0))))"
	    "(func (export \"looped\") (param i32 i32) (result i32) (local i32) (local.set 2"
	    " (i32.load8_u (local.get 0))) (loop $next (local.set 2 (i32.add (local.get 2)"
	    " (i32.load8_u (i32.add (local.get 0) (i32.and (local.get 1) (i32.const 255))))))"
	    " (br_if $next (local.tee 1 (i32.shr_u (local.get 1) (i32.const 8))))) (local.get 2)))",
	    { "poke", { 0, 0x04030201 }, 0, { 0 } }, { "poke", { 252, 0x09080706 }, 0, { 0 } },
	    { "poke", { 65532, 0x0d0c0b0a }, 0, { 0 } }, { "masked", { 0, 3 }, 0, { TOP(3) } },
	    { "masked", { 65533, 0x302 }, 0, { TOP(2) } },
	    { "masked", { 65533, 3 }, AOT_TRAP_MEMORY, { 0 } },
	    { "masked", { TOP(1), 1 }, AOT_TRAP_MEMORY, { 0 } },
	    { "masked", { TOP(3), 255 }, AOT_TRAP_MEMORY, { 0 } },
	    { "scaled", { 0, 62 }, 0, { 0x04030201u - 0x09080706u } },
	    { "scaled", { 65528, 0 }, 0, { TOP(0x0d0c0b0a) } },
	    { "scaled", { 65528, 1 }, AOT_TRAP_MEMORY, { 0 } },
	    { "scaled", { TOP(8), 1 }, AOT_TRAP_MEMORY, { 0 } },
	    { "scaled", { TOP(4), 0 }, AOT_TRAP_MEMORY, { 0 } }, { "below", { 3, 3 }, 0, { 3 } },
	    { "below", { 3, 4 }, AOT_TRAP_MEMORY, { 0 } },
	    { "wide", { 0, 0xffff }, 0, { TOP(12) } },
	    { "wide", { 1, 0xffff }, AOT_TRAP_MEMORY, { 0 } },
	    { "wide", { TOP(4), 4 }, AOT_TRAP_MEMORY, { 0 } },
	    { "signed", { 3, 0xfd000000 }, 0, { 3 } },
	    { "signed", { 3, 0xfc000000 }, AOT_TRAP_MEMORY, { 0 } },
	    { "signed", { 0, 0x03000000 }, 0, { TOP(3) } }, { "first", { 65534, 1 }, 0, { 1 } },
	    { "first", { 65534, 2 }, AOT_TRAP_MEMORY, { 0 } },
	    { "first", { TOP(1), 1 }, AOT_TRAP_MEMORY, { 0 } },
	    { "looped", { 0, 0x0300fe }, 0, { 14 } }, { "looped", { 65533, 0x000102 }, 0, { 36 } },
	    { "looped", { 65533, 0x0301 }, AOT_TRAP_MEMORY, { 0 } },
	    { "looped", { TOP(2), 0x0002 }, AOT_TRAP_MEMORY, { 0 } });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loads_trap_each_where_it_is_out_of_bounds),
		cmocka_unit_test(stores_before_a_trap_stay),
		cmocka_unit_test(accesses_on_another_way_prove_nothing),
		cmocka_unit_test(loops_go_on_to_the_end),
		cmocka_unit_test(a_memory_of_4_gib_wraps),
		cmocka_unit_test(tables_are_read_where_they_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
