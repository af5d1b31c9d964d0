/* SPDX-License-Identifier: Apache-2.0 */
/* One compile in its jail: what comes out of good, bad and endless modules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <elf.h>

#include "sandbox/compiler/attempt.h"
#include "tests/unit/compiler/wat.h"

struct outcome {
	int err;
	size_t object_len;
	uint8_t object[65536];
	char report[4096];
	struct why why;
};

static void compile(const char *triple, const void *wasm, size_t len, unsigned cpu_seconds,
		    struct outcome *ret)
{
	struct target target;
	unsigned cpu_ms;
	OWN_FD object = memfd_create("object", MFD_CLOEXEC);
	OWN_FD report = memfd_create("report", MFD_CLOEXEC);
	*ret = (struct outcome){ 0 };
	assert_int_equal(target_open(triple, "generic", &target, &ret->why), 0);
	struct attempt a = { .wasm = wasm,
			     .len = len,
			     .target = &target,
			     .options = { .opt = 2 },
			     .limits = { cpu_seconds, 1024 },
			     .object_fd = object,
			     .report_fd = report };
	ret->err = attempt_run(&a, &cpu_ms, &ret->why);
	target_fini(&target);
	ssize_t n = pread(object, ret->object, sizeof(ret->object), 0);
	ret->object_len = n > 0 ? (size_t)n : 0;
	(void)!pread(report, ret->report, sizeof(ret->report) - 1, 0);
}

#define SMALL "(module (func (export \"_start\")) (func $f (result i32) (i32.const 1)))"

static void the_same_module_gives_the_same_bytes(void **state)
{
	(void)state;
	static struct outcome a, b;
	size_t len;
	OWN_FREE void *wasm = wat_assemble(SMALL, &len);
	compile("x86_64-linux-gnu", wasm, len, 20, &a);
	compile("x86_64-linux-gnu", wasm, len, 20, &b);
	assert_int_equal(a.err, 0);
	assert_true(a.object_len > sizeof(Elf64_Ehdr) && a.object_len < sizeof(a.object));
	assert_int_equal(a.object_len, b.object_len);
	assert_memory_equal(a.object, b.object, a.object_len);
	assert_non_null(strstr(a.report, "\"functions\": 2"));
	assert_non_null(strstr(a.report, "\"is_command\": true"));
}

static void both_machines_are_targets(void **state)
{
	(void)state;
	static const struct {
		const char *triple;
		uint16_t machine;
	} row[] = { { "x86_64-linux-gnu", EM_X86_64 }, { "aarch64-linux-gnu", EM_AARCH64 } };
	static struct outcome o;
	size_t len;
	OWN_FREE void *wasm = wat_assemble(SMALL, &len);
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		Elf64_Ehdr header;
		compile(row[i].triple, wasm, len, 20, &o);
		assert_int_equal(o.err, 0);
		const void *first = memmem(o.object, o.object_len, ELFMAG, SELFMAG);
		assert_non_null(first);
		memcpy(&header, first, sizeof(header));
		assert_int_equal(header.e_machine, row[i].machine);
	}
}

static void unknown_machines_are_refused_by_name(void **state)
{
	(void)state;
	static const char *const row[][2] = { { "riscv64-linux-gnu", "generic" },
					      { "x86_64-pc-windows-msvc", "generic" },
					      { "nonsense", "generic" },
					      { "x86_64-linux-gnu", "pentium9" } };
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct target t;
		struct why why = { 0 };
		assert_int_equal(target_open(row[i][0], row[i][1], &t, &why), -E_UNSUPPORTED);
		assert_true(strstr(why.text, row[i][0]) || strstr(why.text, row[i][1]));
	}
}

static void a_bad_module_is_refused_with_its_place(void **state)
{
	(void)state;
	static struct outcome o;
	size_t len;
	OWN_FREE void *wasm = wat_assemble(SMALL, &len);
	compile(NULL, wasm, len - 3, 20, &o);
	assert_int_equal(o.err, -E_INVALID);
	assert_non_null(strstr(o.why.text, "offset"));
	assert_int_equal(o.object_len, 0);
	assert_int_equal(o.report[0], '\0');
	compile(NULL, "", 0, 20, &o);
	assert_int_equal(o.err, -E_INVALID);
}

/* A chain of 20000 divisions in one function: valid, small, and hard for every optimiser. */
static void endless_work_ends_with_the_time_given(void **state)
{
	(void)state;
	enum { DIVISIONS = 20000 };
	static const char head[] = "(module (func (export \"f\") (param i32 i32) (result i32)"
				   " local.get 0 ";
	static const char each[] = "local.get 1 i32.div_s ";
	static struct outcome o;
	OWN_FREE char *text = malloc(sizeof(head) + DIVISIONS * sizeof(each) + 8);
	assert_non_null(text);
	char *at = stpcpy(text, head);
	for (size_t i = 0; i < DIVISIONS; i++)
		at = stpcpy(at, each);
	(void)stpcpy(at, "))");
	size_t len;
	OWN_FREE void *wasm = wat_assemble(text, &len);
	compile(NULL, wasm, len, 1, &o);
	assert_int_equal(o.err, -E_TIME);
	assert_non_null(strstr(o.why.text, "1 s of CPU time"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_module_gives_the_same_bytes),
		cmocka_unit_test(both_machines_are_targets),
		cmocka_unit_test(unknown_machines_are_refused_by_name),
		cmocka_unit_test(a_bad_module_is_refused_with_its_place),
		cmocka_unit_test(endless_work_ends_with_the_time_given),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
