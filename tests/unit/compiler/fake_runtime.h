/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least of a runtime that compiled code can live in: compile, link, load, instantiate, call.
 * It takes every import of a function to be env.add1, and of a global to be 666.
 */
#ifndef TESTS_COMPILER_FAKE_RUNTIME_H
#define TESTS_COMPILER_FAKE_RUNTIME_H

#include <dlfcn.h>

#include "base/own.h"
#include "sandbox/compiler/compile.h"
#include "sandbox/compiler/link.h"
#include "tests/unit/compiler/fake_ops.h"

/* The one host function there is: env.add1. */
static uint32_t host_add1(struct aot_instance *self, uint32_t v)
{
	(void)self;
	return v + 1;
}

static bool same_type(const struct aot_functype *a, const struct aot_functype *b)
{
	return a->nparams == b->nparams && a->nresults == b->nresults &&
	       memcmp(a->types, b->types, a->nparams + a->nresults) == 0;
}

static union aot_value guest_const(const struct guest *g, const struct aot_const *c)
{
	if (c->kind == AOT_CONST_GLOBAL)
		return *g->imported_globals[c->index];
	return c->kind == AOT_CONST_VALUE ? c->value : (union aot_value){ .ref = reference(c) };
}

static void guest_make_functions(struct guest *g)
{
	const struct aot_module *m = g->m;
	for (uint32_t i = 0; i < m->ntypes; i++) {
		uint32_t first = 0;
		while (!same_type(&m->types[first], &m->types[i]))
			first++;
		m->type_ids[i] = first;
	}
	g->funcs = calloc(m->nfuncs + 1, sizeof(g->funcs[0]));
	for (uint32_t i = 0; i < m->nfuncs; i++) {
		g->funcs[i] = (struct aot_funcref){
			.code = i < m->nimported_funcs ? (void *)host_add1
						       : m->func_code[i - m->nimported_funcs],
			.instance = g->i,
			.type = m->type_ids[m->func_types[i]],
		};
	}
}

static void guest_make_storage(struct guest *g)
{
	const struct aot_module *m = g->m;
	ENSURE(m->ntables <= GUEST_TABLES && m->nelems <= GUEST_SEGMENTS &&
	       m->ndatas <= GUEST_SEGMENTS && m->nimported_globals <= 4);
	if (m->nmemories) {
		/* Where accesses are checked none faults: one that is not checked shows. */
		int beyond = m->bounds == AOT_BOUNDS_CHECK ? PROT_READ | PROT_WRITE : PROT_NONE;
		g->memory.base = mmap(NULL, AOT_RESERVE_BYTES, beyond,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		ENSURE(g->memory.base != MAP_FAILED);
		g->memory.max_pages = m->memory.max;
		g->i->memory = &g->memory;
		g->i->mem_base = g->memory.base;
		ENSURE(op_memory_grow(g->i, m->memory.min) == 0);
	}
	for (uint32_t i = 0; i < m->ntables; i++) {
		const struct aot_tabletype *t = &m->tables[i];
		g->table[i] = (struct aot_table){ g->elems[i], t->limits.min, t->limits.max };
		g->tables[i] = &g->table[i];
	}
	g->imported_global.i64 = 666;
	for (size_t i = 0; i < ARRAY_LEN(g->imported_globals); i++)
		g->imported_globals[i] = &g->imported_global;
	for (uint32_t i = 0; i < m->nglobals - m->nimported_globals; i++)
		g->i->globals[i] = guest_const(g, &m->globals[i].init);
}

static void guest_run_segments(struct guest *g)
{
	const struct aot_module *m = g->m;
	for (uint32_t i = 0; i < m->nelems; i++) {
		if (m->elems[i].mode == AOT_SEG_ACTIVE)
			op_table_init(g->i, m->elems[i].table, i,
				      guest_const(g, &m->elems[i].offset).i32, 0, m->elems[i].len);
		if (m->elems[i].mode != AOT_SEG_PASSIVE)
			op_elem_drop(g->i, i);
	}
	for (uint32_t i = 0; i < m->ndatas; i++) {
		if (m->datas[i].mode == AOT_SEG_ACTIVE) {
			op_memory_init(g->i, i, guest_const(g, &m->datas[i].offset).i32, 0,
				       m->datas[i].len);
			op_data_drop(g->i, i);
		}
	}
}

static void guest_run(struct guest *g, uint32_t func, union aot_value *values)
{
	const struct aot_funcref *f = &g->funcs[func];
	g->i->stack_limit = (uintptr_t)__builtin_frame_address(0) - GUEST_STACK;
	g->m->invoke[g->m->func_types[func]](f->code, f->instance, values);
}

/* Instantiates; returns how that ended: 0, or the trap. Keeps the descriptor: the loader tells objects
 * apart by name, and a second guest of the same number would be the first one's code. */
static int guest_start(struct guest *g, int so_fd)
{
	char path[64];
	g->so_fd = so_fd;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", so_fd);
	g->dl = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!g->dl)
		fprintf(stderr, "%s\n", dlerror());
	ENSURE(g->dl != NULL);
	g->m = dlsym(g->dl, AOT_MODULE_SYMBOL);
	ENSURE(g->m && g->m->abi == AOT_ABI_VERSION);
	g->i = aligned_alloc(16, sizeof(*g->i) + (g->m->nglobals + 1) * sizeof(union aot_value));
	memset(g->i, 0, sizeof(*g->i));
	struct sigaction act = { .sa_sigaction = guest_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };
	sigaction(SIGSEGV, &act, NULL);
	sigaction(SIGBUS, &act, NULL);
	guest_current = g;
	int trap = sigsetjmp(guest_jump, 1);
	if (trap)
		return trap;
	guest_make_functions(g);
	guest_make_storage(g);
	g->i->ops = &guest_ops;
	g->i->tables = g->tables;
	g->i->imports = g->funcs;
	g->i->imported_globals = g->imported_globals;
	g->i->funcs = g->funcs;
	guest_run_segments(g);
	if (g->m->start != UINT32_MAX)
		guest_run(g, g->m->start, (union aot_value[16]){ 0 });
	return 0;
}

/* Calls an export with values[]; returns 0 or the trap. */
static int guest_call(struct guest *g, const char *name, union aot_value *values)
{
	const struct aot_export *e = g->m->exports;
	while (e->kind != AOT_EXT_FUNC || strcmp(e->name, name) != 0) {
		e++;
		ENSURE(e < g->m->exports + g->m->nexports);
	}
	guest_current = g;
	int trap = sigsetjmp(guest_jump, 1);
	if (trap == 0)
		guest_run(g, e->index, values);
	return trap;
}

static void guest_end(struct guest *g)
{
	if (g->memory.base)
		munmap(g->memory.base, AOT_RESERVE_BYTES);
	free(g->funcs);
	free(g->i);
	if (g->dl)
		dlclose(g->dl);
	(void)close(g->so_fd);
	*g = (struct guest){ 0 };
}

/* From Wasm bytes to a running guest. Returns as guest_start(). */
static int guest_load(struct guest *g, const void *wasm, size_t len,
		      const struct compile_options *o)
{
	struct arena arena;
	const struct wasm_module *m;
	struct target target;
	struct compile_result result;
	struct why why = { 0 };
	const struct jail_limits none = { 600, 8192 };
	OWN_FD object = memfd_create("object", MFD_CLOEXEC);
	OWN_FD so = memfd_create("so", MFD_CLOEXEC);
	arena_init(&arena, 64 << 20);
	int rc = module_decode(wasm, len, &arena, &m, &why);
	if (rc == 0)
		rc = target_open(NULL, NULL, &target, &why);
	if (rc == 0)
		rc = compile_module(m, &target, o, &result, &why);
	if (rc == 0) {
		ssize_t n = (ssize_t)LLVMGetBufferSize(result.object);
		ENSURE(write(object, LLVMGetBufferStart(result.object), (size_t)n) == n);
		compile_result_fini(&result);
		rc = link_shared(object, so, target.is_x86, false, &none, &why);
		target_fini(&target);
	}
	arena_fini(&arena);
	if (rc < 0)
		fprintf(stderr, "%s: %s\n", why_name(rc), why.text);
	ENSURE(rc == 0);
	*g = (struct guest){ 0 };
	return guest_start(g, fd_steal(&so));
}

#endif
