/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors that only count: their lanes are sums of one number, and any other vector stays. */
#include "tests/unit/compiler/run_calls.h"

#include "tests/unit/compiler/ir.h"

#define LOOP(init, next, uses)                                                                     \
	"define void @f(i32 %x, <4 x i32> %any, ptr %p, i1 %again) {\n"                            \
	"entry:\n"                                                                                 \
	"  %one = insertelement <4 x i32> poison, i32 %x, i64 0\n"                                 \
	"  %all = shufflevector <4 x i32> %one, <4 x i32> poison, <4 x i32> zeroinitializer\n"     \
	"  %init = " init "\n"                                                                     \
	"  br label %loop\n"                                                                       \
	"loop:\n"                                                                                  \
	"  %v = phi <4 x i32> [ %init, %entry ], [ %next, %loop ]\n" uses "  %next = " next "\n"   \
	"  br i1 %again, label %loop, label %out\n"                                                \
	"out:\n"                                                                                   \
	"  ret void\n}\n"
#define FROM  "add <4 x i32> %all, <i32 0, i32 12, i32 24, i32 -4>"
#define ON    "add <4 x i32> %v, <i32 48, i32 48, i32 48, i32 48>"
#define LANE2 "  %e = extractelement <4 x i32> %v, i64 2\n  store i32 %e, ptr %p\n"
#define WIDE3                                                                                      \
	"  %w = zext <4 x i32> %v to <4 x i64>\n"                                                  \
	"  %e = extractelement <4 x i64> %w, i64 3\n  store i64 %e, ptr %p\n"

static const struct {
	const char *what, *text,
		*now; /* now: what stands for the lane; NULL: it is still taken out */
} shapes[] = {
	{ "a lane", LOOP(FROM, ON, LANE2), "add i32 %0, 24\n" },
	{ "a lane, widened", LOOP(FROM, ON, WIDE3), "add i32 %0, -4\n" },
	{ "flags are not handed on",
	  LOOP(FROM, "add nuw nsw <4 x i32> %v, <i32 48, i32 48, i32 48, i32 48>", LANE2),
	  "%1 = add i32 %0, 24\n" },
	{ "steps that differ",
	  LOOP(FROM, "add <4 x i32> %v, <i32 48, i32 48, i32 48, i32 52>", LANE2), NULL },
	{ "no sum", LOOP(FROM, "sub <4 x i32> %v, <i32 48, i32 48, i32 48, i32 48>", LANE2), NULL },
	{ "a sum of something else",
	  LOOP(FROM, "add <4 x i32> %init, <i32 48, i32 48, i32 48, i32 48>", LANE2), NULL },
	{ "lanes that were different from the start",
	  LOOP("add <4 x i32> %any, <i32 0, i32 12, i32 24, i32 -4>", ON, LANE2), NULL },
	{ "a lane that the program chooses",
	  LOOP(FROM, ON, "  %e = extractelement <4 x i32> %v, i32 %x\n  store i32 %e, ptr %p\n"),
	  NULL },
	{ "a lane that is not there",
	  LOOP(FROM, ON, "  %e = extractelement <4 x i32> %v, i64 4\n  store i32 %e, ptr %p\n"),
	  NULL },
	{ "widened with its sign",
	  LOOP(FROM, ON,
	       "  %w = sext <4 x i32> %v to <4 x i64>\n"
	       "  %e = extractelement <4 x i64> %w, i64 3\n  store i64 %e, ptr %p\n"),
	  NULL },
};

static void lanes_of_counters_are_sums(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		struct gen g;
		ir_open(&g, shapes[i].text);
		lanes_count(&g);
		char *text = ir_text(&g);
		bool taken = strstr(text, "extractelement");
		if (taken != !shapes[i].now || (!taken && !strstr(text, shapes[i].now)))
			fail_msg("%s:\n%s", shapes[i].what, text);
		LLVMDisposeMessage(text);
		ir_close(&g);
	}
}

/* Lanes from places 12 bytes apart, up and down, round 2^32 and over the end. */
static void places_that_are_apart_are_collected(void **state)
{
	(void)state;
	RUN("(module (memory 1)"
	    "(func (export \"seed\") (local $i i32) (loop $next (i32.store (i32.shl (local.get $i)"
	    " (i32.const 2)) (local.get $i)) (br_if $next (i32.ne (local.tee $i (i32.add (local.get"
	    " $i) (i32.const 1))) (i32.const 16384)))))"
	    "(func (export \"up\") (param $p i32) (param $n i32) (result i32) (local $s i32)"
	    " (loop $next (local.set $s (i32.add (local.get $s) (i32.load (local.get $p))))"
	    " (local.set $p (i32.add (local.get $p) (i32.const 12)))"
	    " (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1))))) (local.get $s))"
	    "(func (export \"down\") (param $p i32) (param $n i32) (result i32) (local $s i32)"
	    " (loop $next (local.set $s (i32.add (local.get $s) (i32.load (local.get $p))))"
	    " (local.set $p (i32.add (local.get $p) (i32.const -20)))"
	    " (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1))))) (local.get "
	    "$s)))",
	    { "seed", { 0 }, 0, { 0 } }, { "up", { 0, 100 }, 0, { 14850 } },
	    { "up", { 4, 101 }, 0, { 15251 } }, { "up", { 0, 5461 }, 0, { 44725590 } },
	    { "up", { 4, 5461 }, 0, { 44731051 } }, { "up", { 0, 5462 }, 0, { 44741973 } },
	    { "up", { 4, 5462 }, AOT_TRAP_MEMORY, { 0 } },
	    { "up", { UINT64_C(0xfffffff4), 20 }, AOT_TRAP_MEMORY, { 0 } },
	    { "down", { 65532, 17 }, 0, { 277831 } }, { "down", { 400, 21 }, 0, { 1050 } },
	    { "down", { 400, 22 }, AOT_TRAP_MEMORY, { 0 } });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lanes_of_counters_are_sums),
		cmocka_unit_test(places_that_are_apart_are_collected),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
