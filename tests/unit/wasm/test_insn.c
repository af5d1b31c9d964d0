/* SPDX-License-Identifier: Apache-2.0 */
/* The opcode table and the reader of instructions (core specification 2.0, section 5.4). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/why.h"
#include "sandbox/wasm/insn.h"
#include "tests/unit/wasm/build.h"

static const uint32_t codes[] = {
#define OP(code, NAME, text, pops, pushes, imm, class) (code),
#include "sandbox/wasm/opcode.def"
#undef OP
};

static void the_table_has_every_instruction_of_2_0_in_order(void **state)
{
	(void)state;
	size_t simd = 0;
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		const struct wasm_opinfo *info = wasm_opinfo(codes[i]);
		assert_non_null(info);
		assert_int_equal(info->code, codes[i]);
		assert_true(i == 0 || codes[i - 1] < codes[i]);
		assert_int_equal(strspn(info->pops, "iIfFv"), strlen(info->pops));
		assert_int_equal(strspn(info->pushes, "iIfFv"), strlen(info->pushes));
		assert_int_equal(info->class == WASM_CLASS_SIMD, codes[i] >> 16 == 0xfd);
		assert_null(wasm_proposal(codes[i]));
		simd += info->class == WASM_CLASS_SIMD;
	}
	assert_int_equal(ARRAY_LEN(codes), 437);
	assert_int_equal(simd, 236);
}

static void classes_fix_the_number_of_operands(void **state)
{
	(void)state;
	static const struct {
		enum wasm_class class;
		size_t pops, pushes;
	} row[] = {
		{ WASM_CLASS_LOAD, 1, 1 },    { WASM_CLASS_STORE, 2, 0 },
		{ WASM_CLASS_CONST, 0, 1 },   { WASM_CLASS_TEST, 1, 1 },
		{ WASM_CLASS_COMPARE, 2, 1 }, { WASM_CLASS_UNARY, 1, 1 },
		{ WASM_CLASS_BINARY, 2, 1 },  { WASM_CLASS_SHIFT, 2, 1 },
		{ WASM_CLASS_DIVIDE, 2, 1 },  { WASM_CLASS_CONVERT, 1, 1 },
	};
	for (size_t i = 0; i < ARRAY_LEN(codes) * ARRAY_LEN(row); i++) {
		const struct wasm_opinfo *info = wasm_opinfo(codes[i % ARRAY_LEN(codes)]);
		size_t k = i / ARRAY_LEN(codes);
		if (info->class != row[k].class)
			continue;
		assert_int_equal(strlen(info->pops), row[k].pops);
		assert_int_equal(strlen(info->pushes), row[k].pushes);
	}
}

static void unknown_codes_have_no_row_and_may_name_their_proposal(void **state)
{
	(void)state;
	static const struct {
		uint32_t code;
		const char *proposal;
	} row[] = {
		{ 0x06, "exception handling" },
		{ 0x12, "tail call" },
		{ 0x14, "typed function references" },
		{ 0x1f, "exception handling" },
		{ 0xd3, "garbage collection" },
		{ 0xfb0000, "garbage collection" },
		{ 0xfd0100, "relaxed SIMD" },
		{ 0xfe0010, "threads" },
		{ 0x16, NULL },
		{ 0xff, NULL },
		{ 0xfc0100, NULL },
		{ 0xfd009a, NULL },
		{ 0xfdffff, NULL },
		{ 0x010000, NULL },
		{ 0x100, NULL },
		{ 0xffffffff, NULL },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		assert_null(wasm_opinfo(row[i].code));
		const char *name = wasm_proposal(row[i].code);
		if (row[i].proposal)
			assert_string_equal(name, row[i].proposal);
		else
			assert_null(name);
	}
}

static void accesses_and_lanes_follow_from_the_name(void **state)
{
	(void)state;
	static const struct {
		uint32_t op;
		unsigned bytes, lanes;
	} row[] = {
		{ WASM_I32_LOAD, 4, 0 },
		{ WASM_I64_LOAD, 8, 0 },
		{ WASM_F32_STORE, 4, 0 },
		{ WASM_F64_LOAD, 8, 0 },
		{ WASM_I32_LOAD8_S, 1, 0 },
		{ WASM_I64_LOAD16_U, 2, 0 },
		{ WASM_I64_STORE32, 4, 0 },
		{ WASM_V128_LOAD, 16, 0 },
		{ WASM_V128_STORE, 16, 0 },
		{ WASM_V128_LOAD8X8_S, 8, 0 },
		{ WASM_V128_LOAD32X2_U, 8, 0 },
		{ WASM_V128_LOAD16_SPLAT, 2, 0 },
		{ WASM_V128_LOAD64_ZERO, 8, 0 },
		{ WASM_V128_LOAD8_LANE, 1, 16 },
		{ WASM_V128_STORE64_LANE, 8, 2 },
		{ WASM_I8X16_EXTRACT_LANE_U, 0, 16 },
		{ WASM_F64X2_REPLACE_LANE, 0, 2 },
		{ WASM_I8X16_SHUFFLE, 0, 0 },
		{ WASM_I32_ADD, 0, 0 },
		{ WASM_MEMORY_FILL, 0, 0 },
		{ WASM_NOP, 0, 0 },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		const struct wasm_opinfo *info = wasm_opinfo(row[i].op);
		assert_int_equal(wasm_access_bytes(info), row[i].bytes);
		assert_int_equal(wasm_lanes(info), row[i].lanes);
	}
}

static void immediates_are_read_in_the_order_of_the_bytes(void **state)
{
	(void)state;
	static const struct {
		struct bytes in;
		uint32_t op, index, index2, align;
		uint64_t offset, bits;
		int64_t block;
	} row[] = {
		{ B("\x01"), WASM_NOP, 0, 0, 0, 0, 0, 0 },
		{ B("\x02\x40"), WASM_BLOCK, 0, 0, 0, 0, 0, WASM_BLOCK_EMPTY },
		{ B("\x03\x7f"), WASM_LOOP, 0, 0, 0, 0, 0, -1 },
		{ B("\x04\x80\x01"), WASM_IF, 0, 0, 0, 0, 0, 128 },
		{ B("\x04\xff\xff\xff\xff\x0f"), WASM_IF, 0, 0, 0, 0, 0, 0xffffffff },
		{ B("\x0c\x05"), WASM_BR, 5, 0, 0, 0, 0, 0 },
		{ B("\x11\x07\x02"), WASM_CALL_INDIRECT, 7, 2, 0, 0, 0, 0 },
		{ B("\x28\x02\x80\x08"), WASM_I32_LOAD, 0, 0, 2, 1024, 0, 0 },
		{ B("\x3f\x00"), WASM_MEMORY_SIZE, 0, 0, 0, 0, 0, 0 },
		{ B("\x41\x7f"), WASM_I32_CONST, 0, 0, 0, 0, 0xffffffff, 0 },
		{ B("\x42\x7f"), WASM_I64_CONST, 0, 0, 0, 0, UINT64_MAX, 0 },
		/* a signalling NaN stays one */
		{ B("\x43\x01\x00\xa0\x7f"), WASM_F32_CONST, 0, 0, 0, 0, 0x7fa00001, 0 },
		{ B("\x44\x01\x00\x00\x00\x00\x00\xf4\x7f"), WASM_F64_CONST, 0, 0, 0, 0,
		  0x7ff4000000000001, 0 },
		{ B("\xfc\x08\x03\x00"), WASM_MEMORY_INIT, 3, 0, 0, 0, 0, 0 },
		{ B("\xfc\x0a\x00\x00"), WASM_MEMORY_COPY, 0, 0, 0, 0, 0, 0 },
		{ B("\xfc\x0c\x04\x01"), WASM_TABLE_INIT, 4, 1, 0, 0, 0, 0 },
		{ B("\xfc\x8e\x00\x01\x02"), WASM_TABLE_COPY, 1, 2, 0, 0, 0, 0 },
		{ B("\xfd\x15\x0f"), WASM_I8X16_EXTRACT_LANE_S, 15, 0, 0, 0, 0, 0 },
		{ B("\xfd\x54\x00\x08\x03"), WASM_V128_LOAD8_LANE, 3, 0, 0, 8, 0, 0 },
		{ B("\xfd\xff\x01"), WASM_F64X2_CONVERT_LOW_I32X4_U, 0, 0, 0, 0, 0, 0 },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct rd r = rd_from(row[i].in.at, row[i].in.len);
		struct wasm_insn insn;
		assert_int_equal(wasm_insn_next(&r, &insn), 0);
		assert_true(rd_done(&r));
		assert_int_equal(insn.op, row[i].op);
		assert_ptr_equal(insn.at, row[i].in.at);
		assert_int_equal(insn.index, row[i].index);
		assert_int_equal(insn.index2, row[i].index2);
		assert_int_equal(insn.align, row[i].align);
		assert_int_equal(insn.offset, row[i].offset);
		assert_int_equal(insn.value.i64, row[i].bits);
		assert_int_equal(insn.block, row[i].block);
	}
}

static void br_table_gives_its_targets_again(void **state)
{
	(void)state;
	struct rd r = rd_from("\x0e\x02\x81\x00\x02\x03\x0b", 7);
	struct wasm_insn insn;
	assert_int_equal(wasm_insn_next(&r, &insn), 0);
	assert_int_equal(r.left, 1);
	assert_int_equal(insn.ntargets, 2);
	for (uint32_t want = 1; want <= 3; want++)
		assert_int_equal(rd_leb_u32(&insn.targets), want);
	assert_true(rd_done(&insn.targets));
}

static void malformed_instructions_are_refused_at_their_place(void **state)
{
	(void)state;
	static const struct {
		struct bytes in;
		int err;
		uint32_t op;
	} row[] = {
		{ B(""), -E_INVALID, 0 },
		{ B("\x02"), -E_INVALID, WASM_BLOCK },
		{ B("\x02\x41"), -E_INVALID, WASM_BLOCK },
		{ B("\x02\xff\x7f"), -E_INVALID, WASM_BLOCK }, /* i32 in two bytes */
		{ B("\x02\xff\xff\xff\xff\x1f"), -E_INVALID, WASM_BLOCK },
		{ B("\x0c\xff\xff\xff\xff\x1f"), -E_INVALID, WASM_BR },
		{ B("\x0e\x02\x00\x00"), -E_INVALID, WASM_BR_TABLE },
		{ B("\x0e\xff\xff\xff\xff\x0f\x00"), -E_INVALID, WASM_BR_TABLE },
		{ B("\x1c\x01\x40"), -E_INVALID, WASM_SELECT_T },
		{ B("\x1c\x02\x7f"), -E_INVALID, WASM_SELECT_T },
		{ B("\x28\x02"), -E_INVALID, WASM_I32_LOAD },
		{ B("\x3f\x01"), -E_UNSUPPORTED, WASM_MEMORY_SIZE },
		{ B("\x3f\x80\x00"), -E_UNSUPPORTED, WASM_MEMORY_SIZE },
		{ B("\x41\x80\x80\x80\x80\x08"), -E_INVALID, WASM_I32_CONST },
		{ B("\x44\x00\x00\x00\x00"), -E_INVALID, WASM_F64_CONST },
		{ B("\xd0\x7f"), -E_INVALID, WASM_REF_NULL },
		{ B("\xd0"), -E_INVALID, WASM_REF_NULL },
		{ B("\xfc\x08\x00\x01"), -E_UNSUPPORTED, WASM_MEMORY_INIT },
		{ B("\xfc\x0a\x00\x01"), -E_UNSUPPORTED, WASM_MEMORY_COPY },
		{ B("\xfd\x0c\x00\x00\x00\x00\x00\x00\x00\x00"), -E_INVALID, WASM_V128_CONST },
		{ B("\x06\x40"), -E_UNSUPPORTED, 0x06 },
		{ B("\xff"), -E_UNSUPPORTED, 0xff },
		{ B("\xfc\x12"), -E_UNSUPPORTED, 0xfc0012 },
		{ B("\xfe\x10"), -E_UNSUPPORTED, 0xfe0010 },
		/* 0x1fc0000 and 0xfc0000 + 2^16 must not look like trunc_sat */
		{ B("\xfc\x80\x80\x04"), -E_UNSUPPORTED, 0xfcffff },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct rd r = rd_from(row[i].in.at, row[i].in.len);
		struct wasm_insn insn;
		assert_int_equal(wasm_insn_next(&r, &insn), row[i].err);
		assert_int_equal(insn.op, row[i].op);
		assert_ptr_equal(insn.at, row[i].in.at);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_has_every_instruction_of_2_0_in_order),
		cmocka_unit_test(classes_fix_the_number_of_operands),
		cmocka_unit_test(unknown_codes_have_no_row_and_may_name_their_proposal),
		cmocka_unit_test(accesses_and_lanes_follow_from_the_name),
		cmocka_unit_test(immediates_are_read_in_the_order_of_the_bytes),
		cmocka_unit_test(br_table_gives_its_targets_again),
		cmocka_unit_test(malformed_instructions_are_refused_at_their_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
