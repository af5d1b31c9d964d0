/* SPDX-License-Identifier: Apache-2.0 */
/* Numeric instructions at their edges (core specification 2.0, section 4.3). */
#include "tests/unit/compiler/run_calls.h"

#define BINARY(type, op)                                                                           \
	"(func (export \"" op "\") (param " type " " type ") (result " type ")"                    \
	" (" type "." op " (local.get 0) (local.get 1)))"
#define CONVERT(to, op, from)                                                                      \
	"(func (export \"" to "." op "\") (param " from ") (result " to ")"                        \
	" (" to "." op " (local.get 0)))"

static void division_traps_where_it_has_no_result(void **state)
{
	(void)state;
	RUN("(module" BINARY("i32", "div_s") BINARY("i32", "div_u") BINARY("i32", "rem_s")
		    BINARY("i32", "rem_u") ")",
	    { "div_s", { 7, 0xfffffffe }, 0, { 0xfffffffd } },
	    { "div_s", { 1, 0 }, AOT_TRAP_DIVIDE, { 0 } },
	    { "div_s", { I32_MIN, 0xffffffff }, AOT_TRAP_OVERFLOW, { 0 } },
	    { "div_u", { I32_MIN, 0xffffffff }, 0, { 0 } },
	    { "div_u", { 0, 0 }, AOT_TRAP_DIVIDE, { 0 } },
	    { "rem_s", { I32_MIN, 0xffffffff }, 0, { 0 } },
	    { "rem_s", { 0xfffffff9, 2 }, 0, { 0xffffffff } },
	    { "rem_s", { 1, 0 }, AOT_TRAP_DIVIDE, { 0 } },
	    { "rem_u", { 0xffffffff, 10 }, 0, { 5 } },
	    { "rem_u", { 1, 0 }, AOT_TRAP_DIVIDE, { 0 } });
	RUN("(module" BINARY("i64", "div_s") BINARY("i64", "rem_s") ")",
	    { "div_s", { I64_MIN, UINT64_MAX }, AOT_TRAP_OVERFLOW, { 0 } },
	    { "div_s", { I64_MIN, 2 }, 0, { UINT64_C(0xc000000000000000) } },
	    { "div_s", { 1, 0 }, AOT_TRAP_DIVIDE, { 0 } },
	    { "rem_s", { I64_MIN, UINT64_MAX }, 0, { 0 } });
}

static void shift_counts_are_taken_modulo_the_width(void **state)
{
	(void)state;
	RUN("(module" BINARY("i32", "shl") BINARY("i32", "shr_s") BINARY("i32", "shr_u")
		    BINARY("i32", "rotl") BINARY("i32", "rotr") ")",
	    { "shl", { 1, 32 }, 0, { 1 } }, { "shl", { 1, 33 }, 0, { 2 } },
	    { "shr_s", { I32_MIN, 31 }, 0, { 0xffffffff } },
	    { "shr_s", { I32_MIN, 32 }, 0, { I32_MIN } }, { "shr_u", { I32_MIN, 63 }, 0, { 1 } },
	    { "rotl", { 0x80000001, 33 }, 0, { 3 } },
	    { "rotr", { 1, 0xffffffe1 }, 0, { I32_MIN } });
}

static void bits_are_counted_also_in_zero(void **state)
{
	(void)state;
	RUN("(module" CONVERT("i32", "clz", "i32") CONVERT("i32", "ctz", "i32")
		    CONVERT("i32", "popcnt", "i32") CONVERT("i64", "clz", "i64")
			    CONVERT("i32", "extend8_s", "i32")
				    CONVERT("i64", "extend32_s", "i64") ")",
	    { "i32.clz", { 0 }, 0, { 32 } }, { "i32.ctz", { 0 }, 0, { 32 } },
	    { "i64.clz", { 1 }, 0, { 63 } }, { "i32.popcnt", { 0xf0f0f0f0 }, 0, { 16 } },
	    { "i32.extend8_s", { 0x180 }, 0, { 0xffffff80 } },
	    { "i64.extend32_s", { I32_MIN }, 0, { UINT64_C(0xffffffff80000000) } });
}

static void truncation_tells_not_a_number_from_too_large(void **state)
{
	(void)state;
	RUN("(module" CONVERT("i32", "trunc_f32_s", "f32") CONVERT("i32", "trunc_f64_s", "f64")
		    CONVERT("i32", "trunc_f64_u", "f64") CONVERT("i64", "trunc_f64_s", "f64")
			    CONVERT("i64", "trunc_f32_u", "f32") ")",
	    { "i32.trunc_f32_s", { 0xcf000000 }, 0, { I32_MIN } },             /* -2^31 */
	    { "i32.trunc_f32_s", { 0xcf000001 }, AOT_TRAP_OVERFLOW, { 0 } },   /* next */
	    { "i32.trunc_f32_s", { 0x4f000000 }, AOT_TRAP_OVERFLOW, { 0 } },   /* 2^31 */
	    { "i32.trunc_f32_s", { 0x7fc00000 }, AOT_TRAP_CONVERSION, { 0 } }, /* nan */
	    { "i32.trunc_f32_s", { 0x7f800000 }, AOT_TRAP_OVERFLOW, { 0 } },   /* inf */
	    { "i32.trunc_f64_s", { 0xc1e00000001ccccd }, 0, { I32_MIN } },     /* -2^31 - 0.9 */
	    { "i32.trunc_f64_s", { 0xc1e0000000200000 }, AOT_TRAP_OVERFLOW, { 0 } }, /* - 1 */
	    { "i32.trunc_f64_u", { 0xbfefffffffffffff }, 0, { 0 } },                 /* > -1 */
	    { "i32.trunc_f64_u", { 0xbff0000000000000 }, AOT_TRAP_OVERFLOW, { 0 } },
	    { "i32.trunc_f64_u", { 0x41efffffffe00000 }, 0, { 0xffffffff } },
	    { "i64.trunc_f64_s", { 0xc3e0000000000000 }, 0, { I64_MIN } },
	    { "i64.trunc_f64_s", { 0x43e0000000000000 }, AOT_TRAP_OVERFLOW, { 0 } },
	    { "i64.trunc_f64_s", { 0xfff8000000000000 }, AOT_TRAP_CONVERSION, { 0 } },
	    { "i64.trunc_f32_u", { 0x5f7fffff }, 0, { UINT64_C(0xffffff0000000000) } });
}

static void saturating_truncation_never_traps(void **state)
{
	(void)state;
	RUN("(module" CONVERT("i32", "trunc_sat_f32_s", "f32")
		    CONVERT("i64", "trunc_sat_f64_u", "f64") ")",
	    { "i32.trunc_sat_f32_s", { 0x7fc00000 }, 0, { 0 } },
	    { "i32.trunc_sat_f32_s", { 0x7f800000 }, 0, { 0x7fffffff } },
	    { "i32.trunc_sat_f32_s", { 0xff800000 }, 0, { I32_MIN } },
	    { "i64.trunc_sat_f64_u", { 0xbff0000000000000 }, 0, { 0 } },
	    { "i64.trunc_sat_f64_u", { 0x7ff0000000000000 }, 0, { UINT64_MAX } });
}

static void float_minimum_knows_nan_and_negative_zero(void **state)
{
	(void)state;
	RUN("(module" BINARY("f32", "min") BINARY("f32", "max") BINARY("f32", "copysign") ")",
	    { "min", { 0x00000000, 0x80000000 }, 0, { 0x80000000 } },
	    { "min", { 0x80000000, 0x00000000 }, 0, { 0x80000000 } },
	    { "max", { 0x80000000, 0x00000000 }, 0, { 0x00000000 } },
	    { "min", { 0x7fc00000, 0x3f800000 }, 0, { 0x7fc00000 } },
	    { "max", { 0x3f800000, 0x7fc00000 }, 0, { 0x7fc00000 } },
	    { "copysign", { 0x3f800000, 0x80000000 }, 0, { 0xbf800000 } });
}

static void rounding_goes_to_even_and_keeps_the_sign(void **state)
{
	(void)state;
	RUN("(module" CONVERT("f64", "nearest", "f64") CONVERT("f32", "ceil", "f32")
		    CONVERT("f32", "trunc", "f32") CONVERT("f64", "floor", "f64") ")",
	    { "f64.nearest", { 0x3fe0000000000000 }, 0, { 0 } },                  /* 0.5 */
	    { "f64.nearest", { 0x3ff8000000000000 }, 0, { 0x4000000000000000 } }, /* 1.5 */
	    { "f64.nearest", { 0x4004000000000000 }, 0, { 0x4000000000000000 } }, /* 2.5 */
	    { "f64.nearest", { 0xbfe0000000000000 }, 0, { I64_MIN } },            /* -0.5 */
	    { "f32.ceil", { 0xbf000000 }, 0, { 0x80000000 } },
	    { "f32.trunc", { 0xbf7fffff }, 0, { 0x80000000 } },
	    { "f64.floor", { 0xbfe0000000000000 }, 0, { 0xbff0000000000000 } });
}

static void bits_of_a_nan_survive_what_is_no_arithmetic(void **state)
{
	(void)state;
	RUN("(module (memory 1)"
	    "(func (export \"const\") (result i32) (i32.reinterpret_f32 (f32.const nan:0x200000)))"
	    "(func (export \"const64\") (result i64)"
	    " (i64.reinterpret_f64 (f64.const -nan:0x4000000000000)))"
	    "(func (export \"through\") (param f32) (result f32) (local f32)"
	    " (f32.store (i32.const 0) (local.get 0)) (local.set 1 (f32.load (i32.const 0)))"
	    " (select (f32.neg (f32.neg (local.get 1))) (f32.const 0) (i32.const 1))))",
	    { "const", { 0 }, 0, { 0x7fa00000 } }, { "const64", { 0 }, 0, { 0xfff4000000000000 } },
	    { "through", { 0x7fa00001 }, 0, { 0x7fa00001 } });
}

static void arithmetic_makes_a_signalling_nan_quiet(void **state)
{
	(void)state;
	RUN("(module"
	    "(func (export \"mul1\") (param f32) (result f32) (f32.mul (local.get 0) (f32.const "
	    "1)))"
	    "(func (export \"sub0\") (param f32) (result f32) (f32.sub (local.get 0) (f32.const "
	    "0)))"
	    "(func (export \"div1\") (param f64) (result f64) (f64.div (local.get 0) (f64.const "
	    "1)))"
	    "(func (export \"wide\") (param f32) (result f32)"
	    " (f32.demote_f64 (f64.promote_f32 (local.get 0)))))",
	    { "mul1", { 0x7fa00000 }, 0, { 0x7fe00000 } },
	    { "sub0", { 0x7fa00000 }, 0, { 0x7fe00000 } },
	    { "div1", { 0x7ff4000000000000 }, 0, { 0x7ffc000000000000 } },
	    { "wide", { 0x7fa00000 }, 0, { 0x7fe00000 } });
	RUN("(module" BINARY("f32", "min") BINARY("f32", "max") ")",
	    { "min", { 0x7fa00000, 0x3f800000 }, 0, { 0x7fe00000 } },
	    { "max", { 0x3f800000, 0x7fa00000 }, 0, { 0x7fe00000 } });
}

static void products_and_sums_are_rounded_each(void **state)
{
	(void)state;
	/* (1 + 2^-12)^2 - 1 - 2^-11 is 2^-24 when fused, 0 when the product is rounded first. */
	RUN("(module (func (export \"f\") (param f32 f32) (result f32)"
	    " (f32.sub (f32.mul (local.get 0) (local.get 0)) (local.get 1))))",
	    { "f", { 0x3f800800, 0x3f801000 }, 0, { 0 } });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(division_traps_where_it_has_no_result),
		cmocka_unit_test(shift_counts_are_taken_modulo_the_width),
		cmocka_unit_test(bits_are_counted_also_in_zero),
		cmocka_unit_test(truncation_tells_not_a_number_from_too_large),
		cmocka_unit_test(saturating_truncation_never_traps),
		cmocka_unit_test(float_minimum_knows_nan_and_negative_zero),
		cmocka_unit_test(rounding_goes_to_even_and_keeps_the_sign),
		cmocka_unit_test(bits_of_a_nan_survive_what_is_no_arithmetic),
		cmocka_unit_test(arithmetic_makes_a_signalling_nan_quiet),
		cmocka_unit_test(products_and_sums_are_rounded_each),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
