/* SPDX-License-Identifier: Apache-2.0 */
/* The bound of the stack: heaviest way, cycles, calls through tables; and the features of a module. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "sandbox/wasm/callgraph.h"
#include "sandbox/wasm/features.h"
#include "tests/unit/compiler/wat.h"

static void bound_of(const char *wat, const uint64_t *frames, struct callgraph_bound *ret,
		     uint32_t *ret_features)
{
	size_t len;
	struct arena arena;
	const struct wasm_module *m;
	struct why why = { 0 };
	void *wasm = wat_assemble(wat, &len);
	arena_init(&arena, 1 << 20);
	assert_int_equal(module_decode(wasm, len, &arena, &m, &why), 0);
	assert_int_equal(callgraph_bound(m, frames, ret), 0);
	*ret_features = wasm_features(m);
	arena_fini(&arena);
	free(wasm);
}

#define T "(type $v (func)) (type $v2 (func)) (type $i (func (param i32)))"

static void the_bound_is_the_heaviest_way(void **state)
{
	static const uint64_t frames[] = { 1, 20, 300, 4000, 50000 };
	static const struct {
		const char *wat;
		enum callgraph_result result;
		uint64_t bytes;
		uint32_t func;
	} row[] = {
		{ "(module)", CALLGRAPH_BOUNDED, 0, 0 },
		{ "(module (func (export \"a\") call 2) (func call 2) (func))", CALLGRAPH_BOUNDED,
		  301, 0 },
		/* both sides of a diamond; the second export is heavier */
		{ "(module (func (export \"a\") call 1 call 2 call 1) (func call 3) (func call 3) "
		  "(func)"
		  " (func (export \"b\") call 1))",
		  CALLGRAPH_BOUNDED, 54020, 4 },
		/* the heavy function is not reached */
		{ "(module (func (export \"a\")) (func call 1))", CALLGRAPH_BOUNDED, 1, 0 },
		{ "(module (func (export \"a\") call 1) (func call 2) (func call 1))",
		  CALLGRAPH_RECURSION, 0, 2 },
		{ "(module (func (export \"a\") call 0))", CALLGRAPH_RECURSION, 0, 0 },
		{ "(module (func call 0) (start 0))", CALLGRAPH_RECURSION, 0, 0 },
		/* imports end the way */
		{ "(module (import \"m\" \"f\" (func)) (func (export \"a\") call 0))",
		  CALLGRAPH_BOUNDED, 20, 1 },
		/* only functions of the type, also where it is written twice, that are referred to */
		{ "(module " T "(table 9 funcref) (elem (i32.const 0) 1 2)"
		  "(func (export \"a\") i32.const 0 call_indirect (type $v2))"
		  "(func (type $v)) (func (type $i)) (func (type $v)))",
		  CALLGRAPH_RECURSION, 0, 0 },
		{ "(module " T "(table 9 funcref) (elem (i32.const 0) 1 2)"
		  "(func (export \"a\") (param i64) i32.const 0 call_indirect (type $v2))"
		  "(func (type $v)) (func (type $i)) (func (type $v)))",
		  CALLGRAPH_BOUNDED, 21, 0 },
		{ "(module " T "(table 9 funcref) (elem (i32.const 0) 1 3 2)"
		  "(func (export \"a\") (param i64) i32.const 0 call_indirect (type $v2))"
		  "(func (type $v)) (func (type $i)) (func (type $v)))",
		  CALLGRAPH_BOUNDED, 4001, 0 },
		{ "(module " T "(import \"m\" \"t\" (table 1 funcref))"
		  "(func (export \"a\") i32.const 0 call_indirect (type $v2)))",
		  CALLGRAPH_IMPORTED_TABLE, 0, 0 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct callgraph_bound b;
		uint32_t features;
		bound_of(row[i].wat, frames, &b, &features);
		assert_int_equal(b.result, row[i].result);
		assert_int_equal(b.bytes, row[i].bytes);
		assert_int_equal(b.func, row[i].func);
	}
}

static void features_are_those_used(void **state)
{
#define BIT(id) (1u << WASM_FEATURE_##id)
	static const struct {
		const char *wat;
		uint32_t features;
	} row[] = {
		{ "(module (func (param i32) (result i32) local.get 0))", 0 },
		{ "(module (func (param i32) (result i32) local.get 0 i32.extend8_s))",
		  BIT(SIGN_EXT) },
		{ "(module (func (param f32) (result i32) local.get 0 i32.trunc_sat_f32_s))",
		  BIT(SATURATING) },
		{ "(module (func (result i32 i32) i32.const 1 i32.const 2))", BIT(MULTIVALUE) },
		{ "(module (memory 1) (func i32.const 0 i32.const 1 i32.const 2 memory.fill))",
		  BIT(BULK_MEMORY) },
		{ "(module (table 1 funcref) (func i32.const 0 table.get 0 drop))",
		  BIT(REFERENCE_TYPES) },
		{ "(module (func (param externref)))", BIT(REFERENCE_TYPES) },
		{ "(module (func (param v128)))", BIT(SIMD) },
		{ "(module (func v128.const i32x4 0 0 0 0 drop))", BIT(SIMD) },
		{ "(module (global (export \"g\") (mut i32) i32.const 0))", BIT(MUTABLE_GLOBALS) },
		{ "(module (global (mut i32) i32.const 0))", 0 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		static const uint64_t frames[1];
		struct callgraph_bound b;
		uint32_t features;
		bound_of(row[i].wat, frames, &b, &features);
		assert_int_equal(features, row[i].features);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bound_is_the_heaviest_way),
		cmocka_unit_test(features_are_those_used),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
