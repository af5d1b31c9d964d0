/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/runtime/gateway.h"

#include "sandbox/runtime/fiber.h"
#include "sandbox/runtime/task.h"

enum { MS = 1000000 };

/* For tests of guests that have to be stopped. */
#define NEEDS_TICKS()                                                                              \
	do {                                                                                       \
		if (FIBER_NO_TICKS)                                                                \
			skip();                                                                    \
	} while (0)

static const struct ipc_load usual = {
	.memory_pages = 64, .stack_bytes = 64 << 10, .output_bytes = 1 << 20, .cpu_ns = 50 * MS
};

static void results_tell_what_came_of_the_event(void **state)
{
	NEEDS_TICKS();
	static const struct {
		const char *payload;
		uint32_t status, trap;
		int32_t code;
		uint32_t neffects;
		const char *why; /* prefix */
	} row[] = {
		{ "", IPC_OK, 0, 0, 1, "" },
		{ "t", IPC_OK, 0, 0, 1, "" },
		{ "T", IPC_FAILED, 0, -1, 0, "on_event returned -1" },
		{ "x", IPC_FAILED, 0, 5, 0, "on_event returned 5" },
		{ "u", IPC_TRAPPED, AOT_TRAP_UNREACHABLE, 0, 0, "unreachable at unreachable" },
		{ "m", IPC_TRAPPED, AOT_TRAP_MEMORY, 0, 0, "memory at load" },
		{ "l", IPC_TRAPPED, AOT_TRAP_TIME, 0, 0, "time at loop" },
		{ "h", IPC_TRAPPED, AOT_TRAP_TIME, 0, 0, "time at " },
		{ "f", IPC_TRAPPED, AOT_TRAP_LIMIT, 0, 0, "limit at write_stdout" },
		{ "r", IPC_OK, 0, 0, 0, "" },
		{ "s", IPC_OK, 0, 0, 0, "" },
		{ "", IPC_OK, 0, 0, 1, "" },
	};
	for (unsigned workers = 1; workers <= 2; workers++) {
		struct gateway g;
		gateway_start(&g, workers, 20);
		assert_int_equal(gateway_load(&g, 9, &usual), 0);
		assert_true(g.m.loaded.is_reactor);
		for (size_t i = 0; i < ARRAY_LEN(row); i++) {
			const struct ipc_result *r = gateway_call(&g, i + 1, 9, row[i].payload);
			assert_int_equal(r->status, row[i].status);
			assert_int_equal(r->trap, row[i].trap);
			assert_int_equal(r->code, row[i].code);
			assert_int_equal(r->neffects, row[i].neffects);
			size_t len = strlen(row[i].why);
			if (r->why.len < len || (len == 0 && r->why.len > 0))
				fail_msg("%s: %.*s", row[i].payload, (int)r->why.len,
					 (const char *)r->why.at);
			/* helpers of the test's guest have no names of their own */
			if (strncmp(row[i].why, "limit", 5) != 0)
				assert_memory_equal(r->why.at, row[i].why, len);
			if (row[i].payload[0] == 'r')
				assert_int_equal(r->reply.len, 8 * 32768);
		}
		assert_true(WIFEXITED(gateway_stop(&g)));
	}
	(void)state;
}

/* Each event finds everything fresh, and leaves a mess: memory, grown pages, table, globals, stack. Of
 * its function and of another, after an end and after a trap, with instances that come and go. */
static void no_event_sees_another_ones_bytes(void **state)
{
	static const char *const payloads[] = { "d", "D", "d", "R" };
	const struct serve_options o = { .workers = 2, .slots = 3 };
	struct gateway g;
	(void)state;
	gateway_start_with(&g, &o);
	for (uint32_t f = 1; f <= 3; f++)
		assert_int_equal(gateway_load(&g, f, &usual), 0);
	for (uint64_t i = 0; i < 200; i++) {
		const char *payload = payloads[i % ARRAY_LEN(payloads)];
		gateway_invoke(&g, 2 * i, 1 + i % 2, payload);
		gateway_invoke(&g, 2 * i + 1, 1 + (i / 8) % 3, payload);
		for (int k = 0; k < 2; k++) {
			assert_true(gateway_recv(&g));
			assert_int_equal(g.m.result.code, 0);
			assert_int_equal(g.m.result.trap, payload[0] == 'D'   ? AOT_TRAP_UNREACHABLE
							  : payload[0] == 'R' ? AOT_TRAP_STACK
									      : AOT_TRAP_NONE);
		}
	}
	(void)gateway_stop(&g);
}

static void one_worker_answers_while_a_guest_loops(void **state)
{
	NEEDS_TICKS();
	struct gateway g;
	(void)state;
	struct ipc_load slow = usual;
	slow.cpu_ns = 400 * MS;
	gateway_start(&g, 1, 0);
	assert_int_equal(gateway_load(&g, 1, &slow), 0);
	assert_int_equal(gateway_load(&g, 2, &usual), 0);
	gateway_invoke(&g, 1000, 1, "l");
	for (uint64_t i = 0; i < 20; i++)
		assert_int_equal(gateway_call(&g, i, 2, "")->status, IPC_OK);
	assert_true(gateway_recv(&g));
	assert_int_equal(g.m.result.event, 1000);
	assert_int_equal(g.m.result.trap, AOT_TRAP_TIME);
	(void)gateway_stop(&g);
}

static void sleeping_guests_hold_no_worker(void **state)
{
	struct gateway g;
	(void)state;
	gateway_start(&g, 1, 0);
	assert_int_equal(gateway_load(&g, 1, &usual), 0);
	uint64_t began = task_now_ns();
	for (uint64_t i = 0; i < 40; i++) /* more than a function may have instances */
		gateway_invoke(&g, i, 1, "s");
	for (int i = 0; i < 40; i++) {
		assert_true(gateway_recv(&g));
		assert_int_equal(g.m.result.status, IPC_OK);
	}
	assert_true(task_now_ns() - began < 600 * MS); /* one after the other: 1200 */
	(void)gateway_stop(&g);
}

static void a_deadline_ends_what_sleeps_or_never_started(void **state)
{
	struct gateway g;
	(void)state;
	struct ipc_load hurried = usual;
	hurried.wall_ns = 20 * MS;
	gateway_start(&g, 1, 0);
	assert_int_equal(gateway_load(&g, 1, &hurried), 0);
	assert_int_equal(gateway_call(&g, 1, 1, "S")->trap, AOT_TRAP_TIME);
	uint8_t buf[256];
	struct wr w = wr_into(buf, sizeof(buf));
	const struct ipc_invoke late = { .event = 2, .function = 1, .deadline_ns = 1 };
	gateway_send(&g, ipc_put_invoke(&w, &late), &w, -1);
	assert_true(gateway_recv(&g));
	assert_int_equal(g.m.result.status, IPC_REFUSED);
	assert_int_equal(gateway_call(&g, 3, 77, "")->status, IPC_REFUSED);
	(void)gateway_stop(&g);
}

/* Those that wait for an instance, too. */
static void every_event_is_answered_by_its_deadline(void **state)
{
	enum { EVENTS = 60 };
	struct gateway g;
	(void)state;
	struct ipc_load hurried = usual;
	hurried.wall_ns = 50 * MS;
	hurried.concurrency = 16;
	gateway_start(&g, 1, 0);
	assert_int_equal(gateway_load(&g, 1, &hurried), 0);
	for (uint64_t i = 0; i < EVENTS; i++)
		gateway_invoke(&g, i, 1, "S");
	for (int i = 0; i < EVENTS; i++)
		assert_true(gateway_recv(&g));
	(void)gateway_stop(&g);
}

/* A long sleeper holds all instances; who waits for one has a deadline before that. */
static void a_deadline_ends_what_waits_for_an_instance(void **state)
{
	enum { SLEEPERS = 16 };
	struct gateway g;
	uint8_t buf[256];
	(void)state;
	gateway_start(&g, 1, 0);
	struct ipc_load few = usual;
	few.concurrency = SLEEPERS;
	assert_int_equal(gateway_load(&g, 1, &few), 0);
	for (uint64_t i = 0; i < SLEEPERS; i++)
		gateway_invoke(&g, i, 1, "S"); /* a minute */
	gateway_invoke(&g, 98, 1, "");         /* comes after them, and waits too */
	usleep(100000);
	const struct ipc_invoke late = { .event = 99,
					 .function = 1,
					 .deadline_ns = task_now_ns() + 50 * MS };
	struct wr w = wr_into(buf, sizeof(buf));
	gateway_send(&g, ipc_put_invoke(&w, &late), &w, -1);
	assert_true(gateway_recv(&g));
	assert_int_equal(g.m.result.event, 99);
	assert_int_equal(g.m.result.status, IPC_REFUSED);
	(void)gateway_stop(&g);
}

static void an_unload_lets_events_in_flight_finish(void **state)
{
	struct gateway g;
	uint8_t buf[64];
	(void)state;
	for (int i = 0; i < 20; i++) {
		gateway_start(&g, 1, 0);
		assert_int_equal(gateway_load(&g, 1, &usual), 0);
		for (uint64_t event = 1; event <= 3; event++)
			gateway_invoke(&g, event, 1, i % 2 ? "s" : "");
		struct wr w = wr_into(buf, sizeof(buf));
		gateway_send(&g, ipc_put_unload(&w, 1), &w, -1);
		for (uint64_t event = 1; event <= 3; event++) {
			assert_true(gateway_recv(&g));
			assert_int_equal(g.m.result.status, IPC_OK);
		}
		assert_int_equal(gateway_load(&g, 1, &usual), 0);
		assert_int_equal(gateway_stop(&g), 0);
	}
}

static void empty_lines_without_end_cost_a_guest_its_own_time(void **state)
{
	struct gateway g;
	(void)state;
	gateway_start(&g, 1, 0);
	assert_int_equal(gateway_load(&g, 1, &usual), 0);
	assert_true(gateway_call(&g, 1, 1, "n")->log.len <= IPC_LOG_BYTES);
	(void)gateway_stop(&g);
}

/* More sleeping instances than there are slots, of functions of which none may have all. */
static void sleepers_in_all_slots_delay_nobody_for_good(void **state)
{
	enum { FUNCTIONS = 6, EACH = 16 };
	const struct serve_options o = { .workers = 2, .slots = 24 };
	struct gateway g;
	(void)state;
	gateway_start_with(&g, &o);
	for (uint32_t f = 1; f <= FUNCTIONS; f++)
		assert_int_equal(gateway_load(&g, f, &usual), 0);
	for (uint64_t i = 0; i < FUNCTIONS * EACH; i++)
		gateway_invoke(&g, i, 1 + i % FUNCTIONS, "s");
	for (int i = 0; i < FUNCTIONS * EACH; i++) {
		assert_true(gateway_recv(&g));
		assert_int_equal(g.m.result.status, IPC_OK);
	}
	(void)gateway_stop(&g);
}

static void a_cancelled_event_ends_without_a_result(void **state)
{
	NEEDS_TICKS();
	struct gateway g;
	uint8_t buf[64];
	(void)state;
	struct ipc_load patient = usual;
	patient.cpu_ns = 0;
	gateway_start(&g, 1, 0);
	assert_int_equal(gateway_load(&g, 1, &patient), 0);
	gateway_invoke(&g, 1, 1, "l");
	gateway_invoke(&g, 2, 1, "S");
	assert_int_equal(gateway_call(&g, 3, 1, "")->status, IPC_OK);
	for (uint64_t event = 1; event <= 2; event++) {
		struct wr w = wr_into(buf, sizeof(buf));
		gateway_send(&g, ipc_put_cancel(&w, event), &w, -1);
	}
	for (uint64_t i = 4; i < 30; i++) /* nothing of 1 and 2 comes between */
		assert_int_equal(gateway_call(&g, i, 1, "")->status, IPC_OK);
	struct wr w = wr_into(buf, sizeof(buf));
	gateway_send(&g, ipc_put_unload(&w, 1), &w, -1);
	assert_int_equal(gateway_call(&g, 50, 1, "")->status, IPC_REFUSED);
	assert_int_equal(gateway_load(&g, 1, &usual), 0);
	assert_int_equal(gateway_call(&g, 51, 1, "")->status, IPC_OK);
	(void)gateway_stop(&g);
}

static void large_payloads_come_by_memfd(void **state)
{
	struct gateway g;
	enum { BYTES = 10 << 20 };
	uint8_t buf[256], *big = malloc(BYTES);
	(void)state;
	assert_non_null(big);
	memset(big, 0, BYTES);
	gateway_start(&g, 1, 0);
	assert_int_equal(gateway_load(&g, 1, &usual), 0);
	const struct span part = { big, BYTES };
	int fd = ipc_memfd("payload", &part, 1);
	assert_true(fd >= 0);
	struct wr w = wr_into(buf, sizeof(buf));
	const struct ipc_invoke m = { .event = 1, .function = 1, .payload_fd_bytes = BYTES };
	gateway_send(&g, ipc_put_invoke(&w, &m), &w, fd);
	assert_true(gateway_recv(&g));
	assert_int_equal(g.m.result.status, IPC_OK);
	struct rd effects = rd_from(g.m.result.effects.at, g.m.result.effects.len);
	struct ipc_effect e;
	uint32_t len;
	assert_true(ipc_effect_next(&effects, &e));
	assert_int_equal(e.payload.len, 4);
	memcpy(&len, e.payload.at, 4);
	assert_int_equal(len, BYTES);
	(void)close(fd);
	free(big);
	(void)gateway_stop(&g);
}

static void emits_stop_at_the_quota(void **state)
{
	struct gateway g;
	(void)state;
	struct ipc_load small = usual;
	small.output_bytes = 1000;
	gateway_start(&g, 1, 0);
	assert_int_equal(gateway_load(&g, 1, &small), 0);
	assert_int_equal(gateway_call(&g, 1, 1, "e")->code, 9); /* of 108 bytes each */
	(void)gateway_stop(&g);
}

static void a_bad_load_is_answered_with_the_reason(void **state)
{
	struct gateway g;
	(void)state;
	struct ipc_load none = usual;
	none.memory_pages = 0;
	gateway_start(&g, 1, 0);
	assert_int_equal(gateway_load(&g, 1, &none), -E_LIMIT);
	assert_true(g.m.loaded.why.len > 0);
	assert_int_equal(gateway_load(&g, 1, &usual), 0); /* the handle is still free */
	(void)gateway_stop(&g);
}

static void a_start_function_without_end_is_a_bad_load(void **state)
{
	NEEDS_TICKS();
	struct gateway g;
	(void)state;
	struct ipc_load endless = usual;
	endless.memory_pages = 7; /* see guest.c */
	gateway_start(&g, 1, 0);
	assert_int_equal(gateway_load(&g, 1, &usual), 0);
	assert_int_equal(gateway_load(&g, 2, &endless), -E_TRAP);
	assert_non_null(memmem(g.m.loaded.why.at, g.m.loaded.why.len, "time at loop", 12));
	assert_int_equal(gateway_call(&g, 1, 1, "")->status, IPC_OK);
	assert_int_equal(gateway_load(&g, 2, &usual), 0);
	(void)gateway_stop(&g);
}

static void a_broken_gateway_ends_the_sandbox(void **state)
{
	struct gateway g;
	(void)state;
	gateway_start(&g, 2, 0);
	assert_int_equal(send(g.sock, "\x05\x00\x00\x00junk", 8, 0), 8);
	assert_false(gateway_recv(&g));
	int status = gateway_stop(&g);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 70);
}

static void events_from_two_workers_all_come_back(void **state)
{
	enum { ROUNDS = 50, FLIGHT = 40 };
	struct gateway g;
	(void)state;
	gateway_start(&g, 2, 50);
	assert_int_equal(gateway_load(&g, 1, &usual), 0);
	assert_int_equal(gateway_load(&g, 2, &usual), 0);
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t sum = 0;
		for (uint64_t i = 1; i <= FLIGHT; i++)
			gateway_invoke(&g, i, 1 + i % 2, i % 10 == 0 ? "d" : "");
		for (int i = 0; i < FLIGHT; i++) {
			assert_true(gateway_recv(&g));
			assert_int_equal(g.m.result.status, IPC_OK);
			sum += g.m.result.event;
		}
		assert_int_equal(sum, FLIGHT * (FLIGHT + 1) / 2);
	}
	(void)gateway_stop(&g);
}

static unsigned long resident_bytes(pid_t pid)
{
	char path[64];
	unsigned long all = 0, resident = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu %lu", &all, &resident), 2);
	(void)fclose(f);
	return resident * (unsigned long)sysconf(_SC_PAGESIZE);
}

static void deep_calls_leave_no_memory_in_use(void **state)
{
	NEEDS_TICKS(); /* ThreadSanitizer uses memory of its own */
	enum { STACK = 16 << 20 };
	struct gateway g;
	(void)state;
	struct ipc_load deep = usual;
	deep.stack_bytes = STACK;
	gateway_start(&g, 1, 0);
	assert_int_equal(gateway_load(&g, 1, &deep), 0);
	assert_int_equal(gateway_call(&g, 1, 1, "")->status, IPC_OK);
	unsigned long before = resident_bytes(g.pid);
	assert_int_equal(gateway_call(&g, 2, 1, "R")->trap, AOT_TRAP_STACK);
	assert_int_equal(gateway_call(&g, 3, 1, "")->status, IPC_OK);
	assert_true(resident_bytes(g.pid) < before + STACK / 4);
	(void)gateway_stop(&g);
}

/* User and system time of the sandbox in clock ticks. */
static unsigned long cpu_ticks(pid_t pid)
{
	char path[64], line[1024] = "";
	unsigned long user = 0, sys = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, line, sizeof(line) - 1) > 0);
	(void)close(fd);
	char *at = strrchr(line, ')');
	for (int field = 2; field < 13 && at; field++)
		at = strchr(at + 1, ' ');
	assert_non_null(at);
	assert_int_equal(sscanf(at, "%lu %lu", &user, &sys), 2);
	return user + sys;
}

static void an_idle_sandbox_uses_no_cpu(void **state)
{
	struct gateway g;
	(void)state;
	gateway_start(&g, 2, 100);
	assert_int_equal(gateway_load(&g, 1, &usual), 0);
	assert_int_equal(gateway_call(&g, 1, 1, "s")->status, IPC_OK);
	unsigned long before = cpu_ticks(g.pid);
	usleep(300000);
	assert_true(cpu_ticks(g.pid) - before <= 1);
	(void)gateway_stop(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(results_tell_what_came_of_the_event),
		cmocka_unit_test(no_event_sees_another_ones_bytes),
		cmocka_unit_test(one_worker_answers_while_a_guest_loops),
		cmocka_unit_test(sleeping_guests_hold_no_worker),
		cmocka_unit_test(a_deadline_ends_what_sleeps_or_never_started),
		cmocka_unit_test(every_event_is_answered_by_its_deadline),
		cmocka_unit_test(a_deadline_ends_what_waits_for_an_instance),
		cmocka_unit_test(an_unload_lets_events_in_flight_finish),
		cmocka_unit_test(empty_lines_without_end_cost_a_guest_its_own_time),
		cmocka_unit_test(sleepers_in_all_slots_delay_nobody_for_good),
		cmocka_unit_test(a_cancelled_event_ends_without_a_result),
		cmocka_unit_test(large_payloads_come_by_memfd),
		cmocka_unit_test(emits_stop_at_the_quota),
		cmocka_unit_test(a_bad_load_is_answered_with_the_reason),
		cmocka_unit_test(a_start_function_without_end_is_a_bad_load),
		cmocka_unit_test(a_broken_gateway_ends_the_sandbox),
		cmocka_unit_test(events_from_two_workers_all_come_back),
		cmocka_unit_test(deep_calls_leave_no_memory_in_use),
		cmocka_unit_test(an_idle_sandbox_uses_no_cpu),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
