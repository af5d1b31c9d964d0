/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/memory.h"

#include <errno.h>
#include <sys/mman.h>

int memory_init(struct memory *m, struct aot_limits limits, bool guarded, struct why *why)
{
	*m = (struct memory){ 0 };
	if (limits.max > AOT_PAGES_MAX)
		limits.max = AOT_PAGES_MAX;
	if (limits.min > limits.max)
		return why_set(why, -E_LIMIT,
			       "the module needs %u pages of 64 KiB memory, it may have %u",
			       limits.min, limits.max);
	uint64_t bytes = (uint64_t)limits.min * AOT_PAGE_BYTES;
	uint64_t most = (uint64_t)limits.max * AOT_PAGE_BYTES;
	size_t reserve = guarded ? AOT_RESERVE_BYTES : most + AOT_PAGE_BYTES;
	uint8_t *base =
		mmap(NULL, reserve, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return why_set(why, -E_LIMIT, "no address space left for a memory of %zu MiB",
			       reserve >> 20);
	m->reserved_bytes = reserve;
	m->aot = (struct aot_memory){ .base = base, .bytes = bytes, .max_pages = limits.max };
	/* A huge page would be cleared and copied whole to bring back the few bytes that an event
	 * touched. */
	(void)madvise(base, most + AOT_PAGE_BYTES, MADV_NOHUGEPAGE);
	if (bytes > 0 && mprotect(base, bytes, PROT_READ | PROT_WRITE) < 0) {
		memory_fini(m);
		return why_set(why, -ENOMEM, "no memory for %u pages of 64 KiB", limits.min);
	}
	return 0;
}

void memory_fini(struct memory *m)
{
	if (m->reserved_bytes > 0)
		(void)munmap(m->aot.base, m->reserved_bytes);
	*m = (struct memory){ 0 };
}

uint32_t memory_grow(struct aot_memory *m, uint32_t pages)
{
	uint32_t old = (uint32_t)(m->bytes / AOT_PAGE_BYTES);
	if (pages > m->max_pages - old)
		return UINT32_MAX;
	uint64_t more = (uint64_t)pages * AOT_PAGE_BYTES;
	if (more > 0 && mprotect(m->base + m->bytes, more, PROT_READ | PROT_WRITE) < 0)
		return UINT32_MAX;
	m->bytes += more;
	return old;
}

int memory_shrink(struct memory *m, uint64_t bytes)
{
	ENSURE(bytes <= m->aot.bytes && bytes % AOT_PAGE_BYTES == 0);
	uint64_t less = m->aot.bytes - bytes;
	if (less == 0)
		return 0;
	if (madvise(m->aot.base + bytes, less, MADV_DONTNEED) < 0 ||
	    mprotect(m->aot.base + bytes, less, PROT_NONE) < 0)
		return -errno;
	m->aot.bytes = bytes;
	return 0;
}

bool memory_reserves(const struct memory *m, uintptr_t address)
{
	return address - (uintptr_t)m->aot.base < m->reserved_bytes;
}
