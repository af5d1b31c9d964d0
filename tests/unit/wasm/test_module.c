/* SPDX-License-Identifier: Apache-2.0 */
/* Modules as a whole: sections, limits, names, memory. What one function body may hold is in
 * test_validate.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "sandbox/wasm/module.h"
#include "tests/unit/wasm/build.h"

enum { ARENA_BYTES = 64 << 20 };

struct decoded {
	struct arena arena;
	const struct wasm_module *m;
	struct why why;
	int err;
};

static void decode(struct decoded *d, const void *bytes, size_t len)
{
	*d = (struct decoded){ 0 };
	arena_init(&d->arena, ARENA_BYTES);
	d->err = module_decode(bytes, len, &d->arena, &d->m, &d->why);
	assert_int_equal(d->err == 0, d->m != NULL);
	assert_int_equal(d->err == 0, d->why.text[0] == '\0');
}

static void decode_sections(struct decoded *d, struct bytes sections)
{
	uint8_t buf[512];
	struct wr w = wr_into(buf, sizeof(buf));
	build_header(&w);
	wr_bytes(&w, sections.at, sections.len);
	assert_true(wr_ok(&w));
	decode(d, buf, w.len);
}

static void valid_modules_are_accepted(void **state)
{
	(void)state;
	static const struct bytes row[] = {
		B(""),
		B("\1\1\0\2\1\0\3\1\0\4\1\0\5\1\0\6\1\0\7\1\0\x09\1\0\x0c\1\0\x0a\1\0\x0b\1\0"),
		B("\0\1\0\0\3\2hi\1\1\0\0\1\0"), /* custom sections anywhere */
		B("\5\4\1\1\0\0"),               /* memory 0..0 */
		B("\5\6\1\1\0\x80\x80\4"),       /* memory 0..65536 */
		B("\4\4\1\x70\0\0\x09\6\1\0\x41\0\x0b\0"),
		B("\4\4\1\x6f\0\0\x09\x0e\1\6\0\x41\0\x0b\x6f\2\xd0\x6f\x0b\xd0\x6f\x0b"),
		B("\2\6\1\0\0\3\x7f\0\6\6\1\x7f\0\x23\0\x0b"), /* global.get of an import */
		B("\6\6\1\x70\0\xd0\x70\x0b"),
		B("\2\6\1\0\0\3\x7b\0"), /* v128 */
		/* bulk segments without a table or memory */
		B("\x09\4\1\1\0\0\x0b\4\1\1\1x"),
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct decoded d;
		decode_sections(&d, row[i]);
		if (d.err != 0)
			fail_msg("row %zu: %s", i, d.why.text);
		arena_fini(&d.arena);
	}
}

static const struct {
	struct bytes in;
	int err;
	const char *why;
} bad_sections[] = {
	{ B("\1"), -E_INVALID, "at offset 0x8: the size of section 1 is malformed" },
	{ B("\1\5\0"), -E_INVALID,
	  "at offset 0x8: section 1 says it has 5 bytes, but only 1 are left" },
	{ B("\0\0"), -E_INVALID,
	  "at offset 0x8: the name of the custom section does not fit in it" },
	{ B("\0\2\1\xff"), -E_INVALID,
	  "at offset 0x8: the name of the custom section is not UTF-8" },
	{ B("\x0e\0"), -E_INVALID, "at offset 0x8: unknown section id 14" },
	{ B("\x0d\1\0"), -E_UNSUPPORTED,
	  "at offset 0x8: the tag section belongs to `exception handling`, which is not part "
	  "of WebAssembly 2.0; build the module without it" },
	{ B("\1\1\0\1\1\0"), -E_INVALID,
	  "at offset 0xb: the type section is repeated or comes too late" },
	{ B("\x0b\1\0\x0c\1\0"), -E_INVALID,
	  "at offset 0xb: the data count section is repeated or comes too late" },
	{ B("\1\2\0\0"), -E_INVALID,
	  "at offset 0xb in the type section: 1 bytes are left over at its end" },
	{ B("\1\0"), -E_INVALID,
	  "at offset 0xa in the type section: it ends too early, or in a malformed number" },
	{ B("\1\x06\1\x60\x86\0\0\0"), -E_INVALID,
	  "at offset 0xe in the type section: malformed: a number is over-long or out of "
	  "range, or a length leads beyond the end" },
	{ B("\1\4\1\x40\0\0"), -E_INVALID,
	  "at offset 0xb in the type section: malformed function type: 0x40, not 0x60" },
	{ B("\1\4\1\x5f\0\0"), -E_UNSUPPORTED,
	  "at offset 0xb in the type section: type form 0x5f belongs to `garbage "
	  "collection`, which is not part of WebAssembly 2.0; build the module without "
	  "it" },
	{ B("\1\5\1\x60\1\x40\0"), -E_INVALID,
	  "at offset 0xd in the type section: malformed value type 0x40" },
	{ B("\2\5\1\0\0\0\0"), -E_INVALID,
	  "at offset 0xe in the import section: unknown type 0; there are 0" },
	{ B("\2\6\1\1\xff\0\0\0"), -E_INVALID,
	  "at offset 0xb in the import section: malformed UTF-8 in a name" },
	{ B("\2\x09\2\0\0\2\0\0\0\0\2\0\0"), -E_INVALID, NULL },
	{ B("\2\x0b\2\0\0\2\0\0\0\0\2\0\0"), -E_UNSUPPORTED,
	  "at offset 0x14 in the import section: to have 2 memories belongs to `multi-memory`, "
	  "which is not part of WebAssembly 2.0; build the module without it" },
	{ B("\5\5\2\0\0\0\0"), -E_UNSUPPORTED,
	  "at offset 0xa in the memory section: to have 2 memories belongs to `multi-memory`, "
	  "which is not part of WebAssembly 2.0; build the module without it" },
	{ B("\5\5\1\0\x81\x80\4"), -E_INVALID,
	  "at offset 0xc in the memory section: a minimum of 65537 pages is more than 65536" },
	{ B("\5\4\1\1\2\1"), -E_INVALID,
	  "at offset 0xd in the memory section: the minimum of 2 pages is more than the "
	  "maximum of 1" },
	{ B("\5\4\1\3\1\1"), -E_UNSUPPORTED,
	  "at offset 0xb in the memory section: limits flags byte 0x03 belongs to `threads`, "
	  "which is not part of WebAssembly 2.0; build the module without "
	  "it" },
	{ B("\4\4\1\x7f\0\0"), -E_INVALID,
	  "at offset 0xb in the table section: malformed reference type 0x7f" },
	{ B("\6\6\1\x7f\2\x41\0\x0b"), -E_INVALID,
	  "at offset 0xc in the global section: malformed mutability 0x02 of a global" },
	{ B("\6\6\1\x7f\0\x42\0\x0b"), -E_INVALID,
	  "at offset 0xf in the global section: the constant expression must give i32, found "
	  "i64" },
	{ B("\6\4\1\x7f\0\x0b"), -E_INVALID,
	  "at offset 0xd in the global section: a constant expression must give one value, "
	  "this one gives 0" },
	{ B("\6\7\1\x7f\0\x41\0\x67\x0b"), -E_INVALID,
	  "at offset 0xf in the global section: i32.clz is not allowed in a constant "
	  "expression" },
	{ B("\6\x0b\2\x7f\0\x41\0\x0b\x7f\0\x23\0\x0b"), -E_INVALID,
	  "at offset 0x12 in the global section: unknown global 0: a constant expression may "
	  "use only the 0 imported ones" },
	{ B("\2\6\1\0\0\3\x7f\1\6\6\1\x7f\0\x23\0\x0b"), -E_INVALID,
	  "at offset 0x15 in the global section: a constant expression may not use the "
	  "mutable global 0" },
	{ B("\7\5\1\1x\2\0"), -E_INVALID,
	  "at offset 0xe in the export section: unknown memory 0; there are 0" },
	{ B("\5\3\1\0\0\7\x09\2\1x\2\0\1x\2\0"), -E_INVALID,
	  "at offset 0x15 in the export section: duplicate export name" },
	{ B("\x08\1\0"), -E_INVALID,
	  "at offset 0xa in the start section: unknown function 0; there are 0" },
	{ B("\1\4\1\x60\0\0\3\2\1\0"), -E_INVALID,
	  "at offset 0x12: the function section announces 1 functions, the code section has "
	  "0" },
	{ B("\x0a\3\1\1\x0b"), -E_INVALID,
	  "at offset 0xa in the code section: 1 function bodies, but the function section "
	  "announces 0" },
	{ B("\x0c\1\1"), -E_INVALID,
	  "at offset 0xb: the data count section announces 1 segments, the data section has "
	  "0" },
	{ B("\x09\6\1\0\x41\0\x0b\0"), -E_INVALID,
	  "at offset 0xb in the element section: unknown table 0; there are 0" },
	{ B("\x09\5\1\x08\0\0\0"), -E_INVALID,
	  "at offset 0xb in the element section: malformed element segment flags 0x8" },
	{ B("\4\4\1\x70\0\0\x09\7\1\6\0\x41\0\x0b\x6f\0"), -E_INVALID, NULL },
	{ B("\x0b\5\1\0\x41\0\x0b"), -E_INVALID,
	  "at offset 0xb in the data section: unknown memory 0; there are 0" },
	{ B("\x0b\4\1\1\2x"), -E_INVALID,
	  "at offset 0xd in the data section: malformed: a number is over-long or out of "
	  "range, or a length leads beyond the end" },
};

static void bad_sections_are_refused_with_place_and_reason(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_sections); i++) {
		struct decoded d;
		decode_sections(&d, bad_sections[i].in);
		assert_int_equal(d.err, bad_sections[i].err);
		if (bad_sections[i].why)
			assert_string_equal(d.why.text, bad_sections[i].why);
		arena_fini(&d.arena);
	}
}

/* import f0 (type 0), global i32; functions f1 (type 1: i32 -> i32, locals i64 f32 f32), f2;
 * table 3..5, memory 1; export "run" f1; start f2; element, data; names "zero" and "one". */
static const char whole[] = "\0asm\1\0\0\0"
			    "\1\x09\2\x60\0\0\x60\1\x7f\1\x7f"
			    "\2\x10\2\3env\2f0\0\0\0\1g\3\x7f\0"
			    "\3\3\2\1\0"
			    "\4\5\1\x70\1\3\5"
			    "\5\3\1\0\1"
			    "\6\6\1\x7e\1\x42\x7f\x0b"
			    "\7\7\1\3run\0\1"
			    "\x08\1\2"
			    "\x09\x08\1\0\x41\0\x0b\2\0\2"
			    "\x0c\1\1"
			    "\x0a\x0d\2\x08\2\1\x7e\2\x7d\x20\0\x0b\2\0\x0b"
			    "\x0b\x09\1\0\x41\x08\x0b\3abc"
			    "\0\x13\4name\1\x0c\2\0\4zero\2\3one";

static void a_module_is_all_there(void **state)
{
	(void)state;
	struct decoded d;
	decode(&d, whole, sizeof(whole) - 1);
	if (d.err)
		fail_msg("%s", d.why.text);
	const struct wasm_module *m = d.m;
	assert_int_equal(m->ntypes, 2);
	assert_int_equal(m->types[1].types[1], AOT_I32);
	assert_int_equal(m->nfuncs, 3);
	assert_int_equal(m->nimported_funcs, 1);
	assert_true(span_eq(m->imports[0].module, "env") && span_eq(m->imports[0].name, "f0"));
	assert_int_equal(m->funcs[1].type, 1);
	assert_int_equal(m->funcs[1].nlocals, 3);
	assert_memory_equal(m->funcs[1].locals, "\x7e\x7d\x7d", 3);
	assert_int_equal(m->funcs[1].code.len, 3);
	assert_ptr_equal(m->funcs[1].code.at, m->bytes.at + m->funcs[1].code_offset);
	assert_true(span_eq(m->funcs[0].name, "zero"));
	assert_true(span_eq(m->funcs[1].name, "run")); /* of its export */
	assert_true(span_eq(m->funcs[2].name, "one"));
	assert_int_equal(m->tables[0].limits.min, 3);
	assert_int_equal(m->tables[0].limits.max, 5);
	assert_int_equal(m->memory.min, 1);
	assert_int_equal(m->memory.max, UINT32_MAX);
	assert_int_equal(m->nglobals, 2);
	assert_int_equal(m->nimported_globals, 1);
	assert_true(m->globals[1].type.is_mutable);
	assert_int_equal(m->globals[1].init.value.i64, UINT64_MAX);
	assert_int_equal(m->start, 2);
	assert_int_equal(m->elems[0].len, 2);
	assert_int_equal(m->elems[0].items[1].kind, AOT_CONST_FUNC);
	assert_int_equal(m->elems[0].items[1].index, 2);
	assert_int_equal(m->datas[0].offset.value.i32, 8);
	assert_true(span_eq(m->datas[0].bytes, "abc"));
	assert_int_equal(m->ncustoms, 1);
	arena_fini(&d.arena);
}

static void a_truncated_module_is_refused_at_every_length(void **state)
{
	(void)state;
	static const char bytes[] = "\0asm\1\0\0\0"
				    "\1\4\1\x60\0\0"
				    "\3\2\1\0"
				    "\7\5\1\1f\0\0"
				    "\x0a\5\1\3\0\1\x0b";
	struct decoded d;
	decode(&d, bytes, sizeof(bytes) - 1);
	assert_int_equal(d.err, 0);
	arena_fini(&d.arena);
	for (size_t len = 0; len < sizeof(bytes) - 1; len++) {
		/* An allocation of its own, so that the sanitizer sees a read beyond. */
		char *cut = malloc(len ? len : 1);
		assert_non_null(cut);
		memcpy(cut, bytes, len);
		decode(&d, cut, len);
		/* Whole sections may be missing where the rest makes sense without them. */
		assert_true(d.err == -E_INVALID || len == 8 || len == 14);
		arena_fini(&d.arena);
		free(cut);
	}
}

static void memory_stays_within_the_arena(void **state)
{
	(void)state;
	static const char bytes[] = "\0asm\1\0\0\0"
				    "\0\1\0\1\4\1\x60\0\0\2\5\1\0\0\0\0\3\2\1\0\4\4\1\x70\0\1"
				    "\6\6\1\x7f\0\x41\0\x0b\7\5\1\1f\0\0\x09\7\1\0\x41\0\x0b\1\0"
				    "\x0a\6\1\4\1\3\x7f\x0b\x0b\3\1\1\0";
	size_t cap = 0;
	int err;
	do {
		struct arena a;
		struct why why = { 0 };
		const struct wasm_module *m = NULL;
		arena_init(&a, cap);
		err = module_decode(bytes, sizeof(bytes) - 1, &a, &m, &why);
		assert_true(err == -ENOMEM || err == 0);
		assert_true(a.used_bytes <= cap);
		assert_int_equal(err == 0, m != NULL);
		arena_fini(&a);
		cap += 16;
	} while (err != 0 && cap < 1 << 16);
	assert_int_equal(err, 0);
}

static void a_malformed_name_section_is_no_error(void **state)
{
	(void)state;
	static const struct {
		struct bytes section;
		const char *name;
	} row[] = {
		{ B("\0\x0b\4name\1\4\1\0\1n"), "n" },
		{ B("\0\x11\4name\0\4\3mod\1\4\1\0\1n"), "n" },
		{ B("\0\x0b\4name\1\4\1\x09\1n"), "f" },         /* no such function */
		{ B("\0\x0b\4name\1\4\1\0\1\xff"), "f" },        /* not UTF-8 */
		{ B("\0\x0b\4name\1\4\2\0\1n"), "f" },           /* ends too early */
		{ B("\0\x0c\4name\1\4\1\0\1n\7"), "f" },         /* trailing byte */
		{ B("\0\x0b\4name\1\x09\1\0\1n"), "f" },         /* longer than the section */
		{ B("\0\5\4name\0\x0b\4name\1\4\1\0\1n"), "f" }, /* the first one counts */
		{ B("\0\x0b\4nama\1\4\1\0\1n"), "f" },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		uint8_t buf[128];
		struct wr w = wr_into(buf, sizeof(buf));
		struct decoded d;
		build_header(&w);
		BUILD_SECTION(&w, 1, "\1\x60\0\0");
		BUILD_SECTION(&w, 3, "\1\0");
		BUILD_SECTION(&w, 7, "\1\1f\0\0");
		BUILD_SECTION(&w, 10, "\1\2\0\x0b");
		wr_bytes(&w, row[i].section.at, row[i].section.len);
		decode(&d, buf, w.len);
		assert_int_equal(d.err, 0);
		assert_true(span_eq(d.m->funcs[0].name, row[i].name));
		arena_fini(&d.arena);
	}
}

static void a_hostile_name_cannot_forge_a_line_of_the_reason(void **state)
{
	(void)state;
	struct decoded d;
	struct bytes in =
		B("\1\4\1\x60\0\0\3\2\1\0\7\x0b\1\7a\nb\x1b\xc3\xa4`\0\0\x0a\5\1\3\0\x1a\x0b");
	decode_sections(&d, in);
	assert_int_equal(d.err, -E_INVALID);
	assert_string_equal(d.why.text,
			    "at offset 0x24 of function 0 `a?b?\xc3\xa4``: drop needs a "
			    "value, but the stack of its block is empty");
	arena_fini(&d.arena);
}

/* ---- limits ---- */

static struct wr big_begin(uint8_t *buf, size_t cap)
{
	struct wr w = wr_into(buf, cap);
	build_header(&w);
	BUILD_SECTION(&w, 1, "\1\x60\0\0");
	BUILD_SECTION(&w, 3, "\1\0");
	return w;
}

/* n exports with names of eight digits; the last one is called `last`. */
static struct wr many_exports(uint8_t *buf, size_t cap, uint32_t n, uint32_t last)
{
	struct wr w = big_begin(buf, cap);
	uint8_t *payload = malloc(cap);
	assert_non_null(payload);
	struct wr p = wr_into(payload, cap);
	wr_leb_u32(&p, n);
	for (uint32_t i = 0; i < n; i++) {
		wr_u8(&p, 8);
		wr_fmt(&p, "%08u", i == n - 1 ? last : i);
		wr_bytes(&p, "\0\0", 2);
	}
	build_section(&w, 7, payload, p.len);
	BUILD_SECTION(&w, 10, "\1\2\0\x0b");
	assert_true(wr_ok(&w) && wr_ok(&p));
	free(payload);
	return w;
}

static void a_hundred_thousand_exports_are_told_apart(void **state)
{
	(void)state;
	static const struct {
		uint32_t n, last;
		int err;
		const char *why;
	} row[] = {
		{ WASM_MAX_exports, 99999999, 0, "" },
		{ WASM_MAX_exports, 4711, -E_INVALID,
		  "at offset 0x10c8ef in the export section: duplicate export name" },
		{ WASM_MAX_exports + 1, 99999999, -E_LIMIT,
		  "at offset 0x16 in the export section: 100001 are more than the limit `exports` "
		  "of "
		  "100000" },
	};
	size_t cap = 2 << 20;
	uint8_t *buf = malloc(cap);
	assert_non_null(buf);
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct decoded d;
		struct wr w = many_exports(buf, cap, row[i].n, row[i].last);
		decode(&d, buf, w.len);
		assert_int_equal(d.err, row[i].err);
		assert_string_equal(d.why.text, row[i].why);
		arena_fini(&d.arena);
	}
	free(buf);
}

/* One function: `head`, n times `unit`, `tail`. */
static void repeated_body(struct decoded *d, struct bytes head, struct bytes unit, uint32_t n,
			  struct bytes tail)
{
	size_t cap = (size_t)n * unit.len + 256;
	uint8_t *buf = malloc(cap), *code = malloc(cap);
	assert_non_null(buf);
	assert_non_null(code);
	struct wr w = big_begin(buf, cap), c = wr_into(code, cap);
	wr_u8(&c, 1);
	wr_leb_u32(&c, (uint32_t)(head.len + n * unit.len + tail.len));
	wr_bytes(&c, head.at, head.len);
	for (uint32_t i = 0; i < n; i++)
		wr_bytes(&c, unit.at, unit.len);
	wr_bytes(&c, tail.at, tail.len);
	build_section(&w, 10, code, c.len);
	assert_true(wr_ok(&w) && wr_ok(&c));
	decode(d, buf, w.len);
	arena_fini(&d->arena);
	free(buf);
	free(code);
}

static void what_a_body_asks_for_is_limited(void **state)
{
	(void)state;
	static const struct {
		struct bytes head, unit;
		uint32_t n;
		struct bytes tail;
		int err;
		const char *limit;
	} row[] = {
		{ B("\1\xd0\x86\3\x7f"), B("\1"), 1, B("\x0b"), 0, NULL }, /* 50,000 locals */
		{ B("\1\xd1\x86\3\x7f"), B("\1"), 1, B("\x0b"), -E_LIMIT, "locals" },
		{ B("\2\xff\xff\xff\xff\x0f\x7f\xff\xff\xff\xff\x0f\x7e"), B("\1"), 1, B("\x0b"),
		  -E_LIMIT, "locals" },
		{ B("\0"), B("\2\x40"), WASM_MAX_nesting, B("\x0b"), -E_LIMIT, "nesting" },
		{ B("\0"), B("\2\x40"), WASM_MAX_nesting - 1, B("\0\x0b"), -E_INVALID, NULL },
		{ B("\0"), B("\x41\0"), WASM_MAX_operands, B("\0\x0b"), 0, NULL },
		{ B("\0"), B("\x41\0"), WASM_MAX_operands + 1, B("\0\x0b"), -E_LIMIT, "operands" },
		{ B("\0\x41\0\x0e\xf1\xff\3"), B("\0"), 65521 + 1, B("\x0b"), -E_LIMIT,
		  "br_table_targets" },
		{ B("\0"), B("\1"), WASM_MAX_function_bytes, B("\x0b"), -E_LIMIT,
		  "function_bytes" },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct decoded d;
		repeated_body(&d, row[i].head, row[i].unit, row[i].n, row[i].tail);
		if (d.err != row[i].err)
			fail_msg("row %zu: %s", i, d.why.text);
		if (row[i].limit)
			assert_non_null(strstr(d.why.text, row[i].limit));
	}
}

static void a_count_beyond_the_bytes_is_refused_before_anything_is_allocated(void **state)
{
	(void)state;
	static const uint8_t ids[] = { 1, 2, 3, 4, 5, 6, 7, 9, 10, 11 };
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		char in[] = "\0\6\xff\xff\xff\xff\x0f\0";
		struct decoded d;
		in[0] = (char)ids[i];
		decode_sections(&d, (struct bytes){ in, sizeof(in) - 1 });
		assert_int_equal(d.err, -E_INVALID);
		assert_true(d.arena.used_bytes < 1024);
		arena_fini(&d.arena);
	}
}

static void a_module_has_at_most_64_mib(void **state)
{
	(void)state;
	struct arena a;
	struct why why = { 0 };
	const struct wasm_module *m;
	arena_init(&a, ARENA_BYTES);
	/* Refused by its length alone: the bytes are not there. */
	assert_int_equal(module_decode("", WASM_MAX_module_bytes + 1, &a, &m, &why), -E_LIMIT);
	assert_string_equal(why.text, "the module has 67108865 bytes, more than the limit "
				      "`module_bytes` of 67108864");
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(valid_modules_are_accepted),
		cmocka_unit_test(bad_sections_are_refused_with_place_and_reason),
		cmocka_unit_test(a_module_is_all_there),
		cmocka_unit_test(a_truncated_module_is_refused_at_every_length),
		cmocka_unit_test(memory_stays_within_the_arena),
		cmocka_unit_test(a_malformed_name_section_is_no_error),
		cmocka_unit_test(a_hostile_name_cannot_forge_a_line_of_the_reason),
		cmocka_unit_test(a_hundred_thousand_exports_are_told_apart),
		cmocka_unit_test(what_a_body_asks_for_is_limited),
		cmocka_unit_test(a_count_beyond_the_bytes_is_refused_before_anything_is_allocated),
		cmocka_unit_test(a_module_has_at_most_64_mib),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
