/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/paho_wait.h"

#include <MQTTClient.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include "base/util.h"
#include "triggers/nodelay.h"

enum { SLICE_MS = 50 /* between looks at the flag */, BEGIN_MS = 5000 };

static _Thread_local bool hurry;
static _Thread_local bool closing; /* it has closed a connection since */
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
	closing = false;
}

void paho_closing(void)
{
	closing = true;
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

int __real_Thread_lock_mutex(pthread_mutex_t *mutex);
int __wrap_Thread_lock_mutex(pthread_mutex_t *mutex);
int __real_Thread_unlock_mutex(pthread_mutex_t *mutex);
int __wrap_Thread_unlock_mutex(pthread_mutex_t *mutex);
typedef void *thread_fn(void *arg);
void __wrap_Thread_start(thread_fn *fn, void *arg);

/* ---- its receiving thread ---- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned started, begun, ended; /* how many */
} readers = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

struct reader {
	thread_fn *run;
	void *arg;
};

static _Thread_local unsigned locks_to_begin; /* of this thread, which is to receive */
static _Thread_local bool receives;
static _Thread_local unsigned awaited; /* the one that this thread has started */

static void count_reader(unsigned *which)
{
	(void)pthread_mutex_lock(&readers.lock);
	++*which;
	(void)pthread_cond_broadcast(&readers.changed);
	(void)pthread_mutex_unlock(&readers.lock);
}

static void *reader_main(void *arg)
{
	struct reader r = *(struct reader *)arg;
	free(arg);
	receives = true;
	locks_to_begin = 2; /* under the first, which is Paho's own, it says that it runs */
	void *rc = r.run(r.arg);
	if (locks_to_begin > 0)
		count_reader(&readers.begun);
	count_reader(&readers.ended);
	return rc;
}

/* Until that one has begun, or (0) none is left; ms at most. */
static void await_reader(unsigned begun, uint64_t ms)
{
	struct timespec end;
	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += (time_t)(ms / 1000);
	end.tv_nsec += (long)(ms % 1000) * 1000000;
	end.tv_sec += end.tv_nsec / 1000000000;
	end.tv_nsec %= 1000000000;
	(void)pthread_mutex_lock(&readers.lock);
	while (begun ? readers.begun < begun : readers.ended < readers.started) {
		if (pthread_cond_clockwait(&readers.changed, &readers.lock, CLOCK_MONOTONIC,
					   &end) != 0)
			break;
	}
	(void)pthread_mutex_unlock(&readers.lock);
}

bool paho_receives(void)
{
	(void)pthread_mutex_lock(&readers.lock);
	bool any = readers.ended < readers.started;
	(void)pthread_mutex_unlock(&readers.lock);
	return any;
}

/* False: there is no such thread, as Paho will find. */
static bool start_reader(thread_fn *fn, void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;
	struct reader *r = malloc(sizeof(*r));
	if (!r)
		return false;
	*r = (struct reader){ fn, arg };
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	(void)pthread_mutex_lock(&readers.lock);
	bool ok = pthread_create(&thread, &attr, reader_main, r) == 0;
	awaited = ok ? ++readers.started : 0;
	(void)pthread_mutex_unlock(&readers.lock);
	(void)pthread_attr_destroy(&attr);
	if (!ok)
		free(r);
	return ok;
}

/* Who connects starts the receiving thread. Others start one to tell of a lost connection, and wait for it, but
 * not for ever: then its owner may be gone. It is told here. */
void __wrap_Thread_start(thread_fn *fn, void *arg)
{
	if (nodelay_connecting())
		(void)start_reader(fn, arg);
	else
		(void)fn(arg);
}

/* ---- its lock ---- */

static _Thread_local bool learning;
static _Atomic(pthread_mutex_t *) lock_of_paho;

int __wrap_Thread_lock_mutex(pthread_mutex_t *mutex)
{
	if (learning) {
		atomic_store(&lock_of_paho, mutex);
		learning = false;
	}
	int rc = __real_Thread_lock_mutex(mutex);
	if (locks_to_begin > 0 && --locks_to_begin == 0)
		count_reader(&readers.begun);
	return rc;
}

/* Who has started the receiving thread goes on when it runs. */
int __wrap_Thread_unlock_mutex(pthread_mutex_t *mutex)
{
	int rc = __real_Thread_unlock_mutex(mutex);
	if (awaited != 0 && mutex == atomic_load(&lock_of_paho)) {
		await_reader(awaited, BEGIN_MS);
		awaited = 0;
	}
	return rc;
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

/* Who has closed a connection, or is in no hurry, waits for the receiving thread to end: 100 times, and then
 * takes it for ended. Who has started it waits elsewhere, when it can begin. */
void __wrap_MQTTTime_sleep(uint64_t ms)
{
	if (awaited != 0)
		return;
	if (!receives && (closing || !hurry) && paho_receives()) {
		nodelay_wake();
		await_reader(0, ms);
		return;
	}
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
