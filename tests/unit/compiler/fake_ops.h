/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The helpers of struct aot_ops for one instance with a guarded memory; they trap by siglongjmp.
 * Slow and simple on purpose. Part of fake_runtime.h.
 */
#ifndef TESTS_COMPILER_FAKE_OPS_H
#define TESTS_COMPILER_FAKE_OPS_H

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "base/util.h"
#include "proto/aot_abi.h"

enum { GUEST_TABLES = 8, GUEST_TABLE_CAP = 64, GUEST_SEGMENTS = 8, GUEST_STACK = 512 << 10 };

struct guest {
	int so_fd;
	void *dl;
	const struct aot_module *m;
	struct aot_instance *i;
	struct aot_memory memory;
	struct aot_table table[GUEST_TABLES], *tables[GUEST_TABLES];
	void *elems[GUEST_TABLES][GUEST_TABLE_CAP];
	struct aot_funcref *funcs;
	bool data_dropped[GUEST_SEGMENTS], elem_dropped[GUEST_SEGMENTS];
	union aot_value imported_global;
	union aot_value *imported_globals[4];
};

/* One guest at a time: helpers get no other argument that leads to it. */
static struct guest *guest_current;
static sigjmp_buf guest_jump;

static void __attribute__((noreturn)) guest_trap(struct aot_instance *self, uint32_t kind)
{
	(void)self;
	siglongjmp(guest_jump, (int)kind);
}

static void guest_fault(int sig, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr, base = (uintptr_t)guest_current->memory.base;
	(void)context;
	if (!base || at - base >= AOT_RESERVE_BYTES) {
		signal(sig, SIG_DFL);
		return; /* ours: fault again, and die of it */
	}
	siglongjmp(guest_jump, AOT_TRAP_MEMORY);
}

static void check(bool ok, uint32_t kind)
{
	if (!ok)
		guest_trap(NULL, kind);
}

static uint32_t op_memory_grow(struct aot_instance *self, uint32_t pages)
{
	struct aot_memory *m = self->memory;
	uint64_t old = m->bytes / AOT_PAGE_BYTES;
	if (old + pages > m->max_pages || (old > 0 && old + pages > 256))
		return UINT32_MAX;
	m->bytes += (uint64_t)pages * AOT_PAGE_BYTES;
	ENSURE(mprotect(m->base, m->bytes, PROT_READ | PROT_WRITE) == 0);
	return (uint32_t)old;
}

static void op_memory_fill(struct aot_instance *self, uint32_t at, uint32_t byte, uint32_t n)
{
	check((uint64_t)at + n <= self->memory->bytes, AOT_TRAP_MEMORY);
	memset(self->mem_base + at, (int)byte, n);
}

static void op_memory_copy(struct aot_instance *self, uint32_t to, uint32_t from, uint32_t n)
{
	check((uint64_t)to + n <= self->memory->bytes, AOT_TRAP_MEMORY);
	check((uint64_t)from + n <= self->memory->bytes, AOT_TRAP_MEMORY);
	memmove(self->mem_base + to, self->mem_base + from, n);
}

static void op_memory_init(struct aot_instance *self, uint32_t segment, uint32_t to, uint32_t from,
			   uint32_t n)
{
	const struct aot_data *d = &guest_current->m->datas[segment];
	uint32_t len = guest_current->data_dropped[segment] ? 0 : d->len;
	check((uint64_t)from + n <= len, AOT_TRAP_MEMORY);
	check((uint64_t)to + n <= self->memory->bytes, AOT_TRAP_MEMORY);
	if (n)
		memcpy(self->mem_base + to, d->bytes + from, n);
}

static void op_data_drop(struct aot_instance *self, uint32_t segment)
{
	(void)self;
	guest_current->data_dropped[segment] = true;
}

static void *op_table_get(struct aot_instance *self, uint32_t table, uint32_t at)
{
	check(at < self->tables[table]->size, AOT_TRAP_TABLE);
	return self->tables[table]->elems[at];
}

static void op_table_set(struct aot_instance *self, uint32_t table, uint32_t at, void *ref)
{
	check(at < self->tables[table]->size, AOT_TRAP_TABLE);
	self->tables[table]->elems[at] = ref;
}

static uint32_t op_table_grow(struct aot_instance *self, uint32_t table, void *ref, uint32_t n)
{
	struct aot_table *t = self->tables[table];
	uint32_t old = t->size;
	if ((uint64_t)old + n > t->max || (uint64_t)old + n > GUEST_TABLE_CAP)
		return UINT32_MAX;
	for (; t->size < old + n; t->size++)
		t->elems[t->size] = ref;
	return old;
}

static void op_table_fill(struct aot_instance *self, uint32_t table, uint32_t at, void *ref,
			  uint32_t n)
{
	check((uint64_t)at + n <= self->tables[table]->size, AOT_TRAP_TABLE);
	for (uint32_t i = 0; i < n; i++)
		self->tables[table]->elems[at + i] = ref;
}

static void op_table_copy(struct aot_instance *self, uint32_t to_table, uint32_t from_table,
			  uint32_t to, uint32_t from, uint32_t n)
{
	struct aot_table *t = self->tables[to_table], *f = self->tables[from_table];
	check((uint64_t)to + n <= t->size && (uint64_t)from + n <= f->size, AOT_TRAP_TABLE);
	memmove(t->elems + to, f->elems + from, n * sizeof(void *));
}

static void *reference(const struct aot_const *c)
{
	return c->kind == AOT_CONST_FUNC ? &guest_current->funcs[c->index] : NULL;
}

static void op_table_init(struct aot_instance *self, uint32_t table, uint32_t segment, uint32_t to,
			  uint32_t from, uint32_t n)
{
	const struct aot_elem *e = &guest_current->m->elems[segment];
	uint32_t len = guest_current->elem_dropped[segment] ? 0 : e->len;
	check((uint64_t)from + n <= len, AOT_TRAP_TABLE);
	check((uint64_t)to + n <= self->tables[table]->size, AOT_TRAP_TABLE);
	for (uint32_t i = 0; i < n; i++)
		self->tables[table]->elems[to + i] = reference(&e->items[from + i]);
}

static void op_elem_drop(struct aot_instance *self, uint32_t segment)
{
	(void)self;
	guest_current->elem_dropped[segment] = true;
}

static const struct aot_ops guest_ops = {
	guest_trap,    op_memory_grow, op_memory_fill, op_memory_copy, op_memory_init,
	op_data_drop,  op_table_get,   op_table_set,   op_table_grow,  op_table_fill,
	op_table_copy, op_table_init,  op_elem_drop,
};

#endif
