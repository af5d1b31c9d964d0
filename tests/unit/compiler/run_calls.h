/* SPDX-License-Identifier: Apache-2.0 */
/* One module, many calls with their results or traps, for each way of compiling. */
#ifndef TESTS_COMPILER_RUN_CALLS_H
#define TESTS_COMPILER_RUN_CALLS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/compiler/fake_runtime.h"
#include "tests/unit/compiler/wat.h"

#define I32_MIN UINT64_C(0x80000000)
#define I64_MIN UINT64_C(0x8000000000000000)

/* Values by their bits; i32 and f32 have zero above. A trap makes `out` of no meaning. */
struct call {
	const char *name;
	uint64_t in[4];
	enum aot_trap trap;
	uint64_t out[4];
};

/* A test may name others. */
#ifndef WAYS
#define WAYS                                                                                       \
	{ .opt = 0 }, { .opt = 2 }, { .opt = 2, .chunk_bytes = 1 },                                \
	{                                                                                          \
		.opt = 3, .bounds_check = true                                                     \
	}
#endif
static const struct compile_options ways[] = { WAYS };

static const struct aot_functype *type_of_export(const struct guest *g, const char *name)
{
	for (uint32_t i = 0; i < g->m->nexports; i++) {
		const struct aot_export *e = &g->m->exports[i];
		if (e->kind == AOT_EXT_FUNC && strcmp(e->name, name) == 0)
			return &g->m->types[g->m->func_types[e->index]];
	}
	fail_msg("no export %s", name);
	return NULL;
}

static uint64_t value_bits(const union aot_value *v, uint8_t type)
{
	return type == AOT_I32 || type == AOT_F32 ? v->i32 : v->i64;
}

static void run_call(struct guest *g, const struct call *c, int opt)
{
	const struct aot_functype *t = type_of_export(g, c->name);
	union aot_value v[4] = { 0 };
	for (size_t i = 0; i < 4; i++)
		v[i].i64 = c->in[i];
	int trap = guest_call(g, c->name, v);
	if (trap != (int)c->trap)
		fail_msg("%s(0x%llx, 0x%llx) at -O%d: trap %d, not %d", c->name,
			 (unsigned long long)c->in[0], (unsigned long long)c->in[1], opt, trap,
			 c->trap);
	for (uint32_t i = 0; trap == 0 && i < t->nresults; i++) {
		uint64_t got = value_bits(&v[i], t->types[t->nparams + i]);
		if (got != c->out[i])
			fail_msg("%s(0x%llx, 0x%llx) at -O%d: result %u is 0x%llx, not 0x%llx",
				 c->name, (unsigned long long)c->in[0],
				 (unsigned long long)c->in[1], opt, i, (unsigned long long)got,
				 (unsigned long long)c->out[i]);
	}
}

static void run_calls(const char *wat, const struct call *calls, size_t n)
{
	size_t len;
	OWN_FREE void *wasm = wat_assemble(wat, &len);
	for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
		struct guest g;
		assert_int_equal(guest_load(&g, wasm, len, &ways[w]), 0);
		for (size_t i = 0; i < n; i++)
			run_call(&g, &calls[i], ways[w].opt);
		guest_end(&g);
	}
}

#define RUN(wat, ...)                                                                              \
	do {                                                                                       \
		static const struct call calls_[] = { __VA_ARGS__ };                               \
		run_calls((wat), calls_, ARRAY_LEN(calls_));                                       \
	} while (0)

#endif
