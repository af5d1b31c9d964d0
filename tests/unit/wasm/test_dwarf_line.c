/* SPDX-License-Identifier: Apache-2.0 */
/* Line tables of DWARF 4 and 5: standard, sections 6.2.4 and 6.2.5. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/wr.h"
#include "sandbox/wasm/dwarf_line.h"

/* What every header ends its fixed part with: line_base -3, line_range 12, opcode_base 13. */
static const uint8_t fixed[] = { 1, 1, 1, 0xfd, 12, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1 };

static size_t unit_4(uint8_t *to, size_t cap, const void *program, size_t n)
{
	static const uint8_t files[] = "src\0\0a.c\0\0\0\0lib.h\0\1\0\0\0";
	struct wr w = wr_into(to, cap);
	wr_u32(&w, (uint32_t)(2 + 4 + sizeof(fixed) + sizeof(files) - 1 + n));
	wr_u16(&w, 4);
	wr_u32(&w, (uint32_t)(sizeof(fixed) + sizeof(files) - 1));
	wr_bytes(&w, fixed, sizeof(fixed));
	wr_bytes(&w, files, sizeof(files) - 1);
	wr_bytes(&w, program, n);
	assert_true(wr_ok(&w));
	return w.len;
}

static int read_all(const void *p, size_t n, struct dwarf_lines *l, struct why *why)
{
	static const uint8_t strings[] = "/home/me\0main.c";
	const struct dwarf_sections s = { { p, n }, { strings, sizeof(strings) }, { NULL, 0 } };
	return dwarf_lines_read(&s, false, l, why);
}

/* 100: line 40 of a.c; 104: 41; 110: 7 of lib.h, discriminator 5; 112: nothing. */
#define SET_100 0, 5, 2, 100, 0, 0, 0
#define PROGRAM                                                                                    \
	SET_100, 3, 39, 1,                          /* advance_line 39, copy */                    \
		13 + 4 * 12 + 4,                    /* special: address + 4, line + 1 */           \
		4, 2, 3, 0x5e, 0, 2, 4, 5, 2, 6, 1, /* file 2, line - 34, discriminator, + 6 */    \
		2, 2, 0, 1, 1

static void a_program_gives_rows(void **state)
{
	static const uint8_t program[] = { PROGRAM };
	static const struct {
		uint64_t at;
		uint32_t line, discriminator;
		const char *file, *dir;
	} row[] = {
		{ 99, 0, 0, NULL, NULL },      { 100, 40, 0, "a.c", "" },
		{ 103, 40, 0, "a.c", "" },     { 104, 41, 0, "a.c", "" },
		{ 110, 7, 5, "lib.h", "src" }, { 111, 7, 5, "lib.h", "src" },
		{ 112, 0, 0, NULL, NULL },
	};
	uint8_t bytes[200];
	struct dwarf_lines l;
	struct why why = { 0 };
	(void)state;
	size_t n = unit_4(bytes, sizeof(bytes), program, sizeof(program));
	assert_int_equal(read_all(bytes, n, &l, &why), 0);
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		const struct dwarf_row *r = dwarf_lines_find(&l, row[i].at);
		assert_int_equal(r != NULL, row[i].file != NULL);
		if (!r)
			continue;
		assert_int_equal(r->line, row[i].line);
		assert_int_equal(r->discriminator, row[i].discriminator);
		assert_true(span_eq(l.files[r->file].name, row[i].file));
		assert_true(span_eq(l.files[r->file].dir, row[i].dir));
	}
	dwarf_lines_fini(&l);
}

static void version_5_has_its_names_elsewhere(void **state)
{
	static const uint8_t head[] = {
		/* one directory: line_strp 0 */
		1, 1, 0x1f, 1, 0, 0, 0, 0,
		/* one file: path line_strp 9, directory udata 0, MD5 data16 */
		3, 1, 0x1f, 2, 0x0b, 5, 0x1e, 1, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0
	};
	static const uint8_t program[] = { SET_100, 4, 0, 1, 2, 9, 0, 1, 1 };
	uint8_t bytes[200];
	struct dwarf_lines l;
	struct why why = { 0 };
	struct wr w = wr_into(bytes, sizeof(bytes));
	(void)state;
	wr_u32(&w, (uint32_t)(2 + 2 + 4 + sizeof(fixed) + sizeof(head) + sizeof(program)));
	wr_u16(&w, 5);
	wr_u8(&w, 4);
	wr_u8(&w, 0);
	wr_u32(&w, (uint32_t)(sizeof(fixed) + sizeof(head)));
	wr_bytes(&w, fixed, sizeof(fixed));
	wr_bytes(&w, head, sizeof(head));
	wr_bytes(&w, program, sizeof(program));
	assert_true(wr_ok(&w));
	assert_int_equal(read_all(bytes, w.len, &l, &why), 0);
	const struct dwarf_row *r = dwarf_lines_find(&l, 105);
	assert_non_null(r);
	assert_true(span_eq(l.files[r->file].name, "main.c"));
	assert_true(span_eq(l.files[r->file].dir, "/home/me"));
	dwarf_lines_fini(&l);
}

static void what_the_linker_dropped_is_left_out(void **state)
{
	static const uint8_t programs[][14] = {
		{ 0, 5, 2, 0, 0, 0, 0, 1, 2, 9, 0, 1, 1, 0 },
		{ 0, 5, 2, 0xff, 0xff, 0xff, 0xff, 1, 2, 9, 0, 1, 1, 0 },
		{ 0, 5, 2, 0xfe, 0xff, 0xff, 0xff, 1, 2, 9, 0, 1, 1, 0 },
		{ SET_100, 1, 1, 1, 1, 1, 1, 1 }, /* without an end */
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
		uint8_t bytes[200];
		struct dwarf_lines l;
		struct why why = { 0 };
		size_t n = unit_4(bytes, sizeof(bytes), programs[i], 13);
		assert_int_equal(read_all(bytes, n, &l, &why), 0);
		assert_int_equal(l.nrows, 0);
		dwarf_lines_fini(&l);
	}
}

static void sequences_may_come_in_any_order(void **state)
{
	static const uint8_t high[] = { 0, 5, 2, 200, 0, 0, 0, 1, 2, 9, 0, 1, 1 };
	static const uint8_t low[] = { SET_100, 1, 2, 100, 0, 1, 1 };
	uint8_t bytes[400];
	struct dwarf_lines l;
	struct why why = { 0 };
	(void)state;
	size_t n = unit_4(bytes, sizeof(bytes), high, sizeof(high));
	n += unit_4(bytes + n, sizeof(bytes) - n, low, sizeof(low));
	assert_int_equal(read_all(bytes, n, &l, &why), 0);
	assert_non_null(dwarf_lines_find(&l, 150));
	/* where one ends another begins */
	assert_non_null(dwarf_lines_find(&l, 200));
	assert_null(dwarf_lines_find(&l, 209));
	dwarf_lines_fini(&l);
}

/* Every cut, and every byte changed to each of some values: read, or refused with the place. */
static void damaged_tables_are_refused_or_harmless(void **state)
{
	static const uint8_t program[] = { PROGRAM };
	static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff };
	uint8_t bytes[200];
	struct dwarf_lines l;
	(void)state;
	size_t n = unit_4(bytes, sizeof(bytes), program, sizeof(program));
	for (size_t cut = 1; cut < n; cut++) {
		struct why why = { 0 };
		assert_int_equal(read_all(bytes, cut, &l, &why), -E_INVALID);
		assert_non_null(strstr(why.text, "offset 0x0 of .debug_line"));
	}
	for (size_t i = 0; i < n * ARRAY_LEN(values); i++) {
		struct why why = { 0 };
		uint8_t was = bytes[i % n];
		bytes[i % n] = values[i / n];
		if (read_all(bytes, n, &l, &why) == 0)
			dwarf_lines_fini(&l);
		bytes[i % n] = was;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_gives_rows),
		cmocka_unit_test(version_5_has_its_names_elsewhere),
		cmocka_unit_test(what_the_linker_dropped_is_left_out),
		cmocka_unit_test(sequences_may_come_in_any_order),
		cmocka_unit_test(damaged_tables_are_refused_or_harmless),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
