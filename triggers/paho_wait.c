/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/paho_wait.h"

#include <MQTTClient.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <time.h>

enum { SLICE_MS = 50 }; /* between looks at the flag */

static _Thread_local bool hurry;
static _Thread_local const atomic_bool *give_up;
static _Atomic int64_t hurry_until_ms; /* everybody's; 0: never */

void __real_MQTTTime_sleep(uint64_t ms);
void __wrap_MQTTTime_sleep(uint64_t ms);
int __wrap_Thread_wait_sem(sem_t *sem, int timeout_ms);

int64_t paho_ms_now(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void paho_hurry(bool on)
{
	hurry = on;
}

void paho_all_hurry(unsigned ms)
{
	atomic_store(&hurry_until_ms, paho_ms_now() + ms);
}

bool paho_all_hurry_now(void)
{
	int64_t until = atomic_load_explicit(&hurry_until_ms, memory_order_relaxed);
	return until != 0 && paho_ms_now() < until;
}

/* ---- Paho's lock ---- */

int __real_Thread_lock_mutex(pthread_mutex_t *mutex);
int __wrap_Thread_lock_mutex(pthread_mutex_t *mutex);

static _Thread_local bool learning;
static _Atomic(pthread_mutex_t *) lock_of_paho;

int __wrap_Thread_lock_mutex(pthread_mutex_t *mutex)
{
	if (learning) {
		atomic_store(&lock_of_paho, mutex);
		learning = false;
	}
	return __real_Thread_lock_mutex(mutex);
}

void paho_lock_learn(void *client)
{
	learning = true;
	(void)MQTTClient_isConnected(client); /* takes it first of all */
	learning = false;
}

void paho_lock(void)
{
	(void)pthread_mutex_lock(atomic_load(&lock_of_paho));
}

void paho_unlock(void)
{
	(void)pthread_mutex_unlock(atomic_load(&lock_of_paho));
}

void paho_give_up_when(const atomic_bool *flag)
{
	give_up = flag;
}

void __wrap_MQTTTime_sleep(uint64_t ms)
{
	bool short_one = ms > PAHO_HURRY_MS && (hurry || paho_all_hurry_now());
	__real_MQTTTime_sleep(short_one ? PAHO_HURRY_MS : ms);
}

/* In place of Paho's loop over sem_trywait and usleep; returns what that does. */
int __wrap_Thread_wait_sem(sem_t *sem, int timeout_ms)
{
	int64_t end = paho_ms_now() + timeout_ms;
	for (;;) {
		int64_t left = end - paho_ms_now();
		int64_t slice = left > SLICE_MS ? SLICE_MS : left > 0 ? left : 0;
		struct timespec t;
		(void)clock_gettime(CLOCK_MONOTONIC, &t);
		t.tv_nsec += slice * 1000000;
		t.tv_sec += t.tv_nsec / 1000000000;
		t.tv_nsec %= 1000000000;
		if (sem_clockwait(sem, CLOCK_MONOTONIC, &t) == 0)
			return 0;
		if (errno != ETIMEDOUT && errno != EINTR)
			return errno;
		if (left <= 0 || (give_up && atomic_load(give_up)))
			return ETIMEDOUT;
	}
}
