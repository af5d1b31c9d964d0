/* SPDX-License-Identifier: Apache-2.0 */
/* wasi_snapshot_preview1: arguments, environment, clocks, random bytes, the process. */
#include <time.h>

#include "sandbox/runtime/guest.h"
#include "sandbox/runtime/wasi.h"
#include "sandbox/runtime/worker.h"

#pragma clang diagnostic ignored "-Wmissing-prototypes" /* hostcall.def is their list */

enum { RANDOM_CHUNK_BYTES = 4 << 10 };

static uint32_t strings_sizes(struct aot_instance *self, struct span list, uint32_t ret_count,
			      uint32_t ret_bytes)
{
	uint32_t count = 0, bytes = 0;
	struct span s;
	while (host_next_string(&list, &s)) {
		count++;
		bytes += (uint32_t)s.len + 1;
	}
	return guest_put_u32(self, ret_count, count) && guest_put_u32(self, ret_bytes, bytes)
		       ? WASI_OK
		       : WASI_EFAULT;
}

static uint32_t strings_get(struct aot_instance *self, struct span list, uint32_t pointers,
			    uint32_t buffer)
{
	uint64_t slot = pointers, to = buffer;
	struct span s;
	while (host_next_string(&list, &s)) {
		if (!guest_put_u32(self, slot, (uint32_t)to) || !guest_put(self, to, s.at, s.len) ||
		    !guest_put(self, to + s.len, "", 1))
			return WASI_EFAULT;
		slot += 4;
		to += s.len + 1;
	}
	return WASI_OK;
}

uint32_t wasi_args_sizes_get(struct aot_instance *self, uint32_t ret_count, uint32_t ret_bytes)
{
	struct task *t = GUEST_ENTER();
	return guest_return(t, strings_sizes(self, t->host->args, ret_count, ret_bytes));
}

uint32_t wasi_args_get(struct aot_instance *self, uint32_t pointers, uint32_t buffer)
{
	struct task *t = GUEST_ENTER();
	return guest_return(t, strings_get(self, t->host->args, pointers, buffer));
}

uint32_t wasi_environ_sizes_get(struct aot_instance *self, uint32_t ret_count, uint32_t ret_bytes)
{
	struct task *t = GUEST_ENTER();
	return guest_return(t, strings_sizes(self, host_environ(t->host), ret_count, ret_bytes));
}

uint32_t wasi_environ_get(struct aot_instance *self, uint32_t pointers, uint32_t buffer)
{
	struct task *t = GUEST_ENTER();
	return guest_return(t, strings_get(self, host_environ(t->host), pointers, buffer));
}

static bool clock_of(uint32_t id, clockid_t *ret)
{
	/* A guest's CPU clocks are those of the thread: it is never alone in the process. */
	static const clockid_t ids[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_THREAD_CPUTIME_ID,
					 CLOCK_THREAD_CPUTIME_ID };
	if (id >= ARRAY_LEN(ids))
		return false;
	*ret = ids[id];
	return true;
}

uint32_t wasi_clock_res_get(struct aot_instance *self, uint32_t id, uint32_t ret)
{
	struct task *t = GUEST_ENTER();
	struct timespec ts;
	clockid_t clock;
	if (!clock_of(id, &clock) || clock_getres(clock, &ts) < 0)
		return guest_return(t, WASI_EINVAL);
	uint64_t ns = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	return guest_return(t, guest_put_u64(self, ret, ns) ? WASI_OK : WASI_EFAULT);
}

uint32_t wasi_clock_time_get(struct aot_instance *self, uint32_t id, uint64_t precision,
			     uint32_t ret)
{
	struct task *t = GUEST_ENTER();
	struct timespec ts;
	clockid_t clock;
	(void)precision;
	if (!clock_of(id, &clock) || clock_gettime(clock, &ts) < 0)
		return guest_return(t, WASI_EINVAL);
	uint64_t ns = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	if (id == WASI_PROCESS_CPU || id == WASI_THREAD_CPU)
		ns = t->cpu_ns + worker_cpu_since_ns(t->worker); /* its own only */
	ns = trace_clock(&t->host->trace, ns);
	return guest_return(t, guest_put_u64(self, ret, ns) ? WASI_OK : WASI_EFAULT);
}

uint32_t wasi_random_get(struct aot_instance *self, uint32_t at, uint32_t len)
{
	struct task *t = GUEST_ENTER();
	uint8_t some[RANDOM_CHUNK_BYTES];
	uint8_t *to = guest_span(self, at, len);
	if (!to)
		return guest_return(t, WASI_EFAULT);
	while (len > 0) {
		size_t chunk = len < RANDOM_CHUNK_BYTES ? len : RANDOM_CHUNK_BYTES;
		if (trace_random(&t->host->trace, some, chunk) < 0)
			return guest_return(t, WASI_EIO);
		memcpy(to, some, chunk);
		to += chunk;
		len -= (uint32_t)chunk;
		task_checkpoint(t);
	}
	return guest_return(t, WASI_OK);
}

uint32_t wasi_sched_yield(struct aot_instance *self)
{
	struct task *t = GUEST_ENTER();
	(void)self;
	/* Others get the worker at the end of the slice; giving it up at each call would let a
	 * guest make the scheduler work without end. */
	return guest_return(t, WASI_OK);
}

void wasi_proc_exit(struct aot_instance *self, uint32_t code)
{
	struct task *t = GUEST_ENTER();
	(void)self;
	task_exit(t, (int32_t)code);
}

uint32_t wasi_proc_raise(struct aot_instance *self, uint32_t sig)
{
	struct task *t = GUEST_ENTER();
	(void)self;
	(void)sig;
	return guest_return(t, WASI_ENOSYS);
}
