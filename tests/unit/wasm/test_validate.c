/* SPDX-License-Identifier: Apache-2.0 */
/* Function bodies: each row is one function in the same small module. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "sandbox/wasm/module.h"
#include "tests/unit/wasm/build.h"

enum { NONE, I32_TO_I32, TO_I64, TWO_TO_TWO, TO_V128 }; /* types 0 ... of the module */

/* Type `type`, one function of it, exported as "f"; function 1 exists, but nothing declares it;
 * table 0 funcref, 1 externref; memory 0; global 0 const i32, 1 mutable i64; element segment 0
 * funcref; data segment 0. */
static size_t module_of(uint8_t *buf, size_t cap, uint8_t type, struct bytes body)
{
	uint8_t code[512];
	struct wr w = wr_into(buf, cap), c = wr_into(code, sizeof(code));
	const uint8_t funcs[] = { 2, type, NONE };
	build_header(&w);
	BUILD_SECTION(&w, 1,
		      "\5\x60\0\0\x60\1\x7f\1\x7f\x60\0\1\x7e\x60\2\x7f\x7f\2\x7e\x7f\x60\0\1\x7b");
	build_section(&w, 3, funcs, sizeof(funcs));
	BUILD_SECTION(&w, 4, "\2\x70\0\1\x6f\0\1");
	BUILD_SECTION(&w, 5, "\1\0\1");
	BUILD_SECTION(&w, 6, "\2\x7f\0\x41\0\x0b\x7e\1\x42\0\x0b");
	BUILD_SECTION(&w, 7, "\1\1f\0\0");
	BUILD_SECTION(&w, 9, "\1\1\0\1\0");
	BUILD_SECTION(&w, 12, "\1");
	wr_u8(&c, 2);
	wr_leb_u32(&c, (uint32_t)body.len);
	wr_bytes(&c, body.at, body.len);
	wr_bytes(&c, "\2\0\x0b", 3);
	build_section(&w, 10, code, c.len);
	BUILD_SECTION(&w, 11, "\1\1\1x");
	assert_true(wr_ok(&w) && wr_ok(&c));
	return w.len;
}

static int decode(uint8_t type, struct bytes body, struct why *why)
{
	uint8_t buf[1024];
	struct arena a;
	const struct wasm_module *m = NULL;
	size_t len = module_of(buf, sizeof(buf), type, body);
	arena_init(&a, 1 << 20);
	*why = (struct why){ 0 };
	int err = module_decode(buf, len, &a, &m, why);
	assert_int_equal(err == 0, m != NULL);
	arena_fini(&a);
	return err;
}

static void well_typed_bodies_are_accepted(void **state)
{
	(void)state;
	/* The first byte of each body is the number of runs of locals. */
	static const struct {
		uint8_t type;
		struct bytes body;
	} row[] = {
		{ NONE, B("\0\x0b") },
		{ I32_TO_I32, B("\0\x20\0\x0b") },
		{ I32_TO_I32, B("\1\2\x7e\x41\7\x0b") },
		{ TWO_TO_TWO, B("\0\x42\1\x20\0\x0b") },
		/* polymorphic stack */
		{ TO_I64, B("\0\0\x0b") },
		{ TO_I64, B("\0\0\x7c\x0b") },
		{ TO_I64, B("\0\0\x1b\x0b") },
		{ NONE, B("\0\0\x1b\x1a\x0b") },
		{ I32_TO_I32, B("\0\0\x0e\1\0\0\x0b") },
		/* multi-value blocks: 2 in, 2 out */
		{ TWO_TO_TWO, B("\0\x20\0\x20\1\2\3\x1a\xac\x41\1\x0b\x0b") },
		{ TWO_TO_TWO, B("\0\x20\0\x20\1\3\3\x0c\0\x0b\x0b") },
		/* if with else; if without, of equal types */
		{ I32_TO_I32, B("\0\x20\0\4\x7f\x41\1\5\x41\2\x0b\x0b") },
		{ I32_TO_I32, B("\0\x20\0\x41\0\4\1\x0b\x0b") },
		/* br_if keeps its operands; br_table with a label of each kind */
		{ I32_TO_I32, B("\0\2\x7f\x41\1\x20\0\x0d\0\x0b\x0b") },
		{ NONE, B("\0\2\x40\3\x40\x41\0\x0e\1\0\1\x0b\x0b\x0b") },
		{ I32_TO_I32, B("\0\x20\0\x0f\x0b") },
		/* calls */
		{ I32_TO_I32, B("\0\x20\0\x10\0\x0b") },
		{ NONE, B("\0\x41\0\x11\0\0\x0b") },
		/* select of numbers, and typed of references */
		{ I32_TO_I32, B("\0\x41\1\x41\2\x41\3\x1b\x0b") },
		{ NONE, B("\0\xd0\x6f\xd0\x6f\x41\0\x1c\1\x6f\x1a\x0b") },
		{ NONE, B("\0\xd2\0\xd1\x1a\x0b") },
		/* tables */
		{ NONE, B("\0\x41\0\x41\0\x25\0\x26\0\x0b") },
		{ NONE, B("\0\xd0\x6f\x41\1\xfc\x0f\1\x1a\x0b") },
		{ NONE, B("\0\x41\0\x41\0\x41\0\xfc\x0c\0\0\x0b") },
		{ NONE, B("\0\x41\0\x41\0\x41\0\xfc\x0e\0\0\xfc\x0d\0\x0b") },
		/* memory */
		{ I32_TO_I32, B("\0\x41\0\x28\2\0\x0b") },
		{ NONE, B("\0\x41\0\x41\0\x41\0\xfc\x08\0\0\xfc\x09\0\x0b") },
		{ TO_I64, B("\0\x42\5\x24\1\x23\1\x0b") },
		/* SIMD */
		{ TO_V128, B("\0\x41\1\xfd\x0f\x0b") },
		{ TO_V128, B("\0\0\xfd\x0d\0\1\2\3\4\5\6\7\x08\x09\x0a\x0b\x0c\x0d\x0e\x1f\x0b") },
		{ TO_V128, B("\0\x41\0\x41\0\xfd\x0f\xfd\x55\1\0\7\x0b") },
		{ TO_V128, B("\1\3\x7b\x20\0\x20\1\x41\0\x1b\x0b") },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct why why;
		if (decode(row[i].type, row[i].body, &why) != 0)
			fail_msg("row %zu: %s", i, why.text);
	}
}

static void ill_typed_bodies_are_refused_with_place_and_reason(void **state)
{
	(void)state;
	static const struct {
		uint8_t type;
		struct bytes body;
		const char *reason; /* after "at offset 0x...: of function 0 `f`: " */
	} row[] = {
		{ I32_TO_I32, B("\0\x0b"), "end needs i32, but the stack of its block is empty" },
		{ I32_TO_I32, B("\0\x41\1\x43\0\0\0\0\x6a\x0b"), "i32.add needs i32, found f32" },
		{ I32_TO_I32, B("\0\x41\1\x41\1\x0b"),
		  "1 values are left on the stack beyond what the block gives" },
		{ I32_TO_I32, B("\0\x42\1\x0b"), "end needs i32, found i64" },
		{ NONE, B("\0\x20\0\x0b"), "local.get of unknown local 0; there are 0" },
		{ NONE, B("\0\x0c\1\x0b"), "br of unknown label 1; there are 1" },
		{ NONE, B("\0\x10\2\x0b"), "call of unknown function 2; there are 2" },
		{ NONE, B("\0\x41\0\x11\x09\0\x0b"),
		  "call_indirect of unknown type 9; there are 5" },
		{ NONE, B("\0\x41\0\x11\0\1\x0b"), "call_indirect through table 1 of externref" },
		{ NONE, B("\0\5\x0b"), "else without if" },
		{ NONE, B("\0\2\x09\x0b\x0b"), "block of unknown type 9; there are 5" },
		/* operands of an outer block are out of reach */
		{ NONE, B("\0\x41\1\2\x40\x1a\x0b\x1a\x0b"),
		  "drop needs a value, but the stack of its block is empty" },
		/* types after unreachable still count */
		{ TO_I64, B("\0\0\x41\1\x7c\x0b"), "i64.add needs i64, found i32" },
		{ TO_I64, B("\0\0\x41\1\x0b"), "end needs i64, found i32" },
		{ NONE, B("\0\x41\0\4\x7f\x41\1\x0b\x1a\x0b"),
		  "an if without else must give what it takes, but its type takes 0 values and "
		  "gives 1, or others" },
		{ NONE, B("\0\2\x7f\x41\1\x41\0\x0e\1\0\1\x0b\x1a\x0b"),
		  "br_table to labels that take 1 and 0 values" },
		{ NONE, B("\0\xd0\x70\xd0\x70\x41\0\x1b\x1a\x0b"),
		  "select of references needs its type written out, found funcref" },
		{ NONE, B("\0\x41\1\x42\1\x41\0\x1b\x1a\x0b"), "select needs i64, found i32" },
		{ NONE, B("\0\0\x1c\2\x7f\x7f\x1a\x0b"), "select must have one type, not 2" },
		{ NONE, B("\0\xd2\1\x1a\x0b"),
		  "ref.func of function 1, which no export, global or element segment declares" },
		{ NONE, B("\0\x41\0\xd1\x1a\x0b"), "ref.is_null needs a reference, found i32" },
		{ NONE, B("\0\x41\0\x24\0\x0b"), "global.set of the immutable global 0" },
		{ NONE, B("\0\x23\2\x1a\x0b"), "global.get of unknown global 2; there are 2" },
		{ NONE, B("\0\x25\2\x1a\x0b"), "table.get of unknown table 2; there are 2" },
		{ NONE, B("\0\x41\0\xd0\x70\x26\1\x0b"),
		  "table.set needs externref, found funcref" },
		{ NONE, B("\0\x41\0\x41\0\x41\0\xfc\x0e\0\1\x0b"),
		  "table.copy between externref and funcref" },
		{ NONE, B("\0\x41\0\x41\0\x41\0\xfc\x0c\0\1\x0b"),
		  "table.init between funcref and externref" },
		{ NONE, B("\0\xfc\x0d\1\x0b"),
		  "elem.drop of unknown element segment 1; there are 1" },
		{ NONE, B("\0\xfc\x09\1\x0b"), "data.drop of unknown data segment 1; there are 1" },
		{ NONE, B("\0\x41\0\x28\3\0\x1a\x0b"),
		  "i32.load has alignment 2^3, more than its natural one of 4 bytes" },
		{ NONE, B("\0\x41\0\x28\xff\xff\xff\xff\x0f\0\x1a\x0b"),
		  "i32.load has alignment 2^4294967295, more than its natural one of 4 bytes" },
		{ TO_V128, B("\0\0\xfd\x17\x10\x0b"), "i8x16.replace_lane of lane 16 of 16" },
		{ TO_V128, B("\0\0\xfd\x0d\0\1\2\3\4\5\6\7\x08\x09\x0a\x0b\x0c\x0d\x0e\x20\x0b"),
		  "i8x16.shuffle of lane 32 of 32" },
		{ TO_V128, B("\0\0\xfd\x57\3\0\2\x0b"), "v128.load64_lane of lane 2 of 2" },
		{ NONE, B("\0\1"), "it ends too early, or in a malformed number" },
		{ NONE, B("\0\x0b\x0b"), "1 bytes follow the end of the function" },
		{ NONE, B("\0\x16\x0b"), "no instruction has the opcode 0x16" },
		{ NONE, B("\1\1\x40\x0b"), "malformed value type 0x40" },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct why why;
		int err = decode(row[i].type, row[i].body, &why);
		const char *reason = strstr(why.text, ": ");
		assert_int_equal(err, -E_INVALID);
		assert_non_null(reason);
		assert_string_equal(reason + 2, row[i].reason);
		assert_memory_equal(why.text, "at offset 0x", 12);
		assert_non_null(strstr(why.text, " of function 0"));
	}
}

static void a_proposal_beyond_2_0_is_unsupported_by_name(void **state)
{
	(void)state;
	struct why why;
	struct bytes tail_call = B("\0\x12\0\x0b");
	assert_int_equal(decode(NONE, tail_call, &why), -E_UNSUPPORTED);
	assert_string_equal(why.text,
			    "at offset 0x58 of function 0 `f`: opcode 0x12 belongs to `tail "
			    "call`, which is not part of WebAssembly 2.0; build the module "
			    "without it");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(well_typed_bodies_are_accepted),
		cmocka_unit_test(ill_typed_bodies_are_refused_with_place_and_reason),
		cmocka_unit_test(a_proposal_beyond_2_0_is_unsupported_by_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
