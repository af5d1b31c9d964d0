/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct aot_module and all it points to, as constants of the object. Each C structure of
 * proto/aot_abi.h is written field by field as an anonymous LLVM structure with the same layout;
 * the assertions below fail when a field is added there and not here.
 */
#include "sandbox/compiler/debug.h"

_Static_assert(sizeof(struct aot_functype) == 16, "functype()");
_Static_assert(sizeof(struct aot_import) == 48, "import()");
_Static_assert(sizeof(struct aot_export) == 24, "export()");
_Static_assert(sizeof(struct aot_tabletype) == 12, "tables()");
_Static_assert(sizeof(struct aot_global) == 48, "globals()");
_Static_assert(sizeof(struct aot_data) == 48, "data()");
_Static_assert(sizeof(struct aot_elem) == 64, "elem()");
_Static_assert(sizeof(struct aot_module) == 64 + 8 + 17 * 8, "descriptor_emit()");
_Static_assert(sizeof(struct aot_chunk) == 12, "chunk()");

#define STRUCT(g, ...)                                                                             \
	LLVMConstStructInContext((g)->ctx, (LLVMValueRef[]){ __VA_ARGS__ },                        \
				 sizeof((LLVMValueRef[]){ __VA_ARGS__ }) / sizeof(LLVMValueRef),   \
				 false)

static LLVMValueRef u8(struct gen *g, uint8_t v)
{
	return LLVMConstInt(g->i8, v, false);
}

static LLVMValueRef null(struct gen *g)
{
	return LLVMConstNull(g->ptr);
}

static LLVMValueRef constant(struct gen *g, LLVMValueRef value, unsigned align)
{
	LLVMValueRef v = LLVMAddGlobal(g->mod, LLVMTypeOf(value), "");
	LLVMSetInitializer(v, value);
	LLVMSetGlobalConstant(v, true);
	LLVMSetLinkage(v, LLVMPrivateLinkage);
	LLVMSetUnnamedAddress(v, LLVMGlobalUnnamedAddr);
	LLVMSetAlignment(v, align);
	return v;
}

static LLVMValueRef bytes(struct gen *g, const void *p, size_t n, bool terminated)
{
	const char *s = n ? p : "";
	return constant(g, LLVMConstStringInContext2(g->ctx, s, n, !terminated), 1);
}

/* An array of what make() gives for 0..n-1; NULL where n is 0. */
typedef LLVMValueRef make_row(struct gen *g, uint32_t i);
static LLVMValueRef array(struct gen *g, uint32_t n, make_row *make)
{
	if (n == 0)
		return null(g);
	LLVMValueRef *rows = gen_alloc(n, sizeof(rows[0]));
	for (uint32_t i = 0; i < n; i++)
		rows[i] = make(g, i);
	LLVMValueRef v = constant(g, LLVMConstArray2(LLVMTypeOf(rows[0]), rows, n), 16);
	free(rows);
	return v;
}

static LLVMValueRef functype(struct gen *g, uint32_t i)
{
	const struct aot_functype *t = &g->m->types[i];
	return STRUCT(g, bytes(g, t->types, (size_t)t->nparams + t->nresults, false),
		      gen_i32(g, t->nparams), gen_i32(g, t->nresults));
}

static LLVMValueRef limits(struct gen *g, struct aot_limits l)
{
	return STRUCT(g, gen_i32(g, l.min), gen_i32(g, l.max));
}

static LLVMValueRef globaltype(struct gen *g, struct aot_globaltype t)
{
	return STRUCT(g, u8(g, t.type), u8(g, t.is_mutable), u8(g, 0), u8(g, 0));
}

static LLVMValueRef import(struct gen *g, uint32_t i)
{
	const struct wasm_import *im = &g->m->imports[i];
	return STRUCT(g, bytes(g, im->module.at, im->module.len, true),
		      bytes(g, im->name.at, im->name.len, true),
		      gen_i32(g, (uint32_t)im->module.len), gen_i32(g, (uint32_t)im->name.len),
		      gen_i32(g, im->kind), gen_i32(g, im->type), limits(g, im->limits),
		      u8(g, im->elem_type), u8(g, 0), u8(g, 0), u8(g, 0),
		      globaltype(g, im->global));
}

static LLVMValueRef export(struct gen *g, uint32_t i)
{
	const struct wasm_export *e = &g->m->exports[i];
	return STRUCT(g, bytes(g, e->name.at, e->name.len, true), gen_i32(g, (uint32_t)e->name.len),
		      gen_i32(g, e->kind), gen_i32(g, e->index), gen_i32(g, 0));
}

static LLVMValueRef const_expr(struct gen *g, const struct aot_const *c)
{
	return STRUCT(g, gen_i32(g, c->kind), gen_i32(g, c->index), gen_i64(g, 0),
		      gen_i64(g, c->value.u64[0]), gen_i64(g, c->value.u64[1]));
}

static LLVMValueRef own_table(struct gen *g, uint32_t i)
{
	const struct wasm_table *t = &g->m->tables[g->m->nimported_tables + i];
	return STRUCT(g, limits(g, t->limits), gen_i32(g, t->elem_type));
}

static LLVMValueRef own_global(struct gen *g, uint32_t i)
{
	const struct wasm_global *v = &g->m->globals[g->m->nimported_globals + i];
	LLVMValueRef zero = gen_i32(g, 0);
	return STRUCT(g, globaltype(g, v->type), zero, zero, zero, const_expr(g, &v->init));
}

static LLVMValueRef data(struct gen *g, uint32_t i)
{
	const struct wasm_data *d = &g->m->datas[i];
	return STRUCT(g, gen_i32(g, d->mode), gen_i32(g, (uint32_t)d->bytes.len),
		      bytes(g, d->bytes.at, d->bytes.len, false), const_expr(g, &d->offset));
}

static LLVMValueRef elem(struct gen *g, uint32_t i)
{
	const struct wasm_elem *e = &g->m->elems[i];
	LLVMValueRef items = null(g);
	if (e->len) {
		LLVMValueRef *rows = gen_alloc(e->len, sizeof(rows[0]));
		for (uint32_t k = 0; k < e->len; k++)
			rows[k] = const_expr(g, &e->items[k]);
		items = constant(g, LLVMConstArray2(LLVMTypeOf(rows[0]), rows, e->len), 16);
		free(rows);
	}
	return STRUCT(g, gen_i32(g, e->mode), gen_i32(g, e->table), gen_i32(g, e->type),
		      gen_i32(g, e->len), items, gen_i64(g, 0), const_expr(g, &e->offset));
}

static LLVMValueRef func_type(struct gen *g, uint32_t i)
{
	return gen_i32(g, g->m->funcs[i].type);
}

static LLVMValueRef func_code(struct gen *g, uint32_t i)
{
	return gen_func(g, g->m->nimported_funcs + i);
}

/* As the author wrote it; what would disturb a terminal or a log is replaced. */
static LLVMValueRef func_name(struct gen *g, uint32_t i)
{
	char name[256];
	struct span s = g->m->funcs[i].name;
	size_t n = 0;
	for (; n < s.len && n < sizeof(name); n++)
		name[n] = s.at[n] < 0x20 || s.at[n] == 0x7f ? '?' : (char)s.at[n];
	while (n < s.len && n > 0 && (s.at[n] & 0xc0) == 0x80)
		n--; /* not in the middle of a character */
	if (n == 0)
		n = (size_t)snprintf(name, sizeof(name), "f%u", i);
	return bytes(g, name, n, true);
}

static LLVMValueRef chunk(struct gen *g, uint32_t i)
{
	const struct chunk *c = &g->chunks->at[i];
	return STRUCT(g, gen_i32(g, c->first), gen_i32(g, c->end - c->first),
		      gen_i32(g, (uint32_t)c->base));
}

/* Thunks for the types of functions that exist; others cannot be invoked. */
static LLVMValueRef invokers(struct gen *g)
{
	const struct wasm_module *m = g->m;
	LLVMValueRef *rows = gen_alloc(m->ntypes, sizeof(rows[0]));
	for (uint32_t i = 0; i < m->nfuncs; i++) {
		uint32_t type = m->funcs[i].type;
		if (!rows[type])
			rows[type] = thunk_emit(g, type);
	}
	for (uint32_t i = 0; i < m->ntypes; i++)
		rows[i] = rows[i] ? rows[i] : null(g);
	LLVMValueRef v =
		m->ntypes ? constant(g, LLVMConstArray2(g->ptr, rows, m->ntypes), 16) : null(g);
	free(rows);
	return v;
}

/* The linker defines __start_S and __stop_S for a section whose name S is an identifier. */
static LLVMValueRef section_bound(struct gen *g, const char *name)
{
	if (g->m->nfuncs == g->m->nimported_funcs)
		return null(g);
	LLVMValueRef v = LLVMAddGlobal(g->mod, g->i8, name);
	LLVMSetVisibility(v, LLVMHiddenVisibility);
	return v;
}

void descriptor_emit(struct gen *g)
{
	const struct wasm_module *m = g->m;
	uint32_t counts[] = {
		AOT_ABI_VERSION,
		g->o->bounds_check ? AOT_BOUNDS_CHECK : AOT_BOUNDS_GUARD,
		m->ntypes,
		m->nimports,
		m->nexports,
		m->nfuncs,
		m->nimported_funcs,
		m->ntables,
		m->nimported_tables,
		m->nglobals,
		m->nimported_globals,
		m->nmemories,
		m->nimported_memories,
		m->ndatas,
		m->nelems,
		m->start,
		m->memory.min,
		m->memory.max,
	};
	LLVMValueRef fields[ARRAY_LEN(counts) + 16 + 2];
	size_t n = 0;
	for (; n < ARRAY_LEN(counts); n++)
		fields[n] = gen_i32(g, counts[n]);
	LLVMValueRef pointers[] = {
		array(g, m->ntypes, functype),
		g->type_ids,
		invokers(g),
		array(g, m->nimports, import),
		array(g, m->nexports, export),
		array(g, m->nfuncs, func_type),
		array(g, m->nfuncs - m->nimported_funcs, func_code),
		array(g, m->nfuncs, func_name),
		array(g, m->ntables - m->nimported_tables, own_table),
		array(g, m->nglobals - m->nimported_globals, own_global),
		array(g, m->ndatas, data),
		array(g, m->nelems, elem),
		section_bound(g, "__start_" GUEST_SECTION),
		section_bound(g, "__stop_" GUEST_SECTION),
		section_bound(g, "__start_" DEBUG_SECTION),
		array(g, (uint32_t)g->chunks->n, chunk),
	};
	for (size_t i = 0; i < ARRAY_LEN(pointers); i++)
		fields[n++] = pointers[i];
	fields[n++] = gen_i32(g, (uint32_t)g->chunks->n);
	fields[n++] = gen_i32(g, 0);
	LLVMValueRef value = LLVMConstStructInContext(g->ctx, fields, (unsigned)n, false);
	LLVMValueRef v = LLVMAddGlobal(g->mod, LLVMTypeOf(value), AOT_MODULE_SYMBOL);
	LLVMSetInitializer(v, value);
	LLVMSetGlobalConstant(v, true);
	LLVMSetVisibility(v, LLVMDefaultVisibility);
	LLVMSetAlignment(v, 16);
}
