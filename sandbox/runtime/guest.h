/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory as host calls see it. guest_span() is the one place where a guest's address becomes
 * a pointer. What lies there may be anything, and may overlap with anything: copy, then check.
 */
#ifndef RUNTIME_GUEST_H
#define RUNTIME_GUEST_H

#include <stdbool.h>
#include <string.h>

#include "sandbox/runtime/host.h"
#include "sandbox/runtime/task.h"

/* [at, at + len) of the guest's memory; NULL when it is not all inside. */
static inline uint8_t *guest_span(const struct aot_instance *self, uint64_t at, uint64_t len)
{
	uint64_t bytes = self->memory ? self->memory->bytes : 0;
	return at <= bytes && len <= bytes - at && self->memory ? self->mem_base + at : NULL;
}

static inline bool guest_put(const struct aot_instance *self, uint64_t at, const void *p, size_t n)
{
	uint8_t *to = guest_span(self, at, n);
	return to && memcpy(to, p, n);
}

/* Wasm is little endian, and so is every machine that this runs on. */
static inline bool guest_put_u32(const struct aot_instance *self, uint64_t at, uint32_t v)
{
	return guest_put(self, at, &v, sizeof(v));
}

static inline bool guest_put_u64(const struct aot_instance *self, uint64_t at, uint64_t v)
{
	return guest_put(self, at, &v, sizeof(v));
}

/* Each host call begins with one and ends with the other. */
static inline struct task *guest_enter(uintptr_t return_address)
{
	struct task *t = task_current();
	t->host_pc = return_address - 1;
	if (UNLIKELY(t->host_calls_left-- == 0))
		task_trap(t, AOT_TRAP_LIMIT, t->host_pc, "more host calls than it may make");
	return t;
}

#define GUEST_ENTER() guest_enter((uintptr_t)__builtin_return_address(0))

static inline uint32_t guest_return(struct task *t, uint32_t result)
{
	task_checkpoint(t);
	return result;
}

#endif
