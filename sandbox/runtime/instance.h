/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One instance of a module: its memory, tables, globals, functions as values, and the stack it runs
 * on. Instantiation follows the core specification, section 4.5.4, in three steps, because guest
 * code must only run on a guest's stack under a budget:
 *	instance_new()		imports resolved, everything allocated and initialised
 *	instance_populate()	element and data segments copied, in order; may trap
 *	the start function	called by a task (task.h)
 */
#ifndef RUNTIME_INSTANCE_H
#define RUNTIME_INSTANCE_H

#include "base/rd.h"
#include "sandbox/runtime/link.h"
#include "sandbox/runtime/load.h"
#include "sandbox/runtime/memory.h"
#include "sandbox/runtime/stack.h"

struct instance_limits {
	uint32_t memory_pages;
	uint32_t stack_bytes;
	uint32_t table_elems; /* all tables together, in equal shares */
};

enum { INSTANCE_TABLE_ELEMS = 1000000 };

struct instance {
	const struct module *module;
	/* Ring of the instances that import from each other: code of each may run in one call, so
	 * each gets the stack limit, and a fault in each is the guest's. */
	struct instance *linked;
	struct memory memory;     /* its own; only address space when it imports one or has none */
	struct aot_table *tables; /* its own */
	struct aot_table **table_ptrs; /* by index, imported first */
	/* As declared by the instances that own them; by table index. */
	struct aot_limits *table_limits, memory_limits;
	struct aot_funcref *imports, *funcs;
	union aot_value **imported_globals;
	uint8_t *data_dropped, *elem_dropped; /* by segment */
	bool tables_written; /* or grown, or a segment dropped, since whoever asks cleared it */
	struct stack stack;
	struct instance *next_idle; /* function.c */
	void **fresh_elems;         /* image.c: tables and globals to begin each event with */
	union aot_value *fresh_globals;
	struct aot_instance aot; /* last: its globals follow */
};

/* -E_UNKNOWN, -E_INVALID (an import that is not there or of another type, both named), -E_LIMIT,
 * -ENOMEM. The module must outlive the instance. */
int instance_new(const struct module *m, const struct resolver *resolver,
		 const struct instance_limits *limits, struct instance **ret,
		 struct why *why) MUST_USE;
/* Clears the memory and applies active segments. Returns AOT_TRAP_NONE, or why it trapped (INIT: no
 * memory); what was written before that stays written. */
enum aot_trap instance_populate(struct instance *in);
void instance_free(struct instance *in);

static inline struct instance *instance_of(struct aot_instance *self)
{
	return CONTAINER_OF(self, struct instance, aot);
}

/* An export, for others to import. -E_UNKNOWN. */
int instance_export(struct instance *in, const char *name, size_t len,
		    struct external *ret) MUST_USE;
/* Before a call into it: where frames have to stop, for it and all that are linked with it. */
void instance_set_stack(struct instance *in, const struct stack *s);
/* Does guest code that runs on behalf of `in` lie at pc, and whose is it? NULL if not. */
struct instance *instance_at(struct instance *in, uintptr_t pc);

#endif
