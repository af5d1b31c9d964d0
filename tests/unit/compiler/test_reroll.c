/* SPDX-License-Identifier: Apache-2.0 */
/* Loops that a producer unrolled: which are rolled up again, and that nothing else changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/compiler/fake_runtime.h"
#include "tests/unit/compiler/wat.h"

enum { PAGES = 2, ARGS = 3 };

struct shape {
	const char *name,
		*body; /* of a function of p, q, n that has i and the sums s (i64), d (f64) */
	unsigned rolled;
};

/* The second ends 8 bytes before memory does, the third beyond it, in the middle of a copy; the last
 * wraps. */
static const uint32_t args[][ARGS] = {
	{ 64, 4096, 16 },   { 64, 72, 16 },         { PAGES * 65536 - 264, 1000, 32 },
	{ 0, 131000, 64 },  { 131000, 0, 64 },      { 0xfffffff0, 64, 8 },
	{ 4096, 4088, 30 }, { 64, 0xffffffc0, 24 },
};

#define LOAD(base, offset)   "(f64.load " offset " (i32.add (local.get $i) (local.get " base ")))"
#define LOOP(...)            "(loop $l " __VA_ARGS__ ")"
#define STEP(by)             "(local.set $i (i32.add (local.get $i) (i32.const " by ")))"
#define UNTIL(end)           "(br_if $l (i32.ne (local.get $i) (i32.const " end ")))"
#define AT(base, off)        "(i32.add (i32.add (local.get $i) (local.get " base ")) (i32.const " off "))"
#define GET(base, off)       "(f64.load " AT(base, off) ")"
#define PUT(base, off, what) "(f64.store " AT(base, off) " " what ")"
#define SCALED(k, off)       PUT("$q", off, "(f64.mul (f64.const " k ") " GET("$p", off) ")")
#define ADDED(off)           PUT("$q", off, "(f64.add " GET("$q", off) " " GET("$p", off) ")")

static const struct shape shapes[] = {
	{ "fill",
	  LOOP(PUT("$p", "0", "(local.get $d)") PUT("$p", "8", "(local.get $d)") STEP("16")
		       UNTIL("256")),
	  1 },
	{ "scale",
	  LOOP(SCALED("2", "0") SCALED("2", "8") SCALED("2", "16") STEP("24") UNTIL("240")), 1 },
	{ "add", LOOP(ADDED("0") ADDED("8") STEP("16") UNTIL("256")), 1 },
	{ "what a copy writes the next one reads",
	  LOOP(PUT("$p", "8", GET("$p", "0")) PUT("$p", "16", GET("$p", "8")) STEP("16")
		       UNTIL("160")),
	  1 },
	{ "downwards", LOOP(SCALED("2", "0") SCALED("2", "-8") STEP("-16") UNTIL("-160")), 1 },
	{ "from below zero up to it",
	  "(local.set $i (i32.const -256))" LOOP(ADDED("256") ADDED("264") STEP("16") UNTIL("0")),
	  1 },
	{ "x | 8",
	  LOOP(PUT("$p", "0",
		   "(local.get $d)") "(f64.store (i32.add (local.get $p) (i32.or (local.get $i) "
				     "(i32.const 8))) (local.get $d))" STEP("16") UNTIL("256")),
	  1 },
	{ "steps in static offsets",
	  LOOP("(f64.store (i32.add (local.get $i) (local.get $p)) " LOAD(
		  "$q", "") ")"
			    "(f64.store offset=8 (i32.add (local.get $i) (local.get $p)) " LOAD(
				    "$q", "offset=8") ")" STEP("16") UNTIL("256")),
	  1 },
	{ "a sum, in order",
	  LOOP("(local.set $d (f64.add (local.get $d) " GET(
		  "$p", "0") "))"
			     "(local.set $d (f64.add (local.get $d) " GET("$p", "8") ")) " STEP(
				     "16") UNTIL("256")),
	  1 },
	{ "a hash: two operations a copy",
	  LOOP("(local.set $s (i64.mul (i64.xor (local.get $s) (i64.load8_u " AT(
		  "$p", "0") ")) (i64.const 31)))"
			     "(local.set $s (i64.mul (i64.xor (local.get $s) (i64.load8_u " AT(
				     "$p",
				     "1") ")) (i64.const 31)))"
					  "(local.set $s (i64.mul (i64.xor (local.get $s) "
					  "(i64.load8_u " AT(
						  "$p",
						  "2") ")) (i64.const 31)))"
						       "(local.set $s (i64.mul (i64.xor (local.get "
						       "$s) (i64.load8_u " AT(
							       "$p",
							       "3") ")) (i64.const 31)))" STEP("4")
							       UNTIL("64")),
	  1 },
	{ "loads for their trap only",
	  LOOP("(drop " GET("$p", "0") ") (drop " GET("$p", "8") ")" STEP("16") UNTIL("256")), 1 },
	{ "as often as the caller says",
	  "(local.set $n (i32.and (local.get $n) (i32.const -2)))"
	  "(if (i32.eqz (local.get $n)) (then (return (i64.const 1))))" LOOP(
		  ADDED("0") ADDED("8") STEP(
			  "16") "(br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 2))))"),
	  1 },
	{ "exit between the copies",
	  "(local.set $i (i32.const -112))" LOOP(
		  ADDED("112") "(if (local.get $i) (then " ADDED("120") STEP("16") "(br $l)))"),
	  1 },
	{ "exit after two copies of three",
	  LOOP(ADDED("0") ADDED("8") "(if (i32.ne (local.get $i) (i32.const 96)) (then " ADDED("16")
		       STEP("24") "(br $l)))"),
	  1 },
	{ "i < constant",
	  LOOP(ADDED("0") ADDED("8")
		       STEP("16") "(br_if $l (i32.lt_u (local.get $i) (i32.const 256)))"),
	  1 },

	/* i near 0 wraps in the second copy's sum where it did not in the static offset. */
	{ "static offsets downwards",
	  LOOP("(f64.store offset=8 (i32.add (local.get $i) (local.get $p)) (local.get $d))"
	       "(f64.store (i32.add (local.get $i) (local.get $p)) (local.get $d))" STEP("-16")
		       UNTIL("-256")),
	  0 },
	{ "static offsets that are no steps",
	  LOOP("(f64.store (i32.add (local.get $i) (local.get $p)) (local.get $d))"
	       "(f64.store offset=16 (i32.add (local.get $i) (local.get $p)) (local.get $d))" STEP(
		       "16") UNTIL("256")),
	  0 },
	{ "steps of which only some are in static offsets",
	  LOOP("(f64.store (i32.add (local.get $i) (local.get $p)) (local.get $d))"
	       "(f64.store offset=8 (i32.add (local.get $i) (local.get $p)) (local.get $d))" PUT(
		       "$p", "16", "(local.get $d)") PUT("$p", "24", "(local.get $d)") STEP("32")
		       UNTIL("256")),
	  1 },
	{ "bytes, once with their sign",
	  LOOP("(i32.store8 (i32.add (local.get $i) (local.get $q)) (i32.shr_u (i32.load8_s "
	       "(i32.add (local.get $i) (local.get $p))) (i32.const 1)))"
	       "(i32.store8 offset=1 (i32.add (local.get $i) (local.get $q)) (i32.shr_u "
	       "(i32.load8_u offset=1 (i32.add (local.get $i) (local.get $p))) (i32.const "
	       "1)))" STEP("2") UNTIL("64")),
	  0 },
	{ "another constant", LOOP(SCALED("2", "0") SCALED("3", "8") STEP("16") UNTIL("256")), 0 },
	{ "another operation",
	  LOOP(PUT("$p", "0", "(f64.add (local.get $d) " GET("$q", "0") ")")
		       PUT("$p", "8", "(f64.sub (local.get $d) " GET("$q", "8") ")") STEP("16")
			       UNTIL("256")),
	  0 },
	{ "operands the other way round",
	  LOOP(PUT("$p", "0", "(f64.sub (local.get $d) " GET("$q", "0") ")")
		       PUT("$p", "8", "(f64.sub " GET("$q", "8") " (local.get $d))") STEP("16")
			       UNTIL("256")),
	  0 },
	{ "the second copy first", LOOP(SCALED("2", "8") SCALED("2", "0") STEP("16") UNTIL("256")),
	  0 },
	{ "the second load before the first store",
	  LOOP("(local.set $e " GET("$q", "8") ")" PUT("$p", "0", GET("$q", "0"))
		       PUT("$p", "8", "(local.get $e)") STEP("16") UNTIL("256")),
	  0 },
	{ "all loads before all stores",
	  LOOP(AT("$q", "0") AT("$q", "8") GET("$p", "0")
		       GET("$p", "8") "(local.set $e) (local.set $d)"
				      "(local.set $n) (local.get $d) f64.store (local.get $n) "
				      "(local.get $e) f64.store" STEP("16") UNTIL("256")),
	  0 },
	{ "a step that is not the copies'",
	  LOOP(SCALED("2", "0") SCALED("2", "8") STEP("24") UNTIL("240")), 0 },
	{ "half a step between them", LOOP(ADDED("0") ADDED("4") STEP("16") UNTIL("256")), 0 },
	{ "one access more",
	  LOOP(ADDED("0") ADDED("8") "(drop " GET("$p", "0") ")" STEP("16") UNTIL("256")), 0 },
	{ "one store more",
	  LOOP(ADDED("0") ADDED("8") PUT("$p", "0", "(local.get $d)") STEP("16") UNTIL("256")), 0 },
	{ "a sum of the second half only",
	  LOOP("(local.set $d (f64.add (local.get $d) " GET(
		  "$p", "8") "))"
			     "(drop " GET("$p", "0") ")" STEP("16") UNTIL("256")),
	  0 },
	{ "halves added to each other first",
	  LOOP("(local.set $d (f64.add (local.get $d) (f64.add " GET("$p", "0")
		       GET("$p", "8") ")))" STEP("16") UNTIL("256")),
	  0 },
	{ "an end that a step passes by, and comes to later",
	  "(local.set $i (i32.const 8))" LOOP(ADDED("0") ADDED("8") STEP("16") UNTIL("256")), 0 },
	{ "as often as the caller says, odd or even",
	  "(if (i32.eqz (local.get $n)) (then (return (i64.const 1))))" LOOP(
		  ADDED("0") ADDED("8") STEP(
			  "16") "(br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 2))))"),
	  0 },
	{ "i < constant, passed in the middle of a round",
	  LOOP(ADDED("0") ADDED("8")
		       STEP("16") "(br_if $l (i32.lt_u (local.get $i) (i32.const 248)))"),
	  0 },
	{ "the counter of the last round seen afterwards",
	  LOOP("(local.set $n (local.get $i))" ADDED("0") ADDED("8") STEP("16")
		       UNTIL("256")) "(local.set $s (i64.extend_i32_u (local.get $n)))",
	  0 },
	{ "a call between",
	  LOOP(ADDED("0") "(local.set $n (call $add1 (local.get $n)))" ADDED(
		  "8") "(local.set $n (call $add1 (local.get $n)))" STEP("16") UNTIL("256")),
	  0 },
};

struct outcome {
	int trap;
	uint64_t result;
	uint8_t memory[PAGES * 65536];
};

/* Doubles of all sizes: sums tell in which order they were made. */
static void fill_memory(struct guest *g)
{
	uint64_t x = 1;
	for (size_t at = 0; at < PAGES * 65536; at += 8) {
		x = x * 6364136223846793005 + 1442695040888963407;
		double d = (double)(int32_t)(x >> 32) / (double)((x & 0xffff) + 1);
		memcpy(g->memory.base + at, &d, sizeof(d));
	}
}

static void run_shape(struct guest *g, const uint32_t *in, struct outcome *ret)
{
	union aot_value v[4] = { 0 };
	fill_memory(g);
	for (size_t i = 0; i < ARGS; i++)
		v[i].i32 = in[i];
	ret->trap = guest_call(g, "f", v);
	ret->result = ret->trap ? 0 : v[0].i64;
	/* What an optimised loop has stored when it traps is not promised (doc/SANDBOX.md). */
	memset(ret->memory, 0, sizeof(ret->memory));
	if (!ret->trap)
		memcpy(ret->memory, g->memory.base, sizeof(ret->memory));
}

static unsigned rolled_loops(const void *wasm, size_t len)
{
	struct arena arena;
	const struct wasm_module *m;
	struct target target;
	struct compile_result result;
	struct why why = { 0 };
	const struct compile_options options = { .opt = 2 };
	arena_init(&arena, 64 << 20);
	assert_int_equal(module_decode(wasm, len, &arena, &m, &why), 0);
	assert_int_equal(target_open(NULL, NULL, &target, &why), 0);
	assert_int_equal(compile_module(m, &target, &options, &result, &why), 0);
	unsigned n = result.rolled_loops;
	compile_result_fini(&result);
	target_fini(&target);
	arena_fini(&arena);
	return n;
}

static char *module_text(const char *pages, const char *body)
{
	char *text;
	ENSURE(asprintf(&text,
			"(module (import \"env\" \"add1\" (func $add1 (param i32) (result i32)))"
			"(memory %s) (func (export \"f\") (param $p i32) (param $q i32) (param $n "
			"i32)"
			" (result i64) (local $i i32) (local $s i64) (local $d f64) (local $e f64)"
			" (local.set $d (f64.const 0.1)) %s"
			" (i64.xor (local.get $s) (i64.reinterpret_f64 (local.get $d)))))",
			pages, body) >= 0);
	return text;
}

static void a_rolled_loop_does_what_the_unrolled_one_did(void **state)
{
	(void)state;
	static struct outcome plain, optimised;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		size_t len;
		OWN_FREE char *text = module_text("2 2", shapes[i].body);
		OWN_FREE void *wasm = wat_assemble(text, &len);
		struct guest a, b;
		assert_int_equal(guest_load(&a, wasm, len, &(struct compile_options){ .opt = 0 }),
				 0);
		assert_int_equal(guest_load(&b, wasm, len, &(struct compile_options){ .opt = 2 }),
				 0);
		for (size_t k = 0; k < ARRAY_LEN(args); k++) {
			run_shape(&a, args[k], &plain);
			run_shape(&b, args[k], &optimised);
			if (plain.trap != optimised.trap || plain.result != optimised.result ||
			    memcmp(plain.memory, optimised.memory, sizeof(plain.memory)) != 0)
				fail_msg(
					"%s, call %zu: traps %d and %d, results %llx and %llx, "
					"memory %s",
					shapes[i].name, k, plain.trap, optimised.trap,
					(unsigned long long)plain.result,
					(unsigned long long)optimised.result,
					memcmp(plain.memory, optimised.memory, sizeof(plain.memory))
						? "differs"
						: "equal");
		}
		guest_end(&a);
		guest_end(&b);
	}
}

static void copies_in_order_are_rolled_up_and_nothing_else(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		size_t len;
		OWN_FREE char *text = module_text("2 2", shapes[i].body);
		OWN_FREE void *wasm = wat_assemble(text, &len);
		unsigned n = rolled_loops(wasm, len);
		if (n != shapes[i].rolled)
			fail_msg("%s: %u loops rolled up, not %u", shapes[i].name, n,
				 shapes[i].rolled);
	}
}

/* With 4 GiB there is an address x that does not trap while x + 8 wraps. */
static void static_offsets_are_no_steps_where_memory_may_be_whole(void **state)
{
	(void)state;
	static const struct {
		const char *pages;
		unsigned rolled;
	} rows[] = { { "2 65535", 1 }, { "65536", 0 } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len;
		OWN_FREE char *text = module_text(
			rows[i].pages,
			LOOP("(f64.store (i32.add (local.get $i) (local.get $p)) (local.get $d))"
			     "(f64.store offset=8 (i32.add (local.get $i) (local.get $p)) "
			     "(local.get $d))" STEP("16") UNTIL("256")));
		OWN_FREE void *wasm = wat_assemble(text, &len);
		assert_int_equal(rolled_loops(wasm, len), rows[i].rolled);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_in_order_are_rolled_up_and_nothing_else),
		cmocka_unit_test(a_rolled_loop_does_what_the_unrolled_one_did),
		cmocka_unit_test(static_offsets_are_no_steps_where_memory_may_be_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
