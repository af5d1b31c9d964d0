/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/stack.h"

#include <errno.h>
#include <sys/mman.h>

#include "proto/aot_abi.h"
#include "sandbox/runtime/fiber.h"

#define STACK_ALIGN (64u << 10) /* the largest page size of the boards */

int stack_map_bytes(uint32_t guest_bytes, size_t *ret, struct why *why)
{
	if (guest_bytes < STACK_BYTES_MIN)
		guest_bytes = STACK_BYTES_MIN;
	if (guest_bytes > STACK_BYTES_MAX)
		return why_set(why, -E_LIMIT, "a stack of %u bytes is over the limit of %d",
			       guest_bytes, STACK_BYTES_MAX);
	size_t bytes = (guest_bytes + (size_t)STACK_ALIGN - 1) & ~((size_t)STACK_ALIGN - 1);
	*ret = STACK_GUARD_BYTES + bytes + AOT_STACK_RESERVE_BYTES;
	return 0;
}

int stack_init(struct stack *s, uint8_t *map, size_t map_bytes, struct why *why)
{
	size_t bytes = map_bytes - STACK_GUARD_BYTES;
	*s = (struct stack){ 0 };
	if (mprotect(map + STACK_GUARD_BYTES, bytes, PROT_READ | PROT_WRITE) < 0)
		return why_set(why, -errno, "no memory for a stack of %zu bytes", bytes);
	*s = (struct stack){ .map = map, .low = map + STACK_GUARD_BYTES, .bytes = bytes };
	return 0;
}

void stack_fini(struct stack *s)
{
	if (s->map)
		stack_forget(s);
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
