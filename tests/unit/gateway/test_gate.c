/* SPDX-License-Identifier: Apache-2.0 */
/* The wake protocol of gateway/gate.h under random delays: whoever takes an answer, none is left
 * lying. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/gate.h"

enum { EVENTS = 6000, SENDERS = 2, LOST_MS = 5000 };

struct world {
	struct gate gate;
	int ours, theirs; /* the "sandbox" echoes what comes */
	_Atomic uint64_t sent, taken, taken_by_attendants;
	atomic_bool failed;
};

static uint64_t ms_now(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint32_t next(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void dawdle(uint32_t *seed)
{
	uint32_t n = next(seed) % 64;
	if (n < 4)
		(void)nanosleep(&(struct timespec){ .tv_nsec = 1000 * (long)(next(seed) % 100) },
				NULL);
	else if (n < 16)
		(void)sched_yield();
	else
		for (volatile uint32_t i = next(seed) % 300; i > 0; i--)
			;
}

static bool take(struct world *w)
{
	char c;
	if (recv(w->ours, &c, 1, MSG_DONTWAIT) != 1)
		return false;
	gate_answered(&w->gate, 1);
	atomic_fetch_add(&w->taken, 1);
	return true;
}

static void *sandbox(void *arg)
{
	struct world *w = arg;
	uint32_t seed = 7;
	char c;
	while (recv(w->theirs, &c, 1, 0) == 1) {
		dawdle(&seed);
		if (send(w->theirs, &c, 1, MSG_NOSIGNAL) != 1)
			break;
	}
	return NULL;
}

static void *results(void *arg)
{
	struct world *w = arg;
	while (gate_wait(&w->gate, w->ours)) {
		while (take(w))
			;
	}
	return NULL;
}

static void *sender(void *arg)
{
	struct world *w = arg;
	uint32_t seed = (uint32_t)(uintptr_t)&seed;
	for (unsigned i = 0; i < EVENTS && !atomic_load(&w->failed); i++) {
		bool attend = next(&seed) % 4 != 0 && gate_attend(&w->gate);
		dawdle(&seed);
		gate_expect(&w->gate);
		atomic_fetch_add(&w->sent, 1);
		assert_int_equal(send(w->ours, "x", 1, MSG_NOSIGNAL), 1);
		dawdle(&seed);
		for (uint32_t n = attend ? next(&seed) % 40 : 0; n > 0; n--) {
			if (take(w)) {
				atomic_fetch_add(&w->taken_by_attendants, 1);
				break;
			}
		}
		if (attend) /* also with answers owed, which an attendant does only when it ends */
			gate_leave(&w->gate);
		else
			gate_arm(&w->gate);
		/* Every answer comes without any further help. */
		uint64_t end = ms_now() + LOST_MS;
		for (uint64_t until = atomic_load(&w->sent); atomic_load(&w->taken) < until;) {
			if (ms_now() > end) {
				atomic_store(&w->failed, true);
				break;
			}
			(void)sched_yield();
		}
	}
	return NULL;
}

static void no_answer_is_left_lying(void **state)
{
	struct world w = { 0 };
	int pair[2];
	pthread_t box, res, send[SENDERS];
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	w.ours = pair[0];
	w.theirs = pair[1];
	assert_int_equal(gate_init(&w.gate), 0);
	gate_up(&w.gate);
	assert_int_equal(pthread_create(&box, NULL, sandbox, &w), 0);
	assert_int_equal(pthread_create(&res, NULL, results, &w), 0);
	for (int i = 0; i < SENDERS; i++)
		assert_int_equal(pthread_create(&send[i], NULL, sender, &w), 0);
	for (int i = 0; i < SENDERS; i++)
		(void)pthread_join(send[i], NULL);
	assert_false(atomic_load(&w.failed));
	assert_int_equal(atomic_load(&w.taken), SENDERS * EVENTS);
	assert_true(atomic_load(&w.taken_by_attendants) > 0);
	assert_true(atomic_load(&w.taken_by_attendants) < SENDERS * EVENTS);
	gate_stop(&w.gate);
	(void)shutdown(w.theirs, SHUT_RDWR);
	(void)pthread_join(res, NULL);
	(void)pthread_join(box, NULL);
	gate_fini(&w.gate);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

static void a_late_report_of_the_old_end_does_not_close_the_new_one(void **state)
{
	struct gate g;
	(void)state;
	assert_int_equal(gate_init(&g), 0);
	assert_true(gate_is_down(&g));
	gate_up(&g);
	unsigned old = atomic_load(&g.generation);
	assert_false(gate_is_down(&g));
	gate_up(&g); /* restarted meanwhile */
	gate_down(&g, old);
	assert_false(gate_is_down(&g));
	gate_down(&g, atomic_load(&g.generation));
	assert_true(gate_is_down(&g));
	gate_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_answer_is_left_lying),
		cmocka_unit_test(a_late_report_of_the_old_end_does_not_close_the_new_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
