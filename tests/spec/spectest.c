/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/spec/spectest.h"

#include "base/util.h"

/* Functions: PRINT(name, number of parameters, their codes, the C parameters, the arguments).
 * They print nothing: nobody would look. */
#define PRINTS(PRINT)                                                                              \
	PRINT(print, 0, "", (struct aot_instance * self), (self))                                  \
	PRINT(print_i32, 1, "\x7f", (struct aot_instance * self, uint32_t a), (self, v[0].i32))    \
	PRINT(print_i64, 1, "\x7e", (struct aot_instance * self, uint64_t a), (self, v[0].i64))    \
	PRINT(print_f32, 1, "\x7d", (struct aot_instance * self, float a), (self, v[0].f32))       \
	PRINT(print_f64, 1, "\x7c", (struct aot_instance * self, double a), (self, v[0].f64))      \
	PRINT(print_i32_f32, 2, "\x7f\x7d", (struct aot_instance * self, uint32_t a, float b),     \
	      (self, v[0].i32, v[1].f32))                                                          \
	PRINT(print_f64_f64, 2, "\x7c\x7c", (struct aot_instance * self, double a, double b),      \
	      (self, v[0].f64, v[1].f64))

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wunused-parameter"
#define PRINT(name, n, codes, params, args)                                                        \
	static void name params                                                                    \
	{                                                                                          \
	}                                                                                          \
	static void invoke_##name(void *code, struct aot_instance *self, union aot_value *v)       \
	{                                                                                          \
		((void(*) params)code) args;                                                       \
	}
PRINTS(PRINT)
#undef PRINT
#pragma clang diagnostic pop

static const struct aot_functype types[] = {
#define PRINT(name, n, codes, params, args) { (const uint8_t *)(codes), (n), 0 },
	PRINTS(PRINT)
#undef PRINT
};

static aot_invoke *const invokes[] = {
#define PRINT(name, n, codes, params, args) invoke_##name,
	PRINTS(PRINT)
#undef PRINT
};

static void *const code[] = {
#define PRINT(name, n, codes, params, args) (void *)name,
	PRINTS(PRINT)
#undef PRINT
};

static const char *const names[] = {
#define PRINT(name, n, codes, params, args) #name,
	PRINTS(PRINT)
#undef PRINT
};

enum { NFUNCS = ARRAY_LEN(types) };
_Static_assert(NFUNCS == 7, "func_types and exports below");

static uint32_t type_ids[NFUNCS];
static const uint32_t func_types[NFUNCS] = { 0, 1, 2, 3, 4, 5, 6 };

#define GLOBAL(code, member, v)                                                                    \
	{                                                                                          \
		.type = { .type = (code) }, .init = {                                              \
			.kind = AOT_CONST_VALUE,                                                   \
			.value = { .member = (v) }                                                 \
		}                                                                                  \
	}
static const struct aot_global globals[] = {
	GLOBAL(AOT_I32, i32, 666),
	GLOBAL(AOT_I64, i64, 666),
	GLOBAL(AOT_F32, f32, 666.6f),
	GLOBAL(AOT_F64, f64, 666.6),
};

static const struct aot_tabletype tables[] = {
	{ .limits = { .min = 10, .max = 20 }, .elem_type = AOT_FUNCREF },
};

#define EXPORT(text, k, i)                                                                         \
	{                                                                                          \
		.name = (text), .name_len = sizeof(text) - 1, .kind = (k), .index = (i)            \
	}
static const struct aot_export exports[] = {
	EXPORT("print", AOT_EXT_FUNC, 0),         EXPORT("print_i32", AOT_EXT_FUNC, 1),
	EXPORT("print_i64", AOT_EXT_FUNC, 2),     EXPORT("print_f32", AOT_EXT_FUNC, 3),
	EXPORT("print_f64", AOT_EXT_FUNC, 4),     EXPORT("print_i32_f32", AOT_EXT_FUNC, 5),
	EXPORT("print_f64_f64", AOT_EXT_FUNC, 6), EXPORT("global_i32", AOT_EXT_GLOBAL, 0),
	EXPORT("global_i64", AOT_EXT_GLOBAL, 1),  EXPORT("global_f32", AOT_EXT_GLOBAL, 2),
	EXPORT("global_f64", AOT_EXT_GLOBAL, 3),  EXPORT("table", AOT_EXT_TABLE, 0),
	EXPORT("memory", AOT_EXT_MEMORY, 0),
};

/* Its memory is guarded, which serves code with checks as well. */
const struct aot_module spectest_module = {
	.abi = AOT_ABI_VERSION,
	.bounds = AOT_BOUNDS_GUARD,
	.ntypes = NFUNCS,
	.nexports = ARRAY_LEN(exports),
	.nfuncs = NFUNCS,
	.ntables = ARRAY_LEN(tables),
	.nglobals = ARRAY_LEN(globals),
	.nmemories = 1,
	.start = UINT32_MAX,
	.memory = { .min = 1, .max = 2 },
	.types = types,
	.type_ids = type_ids,
	.invoke = invokes,
	.exports = exports,
	.func_types = func_types,
	.func_code = code,
	.func_names = names,
	.tables = tables,
	.globals = globals,
};
