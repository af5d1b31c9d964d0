/* SPDX-License-Identifier: Apache-2.0 */
/* The outside of a module: header and sections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/envelope.h"

static void only_core_modules_of_version_1_are_opened(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t len;
		const char *why; /* NULL = opened */
	} row[] = {
		{ "\0asm\1\0\0\0", 8, NULL },
		{ "", 0, "not a WebAssembly module: it does not start with \\0asm" },
		{ "\0as", 3, "not a WebAssembly module: it does not start with \\0asm" },
		{ "\x7f"
		  "ELF\1\0\0\0",
		  8, "not a WebAssembly module: it does not start with \\0asm" },
		{ "\0asm\1\0\0", 7,
		  "not a WebAssembly module: it ends inside its header, after 7 bytes" },
		{ "\0asm\2\0\0\0", 8, "WebAssembly version 2 is unknown; it must be 1" },
		{ "\0asm\1\0\2\0", 8, "WebAssembly version 131073 is unknown; it must be 1" },
		{ "\0asm\x0d\0\1\0", 8,
		  "this is a WebAssembly component; a core module (version 1) is needed" },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct envelope e;
		struct why why = { 0 };
		int err = envelope_open(&e, row[i].bytes, row[i].len, &why);
		assert_int_equal(err, row[i].why ? -E_INVALID : 0);
		assert_string_equal(why.text, row[i].why ? row[i].why : "");
	}
}

static void sections_come_in_order_with_their_bytes(void **state)
{
	(void)state;
	static const char module[] = "\0asm\1\0\0\0\0\7\3abcxyz\1\3\1\2\3\x0b\x80\0";
	struct envelope e;
	struct section s;
	assert_int_equal(envelope_open(&e, module, sizeof(module) - 1, NULL), 0);
	assert_int_equal(envelope_next(&e, &s, NULL), 1);
	assert_int_equal(s.id, 0);
	assert_int_equal(s.offset, 8);
	assert_true(span_eq(s.name, "abc"));
	assert_true(span_eq(s.payload, "xyz"));
	assert_int_equal(envelope_next(&e, &s, NULL), 1);
	assert_int_equal(s.id, 1);
	assert_int_equal(s.offset, 17);
	assert_true(span_eq(s.payload, "\1\2\3"));
	assert_int_equal(s.name.len, 0);
	assert_int_equal(envelope_next(&e, &s, NULL), 1);
	assert_int_equal(s.id, 11);
	assert_int_equal(s.payload.len, 0);
	assert_int_equal(envelope_next(&e, &s, NULL), 0);
	assert_int_equal(envelope_next(&e, &s, NULL), 0);
}

static void a_bad_section_ends_the_walk_with_a_reason(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t len;
		const char *why;
	} row[] = {
		{ "\1", 1, "at offset 0x8: the size of section 1 is malformed" },
		{ "\1\x80\x80\x80\x80\x10", 6,
		  "at offset 0x8: the size of section 1 is malformed" },
		{ "\1\2\0", 3,
		  "at offset 0x8: section 1 says it has 2 bytes, but only 1 are left" },
		{ "\1\xff\xff\xff\xff\x0f", 6,
		  "at offset 0x8: section 1 says it has 4294967295 bytes, but only 0 are left" },
		{ "\0\0", 2, "at offset 0x8: the name of the custom section does not fit in it" },
		{ "\0\2\2x", 4,
		  "at offset 0x8: the name of the custom section does not fit in it" },
		{ "\0\3\2\xc0\x80", 5,
		  "at offset 0x8: the name of the custom section is not UTF-8" },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		char module[32] = "\0asm\1\0\0\0";
		struct envelope e;
		struct section s = { .id = 99 };
		struct why why = { 0 };
		memcpy(module + 8, row[i].bytes, row[i].len);
		assert_int_equal(envelope_open(&e, module, 8 + row[i].len, &why), 0);
		assert_int_equal(envelope_next(&e, &s, &why), -E_INVALID);
		assert_string_equal(why.text, row[i].why);
		assert_int_equal(s.id, 99);
		assert_int_equal(envelope_next(&e, &s, &why), -E_INVALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_core_modules_of_version_1_are_opened),
		cmocka_unit_test(sections_come_in_order_with_their_bytes),
		cmocka_unit_test(a_bad_section_ends_the_walk_with_a_reason),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
