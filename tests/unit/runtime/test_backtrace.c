/* SPDX-License-Identifier: Apache-2.0 */
/* From an instruction to lines, and from a stack to a trace, on a module made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "sandbox/runtime/backtrace.h"
#include "sandbox/runtime/lines.h"

/* Three functions of 100 bytes: outer, with middle and inner inlined into it; plain; lost. And next, in
 * a chunk of its own. */
static const uint8_t code[400];
static void *const func_code[] = { (void *)&code[0], (void *)&code[100], (void *)&code[200],
				   (void *)&code[300] };
static const char *const names[] = {
	"imported", "outer", "plain", "lost", "next",
};
static const char files[] = "\0a.c\0b.h";
enum { A_C = 1, B_H = 5, FUNCS = 3, INLINED = 2 };

static const struct aot_chain chains[] = {
	{ 1, AOT_CHAIN_NATIVE, A_C, 12 }, /* "plain" in outer, called in line 12 */
	{ 2, 0, A_C, 21 },                /* "lost" in that */
	{ 0, AOT_CHAIN_END, 0, 0x80 },
	{ 1, AOT_CHAIN_END, 0, 0x180 },
	{ 2, AOT_CHAIN_END, 0, 0x280 },
};
static const struct aot_chain next_chains[] = { { 0, AOT_CHAIN_END, 0, 1 } };
static const struct aot_mark next_marks[] = { { .code = 0, .line = 8, .chain = 0 } };
/* 10: a.c:11 of outer. 20: a.c:20 of the first chain. 30: b.h:5 of the second. 50: a.c:13. */
static const uint8_t stream[] = {
	10 << 1 | 1,
	22,
	A_C,
	INLINED,
	10 << 1 | 1,
	18,
	A_C,
	0,
	10 << 1 | 1,
	29,
	B_H,
	1,
	20 << 1 | 1,
	16,
	A_C,
	INLINED,
	/* after the second mark: offset 0x210 of the module */
	4 << 1,
	32,
};
static const struct aot_mark marks[] = {
	{ .code = 0, .at = 0, .chain = INLINED },
	{ .code = 100, .at = sizeof(stream) - 2, .line = 0x180, .chain = INLINED + 1 },
	{ .code = 200, .at = 1000000, .line = 0, .chain = 77 }, /* makes no sense */
};
static const struct aot_lines lines[] = {
	{
		.code = code,
		.marks = marks,
		.chains = chains,
		.stream = stream,
		.files = files,
		.code_bytes = 300,
		.nmarks = ARRAY_LEN(marks),
		.nchains = ARRAY_LEN(chains),
		.stream_bytes = sizeof(stream),
		.files_bytes = sizeof(files),
	},
	{
		.code = code + 300,
		.marks = next_marks,
		.chains = next_chains,
		.files = "",
		.code_bytes = 100,
		.nmarks = ARRAY_LEN(next_marks),
		.nchains = ARRAY_LEN(next_chains),
	},
};
static const struct aot_chunk chunks[] = { { 1, 3, 0x80 }, { 4, 1, 0x1000 } };
static const struct aot_module aot = {
	.nfuncs = 5,
	.nimported_funcs = 1,
	.func_code = func_code,
	.func_names = names,
	.code_start = code,
	.code_end = code + sizeof(code),
	.lines = lines,
	.chunks = chunks,
	.nchunks = ARRAY_LEN(chunks),
};
static const struct module module = { .aot = &aot };

static uintptr_t at(size_t offset)
{
	return (uintptr_t)code + offset;
}

static void stack_of(struct instance *in, uintptr_t *words, size_t n)
{
	*in = (struct instance){
		.module = &module, .stack = { .low = (uint8_t *)words, .bytes = n * sizeof(*words) }
	};
	in->linked = in;
}

static void a_place_has_file_and_line_or_offset(void **state)
{
	static const struct {
		size_t at;
		const char *text;
	} row[] = {
		{ 5, "outer" },
		{ 10, "a.c:11 outer" },
		{ 19, "a.c:11 outer" },
		{ 20, "a.c:20 plain" },
		{ 30, "b.h:5 lost" },
		{ 50, "a.c:13 outer" },
		{ 99, "a.c:13 outer" },
		{ 100, "plain+0x0 (0x200)" },
		{ 104, "plain+0x10 (0x210)" },
		{ 302, "next+0x7 (0x1008)" },
		{ 250, "lost" },
		{ 400, "" },
	};
	uintptr_t none[1];
	struct instance in;
	(void)state;
	stack_of(&in, none, 1);
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		char text[100];
		struct wr w = wr_into(text, sizeof(text) - 1);
		backtrace_place(&in, at(row[i].at), &w);
		text[w.len] = '\0';
		assert_string_equal(text, row[i].text);
	}
}

static const char *trace(struct instance *in, uintptr_t pc, uintptr_t fp)
{
	static char text[BACKTRACE_TEXT_BYTES + 1];
	struct backtrace b;
	struct wr w = wr_into(text, sizeof(text) - 1);
	backtrace_take(&b, in, pc, fp);
	backtrace_callers(&b, in, &w);
	text[w.len] = '\0';
	return text;
}

static void inlined_functions_are_in_the_trace(void **state)
{
	uintptr_t words[8] = { 0 };
	struct instance in;
	(void)state;
	stack_of(&in, words, ARRAY_LEN(words));
	words[0] = (uintptr_t)&words[4];
	words[1] = at(105); /* returns into plain */
	words[5] = 12345;   /* the host's */
	assert_string_equal(
		trace(&in, at(30), (uintptr_t)&words[0]),
		"  from a.c:21 plain\n  from a.c:12 outer\n  from plain+0x10 (0x210)\n");
}

static void a_helpers_frame_does_not_count_twice(void **state)
{
	uintptr_t words[8] = { 0 };
	struct instance in;
	(void)state;
	stack_of(&in, words, ARRAY_LEN(words));
	words[0] = (uintptr_t)&words[2]; /* of the helper, which plain has called */
	words[1] = at(105);
	words[2] = (uintptr_t)&words[4];
	words[3] = at(11);
	assert_string_equal(trace(&in, at(104), (uintptr_t)&words[0]), "  from a.c:11 outer\n");
}

static void frame_pointers_are_believed_only_inside_the_stack(void **state)
{
	uintptr_t words[8] = { 0 };
	const uintptr_t bad[] = { 0,
				  1,
				  (uintptr_t)&words[0] + 4,
				  (uintptr_t)&words[0] - 8,
				  (uintptr_t)&words[7],
				  (uintptr_t)&words[8],
				  UINTPTR_MAX - 7 };
	struct instance in;
	(void)state;
	stack_of(&in, words, ARRAY_LEN(words));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_string_equal(trace(&in, at(104), bad[i]), "");
	/* and a chain must go up: this one stands still, the next goes back */
	words[2] = (uintptr_t)&words[2];
	words[3] = at(11);
	assert_string_equal(trace(&in, at(104), (uintptr_t)&words[2]), "  from a.c:11 outer\n");
	words[2] = (uintptr_t)&words[0];
	assert_string_equal(trace(&in, at(104), (uintptr_t)&words[2]), "  from a.c:11 outer\n");
}

static void of_a_deep_stack_both_ends_are_kept(void **state)
{
	static uintptr_t words[2000];
	struct instance in;
	struct backtrace b;
	(void)state;
	stack_of(&in, words, ARRAY_LEN(words));
	for (size_t i = 0; i + 2 < ARRAY_LEN(words); i += 2) {
		words[i] = (uintptr_t)&words[i + 2];
		words[i + 1] = at(1 + i / 2 % 290);
	}
	backtrace_take(&b, &in, at(299), (uintptr_t)&words[0]);
	assert_int_equal(b.n, BACKTRACE_FRAMES);
	assert_int_equal(b.skipped, 1 + 999 - BACKTRACE_FRAMES);
	for (size_t i = 1; i < BACKTRACE_TOP; i++)
		assert_int_equal(b.pc[i], at((i - 1) % 290));
	for (size_t i = 0; i < BACKTRACE_BOTTOM; i++)
		assert_int_equal(b.pc[BACKTRACE_FRAMES - 1 - i], at((998 - i) % 290));
	assert_non_null(strstr(trace(&in, at(299), (uintptr_t)&words[0]), "  ... 968 more\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_place_has_file_and_line_or_offset),
		cmocka_unit_test(inlined_functions_are_in_the_trace),
		cmocka_unit_test(a_helpers_frame_does_not_count_twice),
		cmocka_unit_test(frame_pointers_are_believed_only_inside_the_stack),
		cmocka_unit_test(of_a_deep_stack_both_ends_are_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
