/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The process's, like the mappings that it counts. */
static atomic_uint ranges;

static void close_all(struct memory *m)
{
	atomic_fetch_sub_explicit(&ranges, m->nopen, memory_order_relaxed);
	m->nopen = 0;
	m->watched_bytes = 0;
}

static int reserve(struct memory *m, size_t front, size_t bytes, struct why *why)
{
	uint8_t *map = mmap(NULL, front + bytes, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return why_set(why, -E_LIMIT, "no address space left for a memory of %zu MiB",
			       bytes >> 20);
	m->map = map;
	m->map_bytes = front + bytes;
	m->reserved_bytes = bytes;
	m->page_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
	return 0;
}

int memory_init(struct memory *m, struct aot_limits limits, bool guarded, size_t front,
		struct why *why)
{
	*m = (struct memory){ 0 };
	uint32_t max = limits.min < AOT_PAGES_MAX ? AOT_PAGES_GROWN_MAX : AOT_PAGES_MAX;
	if (limits.max > max)
		limits.max = max;
	if (limits.min > limits.max)
		return why_set(why, -E_LIMIT,
			       "the module needs %u pages of 64 KiB memory, it may have %u",
			       limits.min, limits.max);
	uint64_t most = (uint64_t)limits.max * AOT_PAGE_BYTES;
	int err = reserve(m, front, guarded ? AOT_RESERVE_BYTES : most + AOT_PAGE_BYTES, why);
	if (err < 0)
		return err;
	m->aot = (struct aot_memory){ .base = m->map + front,
				      .bytes = (uint64_t)limits.min * AOT_PAGE_BYTES,
				      .max_pages = limits.max };
	return 0;
}

int memory_init_none(struct memory *m, size_t front, struct why *why)
{
	*m = (struct memory){ 0 };
	return reserve(m, front, 0, why);
}

void memory_fini(struct memory *m)
{
	close_all(m);
	if (m->map_bytes > 0)
		(void)munmap(m->map, m->map_bytes);
	*m = (struct memory){ 0 };
}

int memory_clear(struct memory *m)
{
	if (m->aot.bytes > 0 && mprotect(m->aot.base, m->aot.bytes, PROT_READ | PROT_WRITE) < 0)
		return -ENOMEM;
	return 0;
}

/* A huge page would be cleared whole, and taken away whole, for the few bytes of it that an event
 * touches. Where nothing grows, nobody needs to be told. */
static void want_small_pages(struct memory *m)
{
	uint64_t most = (uint64_t)m->aot.max_pages * AOT_PAGE_BYTES;
	if (!m->small_pages)
		(void)madvise(m->aot.base + m->aot.bytes, most - m->aot.bytes, MADV_NOHUGEPAGE);
	m->small_pages = true;
}

uint32_t memory_grow(struct aot_memory *aot, uint32_t pages)
{
	struct memory *m = CONTAINER_OF(aot, struct memory, aot);
	uint32_t old = (uint32_t)(aot->bytes / AOT_PAGE_BYTES);
	if (pages > aot->max_pages - old)
		return UINT32_MAX;
	uint64_t more = (uint64_t)pages * AOT_PAGE_BYTES;
	if (more == 0)
		return old;
	want_small_pages(m);
	if (mprotect(aot->base + aot->bytes, more, PROT_READ | PROT_WRITE) < 0)
		return UINT32_MAX;
	aot->bytes += more;
	return old;
}

/* Many functions grow by a page or two in each event: clearing those costs less than the faults for
 * them next time. */
enum { MEMORY_CLEAR_BYTES = 128 << 10 };

int memory_shrink(struct memory *m, uint64_t bytes)
{
	ENSURE(bytes <= m->aot.bytes && bytes % AOT_PAGE_BYTES == 0);
	uint64_t less = m->aot.bytes - bytes;
	if (less == 0)
		return 0;
	if (less <= MEMORY_CLEAR_BYTES)
		memset(m->aot.base + bytes, 0, less);
	else if (madvise(m->aot.base + bytes, less, MADV_DONTNEED) < 0)
		return -errno;
	if (mprotect(m->aot.base + bytes, less, PROT_NONE) < 0)
		return -errno;
	m->aot.bytes = bytes;
	return 0;
}

bool memory_reserves(const struct memory *m, uintptr_t address)
{
	return address - (uintptr_t)m->aot.base < m->reserved_bytes;
}

int memory_view(struct memory *m, int fd, uint64_t bytes, bool watched)
{
	int access = watched ? PROT_READ : PROT_READ | PROT_WRITE;
	ENSURE(m->aot.bytes <= bytes && bytes < m->reserved_bytes);
	close_all(m);
	if (bytes > 0 && mmap(m->aot.base, bytes, access, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE,
			      fd, 0) == MAP_FAILED)
		return -errno;
	m->aot.bytes = bytes;
	m->watched_bytes = watched ? bytes : 0;
	return 0;
}

static bool no_more_ranges(const struct memory *m)
{
	return m->nopen == MEMORY_RANGES_MAX ||
	       atomic_load_explicit(&ranges, memory_order_relaxed) >= MEMORY_RANGES_ALL;
}

/* r and what lies between it and the range that is nearest to it. */
static struct memory_range reach_nearest(const struct memory *m, struct memory_range r)
{
	uint32_t least = UINT32_MAX;
	struct memory_range to = r;
	for (uint32_t i = 0; i < m->nopen; i++) {
		const struct memory_range *o = &m->open[i];
		bool below = o->end < r.first;
		uint32_t gap = below ? r.first - o->end : o->first - r.end;
		if (gap >= least)
			continue;
		least = gap;
		to.first = below ? o->end : r.first;
		to.end = below ? r.end : o->first;
	}
	return to;
}

static bool touches_one(const struct memory *m, struct memory_range r)
{
	for (uint32_t i = 0; i < m->nopen; i++)
		if (m->open[i].first <= r.end && r.first <= m->open[i].end)
			return true;
	return false;
}

/* Keeps `open` sorted; ranges that touch become one. */
static void note_open(struct memory *m, struct memory_range r)
{
	uint32_t from = 0;
	while (from < m->nopen && m->open[from].end < r.first)
		from++;
	uint32_t to = from;
	for (; to < m->nopen && m->open[to].first <= r.end; to++) {
		r.first = m->open[to].first < r.first ? m->open[to].first : r.first;
		r.end = m->open[to].end > r.end ? m->open[to].end : r.end;
	}
	ENSURE(to > from || m->nopen < MEMORY_RANGES_MAX);
	memmove(&m->open[from + 1], &m->open[to], (m->nopen - to) * sizeof(m->open[0]));
	m->open[from] = r;
	m->nopen -= to - from;
	m->nopen++;
	atomic_fetch_add_explicit(&ranges, 1 - (to - from), memory_order_relaxed);
}

static bool make_writable(const struct memory *m, struct memory_range r)
{
	uint64_t bytes = (uint64_t)(r.end - r.first) * m->page_bytes;
	return mprotect(m->aot.base + (uint64_t)r.first * m->page_bytes, bytes,
			PROT_READ | PROT_WRITE) == 0;
}

bool memory_open(struct memory *m, struct memory_range r)
{
	const struct memory_range all = { 0, (uint32_t)(m->watched_bytes / m->page_bytes) };
	r.end = r.end < all.end ? r.end : all.end;
	if (r.first >= r.end)
		return true;
	if (m->nopen > 0 && no_more_ranges(m) && !touches_one(m, r))
		r = reach_nearest(m, r);
	if (!make_writable(m, r)) {
		r = all; /* the process has too many mappings: this makes several into one */
		if (!make_writable(m, r))
			return false;
	}
	note_open(m, r);
	return true;
}

bool memory_write_fault(struct memory *m, uintptr_t address)
{
	/* Who writes to many new pages in a row should not fault for each. */
	enum { PAGES_MORE_AFTER = 8 };
	uint64_t offset = address - (uintptr_t)m->aot.base;
	if (offset >= m->watched_bytes)
		return false;
	uint32_t page = (uint32_t)(offset / m->page_bytes), n = 1;
	for (uint32_t i = 0; i < m->nopen; i++) {
		if (page >= m->open[i].first && page < m->open[i].end)
			return false; /* it was something else */
		if (page == m->open[i].end)
			n += m->nfaults / PAGES_MORE_AFTER;
	}
	m->nfaults++;
	return memory_open(m, (struct memory_range){ page, page + n });
}
