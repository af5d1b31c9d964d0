/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/instance.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/runtime/ops.h"

static int differs(const struct aot_import *imp, const char *want, const char *have,
		   struct why *why)
{
	return why_set(why, -E_INVALID, "import %s.%s is declared as %s, but it is %s", imp->module,
		       imp->name, want, have);
}

static int check_func(const struct instance *in, const struct aot_import *imp,
		      const struct external *e, struct why *why)
{
	char want[160], have[160];
	const struct module *m = in->module;
	if (m->aot->type_ids[imp->type] == e->func.type)
		return 0;
	struct wr w = wr_into(want, sizeof(want) - 1), h = wr_into(have, sizeof(have) - 1);
	types_text(&m->aot->types[imp->type], &w);
	types_text_of_id(m->types, e->func.type, &h);
	want[w.len] = have[h.len] = '\0';
	return differs(imp, want, have, why);
}

/* Core specification 4.5.3: the thing's current size and declared maximum fit the declaration. */
static bool limits_fit(struct aot_limits want, uint64_t size, uint32_t declared_max)
{
	return size >= want.min && (want.max == UINT32_MAX || declared_max <= want.max);
}

static int check_import(const struct instance *in, const struct aot_import *imp,
			const struct external *e, struct why *why)
{
	static const char *const kinds[] = { "a function", "a table", "a memory", "a global" };
	if (e->kind != imp->kind)
		return differs(imp, kinds[imp->kind], kinds[e->kind], why);
	switch (e->kind) {
	case AOT_EXT_FUNC:
		return check_func(in, imp, e, why);
	case AOT_EXT_TABLE:
		if (e->elem_type != imp->elem_type)
			return differs(imp, types_value_name(imp->elem_type),
				       types_value_name(e->elem_type), why);
		if (!limits_fit(imp->limits, e->table->size, e->table_limits.max))
			return differs(imp, "a larger table", "of other limits", why);
		return 0;
	case AOT_EXT_MEMORY:
		if (!limits_fit(imp->limits, e->memory->aot.bytes / AOT_PAGE_BYTES,
				e->memory_limits.max))
			return differs(imp, "a memory of these limits", "of other limits", why);
		return 0;
	case AOT_EXT_GLOBAL:
		if (e->global_type.type != imp->global.type ||
		    e->global_type.is_mutable != imp->global.is_mutable)
			return differs(imp, types_value_name(imp->global.type),
				       types_value_name(e->global_type.type), why);
		return 0;
	}
	return -E_INVALID;
}

static void link_with(struct instance *in, struct instance *other)
{
	for (struct instance *i = in->linked; i != in; i = i->linked)
		if (i == other)
			return;
	if (!other || other == in)
		return;
	struct instance *next = in->linked; /* joins two rings into one */
	in->linked = other->linked;
	other->linked = next;
}

static int resolve(struct instance *in, const struct resolver *r, struct why *why)
{
	const struct aot_module *a = in->module->aot;
	uint32_t nfuncs = 0, ntables = 0, nglobals = 0;
	for (uint32_t i = 0; i < a->nimports; i++) {
		const struct aot_import *imp = &a->imports[i];
		struct external e = { 0 };
		int err = r->find(r->arg, imp, &e);
		if (err < 0) {
			char type[160] = "";
			struct wr w = wr_into(type, sizeof(type) - 1);
			if (imp->kind == AOT_EXT_FUNC)
				types_text(&a->types[imp->type], &w);
			type[w.len] = '\0';
			return why_set(why, err, "unknown import %s.%s %s", imp->module, imp->name,
				       type);
		}
		err = check_import(in, imp, &e, why);
		if (err < 0)
			return err;
		switch (e.kind) {
		case AOT_EXT_FUNC:
			if (!e.func.instance)
				e.func.instance = &in->aot;
			in->imports[nfuncs++] = e.func;
			break;
		case AOT_EXT_TABLE:
			in->table_limits[ntables] = e.table_limits;
			in->table_ptrs[ntables++] = e.table;
			break;
		case AOT_EXT_MEMORY:
			in->memory_limits = e.memory_limits;
			in->aot.memory = &e.memory->aot;
			break;
		case AOT_EXT_GLOBAL:
			in->imported_globals[nglobals++] = e.global;
			break;
		}
		link_with(in, e.owner);
	}
	return 0;
}

static union aot_value const_value(const struct instance *in, const struct aot_const *c)
{
	union aot_value v = { .u64 = { 0, 0 } };
	switch (c->kind) {
	case AOT_CONST_VALUE:
		return c->value;
	case AOT_CONST_GLOBAL: {
		uint32_t nimported = in->module->aot->nimported_globals;
		return c->index < nimported ? *in->imported_globals[c->index]
					    : in->aot.globals[c->index - nimported];
	}
	case AOT_CONST_FUNC:
		v.ref = &in->funcs[c->index];
		return v;
	default:
		return v;
	}
}

static int make_tables(struct instance *in, uint32_t most, struct why *why)
{
	const struct aot_module *a = in->module->aot;
	uint32_t own = a->ntables - a->nimported_tables;
	most /= own > 0 ? own : 1;
	for (uint32_t i = 0; i < own; i++) {
		struct aot_limits l = a->tables[i].limits;
		struct aot_table *t = &in->tables[i];
		in->table_ptrs[a->nimported_tables + i] = t;
		in->table_limits[a->nimported_tables + i] = l;
		if (l.min > most)
			return why_set(why, -E_LIMIT, "table %u needs %u elements, it may have %u",
				       i, l.min, most);
		t->elems = calloc(l.min ? l.min : 1, sizeof(*t->elems));
		if (!t->elems)
			return why_set(why, -ENOMEM, "no memory for table %u", i);
		t->size = l.min;
		t->max = l.max < most ? l.max : most;
	}
	return 0;
}

/* And the stack, in the same reservation: one mapping less, and page tables of their own for neither. */
static int make_memory(struct instance *in, const struct instance_limits *limits, struct why *why)
{
	const struct aot_module *a = in->module->aot;
	struct aot_limits l = a->memory;
	size_t front;
	int err = stack_map_bytes(limits->stack_bytes, &front, why);
	if (err < 0)
		return err;
	if (a->nmemories > a->nimported_memories) {
		in->memory_limits = l;
		if (l.max > limits->memory_pages)
			l.max = limits->memory_pages;
		err = memory_init(&in->memory, l, a->bounds == AOT_BOUNDS_GUARD, front, why);
		in->aot.memory = &in->memory.aot;
	} else {
		err = memory_init_none(&in->memory, front, why);
	}
	if (err < 0)
		return err;
	in->aot.mem_base = in->aot.memory ? in->aot.memory->base : NULL;
	return stack_init(&in->stack, in->memory.map, front, why);
}

static void make_funcs_and_globals(struct instance *in)
{
	const struct aot_module *a = in->module->aot;
	for (uint32_t i = 0; i < a->nfuncs; i++)
		in->funcs[i] = i < a->nimported_funcs
				       ? in->imports[i]
				       : (struct aot_funcref){
						 .code = a->func_code[i - a->nimported_funcs],
						 .instance = &in->aot,
						 .type = a->type_ids[a->func_types[i]],
					 };
	for (uint32_t i = 0; i < a->nglobals - a->nimported_globals; i++)
		in->aot.globals[i] = const_value(in, &a->globals[i].init);
}

static bool alloc_parts(struct instance *in)
{
	const struct aot_module *a = in->module->aot;
#define PART(field, count) ((in->field = calloc((count) + 1, sizeof(*in->field))) != NULL)
	return PART(imports, (size_t)a->nimported_funcs) && PART(funcs, (size_t)a->nfuncs) &&
	       PART(tables, (size_t)a->ntables) && PART(table_ptrs, (size_t)a->ntables) &&
	       PART(table_limits, (size_t)a->ntables) &&
	       PART(imported_globals, (size_t)a->nimported_globals) &&
	       PART(data_dropped, (size_t)a->ndatas) && PART(elem_dropped, (size_t)a->nelems);
#undef PART
}

int instance_new(const struct module *m, const struct resolver *resolver,
		 const struct instance_limits *limits, struct instance **ret, struct why *why)
{
	const struct aot_module *a = m->aot;
	size_t own_globals = a->nglobals - a->nimported_globals;
	size_t bytes = sizeof(struct instance) + own_globals * sizeof(union aot_value);
	int err = -ENOMEM;
	struct instance *in = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
	if (!in)
		return why_set(why, err, "no memory for an instance");
	memset(in, 0, bytes);
	in->module = m;
	in->linked = in;
	if (!alloc_parts(in)) {
		(void)why_set(why, err, "no memory for an instance");
		goto undo;
	}
	in->aot.ops = &ops_table;
	in->aot.tables = in->table_ptrs;
	in->aot.imports = in->imports;
	in->aot.imported_globals = in->imported_globals;
	in->aot.funcs = in->funcs;
	if ((err = resolve(in, resolver, why)) < 0 ||
	    (err = make_tables(in, limits->table_elems, why)) < 0 ||
	    (err = make_memory(in, limits, why)) < 0)
		goto undo;
	make_funcs_and_globals(in);
	*ret = in;
	return 0;
undo:;
	instance_free(in);
	return err;
}

void instance_free(struct instance *in)
{
	if (!in)
		return;
	struct instance *before = in;
	while (before->linked != in)
		before = before->linked;
	before->linked = in->linked;
	const struct aot_module *a = in->module->aot;
	for (uint32_t i = 0; in->tables && i < a->ntables; i++)
		free(in->tables[i].elems);
	free(in->imports);
	free(in->funcs);
	free(in->tables);
	free(in->table_ptrs);
	free(in->table_limits);
	free(in->imported_globals);
	free(in->data_dropped);
	free(in->elem_dropped);
	free(in->fresh_elems);
	free(in->fresh_globals);
	stack_fini(&in->stack);
	memory_fini(&in->memory);
	free(in);
}

static bool elem_apply(struct instance *in, uint32_t segment)
{
	const struct aot_elem *e = &in->module->aot->elems[segment];
	if (e->mode == AOT_SEG_ACTIVE) {
		uint32_t to = const_value(in, &e->offset).i32;
		struct aot_table *t = in->table_ptrs[e->table];
		if ((uint64_t)to + e->len > t->size)
			return false;
		for (uint32_t i = 0; i < e->len; i++)
			t->elems[to + i] = const_value(in, &e->items[i]).ref;
	}
	if (e->mode != AOT_SEG_PASSIVE)
		in->elem_dropped[segment] = 1;
	return true;
}

static bool data_apply(struct instance *in, uint32_t segment)
{
	const struct aot_data *d = &in->module->aot->datas[segment];
	if (d->mode != AOT_SEG_ACTIVE)
		return true;
	uint32_t to = const_value(in, &d->offset).i32;
	if ((uint64_t)to + d->len > in->aot.memory->bytes)
		return false;
	if (d->len > 0)
		memcpy(in->aot.mem_base + to, d->bytes, d->len);
	in->data_dropped[segment] = 1;
	return true;
}

enum aot_trap instance_populate(struct instance *in)
{
	const struct aot_module *a = in->module->aot;
	if (memory_clear(&in->memory) < 0)
		return AOT_TRAP_INIT;
	for (uint32_t i = 0; i < a->nelems; i++)
		if (!elem_apply(in, i))
			return AOT_TRAP_TABLE;
	for (uint32_t i = 0; i < a->ndatas; i++)
		if (!data_apply(in, i))
			return AOT_TRAP_MEMORY;
	return AOT_TRAP_NONE;
}

static void export_global(struct instance *in, uint32_t index, struct external *ret)
{
	const struct aot_module *a = in->module->aot;
	if (index >= a->nimported_globals) {
		ret->global = &in->aot.globals[index - a->nimported_globals];
		ret->global_type = a->globals[index - a->nimported_globals].type;
		return;
	}
	ret->global = in->imported_globals[index];
	for (uint32_t i = 0, n = 0; i < a->nimports; i++)
		if (a->imports[i].kind == AOT_EXT_GLOBAL && n++ == index)
			ret->global_type = a->imports[i].global;
}

static void export_table(struct instance *in, uint32_t index, struct external *ret)
{
	const struct aot_module *a = in->module->aot;
	ret->table = in->table_ptrs[index];
	ret->table_limits = in->table_limits[index];
	if (index >= a->nimported_tables) {
		ret->elem_type = (uint8_t)a->tables[index - a->nimported_tables].elem_type;
		return;
	}
	for (uint32_t i = 0, n = 0; i < a->nimports; i++)
		if (a->imports[i].kind == AOT_EXT_TABLE && n++ == index)
			ret->elem_type = a->imports[i].elem_type;
}

int instance_export(struct instance *in, const char *name, size_t len, struct external *ret)
{
	const struct aot_module *a = in->module->aot;
	const struct aot_export *e = NULL;
	for (uint32_t i = 0; i < a->nexports && !e; i++)
		if (a->exports[i].name_len == len && memcmp(a->exports[i].name, name, len) == 0)
			e = &a->exports[i];
	if (!e)
		return -E_UNKNOWN;
	*ret = (struct external){ .kind = e->kind, .owner = in };
	switch (ret->kind) {
	case AOT_EXT_FUNC:
		ret->func = in->funcs[e->index];
		break;
	case AOT_EXT_TABLE:
		export_table(in, e->index, ret);
		break;
	case AOT_EXT_MEMORY:
		ret->memory = CONTAINER_OF(in->aot.memory, struct memory, aot);
		ret->memory_limits = in->memory_limits;
		break;
	case AOT_EXT_GLOBAL:
		export_global(in, e->index, ret);
		break;
	}
	return 0;
}

void instance_set_stack(struct instance *in, const struct stack *s)
{
	struct instance *i = in;
	do {
		i->aot.stack_limit = stack_limit(s);
		i = i->linked;
	} while (i != in);
}

struct instance *instance_at(struct instance *in, uintptr_t pc)
{
	struct instance *i = in;
	do {
		if (module_has_code_at(i->module, pc))
			return i;
		i = i->linked;
	} while (i != in);
	return NULL;
}
