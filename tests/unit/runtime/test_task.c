/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/runtime/fiber.h"
#include "sandbox/runtime/host.h"
#include "sandbox/runtime/hostcall.h"
#include "sandbox/runtime/image.h"
#include "sandbox/runtime/worker.h"
#include "tests/unit/runtime/guest.c"

enum { MS = 1000000 };

struct bench {
	struct types *types;
	struct hostcalls *hostcalls;
	struct module *module;
	struct instance *instance;
	struct worker worker;
	struct host host;
	struct task task;
	union aot_value value[4];
};

static void bench_init(struct bench *b)
{
	struct why why = { 0 };
	const struct instance_limits limits = { .memory_pages = 64,
						.stack_bytes = 64 << 10,
						.table_elems = 1000 };
	memset(b, 0, sizeof(*b));
	assert_int_equal(worker_signals(&why), 0);
	assert_int_equal(worker_init(&b->worker, &why), 0);
	b->types = types_new();
	b->hostcalls = hostcalls_new(b->types);
	assert_int_equal(module_adopt(b->types, &penstock_module, &b->module, &why), 0);
	struct resolver host = hostcalls_resolver(b->hostcalls);
	assert_int_equal(instance_new(b->module, &host, &limits, &b->instance, &why), 0);
	assert_int_equal(instance_populate(b->instance), AOT_TRAP_NONE);
	host_reset(&b->host);
	b->host.output_bytes = 1000;
}

static void bench_fini(struct bench *b)
{
	instance_free(b->instance);
	module_free(b->module);
	hostcalls_free(b->hostcalls);
	types_free(b->types);
	host_fini(&b->host);
	worker_fini(&b->worker);
}

/* Calls a function of one i32 to its end, continuing it whenever it yields. */
static enum task_outcome call(struct bench *b, uint32_t func, uint32_t arg, uint64_t cpu_ns,
			      uint64_t wall_ns)
{
	enum task_outcome o;
	task_init(&b->task, b->instance, &b->host);
	b->task.cpu_budget_ns = cpu_ns;
	b->task.deadline_ns = wall_ns ? task_now_ns() + wall_ns : 0;
	b->value[0].i32 = arg;
	task_add_call(&b->task, func, b->value);
	while ((o = worker_run(&b->worker, &b->task)) <= TASK_SLEEPING)
		if (o == TASK_SLEEPING)
			usleep(1000);
	return o;
}

static void calls_end_as_they_should(void **state)
{
	static const struct {
		uint32_t func, arg;
		enum task_outcome outcome;
		enum aot_trap trap;
		const char *where; /* prefix of the trap's text */
		uint32_t value;
	} row[] = {
		{ F_load, 0, TASK_DONE, 0, "", 0 },
		{ F_load, 65532, TASK_DONE, 0, "", 0 },
		{ F_load, 65533, TASK_TRAPPED, AOT_TRAP_MEMORY, "memory at load", 0 },
		{ F_load, 65536, TASK_TRAPPED, AOT_TRAP_MEMORY, "memory at load", 0 },
		{ F_load, UINT32_MAX, TASK_TRAPPED, AOT_TRAP_MEMORY, "memory at load", 0 },
		{ F_unreachable, 0, TASK_TRAPPED, AOT_TRAP_UNREACHABLE,
		  "unreachable at unreachable", 0 },
		{ F_recurse, 0, TASK_TRAPPED, AOT_TRAP_STACK, "stack at recurse", 0 },
		{ F_smash, 0, TASK_TRAPPED, AOT_TRAP_STACK, "stack at smash", 0 },
		{ F_fill, 65536, TASK_DONE, 0, "", 7 },
		{ F_fill, 65537, TASK_TRAPPED, AOT_TRAP_MEMORY, "memory at fill", 0 },
		{ F_table, 0, TASK_DONE, 0, "", 0 },
		{ F_table, 1, TASK_DONE, 0, "", 1 },
		{ F_table, 4, TASK_TRAPPED, AOT_TRAP_TABLE, "table at table", 0 },
		{ F_exit, 3, TASK_EXITED, 0, "", 3 },
		{ F_random, 65520, TASK_DONE, 0, "", 0 },
		{ F_random, 65521, TASK_DONE, 0, "", 21 },
		{ F_host_loop, 1000, TASK_DONE, 0, "", 1000 },
		{ F_sleep, 3, TASK_DONE, 0, "", 0 },
		{ F_bomb, 0, TASK_DONE, 0, "", 64 },
	};
	struct bench b;
	(void)state;
	bench_init(&b);
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		char text[256] = "";
		assert_int_equal(call(&b, row[i].func, row[i].arg, 0, 0), row[i].outcome);
		assert_int_equal(b.task.trap, row[i].trap);
		if (row[i].outcome == TASK_TRAPPED) {
			struct wr w = wr_into(text, sizeof(text) - 1);
			task_trap_text(&b.task, &w);
			assert_memory_equal(text, row[i].where, strlen(row[i].where));
		} else if (row[i].outcome == TASK_EXITED) {
			assert_int_equal(b.task.exit_code, row[i].value);
		} else if (row[i].func != F_smash) {
			assert_int_equal(b.value[0].i32, row[i].value);
		}
	}
	bench_fini(&b);
}

static void budgets_end_every_kind_of_loop(void **state)
{
	struct bench b;
	(void)state;
	if (FIBER_NO_TICKS)
		skip();
	bench_init(&b);
	assert_int_equal(call(&b, F_loop, 0, 5 * MS, 0), TASK_TRAPPED);
	assert_int_equal(b.task.trap, AOT_TRAP_TIME);
	assert_true(b.task.ticks > 0 && b.task.cpu_ns >= 4 * MS);
	assert_int_equal(call(&b, F_host_loop, 0, 5 * MS, 0), TASK_TRAPPED);
	assert_int_equal(b.task.trap, AOT_TRAP_TIME);
	assert_int_equal(call(&b, F_loop, 0, 0, 10 * MS), TASK_TRAPPED);
	assert_int_equal(b.task.trap, AOT_TRAP_TIME);
	assert_int_equal(call(&b, F_sleep, 60000, 0, 10 * MS), TASK_TRAPPED);
	assert_int_equal(b.task.trap, AOT_TRAP_TIME);
	bench_fini(&b);
}

static enum worker_wish give_way(void *arg, struct task *t)
{
	(void)arg;
	(void)t;
	return WORKER_YIELD;
}

static enum worker_wish go_on(void *arg, struct task *t)
{
	(void)t;
	++*(unsigned *)arg;
	return WORKER_GO_ON;
}

/* After its first slice it is left alone until its budget is over. */
static void a_guest_that_nobody_waits_for_is_not_interrupted(void **state)
{
	struct bench b;
	unsigned asked = 0;
	(void)state;
	if (FIBER_NO_TICKS)
		skip();
	bench_init(&b);
	b.worker.wish = go_on;
	b.worker.wish_arg = &asked;
	assert_int_equal(call(&b, F_loop, 0, 40 * MS, 0), TASK_TRAPPED);
	assert_int_equal(b.task.trap, AOT_TRAP_TIME);
	assert_true(b.task.cpu_ns >= 40 * MS);
	/* On a busy machine a budget of CPU time lasts longer, and is looked at again when it could
	 * have been over. */
	assert_in_range(asked, 1, 20);
	bench_fini(&b);
}

static void a_looping_guest_lets_others_run(void **state)
{
	struct bench b, other;
	(void)state;
	if (FIBER_NO_TICKS)
		skip();
	bench_init(&b);
	other = b;
	struct why why = { 0 };
	struct resolver host = hostcalls_resolver(b.hostcalls);
	const struct instance_limits limits = { 64, 64 << 10, 1000 };
	assert_int_equal(instance_new(b.module, &host, &limits, &other.instance, &why), 0);
	assert_int_equal(instance_populate(other.instance), AOT_TRAP_NONE);
	task_init(&b.task, b.instance, &b.host);
	task_add_call(&b.task, F_loop, NULL);
	b.worker.wish = give_way;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(worker_run(&b.worker, &b.task), TASK_YIELDED);
		task_init(&other.task, other.instance, &b.host);
		other.value[0].i32 = 8;
		task_add_call(&other.task, F_load, other.value);
		assert_int_equal(worker_run(&b.worker, &other.task), TASK_DONE);
	}
	b.task.cpu_budget_ns = 1;
	assert_int_equal(worker_run(&b.worker, &b.task), TASK_TRAPPED);
	instance_free(other.instance);
	bench_fini(&b);
}

static void a_fault_outside_is_never_the_guests(void **state)
{
	(void)state;
	pid_t pid = fork();
	if (pid == 0) {
		struct bench b;
		bench_init(&b);
		(void)close(STDERR_FILENO);
		(void)call(&b, F_wild, 0, 0, 0);
		_exit(0);
	}
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void stdout_over_quota_is_a_trap(void **state)
{
	struct bench b;
	(void)state;
	bench_init(&b);
	b.host.payload = (struct span){ (const uint8_t *)"f", 1 };
	assert_int_equal(call(&b, F_on_event, 0, 0, 0), TASK_TRAPPED);
	assert_int_equal(b.task.trap, AOT_TRAP_LIMIT);
	bench_fini(&b);
}

static void reset_leaves_nothing_of_an_event(void **state)
{
	struct bench b;
	struct image *im = NULL;
	struct why why = { 0 };
	(void)state;
	bench_init(&b);
	assert_int_equal(call(&b, F_start, 0, 0, 0), TASK_DONE);
	assert_int_equal(call(&b, F_initialize, 0, 0, 0), TASK_DONE);
	assert_int_equal(image_take(b.instance, &im, &why), 0);
	b.host.payload = (struct span){ (const uint8_t *)"d", 1 };
	for (int i = 0; i < 3; i++) {
		assert_int_equal(call(&b, F_on_event, 0, 0, 0), TASK_DONE);
		assert_int_equal(b.value[0].i32, 0);
		assert_int_equal(image_reset(im, b.instance, b.task.run_ns), 0);
	}
	image_free(im);
	bench_fini(&b);
}

static int find_nothing(void *arg, const struct aot_import *want, struct external *ret)
{
	(void)arg;
	(void)want;
	(void)ret;
	return -E_UNKNOWN;
}

static int find_wrong(void *arg, const struct aot_import *want, struct external *ret)
{
	const struct bench *b = arg;
	(void)want;
	*ret = (struct external){ .kind = AOT_EXT_FUNC };
	ret->func.type = b->module->aot->type_ids[T_V_V];
	return 0;
}

static void a_missing_or_mistyped_import_is_named(void **state)
{
	struct bench b;
	const struct instance_limits limits = { 64, 64 << 10, 1000 };
	struct instance *in = NULL;
	struct why why = { 0 };
	(void)state;
	bench_init(&b);
	struct resolver r = { find_nothing, NULL };
	assert_int_equal(instance_new(b.module, &r, &limits, &in, &why), -E_UNKNOWN);
	assert_string_equal(why.text, "unknown import wasi_snapshot_preview1.fd_write "
				      "(i32, i32, i32, i32) -> (i32)");
	why.text[0] = '\0';
	r = (struct resolver){ find_wrong, &b };
	assert_int_equal(instance_new(b.module, &r, &limits, &in, &why), -E_INVALID);
	assert_string_equal(why.text, "import wasi_snapshot_preview1.fd_write is declared as "
				      "(i32, i32, i32, i32) -> (i32), but it is () -> ()");
	why.text[0] = '\0';
	r = hostcalls_resolver(b.hostcalls);
	const struct instance_limits small = { 0, 64 << 10, 1000 };
	assert_int_equal(instance_new(b.module, &r, &small, &in, &why), -E_LIMIT);
	bench_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_end_as_they_should),
		cmocka_unit_test(budgets_end_every_kind_of_loop),
		cmocka_unit_test(a_guest_that_nobody_waits_for_is_not_interrupted),
		cmocka_unit_test(a_looping_guest_lets_others_run),
		cmocka_unit_test(a_fault_outside_is_never_the_guests),
		cmocka_unit_test(stdout_over_quota_is_a_trap),
		cmocka_unit_test(reset_leaves_nothing_of_an_event),
		cmocka_unit_test(a_missing_or_mistyped_import_is_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
