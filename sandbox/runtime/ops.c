/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/ops.h"

#include <stdlib.h>
#include <string.h>

#include "sandbox/runtime/task.h"

/* Inside the guest's call instruction. */
#define GUEST_PC ((uintptr_t)__builtin_return_address(0) - 1)

/* Long fills and copies look for a tick after so many bytes: some 50 us. */
enum { STRETCH_BYTES = 1 << 20 };

static void __attribute__((noreturn)) trap_at(uintptr_t pc, enum aot_trap kind)
{
	task_trap(task_current(), kind, pc, NULL);
}

static void __attribute__((noreturn)) op_trap(struct aot_instance *self, uint32_t kind)
{
	(void)self;
	trap_at(GUEST_PC, kind);
}

static uint32_t op_memory_grow(struct aot_instance *self, uint32_t pages)
{
	return memory_grow(self->memory, pages);
}

static bool in_memory(const struct aot_instance *self, uint32_t at, uint32_t n)
{
	return (uint64_t)at + n <= self->memory->bytes;
}

static void stretch_done(uintptr_t pc)
{
	struct task *t = task_current();
	t->host_pc = pc;
	task_checkpoint(t);
}

static void op_memory_fill(struct aot_instance *self, uint32_t at, uint32_t byte, uint32_t n)
{
	uintptr_t pc = GUEST_PC;
	if (!in_memory(self, at, n))
		trap_at(pc, AOT_TRAP_MEMORY);
	while (n > STRETCH_BYTES) {
		memset(self->mem_base + at, (int)(byte & 0xff), STRETCH_BYTES);
		at += STRETCH_BYTES;
		n -= STRETCH_BYTES;
		stretch_done(pc);
	}
	if (n > 0)
		memset(self->mem_base + at, (int)(byte & 0xff), n);
}

static void op_memory_copy(struct aot_instance *self, uint32_t to, uint32_t from, uint32_t n)
{
	uintptr_t pc = GUEST_PC;
	if (!in_memory(self, to, n) || !in_memory(self, from, n))
		trap_at(pc, AOT_TRAP_MEMORY);
	while (n > STRETCH_BYTES) {
		n -= STRETCH_BYTES;
		/* The end first when it moves up, else the start: no byte is overwritten before
		 * it was copied. */
		if (to > from) {
			memmove(self->mem_base + to + n, self->mem_base + from + n, STRETCH_BYTES);
		} else {
			memmove(self->mem_base + to, self->mem_base + from, STRETCH_BYTES);
			to += STRETCH_BYTES;
			from += STRETCH_BYTES;
		}
		stretch_done(pc);
	}
	if (n > 0)
		memmove(self->mem_base + to, self->mem_base + from, n);
}

static void op_memory_init(struct aot_instance *self, uint32_t segment, uint32_t to, uint32_t from,
			   uint32_t n)
{
	const struct instance *in = instance_of(self);
	const struct aot_data *d = &in->module->aot->datas[segment];
	uint32_t len = in->data_dropped[segment] ? 0 : d->len;
	if ((uint64_t)from + n > len || !in_memory(self, to, n))
		trap_at(GUEST_PC, AOT_TRAP_MEMORY);
	if (n > 0)
		memcpy(self->mem_base + to, d->bytes + from, n);
}

static void op_data_drop(struct aot_instance *self, uint32_t segment)
{
	struct instance *in = instance_of(self);
	in->tables_written = true;
	in->data_dropped[segment] = 1;
}

static bool in_table(const struct aot_table *t, uint32_t at, uint32_t n)
{
	return (uint64_t)at + n <= t->size;
}

static void *op_table_get(struct aot_instance *self, uint32_t table, uint32_t at)
{
	const struct aot_table *t = self->tables[table];
	if (at >= t->size)
		trap_at(GUEST_PC, AOT_TRAP_TABLE);
	return t->elems[at];
}

static void op_table_set(struct aot_instance *self, uint32_t table, uint32_t at, void *ref)
{
	struct aot_table *t = self->tables[table];
	if (at >= t->size)
		trap_at(GUEST_PC, AOT_TRAP_TABLE);
	instance_of(self)->tables_written = true;
	t->elems[at] = ref;
}

static void fill(struct aot_table *t, uint32_t at, void *ref, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		t->elems[at + i] = ref;
}

static uint32_t op_table_grow(struct aot_instance *self, uint32_t table, void *ref, uint32_t n)
{
	struct aot_table *t = self->tables[table];
	uint32_t old = t->size;
	if (n > t->max - old)
		return UINT32_MAX;
	if (n == 0)
		return old;
	void **grown = realloc(t->elems, ((size_t)old + n) * sizeof(*grown));
	if (!grown)
		return UINT32_MAX;
	instance_of(self)->tables_written = true;
	t->elems = grown;
	t->size = old + n;
	fill(t, old, ref, n);
	return old;
}

static void op_table_fill(struct aot_instance *self, uint32_t table, uint32_t at, void *ref,
			  uint32_t n)
{
	struct aot_table *t = self->tables[table];
	if (!in_table(t, at, n))
		trap_at(GUEST_PC, AOT_TRAP_TABLE);
	instance_of(self)->tables_written = true;
	fill(t, at, ref, n);
}

static void op_table_copy(struct aot_instance *self, uint32_t to_table, uint32_t from_table,
			  uint32_t to, uint32_t from, uint32_t n)
{
	struct aot_table *dst = self->tables[to_table];
	const struct aot_table *src = self->tables[from_table];
	if (!in_table(dst, to, n) || !in_table(src, from, n))
		trap_at(GUEST_PC, AOT_TRAP_TABLE);
	instance_of(self)->tables_written = true;
	if (n > 0)
		memmove(dst->elems + to, src->elems + from, (size_t)n * sizeof(*src->elems));
}

static void *item_ref(const struct instance *in, const struct aot_const *c)
{
	if (c->kind == AOT_CONST_FUNC)
		return &in->funcs[c->index];
	uint32_t nimported = in->module->aot->nimported_globals;
	if (c->kind == AOT_CONST_GLOBAL)
		return c->index < nimported ? in->imported_globals[c->index]->ref
					    : in->aot.globals[c->index - nimported].ref;
	return NULL;
}

static void op_table_init(struct aot_instance *self, uint32_t table, uint32_t segment, uint32_t to,
			  uint32_t from, uint32_t n)
{
	struct instance *in = instance_of(self);
	const struct aot_elem *e = &in->module->aot->elems[segment];
	struct aot_table *t = self->tables[table];
	uint32_t len = in->elem_dropped[segment] ? 0 : e->len;
	if ((uint64_t)from + n > len || !in_table(t, to, n))
		trap_at(GUEST_PC, AOT_TRAP_TABLE);
	in->tables_written = true;
	for (uint32_t i = 0; i < n; i++)
		t->elems[to + i] = item_ref(in, &e->items[from + i]);
}

static void op_elem_drop(struct aot_instance *self, uint32_t segment)
{
	struct instance *in = instance_of(self);
	in->tables_written = true;
	in->elem_dropped[segment] = 1;
}

const struct aot_ops ops_table = {
	.trap = op_trap,
	.memory_grow = op_memory_grow,
	.memory_fill = op_memory_fill,
	.memory_copy = op_memory_copy,
	.memory_init = op_memory_init,
	.data_drop = op_data_drop,
	.table_get = op_table_get,
	.table_set = op_table_set,
	.table_grow = op_table_grow,
	.table_fill = op_table_fill,
	.table_copy = op_table_copy,
	.table_init = op_table_init,
	.elem_drop = op_elem_drop,
};
