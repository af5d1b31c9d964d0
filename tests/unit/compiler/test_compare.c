/* SPDX-License-Identifier: Apache-2.0 */
/* Loops that compare byte by byte: eight at a time, and nobody can tell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/compiler/fake_runtime.h"
#include "tests/unit/compiler/wat.h"

enum { END = 65536 };

/* memcmp of l, r, n as libcs have it; what is left of n when it ends is in the result's upper half. */
#define LOOP(offset, l_step, n_step) LOOP_OF("load8_u", offset, l_step, n_step)
#define LOOP_OF(load, offset, l_step, n_step)                                                      \
	"(module (memory 1 1) (func (export \"f\") (param $l i32) (param $r i32) (param $n i32)"   \
	" (result i64) (local $a i32) (local $b i32)"                                              \
	" (if (i32.eqz (local.get $n)) (then (return (i64.const 0))))"                             \
	" (block $out (loop $again"                                                                \
	"  (local.set $a (i32." load " " offset " (local.get $l)))"                                \
	"  (local.set $b (i32.load8_u (local.get $r)))"                                            \
	"  (br_if $out (i32.ne (local.get $a) (local.get $b)))"                                    \
	"  (local.set $l (i32.add (local.get $l) (i32.const " l_step ")))"                         \
	"  (local.set $r (i32.add (local.get $r) (i32.const 1)))"                                  \
	"  (br_if $again (local.tee $n (i32.add (local.get $n) (i32.const " n_step "))))))"        \
	" (i64.or (i64.shl (i64.extend_i32_u (local.get $n)) (i64.const 32))"                      \
	"  (i64.extend_i32_u (i32.sub (local.get $a) (local.get $b))))))"

static const char *const shapes[] = {
	LOOP("", "1", "-1"),
	LOOP("offset=3", "1", "-1"),
	LOOP("", "2", "-1"), /* these must stay as they are */
	LOOP("", "1", "-2"),
	LOOP_OF("load8_s", "", "1", "-1"), /* equal bytes are not equal numbers */
};

/* 64 bytes that repeat, but for one at `odd`. */
static void fill(struct guest *g, uint32_t odd)
{
	for (uint32_t i = 0; i < END; i++)
		g->memory.base[i] = (uint8_t)(i % 64 * 37);
	g->memory.base[odd] ^= 0x55;
}

static int run(struct guest *g, const uint32_t *in, uint64_t *ret)
{
	union aot_value v[4] = { { .i32 = in[0] }, { .i32 = in[1] }, { .i32 = in[2] } };
	int trap = guest_call(g, "f", v);
	*ret = trap ? 0 : v[0].i64;
	return trap;
}

static void bytes_are_compared_up_to_the_first_that_differs(void **state)
{
	(void)state;
	/* The last four: to the end, beyond it, and to a difference just before it would trap; wrapped. */
	static const uint32_t rows[][3] = {
		{ 0, 64, 1 },
		{ 0, 64, 8 },
		{ 0, 64, 9 },
		{ 0, 64, 40 },
		{ 128, 0, 40 },
		{ 0, 65, 40 },
		{ 64, 64, 300 },
		{ 5, 69, 17 },
		{ 0, END - 64, 64 },
		{ 0, END - 64, 65 },
		{ 0, END - 64, 0xffffffff },
		{ 0xfffffff0, 48, 32 },
	};
	for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
		size_t len;
		OWN_FREE void *wasm = wat_assemble(shapes[s], &len);
		struct guest a, b;
		assert_int_equal(guest_load(&a, wasm, len, &(struct compile_options){ .opt = 0 }),
				 0);
		assert_int_equal(guest_load(&b, wasm, len, &(struct compile_options){ .opt = 2 }),
				 0);
		for (size_t i = 0; i < ARRAY_LEN(rows) * 80; i++) {
			const uint32_t *in = rows[i / 80];
			uint64_t plain, fast;
			uint32_t odd = (i % 2 ? in[1] + (uint32_t)(i % 80)
					      : END - 1 - (uint32_t)(i % 80)) %
				       END;
			fill(&a, odd);
			fill(&b, odd);
			int want = run(&a, in, &plain), got = run(&b, in, &fast);
			if (want != got || plain != fast)
				fail_msg("shape %zu, f(%u, %u, %u), byte %u differs: trap %d, not "
					 "%d; "
					 "%llx, not %llx",
					 s, in[0], in[1], in[2], odd, got, want,
					 (unsigned long long)fast, (unsigned long long)plain);
		}
		guest_end(&a);
		guest_end(&b);
	}
}

static unsigned skipping_loops(const char *wat)
{
	size_t len;
	OWN_FREE void *wasm = wat_assemble(wat, &len);
	struct arena arena;
	const struct wasm_module *m;
	struct target target;
	struct compile_result result;
	struct why why = { 0 };
	arena_init(&arena, 64 << 20);
	assert_int_equal(module_decode(wasm, len, &arena, &m, &why), 0);
	assert_int_equal(target_open(NULL, NULL, &target, &why), 0);
	const struct compile_options options = { .opt = 2 };
	assert_int_equal(compile_module(m, &target, &options, &result, &why), 0);
	unsigned n = result.skipping_loops;
	compile_result_fini(&result);
	target_fini(&target);
	arena_fini(&arena);
	return n;
}

static void only_bytes_one_after_the_other_are_skipped(void **state)
{
	(void)state;
	static const unsigned want[] = { 1, 1, 0, 0, 0 };
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
		assert_int_equal(skipping_loops(shapes[i]), want[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_compared_up_to_the_first_that_differs),
		cmocka_unit_test(only_bytes_one_after_the_other_are_skipped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
