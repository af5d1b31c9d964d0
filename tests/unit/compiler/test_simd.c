/* SPDX-License-Identifier: Apache-2.0 */
/* Vector instructions (core specification 2.0, sections 4.3.5 and 4.4.3). The test suite of the
 * specification has each of them with many operands; here is what it leaves out, and one of each
 * kind for where the suite is absent. */
#include "tests/unit/compiler/run_calls.h"

#include "base/wr.h"
#include "sandbox/wasm/insn.h"

#define NAN_S UINT64_C(0x7fa000007fa00000) /* two signalling NaNs, and what they become */
#define NAN_Q UINT64_C(0x7fe000007fe00000)
#define ONES  UINT64_C(0x3f8000003f800000)

struct v {
	uint64_t low, high;
};

struct row {
	const char *op;
	struct v x, y, want;
};

static union aot_value vector(struct v v)
{
	return (union aot_value){ .u64 = { v.low, v.high } };
}

/* Each row's operation is a function named by the row's number. y is a vector, an i32 or absent. */
static char *wat_of(const struct row *rows, size_t n, const char *params, const char *operands,
		    const char *result)
{
	size_t cap = 256 * (n + 1);
	char *text = malloc(cap);
	struct wr w = wr_into(text, cap);
	wr_str(&w, "(module");
	for (size_t i = 0; i < n; i++)
		wr_fmt(&w, "(func (export \"%zu\") (param %s) (result %s) (%s %s))", i, params,
		       result, rows[i].op, operands);
	wr_str(&w, ")");
	wr_u8(&w, 0);
	ENSURE(!w.overflow);
	return text;
}

static void run_row(struct guest *g, const struct row *row, size_t i, bool scalar, int opt)
{
	char name[24];
	(void)snprintf(name, sizeof(name), "%zu", i);
	union aot_value v[4] = { vector(row->x), vector(row->y) };
	assert_int_equal(guest_call(g, name, v), 0);
	struct v got = { scalar ? v[0].i32 : v[0].u64[0], scalar ? 0 : v[0].u64[1] };
	if (got.low != row->want.low || got.high != row->want.high)
		fail_msg("%s of 0x%016llx%016llx, 0x%016llx%016llx at -O%d: 0x%016llx%016llx",
			 row->op, (unsigned long long)row->x.high, (unsigned long long)row->x.low,
			 (unsigned long long)row->y.high, (unsigned long long)row->y.low, opt,
			 (unsigned long long)got.high, (unsigned long long)got.low);
}

static void run_rows(const struct row *rows, size_t n, const char *params, const char *operands,
		     const char *result)
{
	size_t len;
	OWN_FREE char *text = wat_of(rows, n, params, operands, result);
	OWN_FREE void *wasm = wat_assemble(text, &len);
	for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
		struct guest g;
		assert_int_equal(guest_load(&g, wasm, len, &ways[w]), 0);
		for (size_t i = 0; i < n; i++)
			run_row(&g, &rows[i], i, result[0] == 'i', ways[w].opt);
		guest_end(&g);
	}
}

#define TWO(rows)                                                                                  \
	run_rows(rows, ARRAY_LEN(rows), "v128 v128", "(local.get 0) (local.get 1)", "v128")
#define ONE(rows) run_rows(rows, ARRAY_LEN(rows), "v128", "(local.get 0)", "v128")
#define ASK(rows) run_rows(rows, ARRAY_LEN(rows), "v128", "(local.get 0)", "i32")
#define SHIFT(rows)                                                                                \
	run_rows(rows, ARRAY_LEN(rows), "v128 i32", "(local.get 0) (local.get 1)", "v128")

#define BYTES_UP                                                                                   \
	{                                                                                          \
		0x0706050403020100, 0x0f0e0d0c0b0a0908                                             \
	}

static void integers_wrap_saturate_and_round(void **state)
{
	(void)state;
	static const struct row two[] = {
		{ "i8x16.add", { 0xff, 0 }, { 0x02, 0 }, { 0x01, 0 } },
		{ "i8x16.add_sat_s", { 0x7f80, 0 }, { 0x01ff, 0 }, { 0x7f80, 0 } },
		{ "i8x16.sub_sat_u", { 0x0105, 0 }, { 0x0203, 0 }, { 0x0002, 0 } },
		{ "i8x16.avgr_u", { 0xff02, 0 }, { 0xff01, 0 }, { 0xff02, 0 } },
		{ "i8x16.min_s", { 0x80, 0 }, { 0x7f, 0 }, { 0x80, 0 } },
		{ "i8x16.max_u", { 0x80, 0 }, { 0x7f, 0 }, { 0x80, 0 } },
		{ "i16x8.q15mulr_sat_s", { 0x80004000, 0 }, { 0x80004000, 0 }, { 0x7fff2000, 0 } },
		{ "i32x4.dot_i16x8_s",
		  { 0x80008000, 0x0002000300040005 },
		  { 0x80008000, 0x0001ffff00010001 },
		  { 0x80000000, 0xffffffff00000009 } },
		{ "i64x2.mul", { 0xffffffffffffffff, 3 }, { 5, 7 }, { 0xfffffffffffffffb, 21 } },
		{ "i64x2.lt_s", { 0x8000000000000000, 1 }, { 0, 1 }, { UINT64_MAX, 0 } },
		{ "i16x8.le_u",
		  { 0xffff0001, 0 },
		  { 0x0001ffff, 0 },
		  { 0xffffffff0000ffff, UINT64_MAX } },
	};
	static const struct row one[] = {
		{ "i8x16.abs", { 0x80ff, 0 }, { 0 }, { 0x8001, 0 } },
		{ "i64x2.neg", { 1, 0 }, { 0 }, { UINT64_MAX, 0 } },
		{ "i8x16.popcnt", { 0xff0f, 0 }, { 0 }, { 0x0804, 0 } },
		{ "v128.not", { 0xff, 0 }, { 0 }, { 0xffffffffffffff00, UINT64_MAX } },
	};
	static const struct row shifts[] = {
		{ "i8x16.shl", { 0x8101, 0 }, { 9, 0 }, { 0x0202, 0 } },
		{ "i16x8.shr_s", { 0x8000, 0 }, { 15, 0 }, { 0xffff, 0 } },
		{ "i64x2.shr_u", { I64_MIN, 0 }, { 127, 0 }, { 1, 0 } },
	};
	TWO(two);
	ONE(one);
	SHIFT(shifts);
}

static void lanes_change_their_width(void **state)
{
	(void)state;
	static const struct row two[] = {
		{ "i8x16.narrow_i16x8_s", { 0x7fff8000ff80007f, 0 }, { 0 }, { 0x7f80807f, 0 } },
		{ "i8x16.narrow_i16x8_u",
		  { 0x7fff800000ff0100, 0 },
		  { 0x1, 0 },
		  { 0xff00ffff, 0x01 } },
		{ "i16x8.narrow_i32x4_u", { 0x00010000ffffffff, 0 }, { 0 }, { 0xffff0000, 0 } },
		{ "i16x8.extmul_high_i8x16_s", { 0, 0x80 }, { 0, 0x80 }, { 0x4000, 0 } },
		{ "i64x2.extmul_low_i32x4_u",
		  { 0xffffffff, 0 },
		  { 0xffffffff, 0 },
		  { 0xfffffffe00000001, 0 } },
	};
	static const struct row one[] = {
		{ "i16x8.extend_low_i8x16_s", { 0x80, 0x11 }, { 0 }, { 0xff80, 0 } },
		{ "i32x4.extend_high_i16x8_u", { 1, 0x8000 }, { 0 }, { 0x8000, 0 } },
		{ "i16x8.extadd_pairwise_i8x16_s", { 0x8080ff01, 0 }, { 0 }, { 0xff000000, 0 } },
		{ "i32x4.extadd_pairwise_i16x8_u", { 0xffffffff, 0 }, { 0 }, { 0x1fffe, 0 } },
		{ "f64x2.convert_low_i32x4_u",
		  { 0xffffffff, 5 },
		  { 0 },
		  { 0x41efffffffe00000, 0 } },
		{ "f32x4.convert_i32x4_s", { 0xffffffff, 0 }, { 0 }, { 0xbf800000, 0 } },
		{ "f64x2.promote_low_f32x4",
		  { 0x3f800000, ONES },
		  { 0 },
		  { 0x3ff0000000000000, 0 } },
		{ "f32x4.demote_f64x2_zero", { 0x3ff0000000000000, 0 }, { 0 }, { 0x3f800000, 0 } },
	};
	TWO(two);
	ONE(one);
}

static void saturating_conversion_has_a_result_for_everything(void **state)
{
	(void)state;
	static const struct row one[] = {
		/* -2^31 and the float below, 2^31 and the float below */
		{ "i32x4.trunc_sat_f32x4_s",
		  { 0xcf000001cf000000, 0x4effffff4f000000 },
		  { 0 },
		  { 0x8000000080000000, 0x7fffff807fffffff } },
		{ "i32x4.trunc_sat_f32x4_s",
		  { 0x7f800000ff800000, 0xffc000007fa00000 },
		  { 0 },
		  { 0x7fffffff80000000, 0 } },
		/* -0.5 and -1, 2^32 and the float below */
		{ "i32x4.trunc_sat_f32x4_u",
		  { 0xbf000000bf800000, 0x4f8000004f7fffff },
		  { 0 },
		  { 0, 0xffffffffffffff00 } },
		{ "i32x4.trunc_sat_f32x4_u",
		  { 0x7fc00000ff800000, 0x4f0000007f800000 },
		  { 0 },
		  { 0, 0x80000000ffffffff } },
		{ "i32x4.trunc_sat_f64x2_s_zero",
		  { 0xc1e0000000000001, 0x41dfffffffffffff },
		  { 0 },
		  { 0x7fffffff80000000, 0 } },
		{ "i32x4.trunc_sat_f64x2_s_zero",
		  { 0x7ff8000000000000, 0xc1dfffffffffffff },
		  { 0 },
		  { 0x8000000100000000, 0 } },
		{ "i32x4.trunc_sat_f64x2_u_zero",
		  { 0x41efffffffffffff, 0xbff0000000000000 },
		  { 0 },
		  { 0x00000000ffffffff, 0 } },
	};
	ONE(one);
}

static void permutations_know_indices_out_of_range(void **state)
{
	(void)state;
	static const struct row two[] = {
		{ "i8x16.swizzle", BYTES_UP, { 0x80ff100f0e020001, 0 }, { 0x0000000f0e020001, 0 } },
		{ "i8x16.shuffle 31 0 16 15 1 1 1 1 2 2 2 2 3 3 3 3",
		  BYTES_UP,
		  { 0xaa, 0xbb00000000000000 },
		  { 0x010101010faa00bb, 0x0303030302020202 } },
	};
	static const struct row ask[] = {
		{ "v128.any_true", { 0, 0 }, { 0 }, { 0, 0 } },
		{ "v128.any_true", { 0, I64_MIN }, { 0 }, { 1, 0 } },
		{ "i16x8.all_true", { 0x0001000100010001, 0x0001000100010000 }, { 0 }, { 0, 0 } },
		{ "i16x8.all_true", { 0x0001000100010001, 0x8000000100010001 }, { 0 }, { 1, 0 } },
		{ "i8x16.bitmask", { 0x80, 0x8000000000000000 }, { 0 }, { 0x8001, 0 } },
		{ "i64x2.bitmask", { 0, I64_MIN }, { 0 }, { 2, 0 } },
		{ "i8x16.extract_lane_s 15", { 0, I64_MIN }, { 0 }, { 0xffffff80, 0 } },
		{ "i8x16.extract_lane_u 15", { 0, I64_MIN }, { 0 }, { 0x80, 0 } },
	};
	TWO(two);
	ASK(ask);
}

static void only_arithmetic_makes_a_nan_quiet(void **state)
{
	(void)state;
	static const struct row two[] = {
		{ "f32x4.min", { NAN_S, 0 }, { ONES, I64_MIN }, { NAN_Q, I64_MIN } },
		{ "f32x4.max", { ONES, I64_MIN }, { NAN_S, 0 }, { NAN_Q, 0 } },
		{ "f32x4.pmin", { NAN_S, 0 }, { ONES, I64_MIN }, { NAN_S, 0 } },
		{ "f32x4.pmax", { ONES, 0 }, { NAN_S, I64_MIN }, { ONES, 0 } },
		{ "f32x4.eq",
		  { NAN_S, 0 },
		  { NAN_S, I64_MIN },
		  { 0, UINT64_C(0xffffffffffffffff) } },
	};
	static const struct row one[] = {
		{ "f32x4.mul (v128.const f32x4 1 1 1 1)", { NAN_S, ONES }, { 0 }, { NAN_Q, ONES } },
		{ "f32x4.mul (v128.const f32x4 1 1 1 2)",
		  { NAN_S, ONES },
		  { 0 },
		  { NAN_Q, 0x400000003f800000 } },
		{ "f32x4.mul (f32x4.splat (f32.const 1))",
		  { NAN_S, ONES },
		  { 0 },
		  { NAN_Q, ONES } },
		{ "f32x4.add (f32x4.splat (f32.const -0))",
		  { NAN_S, ONES },
		  { 0 },
		  { NAN_Q, ONES } },
		{ "f64x2.mul (v128.const f64x2 1 1)",
		  { 0x7ff4000000000000, 0 },
		  { 0 },
		  { 0x7ffc000000000000, 0 } },
		{ "f32x4.demote_f64x2_zero (f64x2.promote_low_f32x4",
		  { NAN_S, 0 },
		  { 0 },
		  { NAN_Q, 0 } },
		{ "f32x4.neg",
		  { NAN_S, 0 },
		  { 0 },
		  { NAN_S | 0x8000000080000000, 0x8000000080000000 } },
		{ "f32x4.abs", { NAN_S | I64_MIN, I64_MIN }, { 0 }, { NAN_S, 0 } },
		{ "f64x2.nearest",
		  { 0x4004000000000000, 0xbfe0000000000000 },
		  { 0 },
		  { 0x4000000000000000, I64_MIN } },
	};
	TWO(two);
	run_rows(one, 5, "v128", "(local.get 0)", "v128");
	run_rows(one + 5, 1, "v128", "(local.get 0))", "v128");
	run_rows(one + 6, ARRAY_LEN(one) - 6, "v128", "(local.get 0)", "v128");
}

/* A page of memory, bytes 0xff at its end. */
#define PAGE "(memory 1) (data (i32.const 65520) \"" FF8 FF8 "\")"
#define FF8  "\\ff\\ff\\ff\\ff\\ff\\ff\\ff\\ff"

static void a_load_traps_if_its_last_byte_is_outside(void **state)
{
	(void)state;
#define LOAD(name, code) "(func (export \"" name "\") (param i32) (result i64) " code ")"
#define AT               "(local.get 0)"
	RUN("(module" PAGE LOAD("first", "(i64x2.extract_lane 0 (v128.load " AT "))") LOAD(
		    "last",
		    "(i64x2.extract_lane 1 (v128.load " AT
		    "))") LOAD("bytes",
			       "(i64.extend_i32_u (i8x16.extract_lane_u 0 (v128.load " AT
			       ")))") LOAD("none", "(drop (v128.load " AT ")) (i64.const 7)")
		    LOAD("evens",
			 "(i64x2.extract_lane 1 (i8x16.shuffle 0 1 2 3 8 9 10 11 0 1 2 3 8 9 10 11"
			 " (v128.load " AT ") (v128.const i64x2 0 0)))")
			    LOAD("wrapped",
				 "(i64.extend_i32_u (i32.wrap_i64 (i64.load " AT
				 ")))") LOAD("masked",
					     "(i64.and (i64.const 255) (i64.load " AT "))")
				    LOAD("zero", "(i64x2.extract_lane 1 (v128.load64_zero " AT "))")
					    LOAD("lane",
						 "(i64x2.extract_lane 0 (v128.load32_lane 3 " AT
						 " (v128.const i64x2 5 6)))")
						    LOAD("far", "(i64x2.extract_lane 0 (v128.load "
								"offset=4294967295 " AT "))") ")",
	    { "first", { 65520 }, 0, { UINT64_MAX } },
	    { "first", { 65521 }, AOT_TRAP_MEMORY, { 0 } },
	    { "last", { 65520 }, 0, { UINT64_MAX } }, { "last", { 65521 }, AOT_TRAP_MEMORY, { 0 } },
	    { "bytes", { 65520 }, 0, { 255 } }, { "bytes", { 65535 }, AOT_TRAP_MEMORY, { 0 } },
	    { "none", { 65520 }, 0, { 7 } }, { "none", { 65521 }, AOT_TRAP_MEMORY, { 0 } },
	    { "evens", { 65520 }, 0, { UINT64_MAX } },
	    { "evens", { 65524 }, AOT_TRAP_MEMORY, { 0 } },
	    { "wrapped", { 65528 }, 0, { 0xffffffff } },
	    { "wrapped", { 65532 }, AOT_TRAP_MEMORY, { 0 } }, { "masked", { 65528 }, 0, { 255 } },
	    { "masked", { 65535 }, AOT_TRAP_MEMORY, { 0 } }, { "zero", { 65528 }, 0, { 0 } },
	    { "zero", { 65529 }, AOT_TRAP_MEMORY, { 0 } }, { "lane", { 65532 }, 0, { 5 } },
	    { "lane", { 65533 }, AOT_TRAP_MEMORY, { 0 } },
	    { "far", { 0 }, AOT_TRAP_MEMORY, { 0 } });
}

static void a_store_writes_its_lane_and_nothing_else(void **state)
{
	(void)state;
	RUN("(module (memory 1)"
	    "(func (export \"store\") (param i32) (result i64)"
	    " (v128.store16_lane 6 (local.get 0) (v128.const i64x2 -1 0xeeee5678eeeeeeee))"
	    " (i64.load (i32.const 0)))"
	    "(func (export \"whole\") (param i32)"
	    " (v128.store (local.get 0) (v128.const i64x2 1 2))))",
	    { "store", { 3 }, 0, { UINT64_C(0x0000005678000000) } },
	    { "store", { 65535 }, AOT_TRAP_MEMORY, { 0 } }, { "whole", { 65520 }, 0, { 0 } },
	    { "whole", { 65521 }, AOT_TRAP_MEMORY, { 0 } });
}

static void vectors_go_wherever_numbers_go(void **state)
{
	(void)state;
	RUN("(module"
	    "(type $pair (func (param v128 i32 v128) (result v128 v128)))"
	    "(global $g (mut v128) (v128.const i64x2 3 4))"
	    "(global $c v128 (v128.const i64x2 5 6))"
	    "(table funcref (elem $swap))"
	    "(func $swap (type $pair) (local.get 2) (local.get 0))"
	    "(func $high (param v128) (result i64) (i64x2.extract_lane 1 (local.get 0)))"
	    "(func (export \"indirect\") (param i64) (result i64) (local v128)"
	    " (call_indirect (type $pair) (i64x2.splat (local.get 0)) (i32.const 9) (global.get $c)"
	    "  (i32.const 0))"
	    " (local.set 1) (call $high) (i64.add (call $high (local.get 1))))"
	    "(func (export \"global\") (param i64) (result i64)"
	    " (global.set $g (i64x2.replace_lane 1 (global.get $g) (local.get 0)))"
	    " (i64.add (i64x2.extract_lane 0 (global.get $g)) (call $high (global.get $g))))"
	    "(func (export \"block\") (param i32) (result i64)"
	    " (v128.const i64x2 7 8)"
	    " (block (param v128) (result v128)"
	    "  (br_if 0 (local.get 0)) (drop) (v128.const i64x2 9 10))"
	    " (select (v128.const i64x2 0 1) (i32.ne (local.get 0) (i32.const 2))) (call $high))"
	    "(func (export \"zero\") (result i64) (local v128) (call $high (local.get 0))))",
	    { "indirect", { 100 }, 0, { 106 } }, { "global", { 20 }, 0, { 23 } },
	    { "block", { 0 }, 0, { 10 } }, { "block", { 1 }, 0, { 8 } },
	    { "block", { 2 }, 0, { 1 } }, { "zero", { 0 }, 0, { 0 } });
}

/* LLVM's code generator had x >> 0 wrong where the CPU has GFNI, and the 0 was not seen before. */
static void bytes_are_shifted_by_zero(void **state)
{
	(void)state;
#define COUNT "(i16x8.extract_lane_u 1 (v128.const i16x8 1 8 0 0 0 0 0 0))"
	RUN("(module (func (export \"constant\") (result i64)"
	    " (i64x2.extract_lane 1 (i8x16.shr_s (i8x16.shr_u (v128.const i64x2 1 1) " COUNT
	    ") " COUNT ")))"
	    "(func (export \"variable\") (param i64) (result i64)"
	    " (i64x2.extract_lane 1 (i8x16.shr_s (i64x2.splat (local.get 0)) " COUNT "))))",
	    { "constant", { 0 }, 0, { 1 } }, { "variable", { 1 }, 0, { 1 } });
}

static const char *immediate(const struct wasm_opinfo *op)
{
	switch (op->imm) {
	case WASM_IMM_LANE:
	case WASM_IMM_MEMARG_LANE:
		return " 0";
	case WASM_IMM_LANES16:
		return " 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15";
	case WASM_IMM_V128:
		return " i64x2 1 2";
	default:
		return "";
	}
}

/* A function per instruction, with a parameter of each type. */
static char *all_instructions(size_t *ret_count)
{
	static const char letters[] = "iIfFv";
	static const char *const names[] = { "i32", "i64", "f32", "f64", "v128" };
	size_t cap = 128 << 10;
	char *text = malloc(cap);
	struct wr w = wr_into(text, cap);
	wr_str(&w, "(module (memory 1)");
	*ret_count = 0;
	for (uint32_t code = 0xfd0000; code <= 0xfd00ff; code++) {
		const struct wasm_opinfo *op = wasm_opinfo(code);
		if (!op)
			continue;
		++*ret_count;
		wr_str(&w, "(func (param i32 i64 f32 f64 v128)");
		if (op->pushes[0])
			wr_fmt(&w, "(result %s)", names[strchr(letters, op->pushes[0]) - letters]);
		wr_fmt(&w, "(%s%s", op->text, immediate(op));
		for (const char *p = op->pops; *p; p++)
			wr_fmt(&w, "(local.get %d)", (int)(strchr(letters, *p) - letters));
		wr_str(&w, "))");
	}
	wr_str(&w, ")");
	wr_u8(&w, 0);
	ENSURE(!w.overflow);
	return text;
}

/* Linking fails on symbols that nobody defines: functions of a C library, of which LLVM knows many
 * to replace an instruction by. */
static void compile_and_link(const struct wasm_module *m, const char *triple, const char *cpu,
			     int opt)
{
	struct target target;
	struct compile_result result;
	struct why why = { 0 };
	const struct jail_limits none = { 600, 8192 };
	const struct compile_options o = { .opt = opt };
	OWN_FD object = memfd_create("object", MFD_CLOEXEC);
	OWN_FD so = memfd_create("so", MFD_CLOEXEC);
	assert_int_equal(target_open(triple, cpu, &target, &why), 0);
	assert_int_equal(compile_module(m, &target, &o, &result, &why), 0);
	ssize_t n = (ssize_t)LLVMGetBufferSize(result.object);
	assert_int_equal(write(object, LLVMGetBufferStart(result.object), (size_t)n), n);
	compile_result_fini(&result);
	if (link_shared(object, so, target.is_x86, false, &none, &why) < 0)
		fail_msg("%s: %s", triple, why.text);
	target_fini(&target);
}

static void no_instruction_needs_a_library(void **state)
{
	(void)state;
	static const struct {
		const char *triple, *cpu;
	} target[] = {
		{ "x86_64-linux-gnu", "generic" },
		{ "x86_64-linux-gnu", "x86-64-v4" },
		{ "aarch64-linux-gnu", "generic" },
		{ "aarch64-linux-gnu", "cortex-a72" },
	};
	size_t count, len;
	OWN_FREE char *text = all_instructions(&count);
	OWN_FREE void *wasm = wat_assemble(text, &len);
	struct arena arena;
	const struct wasm_module *m;
	arena_init(&arena, 64 << 20);
	assert_int_equal(count, 236);
	assert_int_equal(module_decode(wasm, len, &arena, &m, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(target); i++) {
		compile_and_link(m, target[i].triple, target[i].cpu, 0);
		compile_and_link(m, target[i].triple, target[i].cpu, 2);
	}
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_wrap_saturate_and_round),
		cmocka_unit_test(lanes_change_their_width),
		cmocka_unit_test(saturating_conversion_has_a_result_for_everything),
		cmocka_unit_test(permutations_know_indices_out_of_range),
		cmocka_unit_test(only_arithmetic_makes_a_nan_quiet),
		cmocka_unit_test(a_load_traps_if_its_last_byte_is_outside),
		cmocka_unit_test(a_store_writes_its_lane_and_nothing_else),
		cmocka_unit_test(vectors_go_wherever_numbers_go),
		cmocka_unit_test(bytes_are_shifted_by_zero),
		cmocka_unit_test(no_instruction_needs_a_library),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
