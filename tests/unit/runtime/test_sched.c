/* SPDX-License-Identifier: Apache-2.0 */
/* Who runs next: the queues by themselves, and through a sandbox. */
#include "tests/unit/runtime/gateway.h"

#include <pthread.h>
#include <stdlib.h>

#include "sandbox/runtime/fiber.h"
#include "sandbox/runtime/job.h"
#include "sandbox/runtime/sched.h"

enum { MS = 1000000 };
#define START (UINT64_C(5000) * 1000000000)

/* ---- the queues ---- */

static struct job job_of(uint64_t seq, uint64_t arrived_ms, uint64_t deadline_ms, uint64_t cpu_ms)
{
	struct job j = { .seq = seq, .arrived_ns = START + arrived_ms * MS };
	j.deadline_ns = deadline_ms ? START + deadline_ms * MS : 0;
	j.task.cpu_ns = cpu_ms * MS;
	return j;
}

static void the_most_urgent_of_all_queues_is_taken(void **state)
{
	static const struct {
		uint64_t arrived_ms, deadline_ms, cpu_ms;
		unsigned edf, fifo; /* the place in which it comes */
	} row[] = {
		{ 0, 0, 0, 3, 0 },       /* patient: as if it had a second */
		{ 0, 0, 50, 6, 1 },      /* it has used its time */
		{ 5, 400, 0, 1, 2 },     /* in a hurry */
		{ 6, 20, 0, 0, 3 },      /* more so */
		{ 7, 10000, 0, 4, 4 },   /* patient with a deadline */
		{ 8, 10000, 900, 5, 5 }, /* and nearly out of its time: never later than that */
		{ 9, 900, 500, 2, 6 },   /* who is in a hurry is not put off by what it used */
	};
	struct job j[ARRAY_LEN(row)];
	(void)state;
	for (int policy = POLICY_EDF; policy <= POLICY_FIFO; policy++) {
		struct sched s;
		bool more = true;
		assert_int_equal(sched_init(&s, (enum sched_policy)policy, 3, 16), 0);
		for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
			j[i] = job_of(i, row[i].arrived_ms, row[i].deadline_ms, row[i].cpu_ms);
			sched_put(&s, i % 3, &j[i]);
		}
		for (unsigned n = 0; n < ARRAY_LEN(row); n++) {
			const struct job *got = sched_take(&s, n % 3, &more);
			assert_non_null(got);
			unsigned at = (unsigned)(got - j);
			assert_int_equal(policy == POLICY_EDF ? row[at].edf : row[at].fifo, n);
			assert_int_equal(more, n + 1 < ARRAY_LEN(row));
		}
		assert_null(sched_take(&s, 0, &more));
		sched_fini(&s);
	}
}

static void only_what_is_more_urgent_interrupts(void **state)
{
	struct sched s;
	struct worker w[2];
	struct job hurried = job_of(1, 0, 50, 0), looping = job_of(0, 0, 0, 0),
		   more_hurried = job_of(2, 0, 20, 0), third = job_of(3, 0, 0, 0);
	bool more;
	(void)state;
	assert_int_equal(sched_init(&s, POLICY_EDF, 2, 16), 0);
	for (int i = 0; i < 2; i++)
		s.queues[i].worker = &w[i];
	sched_put(&s, 0, &looping);
	sched_put(&s, 0, &hurried);
	assert_ptr_equal(sched_take(&s, 0, &more), &hurried);
	assert_true(sched_enter(&s, 0, &hurried));
	assert_ptr_equal(sched_take(&s, 1, &more), &looping); /* stolen */
	assert_true(sched_enter(&s, 1, &looping));
	/* Nobody waits: they go on, without ticks. */
	assert_int_equal(sched_wish(&s, 0, &hurried), WORKER_GO_ON);
	assert_int_equal(sched_wish(&s, 1, &looping), WORKER_GO_ON);
	assert_null(sched_victim(&s, SCHED_NOBODY));
	/* One with the same right as the looping one had at first: that has to be looked at. */
	sched_put(&s, 0, &third);
	assert_ptr_equal(sched_victim(&s, SCHED_NOBODY), &w[1]);
	assert_int_equal(sched_wish(&s, 1, &looping), WORKER_TICK);
	looping.task.cpu_ns = 3 * MS;
	assert_int_equal(sched_wish(&s, 1, &looping), WORKER_YIELD);
	assert_int_equal(sched_wish(&s, 0, &hurried), WORKER_GO_ON);
	/* Most urgent of all: who is entering steps back, and the least urgent is interrupted. */
	sched_put(&s, 1, &more_hurried);
	assert_false(sched_enter(&s, 0, &hurried));
	assert_ptr_equal(sched_victim(&s, SCHED_NOBODY), &w[1]);
	assert_int_equal(sched_wish(&s, 0, &hurried), WORKER_YIELD);
	sched_fini(&s);
}

struct crowd {
	struct sched s;
	struct job *jobs;
	atomic_uint taken;
	atomic_uint next_worker;
};

enum { CROWD = 3, CROWD_JOBS = 3000, ROUNDS = 20 };

/* Each puts its jobs into changing queues and takes whatever there is; what it took it puts again,
 * ROUNDS times. */
static void *crowd_main(void *arg)
{
	struct crowd *c = arg;
	unsigned me = atomic_fetch_add(&c->next_worker, 1);
	for (unsigned i = me; i < CROWD_JOBS; i += CROWD)
		sched_put(&c->s, i % CROWD, &c->jobs[i]);
	while (atomic_load(&c->taken) < CROWD_JOBS * ROUNDS) {
		bool more;
		struct job *j = sched_take(&c->s, me, &more);
		if (!j)
			continue;
		j->task.cpu_ns += MS; /* nobody else has it */
		atomic_fetch_add(&c->taken, 1);
		if (j->task.cpu_ns < ROUNDS * MS)
			sched_put(&c->s, (me + 1) % CROWD, j);
	}
	return NULL;
}

static void no_job_is_lost_or_had_by_two(void **state)
{
	static struct crowd c;
	pthread_t thread[CROWD];
	bool more;
	(void)state;
	c.jobs = calloc(CROWD_JOBS, sizeof(struct job));
	assert_non_null(c.jobs);
	assert_int_equal(sched_init(&c.s, POLICY_EDF, CROWD, CROWD_JOBS), 0);
	for (uint64_t i = 0; i < CROWD_JOBS; i++)
		c.jobs[i] = job_of(i, i % 97, i % 3 ? 100 + i % 31 : 0, 0);
	for (int i = 0; i < CROWD; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, crowd_main, &c), 0);
	for (int i = 0; i < CROWD; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_int_equal(c.taken, CROWD_JOBS * ROUNDS);
	assert_null(sched_take(&c.s, 0, &more));
	for (unsigned i = 0; i < CROWD_JOBS; i++)
		assert_int_equal(c.jobs[i].task.cpu_ns, ROUNDS * MS);
	sched_fini(&c.s);
	free(c.jobs);
}

/* ---- through a sandbox ---- */

static const struct ipc_load usual = {
	.memory_pages = 64, .stack_bytes = 64 << 10, .output_bytes = 1 << 20, .cpu_ns = 50 * MS
};

static void invoke_by(struct gateway *g, uint64_t event, uint32_t handle, const char *payload,
		      uint64_t deadline_ns)
{
	uint8_t buf[256];
	struct wr w = wr_into(buf, sizeof(buf));
	const struct ipc_invoke m = { .event = event,
				      .function = handle,
				      .deadline_ns = deadline_ns,
				      .payload = text_span(payload) };
	gateway_send(g, ipc_put_invoke(&w, &m), &w, -1);
}

/* Whatever a less urgent guest does: computes, calls the host in a loop, writes a lot, sleeps in a host
 * call, or has others of its kind wait for an instance. */
static void nothing_less_urgent_delays_an_event(void **state)
{
	static const char *const does[] = { "l", "h", "n", "s", "S" };
	(void)state;
	if (FIBER_NO_TICKS)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(does); i++) {
		struct gateway g;
		struct ipc_load slow = usual;
		slow.cpu_ns = slow.wall_ns = (uint64_t)3000 * MS;
		slow.concurrency = 2;
		gateway_start(&g, 1, 0);
		assert_int_equal(gateway_load(&g, 1, &slow), 0);
		assert_int_equal(gateway_load(&g, 2, &usual), 0);
		for (uint64_t k = 0; k < 4; k++)
			gateway_invoke(&g, 1000 + k, 1, does[i]);
		usleep(20000); /* past its first slice: the watch has the socket */
		for (uint64_t k = 0; k < 5; k++) {
			uint64_t sent = task_now_ns();
			invoke_by(&g, k, 2, "", sent + 500 * (uint64_t)MS);
			do
				assert_true(gateway_recv(&g));
			while (g.m.result.event >= 1000 && does[i][0] != 'l');
			assert_int_equal(g.m.result.event, k);
			assert_int_equal(g.m.result.status, IPC_OK);
			assert_true(g.m.result.queue_ns < 200 * (uint64_t)MS);
		}
		(void)gateway_stop(&g);
	}
}

static void the_earlier_deadline_comes_first(void **state)
{
	enum { EVENTS = 6 };
	struct gateway g;
	(void)state;
	if (FIBER_NO_TICKS)
		skip();
	gateway_start(&g, 1, 0);
	assert_int_equal(gateway_load(&g, 1, &usual), 0);
	gateway_invoke(&g, 99, 1, "l"); /* while it runs, the others come in the wrong order */
	uint64_t now = task_now_ns();
	for (uint64_t k = 0; k < EVENTS; k++)
		invoke_by(&g, k, 1, "l", now + (900 - 40 * k) * MS);
	uint64_t last = EVENTS;
	for (uint64_t k = 0; k < EVENTS; k++) {
		do
			assert_true(gateway_recv(&g));
		while (g.m.result.event == 99);
		if (k > 0) /* the first ones may have begun before the last had come */
			assert_true(g.m.result.event < last || last < 2);
		last = g.m.result.event;
	}
	(void)gateway_stop(&g);
}

static void what_cannot_end_in_time_is_not_begun(void **state)
{
	struct gateway g;
	(void)state;
	if (FIBER_NO_TICKS)
		skip();
	struct ipc_load patient = usual;
	patient.cpu_ns = 0;
	gateway_start(&g, 1, 0);
	assert_int_equal(gateway_load(&g, 1, &patient), 0);
	for (uint64_t k = 0; k < 12; k++) /* it learns what one takes */
		assert_int_equal(gateway_call(&g, k, 1, "b")->status, IPC_OK);
	invoke_by(&g, 50, 1, "b", task_now_ns() + MS);
	assert_true(gateway_recv(&g));
	assert_int_equal(g.m.result.status, IPC_REFUSED);
	/* "it could not end", or on a busy machine "its deadline" is over before it is looked at */
	assert_memory_equal(g.m.result.why.at, "it", 2);
	assert_int_equal(gateway_call(&g, 51, 1, "b")->status, IPC_OK);
	(void)gateway_stop(&g);
}

static void host_calls_and_concurrency_have_bounds(void **state)
{
	struct gateway g;
	struct ipc_load bounded = usual;
	(void)state;
	bounded.cpu_ns = 0;
	bounded.host_calls = 1000;
	bounded.concurrency = 2;
	gateway_start(&g, 2, 0);
	assert_int_equal(gateway_load(&g, 1, &bounded), 0);
	assert_int_equal(gateway_call(&g, 1, 1, "h")->trap, AOT_TRAP_LIMIT);
	assert_non_null(memmem(g.m.result.why.at, g.m.result.why.len, "more host calls", 15));
	uint64_t began = task_now_ns();
	for (uint64_t k = 0; k < 6; k++) /* each sleeps 30 ms, two at a time */
		gateway_invoke(&g, 10 + k, 1, "s");
	for (int k = 0; k < 6; k++) {
		assert_true(gateway_recv(&g));
		assert_int_equal(g.m.result.status, IPC_OK);
	}
	assert_true(task_now_ns() - began > 85 * (uint64_t)MS);
	(void)gateway_stop(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_most_urgent_of_all_queues_is_taken),
		cmocka_unit_test(only_what_is_more_urgent_interrupts),
		cmocka_unit_test(no_job_is_lost_or_had_by_two),
		cmocka_unit_test(nothing_less_urgent_delays_an_event),
		cmocka_unit_test(the_earlier_deadline_comes_first),
		cmocka_unit_test(what_cannot_end_in_time_is_not_begun),
		cmocka_unit_test(host_calls_and_concurrency_have_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
