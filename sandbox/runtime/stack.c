/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/stack.h"

#include <errno.h>
#include <sys/mman.h>

#include "proto/aot_abi.h"
#include "sandbox/runtime/fiber.h"

#define STACK_ALIGN (64u << 10) /* the largest page size of the boards */

int stack_init(struct stack *s, uint32_t guest_bytes, struct why *why)
{
	*s = (struct stack){ 0 };
	if (guest_bytes < STACK_BYTES_MIN)
		guest_bytes = STACK_BYTES_MIN;
	if (guest_bytes > STACK_BYTES_MAX)
		return why_set(why, -E_LIMIT, "a stack of %u bytes is over the limit of %d",
			       guest_bytes, STACK_BYTES_MAX);
	size_t bytes = (guest_bytes + (size_t)STACK_ALIGN - 1) & ~((size_t)STACK_ALIGN - 1);
	bytes += AOT_STACK_RESERVE_BYTES;
	uint8_t *map = mmap(NULL, STACK_GUARD_BYTES + bytes, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return why_set(why, -errno, "no address space for a stack of %zu bytes", bytes);
	if (mprotect(map + STACK_GUARD_BYTES, bytes, PROT_READ | PROT_WRITE) < 0) {
		int err = -errno;
		(void)munmap(map, STACK_GUARD_BYTES + bytes);
		return why_set(why, err, "no memory for a stack of %zu bytes", bytes);
	}
	*s = (struct stack){ .map = map, .low = map + STACK_GUARD_BYTES, .bytes = bytes };
	return 0;
}

void stack_fini(struct stack *s)
{
	if (s->map) {
		stack_forget(s);
		(void)munmap(s->map, STACK_GUARD_BYTES + s->bytes);
	}
	*s = (struct stack){ 0 };
}

void *stack_top(const struct stack *s)
{
	return s->low + s->bytes;
}

uintptr_t stack_limit(const struct stack *s)
{
	return (uintptr_t)s->low + AOT_STACK_RESERVE_BYTES;
}

bool stack_has_guard_at(const struct stack *s, uintptr_t address)
{
	return s->map && address - (uintptr_t)s->map < STACK_GUARD_BYTES;
}

void stack_forget(const struct stack *s)
{
	fiber_unpoison(s->low, s->bytes);
}

void stack_trim(const struct stack *s)
{
	if (s->bytes > STACK_KEEP_BYTES)
		(void)madvise(s->low, s->bytes - STACK_KEEP_BYTES, MADV_DONTNEED);
}
