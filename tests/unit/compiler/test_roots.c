/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays with names of their own: who gets one, that it promises nothing, and that overlaps stay overlaps. */
#include "tests/unit/compiler/run_calls.h"

#include "tests/unit/compiler/ir.h"

#define NAME "call ptr @\"penstock root\""

/* A function of two pointers; its base is read once and for all unless `invariant` is something else. */
#define FUNCTION(invariant, body)                                                                  \
	"define i32 @f(ptr %self, i32 %p, i32 %q, i32 %n) {\n"                                     \
	"  %base = load ptr, ptr %self" invariant "\n" body "}\n!0 = !{}\n"
#define BASE ", !invariant.load !0"
#define READ(v, index)                                                                             \
	"  %w" v " = zext i32 " index " to i64\n"                                                  \
	"  %a" v " = getelementptr inbounds i8, ptr %base, i64 %w" v "\n"                          \
	"  %v" v " = load i32, ptr %a" v "\n"

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;
	while ((text = strstr(text, what))) {
		text += strlen(what);
		n++;
	}
	return n;
}

static const struct {
	const char *what, *text;
	unsigned names;
} shapes[] = {
	{ "two pointers",
	  FUNCTION(BASE, READ("1", "%p") READ("2", "%q") "  %r = add i32 %v1, %v2\n  ret i32 %r\n"),
	  2 },
	{ "one pointer, twice",
	  FUNCTION(BASE,
		   "  %p4 = add i32 %p, 4\n" READ("1", "%p") READ("2", "%p4") "  ret i32 %v1\n"),
	  1 },
	{ "a pointer that was loaded",
	  FUNCTION(BASE, READ("1", "%p") READ("2", "%v1") "  ret i32 %v2\n"), 2 },
	{ "an address that is a number", FUNCTION(BASE, READ("1", "64") "  ret i32 %v1\n"), 0 },
	{ "a sum of three",
	  FUNCTION(BASE, "  %s = add i32 %p, %q\n  %t = add i32 %s, %n\n" READ(
				 "1", "%t") "  ret i32 %v1\n"),
	  0 },
	{ "a base that may change", FUNCTION("", READ("1", "%p") "  ret i32 %v1\n"), 0 },
};

static void each_pointer_has_a_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		struct gen g;
		ir_open(&g, shapes[i].text);
		roots_split(&g);
		char *text = ir_text(&g);
		if (count(text, NAME) != shapes[i].names)
			fail_msg("%s: %u names, not %u", shapes[i].what, count(text, NAME),
				 shapes[i].names);
		LLVMDisposeMessage(text);
		ir_close(&g);
	}
}

/* All names are one memory. With any of these attributes LLVM would take two for different objects. */
static void a_name_does_not_promise_another_object(void **state)
{
	(void)state;
	static const char *const promises[] = { "noalias",   "nocapture", "dereferenceable",
						"allockind", "allocsize", "alloc-family",
						"returned" };
	struct gen g;
	ir_open(&g, shapes[0].text);
	roots_split(&g);
	char *text = ir_text(&g);
	assert_non_null(strstr(text, "memory(none)"));
	for (size_t i = 0; i < ARRAY_LEN(promises); i++)
		assert_null(strstr(text, promises[i]));
	LLVMDisposeMessage(text);
	ir_close(&g);
}

static void afterwards_all_is_as_it_was(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		struct gen g;
		ir_open(&g, shapes[i].text);
		char *before = ir_text(&g);
		roots_split(&g);
		roots_join(&g);
		char *after = ir_text(&g);
		assert_string_equal(before, after);
		LLVMDisposeMessage(before);
		LLVMDisposeMessage(after);
		ir_close(&g);
	}
}

/* More arrays than names: the rest keep the base. */
static void there_are_only_so_many_names(void **state)
{
	(void)state;
	char text[8192];
	size_t at = (size_t)snprintf(text, sizeof(text), "define void @f(ptr %%self");
	for (int i = 0; i < 20; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, ", i32 %%p%d", i);
	at += (size_t)snprintf(text + at, sizeof(text) - at,
			       ") {\n  %%base = load ptr, ptr %%self, !invariant.load !0\n");
	for (int i = 0; i < 20; i++)
		at += (size_t)snprintf(
			text + at, sizeof(text) - at,
			"  %%w%d = zext i32 %%p%d to i64\n"
			"  %%a%d = getelementptr inbounds i8, ptr %%base, i64 %%w%d\n"
			"  store i32 %d, ptr %%a%d\n",
			i, i, i, i, i, i);
	(void)snprintf(text + at, sizeof(text) - at, "  ret void\n}\n!0 = !{}\n");
	struct gen g;
	ir_open(&g, text);
	roots_split(&g);
	char *after = ir_text(&g);
	assert_int_equal(count(after, NAME), 16);
	LLVMDisposeMessage(after);
	ir_close(&g);
}

#define NEXT(n)                                                                                    \
	" (br_if $next (i32.ne (local.tee $i (i32.add (local.get $i) (i32.const 1))) "             \
	"(local.get " n "))))"
#define AT(array) "(i32.add (local.get " array ") (i32.shl (local.get $i) (i32.const 2)))"

/* Two pointers into one memory, at all distances: results are those of one step after the other. */
static void arrays_that_overlap_are_read_as_they_are_written(void **state)
{
	(void)state;
	RUN("(module (memory 1)"
	    "(func (export \"seed\") (local $i i32) (loop $next (i32.store (i32.shl (local.get $i)"
	    " (i32.const 2)) (i32.add (local.get $i) (i32.const 1)))"
	    " (br_if $next (i32.ne (local.tee $i (i32.add (local.get $i) (i32.const 1)))"
	    " (i32.const 64)))))"
	    "(func (export \"peek\") (param i32) (result i32) (i32.load (local.get 0)))"
	    "(func (export \"copy\") (param $q i32) (param $p i32) (param $n i32) (local $i i32)"
	    " (loop $next (i32.store " AT("$q") " (i32.load " AT("$p") "))" NEXT(
		    "$n") ")"
			  /* the pointer is itself in memory that the loop writes */
			  "(func (export \"through\") (param $q i32) (param $n i32) (local $i i32)"
			  " (loop $next (i32.store " AT("$q") " (i32.add (i32.const 4) (i32.load "
							      "(i32.load (i32.const 0)))))" NEXT(
								      "$n") "))",
	    { "seed", { 0 }, 0, { 0 } }, { "copy", { 100, 0, 16 }, 0, { 0 } },
	    { "peek", { 160 }, 0, { 16 } }, { "seed", { 0 }, 0, { 0 } },
	    /* one, two, five elements up: what was written is read again */
	    { "copy", { 4, 0, 32 }, 0, { 0 } }, { "peek", { 4 }, 0, { 1 } },
	    { "peek", { 128 }, 0, { 1 } }, { "peek", { 132 }, 0, { 34 } },
	    { "seed", { 0 }, 0, { 0 } }, { "copy", { 8, 0, 32 }, 0, { 0 } },
	    { "peek", { 124 }, 0, { 2 } }, { "peek", { 128 }, 0, { 1 } },
	    { "seed", { 0 }, 0, { 0 } }, { "copy", { 20, 0, 32 }, 0, { 0 } },
	    { "peek", { 144 }, 0, { 2 } }, { "seed", { 0 }, 0, { 0 } },
	    /* by a byte, and down */
	    { "copy", { 1, 0, 8 }, 0, { 0 } }, { "peek", { 0 }, 0, { 0x0101 } },
	    { "seed", { 0 }, 0, { 0 } }, { "copy", { 0, 4, 32 }, 0, { 0 } },
	    { "peek", { 0 }, 0, { 2 } }, { "peek", { 124 }, 0, { 33 } },
	    { "seed", { 0 }, 0, { 0 } }, { "copy", { 65472, 0, 17 }, AOT_TRAP_MEMORY, { 0 } },
	    { "copy", { 0, 65472, 17 }, AOT_TRAP_MEMORY, { 0 } },
	    /* p wraps in the middle: element 2 is at 0 */
	    { "copy", { 1000, UINT64_C(0xfffffff8), 4 }, AOT_TRAP_MEMORY, { 0 } },
	    { "seed", { 0 }, 0, { 0 } },
	    /* *0 is 1, so it reads at 1; then the loop writes there */
	    { "through", { 0, 1 }, 0, { 0 } }, { "seed", { 0 }, 0, { 0 } },
	    { "through", { 128, 8 }, 0, { 0 } }, { "peek", { 156 }, 0, { 0x02000004 } });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_pointer_has_a_name),
		cmocka_unit_test(a_name_does_not_promise_another_object),
		cmocka_unit_test(afterwards_all_is_as_it_was),
		cmocka_unit_test(there_are_only_so_many_names),
		cmocka_unit_test(arrays_that_overlap_are_read_as_they_are_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
