/* SPDX-License-Identifier: Apache-2.0 */
/* The sections that declare things (core specification, section 5.5), in their order. */
#include <string.h>

#include "sandbox/wasm/decode.h"

/* ---- types ---- */

static int value_types(struct decoder *d, struct span *ret, const char *limit, uint32_t most)
{
	uint32_t n = 0;
	int err = decode_count(d, limit, most, 1, &n);
	ret->at = d->r.at;
	ret->len = n;
	uint8_t type;
	for (uint32_t i = 0; err == 0 && i < n; i++)
		err = decode_value_type(d, &type);
	return err;
}

static int functype(struct decoder *d, struct aot_functype *ret)
{
	struct span params, results;
	uint8_t form = decode_u8(d);
	if (wasm_form_proposal(form))
		return decode_fail_beyond(d, wasm_form_proposal(form), "type form 0x%02x", form);
	if (form != 0x60)
		return decode_fail(d, -E_INVALID, "malformed function type: 0x%02x, not 0x60",
				   form);
	int err = value_types(d, &params, "params", WASM_MAX_params);
	if (err == 0)
		err = value_types(d, &results, "results", WASM_MAX_results);
	if (err < 0)
		return err;
	uint8_t *types = ARENA_NEW(d->arena, uint8_t, params.len + results.len);
	if (!types)
		return decode_fail_memory(d);
	if (params.len)
		memcpy(types, params.at, params.len);
	if (results.len)
		memcpy(types + params.len, results.at, results.len);
	*ret = (struct aot_functype){ types, (uint32_t)params.len, (uint32_t)results.len };
	return 0;
}

int section_types(struct decoder *d)
{
	uint32_t n = 0;
	int err = DECODE_COUNT(d, types, 3, &n);
	if (err < 0)
		return err;
	struct aot_functype *types = ARENA_NEW(d->arena, struct aot_functype, n);
	if (!types)
		return decode_fail_memory(d);
	for (uint32_t i = 0; err == 0 && i < n; i++)
		err = functype(d, &types[i]);
	d->m->types = types;
	d->m->ntypes = n;
	return err;
}

/* ---- what imports and declarations share ---- */

static int limits(struct decoder *d, uint32_t most, const char *what, struct aot_limits *ret)
{
	uint8_t flags = decode_u8(d);
	if (wasm_limits_proposal(flags))
		return decode_fail_beyond(d, wasm_limits_proposal(flags),
					  "limits flags byte 0x%02x", flags);
	if (flags > 1)
		return decode_fail(d, -E_INVALID, "malformed limits flags 0x%02x", flags);
	struct aot_limits l = { .min = decode_u32(d), .max = UINT32_MAX };
	if (l.min > most)
		return decode_fail(d, -E_INVALID, "a minimum of %u %s is more than %u", l.min, what,
				   most);
	if (flags & 1) {
		l.max = decode_u32(d);
		if (l.max > most)
			return decode_fail(d, -E_INVALID, "a maximum of %u %s is more than %u",
					   l.max, what, most);
		if (l.max < l.min)
			return decode_fail(d, -E_INVALID,
					   "the minimum of %u %s is more than the maximum of %u",
					   l.min, what, l.max);
	}
	*ret = l;
	return 0;
}

static int tabletype(struct decoder *d, struct wasm_table *ret)
{
	int err = 0;
	if (d->r.left > 0 && *d->r.at == 0x40) {
		(void)decode_u8(d);
		return decode_fail_beyond(d, "typed function references",
					  "a table with an initial value");
	}
	err = decode_ref_type(d, &ret->elem_type);
	if (err == 0)
		err = limits(d, UINT32_MAX, "elements", &ret->limits);
	return err ? err : DECODE_LIMIT(d, table_elements, ret->limits.min);
}

static int memtype(struct decoder *d, struct aot_limits *ret)
{
	return limits(d, AOT_PAGES_MAX, "pages", ret);
}

static int globaltype(struct decoder *d, struct aot_globaltype *ret)
{
	int err = decode_value_type(d, &ret->type);
	if (err < 0)
		return err;
	ret->is_mutable = decode_u8(d);
	if (ret->is_mutable > 1)
		return decode_fail(d, -E_INVALID, "malformed mutability 0x%02x of a global",
				   ret->is_mutable);
	return 0;
}

/* ---- imports ---- */

static int import(struct decoder *d, struct wasm_import *i)
{
	struct wasm_table table = { 0 };
	int err = decode_name(d, &i->module);
	if (err == 0)
		err = decode_name(d, &i->name);
	if (err < 0)
		return err;
	uint8_t kind = decode_u8(d);
	i->kind = kind;
	switch (kind) {
	case AOT_EXT_FUNC:
		d->m->nimported_funcs++;
		return decode_index(d, "type", d->m->ntypes, &i->type);
	case AOT_EXT_TABLE:
		d->m->nimported_tables++;
		err = tabletype(d, &table);
		i->limits = table.limits;
		i->elem_type = table.elem_type;
		return err;
	case AOT_EXT_MEMORY:
		d->m->nimported_memories++;
		return memtype(d, &i->limits);
	case AOT_EXT_GLOBAL:
		d->m->nimported_globals++;
		return globaltype(d, &i->global);
	case 4:
		return decode_fail_beyond(d, "exception handling", "an imported tag");
	default:
		return decode_fail(d, -E_INVALID, "malformed import kind 0x%02x", kind);
	}
}

static int one_memory(struct decoder *d, uint32_t n)
{
	d->m->nmemories = n;
	if (n > 1)
		return decode_fail_beyond(d, "multi-memory", "to have %u memories", n);
	return 0;
}

/* Imported things are the first of their index spaces. */
static int import_spaces(struct decoder *d, const struct wasm_import *imports, uint32_t n)
{
	struct wasm_module *m = d->m;
	d->funcs = ARENA_NEW(d->arena, struct wasm_func, m->nimported_funcs);
	d->declared = ARENA_NEW(d->arena, uint8_t, m->nimported_funcs);
	d->tables = ARENA_NEW(d->arena, struct wasm_table, m->nimported_tables);
	d->globals = ARENA_NEW(d->arena, struct wasm_global, m->nimported_globals);
	if (!d->funcs || !d->declared || !d->tables || !d->globals)
		return decode_fail_memory(d);
	for (uint32_t i = 0; i < n; i++) {
		const struct wasm_import *im = &imports[i];
		if (im->kind == AOT_EXT_FUNC)
			d->funcs[m->nfuncs++].type = im->type;
		else if (im->kind == AOT_EXT_TABLE)
			d->tables[m->ntables++] = (struct wasm_table){ im->limits, im->elem_type };
		else if (im->kind == AOT_EXT_GLOBAL)
			d->globals[m->nglobals++].type = im->global;
		else
			m->memory = im->limits;
	}
	return one_memory(d, m->nimported_memories);
}

int section_imports(struct decoder *d)
{
	uint32_t n = 0;
	int err = DECODE_COUNT(d, imports, 4, &n);
	if (err < 0)
		return err;
	struct wasm_import *imports = ARENA_NEW(d->arena, struct wasm_import, n);
	if (!imports)
		return decode_fail_memory(d);
	for (uint32_t i = 0; err == 0 && i < n; i++)
		err = import(d, &imports[i]);
	if (err == 0)
		err = DECODE_LIMIT(d, tables, d->m->nimported_tables);
	if (err < 0)
		return err;
	d->m->imports = imports;
	d->m->nimports = n;
	return import_spaces(d, imports, n);
}

/* ---- functions, tables, memories, globals ---- */

int section_functions(struct decoder *d)
{
	struct wasm_module *m = d->m;
	uint32_t n = 0, first = m->nimported_funcs;
	int err = DECODE_COUNT(d, functions, 1, &n);
	if (err == 0)
		err = DECODE_LIMIT(d, functions, (uint64_t)first + n);
	if (err < 0)
		return err;
	d->funcs = decode_extend(d, d->funcs, first, first + n, sizeof(*d->funcs));
	d->declared = decode_extend(d, d->declared, first, first + n, sizeof(*d->declared));
	if (!d->funcs || !d->declared)
		return decode_fail_memory(d);
	for (uint32_t i = 0; err == 0 && i < n; i++)
		err = decode_index(d, "type", m->ntypes, &d->funcs[first + i].type);
	m->nfuncs = first + n;
	return err;
}

int section_tables(struct decoder *d)
{
	struct wasm_module *m = d->m;
	uint32_t n = 0, first = m->nimported_tables;
	int err = DECODE_COUNT(d, tables, 3, &n);
	if (err == 0)
		err = DECODE_LIMIT(d, tables, (uint64_t)first + n);
	if (err < 0)
		return err;
	d->tables = decode_extend(d, d->tables, first, first + n, sizeof(*d->tables));
	if (!d->tables)
		return decode_fail_memory(d);
	for (uint32_t i = 0; err == 0 && i < n; i++)
		err = tabletype(d, &d->tables[first + i]);
	m->ntables = first + n;
	return err;
}

int section_memories(struct decoder *d)
{
	d->at = d->r.at;
	uint32_t n = rd_leb_count(&d->r, 2);
	if (n > 0 && d->m->nimported_memories + n > 1)
		return one_memory(d, d->m->nimported_memories + n);
	d->m->nmemories += n;
	return n ? memtype(d, &d->m->memory) : 0;
}

int section_globals(struct decoder *d)
{
	struct wasm_module *m = d->m;
	uint32_t n = 0, first = m->nimported_globals;
	int err = DECODE_COUNT(d, globals, 3, &n);
	if (err == 0)
		err = DECODE_LIMIT(d, globals, (uint64_t)first + n);
	if (err < 0)
		return err;
	d->globals = decode_extend(d, d->globals, first, first + n, sizeof(*d->globals));
	if (!d->globals)
		return decode_fail_memory(d);
	for (uint32_t i = first; err == 0 && i < first + n; i++) {
		err = globaltype(d, &d->globals[i].type);
		if (err == 0)
			err = const_expr(d, d->globals[i].type.type, &d->globals[i].init);
	}
	m->nglobals = first + n;
	return err;
}

/* ---- exports, start ---- */

static int export_order(const void *a, const void *b)
{
	const struct span *x = &(*(const struct wasm_export *const *)a)->name;
	const struct span *y = &(*(const struct wasm_export *const *)b)->name;
	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return x->len ? memcmp(x->at, y->at, x->len) : 0;
}

static int exports_differ(struct decoder *d, const struct wasm_export *exports, uint32_t n)
{
	const struct wasm_export **by_name = ARENA_NEW(d->arena, const struct wasm_export *, n);
	if (!by_name)
		return decode_fail_memory(d);
	for (uint32_t i = 0; i < n; i++)
		by_name[i] = &exports[i];
	if (n > 1)
		qsort(by_name, n, sizeof(*by_name), export_order);
	for (uint32_t i = 1; i < n; i++) {
		if (export_order(&by_name[i - 1], &by_name[i]) != 0)
			continue;
		d->at = by_name[i]->name.at;
		return decode_fail(d, -E_INVALID, "duplicate export name");
	}
	return 0;
}

static int export(struct decoder *d, struct wasm_export *e)
{
	const struct {
		const char *what;
		uint32_t count;
	} space[] = {
		[AOT_EXT_FUNC] = { "function", d->m->nfuncs },
		[AOT_EXT_TABLE] = { "table", d->m->ntables },
		[AOT_EXT_MEMORY] = { "memory", d->m->nmemories },
		[AOT_EXT_GLOBAL] = { "global", d->m->nglobals },
	};
	int err = decode_name(d, &e->name);
	if (err < 0)
		return err;
	uint8_t kind = decode_u8(d);
	if (kind == 4)
		return decode_fail_beyond(d, "exception handling", "an exported tag");
	if (kind >= ARRAY_LEN(space))
		return decode_fail(d, -E_INVALID, "malformed export kind 0x%02x", kind);
	e->kind = kind;
	err = decode_index(d, space[kind].what, space[kind].count, &e->index);
	if (err == 0 && kind == AOT_EXT_FUNC)
		d->declared[e->index] = 1;
	return err;
}

int section_exports(struct decoder *d)
{
	uint32_t n = 0;
	int err = DECODE_COUNT(d, exports, 3, &n);
	if (err < 0)
		return err;
	struct wasm_export *exports = ARENA_NEW(d->arena, struct wasm_export, n);
	if (!exports)
		return decode_fail_memory(d);
	for (uint32_t i = 0; err == 0 && i < n; i++)
		err = export(d, &exports[i]);
	d->m->exports = exports;
	d->m->nexports = n;
	return err ? err : exports_differ(d, exports, n);
}

int section_start(struct decoder *d)
{
	uint32_t index = 0;
	int err = decode_index(d, "function", d->m->nfuncs, &index);
	if (err < 0)
		return err;
	const struct aot_functype *t = &d->m->types[d->funcs[index].type];
	if (t->nparams != 0 || t->nresults != 0)
		return decode_fail(d, -E_INVALID,
				   "the start function %u must have no parameters and no results",
				   index);
	d->m->start = index;
	return 0;
}
