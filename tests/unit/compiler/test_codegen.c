/* SPDX-License-Identifier: Apache-2.0 */
/* Control, calls, memory, tables, globals: what compiled code does, and when it stops. */
#include "tests/unit/compiler/run_calls.h"

static void control_carries_values(void **state)
{
	(void)state;
	RUN("(module"
	    "(func (export \"fac\") (param i64) (result i64) (local i64)"
	    " (local.set 1 (i64.const 1))"
	    " (block $done (loop $again (br_if $done (i64.eqz (local.get 0)))"
	    "  (local.set 1 (i64.mul (local.get 1) (local.get 0)))"
	    "  (local.set 0 (i64.sub (local.get 0) (i64.const 1))) (br $again)))"
	    " (local.get 1))"
	    "(func (export \"table\") (param i32) (result i32)"
	    " (block (block (block (block (br_table 0 1 2 1 3 (local.get 0)))"
	    "  (return (i32.const 10))) (return (i32.const 11))) (return (i32.const 12)))"
	    " (i32.const 13))"
	    "(func (export \"valued\") (param i32) (result i32)"
	    " (block (result i32) (block (result i32)"
	    "  (br_table 0 1 (i32.const 5) (local.get 0))) (i32.add (i32.const 100))))"
	    "(func (export \"if\") (param i32) (result i32)"
	    " (i32.const 1) (i32.const 2)"
	    " (if (param i32 i32) (result i32) (local.get 0) (then i32.add) (else i32.sub)))"
	    "(func (export \"early\") (param i32) (result i32)"
	    " (if (local.get 0) (then (return (i32.const 7)))) (i32.const 8))"
	    "(func (export \"multi\") (param i32) (result i32 i64 f64)"
	    " (local.get 0) (i64.const -1) (f64.const 1))"
	    "(func (export \"loop\") (result i32)"
	    " (i32.const 0) (loop (param i32) (result i32) (i32.add (i32.const 1))"
	    "  (br_if 0 (i32.const 0))))"
	    "(func (export \"dead\") (result i32)"
	    " (block (result i32) (br 0 (i32.const 3)) (loop (br 0)) (i32.div_u (i32.const 0))"
	    "  (if (result i32) (then (unreachable)) (else (i32.const 2)))))"
	    "(func (export \"trap\") (unreachable)))",
	    { "fac", { 20 }, 0, { UINT64_C(2432902008176640000) } }, { "table", { 0 }, 0, { 10 } },
	    { "table", { 1 }, 0, { 11 } }, { "table", { 2 }, 0, { 12 } },
	    { "table", { 3 }, 0, { 11 } }, { "table", { 4 }, 0, { 13 } },
	    { "table", { 0xffffffff }, 0, { 13 } }, { "valued", { 0 }, 0, { 105 } },
	    { "valued", { 1 }, 0, { 5 } }, { "if", { 1 }, 0, { 3 } },
	    { "if", { 0 }, 0, { 0xffffffff } }, { "early", { 1 }, 0, { 7 } },
	    { "early", { 0 }, 0, { 8 } },
	    { "multi", { 5 }, 0, { 5, UINT64_MAX, 0x3ff0000000000000 } },
	    { "loop", { 0 }, 0, { 1 } }, { "dead", { 0 }, 0, { 3 } },
	    { "trap", { 0 }, AOT_TRAP_UNREACHABLE, { 0 } });
}

static void calls_pass_everything(void **state)
{
	(void)state;
	RUN("(module (import \"env\" \"add1\" (func $add1 (param i32) (result i32)))"
	    "(type $ii (func (param i32) (result i32))) (type $other (func (param i64)))"
	    "(table 4 funcref) (elem (i32.const 0) $add1 $twice $other)"
	    "(func $twice (type $ii) (call $add1 (call $add1 (local.get 0))))"
	    "(func $other (type $other))"
	    "(func $many (param i32 i64 f32 f64 i32 i64 i32 i32 i64) (result i64 i32 f64 i64)"
	    " (local.get 8) (local.get 7) (local.get 3) (local.get 5))"
	    "(func (export \"import\") (param i32) (result i32) (call $add1 (local.get 0)))"
	    "(func (export \"indirect\") (param i32) (result i32)"
	    " (call_indirect (type $ii) (i32.const 40) (local.get 0)))"
	    "(func (export \"many\") (result i64 i32 f64 i64)"
	    " (call $many (i32.const 1) (i64.const 2) (f32.const 3) (f64.const 1) (i32.const 5)"
	    "  (i64.const 6) (i32.const 7) (i32.const 8) (i64.const 9)))"
	    "(func $deep (export \"deep\") (param i32) (result i32)"
	    " (i32.add (i32.const 1) (call $deep (i32.add (local.get 0) (i32.const 1)))))"
	    "(func $void (export \"void\") (call $void)))",
	    { "import", { 41 }, 0, { 42 } }, { "indirect", { 0 }, 0, { 41 } },
	    { "indirect", { 1 }, 0, { 42 } }, { "indirect", { 2 }, AOT_TRAP_INDIRECT_TYPE, { 0 } },
	    { "indirect", { 3 }, AOT_TRAP_INDIRECT_NULL, { 0 } },
	    { "indirect", { 4 }, AOT_TRAP_TABLE, { 0 } },
	    { "indirect", { 0xffffffff }, AOT_TRAP_TABLE, { 0 } },
	    { "many", { 0 }, 0, { 9, 8, 0x3ff0000000000000, 6 } },
	    { "deep", { 0 }, AOT_TRAP_STACK, { 0 } }, { "void", { 0 }, AOT_TRAP_STACK, { 0 } });
}

/* What is useless only once a function has been inlined traps as well. */
static void loads_that_callers_or_callees_ignore_still_trap(void **state)
{
	(void)state;
	RUN("(module (memory 1)"
	    "(func $get (param i32) (result i32) (i32.load (local.get 0)))"
	    "(func $pass (param i32) (result i32) (call $get (local.get 0)))"
	    "(func $ignore (param i32))"
	    "(func $hand_on (param i32) (call $ignore (local.get 0)))"
	    "(func $sum (param i32) (result i32) (local.get 0) (if (result i32)"
	    " (then (i32.add (i32.load (local.get 0)) (call $sum (i32.const 0))))"
	    " (else (i32.const 5))))"
	    "(func $even (param i32) (result i32) (i32.load offset=4 (local.get 0)))"
	    "(func (export \"dropped\") (param i32) (drop (call $get (local.get 0))))"
	    "(func (export \"passed\") (param i32) (drop (call $pass (local.get 0))))"
	    "(func (export \"ignored\") (param i32) (call $ignore (i32.load (local.get 0))))"
	    "(func (export \"handed\") (param i32) (call $hand_on (i32.load (local.get 0))))"
	    "(func (export \"summed\") (param i32) (drop (call $sum (local.get 0))))"
	    "(func (export \"both\") (param i32) (result i32)"
	    " (drop (call $even (local.get 0))) (call $even (i32.const 0))))",
	    { "dropped", { 65533 }, AOT_TRAP_MEMORY, { 0 } }, { "dropped", { 65532 }, 0, { 0 } },
	    { "passed", { 65533 }, AOT_TRAP_MEMORY, { 0 } },
	    { "ignored", { 65533 }, AOT_TRAP_MEMORY, { 0 } },
	    { "handed", { 65533 }, AOT_TRAP_MEMORY, { 0 } },
	    { "summed", { 65533 }, AOT_TRAP_MEMORY, { 0 } },
	    { "both", { 65530 }, AOT_TRAP_MEMORY, { 0 } }, { "both", { 0 }, 0, { 0 } });
}

/* What needs or changes only the lower bytes of what it accesses traps as the whole access does. */
static void accesses_stay_as_wide_as_they_are(void **state)
{
	(void)state;
	RUN("(module (memory 1)"
	    "(func (export \"wrap\") (param i32) (result i32) (i32.wrap_i64 (i64.load (local.get "
	    "0))))"
	    "(func (export \"byte1\") (param i32) (result i32)"
	    " (i32.and (i32.shr_u (i32.load (local.get 0)) (i32.const 8)) (i32.const 255)))"
	    "(func (export \"bit\") (param i32) (result i32)"
	    " (i32.eqz (i32.and (i32.load (local.get 0)) (i32.const 1))))"
	    "(func (export \"set\") (param i32)"
	    " (i32.store (local.get 0) (i32.or (i32.load (local.get 0)) (i32.const 255))))"
	    "(func (export \"clear\") (param i32)"
	    " (i64.store (local.get 0) (i64.and (i64.load (local.get 0)) (i64.const -256))))"
	    "(func (export \"flip\") (param i32)"
	    " (i32.store16 (local.get 0) (i32.xor (i32.load16_u (local.get 0)) (i32.const 1))))"
	    "(func (export \"insert\") (param i32) (i32.store (local.get 0) (i32.or"
	    " (i32.and (i32.load (local.get 0)) (i32.const -256))"
	    " (i32.and (local.get 0) (i32.const 255)))))"
	    "(func (export \"top\") (param i32) (result i32)"
	    " (i32.shr_u (i32.load (local.get 0)) (i32.const 24)))"
	    "(func (export \"lane\") (param i32) (result i32)"
	    " (i32x4.extract_lane 1 (v128.load (local.get 0))))"
	    "(func (export \"splat\") (param i32) (result i32) (i32x4.extract_lane 2"
	    " (i32x4.splat (i32x4.extract_lane 0 (v128.load (local.get 0)))))))",
	    { "wrap", { 65532 }, AOT_TRAP_MEMORY, { 0 } },
	    { "byte1", { 65533 }, AOT_TRAP_MEMORY, { 0 } },
	    { "bit", { 65535 }, AOT_TRAP_MEMORY, { 0 } },
	    { "set", { 65535 }, AOT_TRAP_MEMORY, { 0 } },
	    { "clear", { 65530 }, AOT_TRAP_MEMORY, { 0 } },
	    { "flip", { 65535 }, AOT_TRAP_MEMORY, { 0 } },
	    { "insert", { 65535 }, AOT_TRAP_MEMORY, { 0 } },
	    { "top", { 65533 }, AOT_TRAP_MEMORY, { 0 } }, { "top", { 65532 }, 0, { 0 } },
	    { "lane", { 65528 }, AOT_TRAP_MEMORY, { 0 } },
	    { "splat", { 65532 }, AOT_TRAP_MEMORY, { 0 } }, { "set", { 65532 }, 0, { 0 } });
}

static void memory_ends_where_it_ends(void **state)
{
	(void)state;
	RUN("(module (memory 1 3) (data (i32.const 8) \"\\80\\ff\\01\\02\\03\\04\\05\\06\")"
	    "(func (export \"load8_s\") (param i32) (result i32) (i32.load8_s (local.get 0)))"
	    "(func (export \"load16_u\") (param i32) (result i64) (i64.load16_u (local.get 0)))"
	    "(func (export \"load64\") (param i32) (result i64) (i64.load offset=1 (local.get 0)))"
	    "(func (export \"unused\") (param i32) (drop (i32.load (local.get 0))))"
	    "(func (export \"unused_sum\") (param i32) (local i32)"
	    " (local.set 1 (i32.add (i32.const 1) (i32.load (local.get 0)))))"
	    "(func (export \"unused_chain\") (param i32)"
	    " (drop (i64.extend_i32_u (i32.load (i32.load (local.get 0))))))"
	    "(func (export \"far\") (param i32) (result i32)"
	    " (i32.load offset=0xffffffff (local.get 0)))"
	    "(func (export \"guard\") (param i32) (result i32)"
	    " (i32.load8_u offset=0x4000000 (local.get 0)))"
	    "(func (export \"store\") (param i32 i32) (i32.store16 offset=2 (local.get 0)"
	    " (local.get 1)))"
	    "(func (export \"size\") (result i32) (memory.size))"
	    "(func (export \"grow\") (param i32) (result i32) (memory.grow (local.get 0))))",
	    { "load8_s", { 8 }, 0, { 0xffffff80 } }, { "load16_u", { 8 }, 0, { 0xff80 } },
	    { "load64", { 7 }, 0, { UINT64_C(0x060504030201ff80) } },
	    { "load64", { 65527 }, 0, { 0 } }, { "load64", { 65528 }, AOT_TRAP_MEMORY, { 0 } },
	    { "load64", { 0xffffffff }, AOT_TRAP_MEMORY, { 0 } }, { "unused", { 65532 }, 0, { 0 } },
	    { "unused", { 65533 }, AOT_TRAP_MEMORY, { 0 } },
	    { "unused_sum", { 65533 }, AOT_TRAP_MEMORY, { 0 } },
	    { "unused_chain", { 65533 }, AOT_TRAP_MEMORY, { 0 } },
	    { "unused_chain", { 10 }, AOT_TRAP_MEMORY, { 0 } },
	    { "far", { 0 }, AOT_TRAP_MEMORY, { 0 } },
	    { "far", { 0xffffffff }, AOT_TRAP_MEMORY, { 0 } },
	    { "guard", { 0 }, AOT_TRAP_MEMORY, { 0 } }, { "store", { 65532, 0x12345 }, 0, { 0 } },
	    { "store", { 65533, 1 }, AOT_TRAP_MEMORY, { 0 } },
	    { "load16_u", { 65534 }, 0, { 0x2345 } }, { "size", { 0 }, 0, { 1 } },
	    { "grow", { 3 }, 0, { 0xffffffff } }, { "grow", { 1 }, 0, { 1 } },
	    { "size", { 0 }, 0, { 2 } },
	    { "load64", { 65528 }, 0, { UINT64_C(0x23450000000000) } });
}

static void bulk_instructions_check_before_they_write(void **state)
{
	(void)state;
	RUN("(module (memory 1) (data $p \"abcd\")"
	    "(func (export \"fill\") (param i32 i32 i32)"
	    " (memory.fill (local.get 0) (local.get 1) (local.get 2)))"
	    "(func (export \"copy\") (param i32 i32 i32)"
	    " (memory.copy (local.get 0) (local.get 1) (local.get 2)))"
	    "(func (export \"init\") (param i32 i32 i32)"
	    " (memory.init $p (local.get 0) (local.get 1) (local.get 2)))"
	    "(func (export \"drop\") (data.drop $p))"
	    "(func (export \"load\") (param i32) (result i32) (i32.load (local.get 0))))",
	    { "init", { 0, 1, 3 }, 0, { 0 } }, { "load", { 0 }, 0, { 0x00646362 } },
	    { "copy", { 1, 0, 3 }, 0, { 0 } }, { "load", { 0 }, 0, { 0x64636262 } },
	    { "fill", { 2, 0x141, 2 }, 0, { 0 } }, { "load", { 0 }, 0, { 0x41416262 } },
	    { "fill", { 65535, 0, 2 }, AOT_TRAP_MEMORY, { 0 } },
	    { "fill", { 65536, 0, 0 }, 0, { 0 } }, { "init", { 0, 2, 3 }, AOT_TRAP_MEMORY, { 0 } },
	    { "drop", { 0 }, 0, { 0 } }, { "init", { 0, 0, 0 }, 0, { 0 } },
	    { "init", { 0, 0, 1 }, AOT_TRAP_MEMORY, { 0 } });
}

static void tables_hold_references(void **state)
{
	(void)state;
	RUN("(module (table $a 2 10 funcref) (table $b 4 externref)"
	    "(type $i (func (result i32)))"
	    "(elem $e func $one $two) (elem declare func $two)"
	    "(func $one (type $i) (i32.const 1)) (func $two (type $i) (i32.const 2))"
	    "(func (export \"call\") (param i32) (result i32)"
	    " (call_indirect $a (type $i) (local.get 0)))"
	    "(func (export \"init\") (param i32 i32 i32)"
	    " (table.init $a $e (local.get 0) (local.get 1) (local.get 2)))"
	    "(func (export \"set\") (param i32) (table.set $a (local.get 0) (ref.func $two)))"
	    "(func (export \"null\") (param i32) (result i32)"
	    " (ref.is_null (table.get $a (local.get 0))))"
	    "(func (export \"grow\") (param i32) (result i32)"
	    " (table.grow $a (ref.null func) (local.get 0)))"
	    "(func (export \"size\") (result i32) (table.size $a))"
	    "(func (export \"copy\") (param i32 i32 i32)"
	    " (table.copy $a $a (local.get 0) (local.get 1) (local.get 2)))"
	    "(func (export \"fill\") (param i32 i32)"
	    " (table.fill $b (local.get 0) (ref.null extern) (local.get 1)))"
	    "(func (export \"drop\") (elem.drop $e)))",
	    { "call", { 0 }, AOT_TRAP_INDIRECT_NULL, { 0 } }, { "init", { 0, 0, 2 }, 0, { 0 } },
	    { "call", { 0 }, 0, { 1 } }, { "call", { 1 }, 0, { 2 } }, { "set", { 0 }, 0, { 0 } },
	    { "call", { 0 }, 0, { 2 } }, { "set", { 2 }, AOT_TRAP_TABLE, { 0 } },
	    { "null", { 1 }, 0, { 0 } }, { "null", { 2 }, AOT_TRAP_TABLE, { 0 } },
	    { "grow", { 9 }, 0, { 0xffffffff } }, { "grow", { 2 }, 0, { 2 } },
	    { "size", { 0 }, 0, { 4 } }, { "null", { 3 }, 0, { 1 } },
	    { "copy", { 2, 0, 2 }, 0, { 0 } }, { "call", { 3 }, 0, { 2 } },
	    { "copy", { 3, 0, 2 }, AOT_TRAP_TABLE, { 0 } },
	    { "fill", { 2, 3 }, AOT_TRAP_TABLE, { 0 } }, { "drop", { 0 }, 0, { 0 } },
	    { "init", { 0, 0, 1 }, AOT_TRAP_TABLE, { 0 } });
}

static void globals_are_the_instances_own_or_imported(void **state)
{
	(void)state;
	RUN("(module (import \"env\" \"g\" (global $in i32))"
	    "(global $copy i32 (global.get $in)) (global $m (mut i64) (i64.const -7))"
	    "(global $c f32 (f32.const 0.5)) (global $started (mut i32) (i32.const 0))"
	    "(func $start (global.set $started (i32.const 9))) (start $start)"
	    "(func (export \"in\") (result i32) (global.get $in))"
	    "(func (export \"copy\") (result i32) (global.get $copy))"
	    "(func (export \"add\") (param i64) (result i64)"
	    " (global.set $m (i64.add (global.get $m) (local.get 0))) (global.get $m))"
	    "(func (export \"c\") (result f32) (global.get $c))"
	    "(func (export \"started\") (result i32) (global.get $started)))",
	    { "in", { 0 }, 0, { 666 } }, { "copy", { 0 }, 0, { 666 } }, { "add", { 10 }, 0, { 3 } },
	    { "add", { 10 }, 0, { 13 } }, { "c", { 0 }, 0, { 0x3f000000 } },
	    { "started", { 0 }, 0, { 9 } });
}

/* LLVM must not take this loop for undefined, nor the function behind it for its continuation. */
static void a_loop_without_effect_is_compiled_as_a_loop(void **state)
{
	(void)state;
	size_t len;
	OWN_FREE void *wasm = wat_assemble("(module (func (export \"f\") (loop (br 0)))"
					   "(func (export \"g\") (result i32) (i32.const 5)))",
					   &len);
	for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
		struct guest g;
		assert_int_equal(guest_load(&g, wasm, len, &ways[w]), 0);
		uintptr_t f = (uintptr_t)g.m->func_code[0], next = (uintptr_t)g.m->func_code[1];
		assert_true(next > f && next - f >= 2);
		assert_true((uintptr_t)g.m->code_start <= f && next < (uintptr_t)g.m->code_end);
		guest_end(&g);
	}
}

static void functions_keep_names_that_are_safe(void **state)
{
	(void)state;
	size_t len;
	struct guest g;
	OWN_FREE void *wasm =
		wat_assemble("(module (func $check_limit) (func $memcpy) (func) (func $llvm.trap)"
			     " (func (export \"penstock_module\")))",
			     &len);
	assert_int_equal(guest_load(&g, wasm, len, &ways[1]), 0);
	static const char *const want[] = { "check_limit", "memcpy", "f2", "llvm.trap",
					    "penstock_module" };
	for (uint32_t i = 0; i < ARRAY_LEN(want); i++)
		assert_string_equal(g.m->func_names[i], want[i]);
	guest_end(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(control_carries_values),
		cmocka_unit_test(calls_pass_everything),
		cmocka_unit_test(loads_that_callers_or_callees_ignore_still_trap),
		cmocka_unit_test(accesses_stay_as_wide_as_they_are),
		cmocka_unit_test(memory_ends_where_it_ends),
		cmocka_unit_test(bulk_instructions_check_before_they_write),
		cmocka_unit_test(tables_hold_references),
		cmocka_unit_test(globals_are_the_instances_own_or_imported),
		cmocka_unit_test(a_loop_without_effect_is_compiled_as_a_loop),
		cmocka_unit_test(functions_keep_names_that_are_safe),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
