/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A decoded and validated WebAssembly module (core specification 2.0, chapters 2, 3 and 5).
 * What module_decode() accepts is valid as a whole: the compiler relies on it and checks nothing
 * again. No I/O, no LLVM.
 *
 * Ownership: everything lives in the caller's arena or points into the caller's bytes, which must
 * both outlive the module.
 */
#ifndef WASM_MODULE_H
#define WASM_MODULE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/rd.h"
#include "base/why.h"
#include "proto/aot_abi.h"

/* Most that a module may have of each; more is refused with the name of the limit. */
#define WASM_LIMITS(LIMIT)                                                                         \
	LIMIT(module_bytes, 64u << 20)                                                             \
	LIMIT(types, 100000)                                                                       \
	LIMIT(imports, 10000)                                                                      \
	LIMIT(exports, 100000)                                                                     \
	LIMIT(functions, 100000)                                                                   \
	LIMIT(tables, 64)                                                                          \
	LIMIT(table_elements, 1000000)                                                             \
	LIMIT(globals, 100000)                                                                     \
	LIMIT(segments, 100000)                                                                    \
	LIMIT(segment_elements, 1000000)                                                           \
	LIMIT(function_bytes, 8u << 20)                                                            \
	LIMIT(locals, 50000)                                                                       \
	LIMIT(params, 1000)                                                                        \
	LIMIT(results, 1000)                                                                       \
	LIMIT(nesting, 10000)                                                                      \
	LIMIT(operands, 1000000)                                                                   \
	LIMIT(br_table_targets, 65520)                                                             \
	LIMIT(name_bytes, 100000)                                                                  \
	LIMIT(custom_sections, 1000)

enum {
#define LIMIT(name, most) WASM_MAX_##name = (most),
	WASM_LIMITS(LIMIT)
#undef LIMIT
};

struct wasm_func {
	uint32_t type;         /* index into types */
	struct span code;      /* the expression after the locals, up to and with its final `end` */
	size_t code_offset;    /* of code.at in the module's bytes, for messages */
	uint32_t nlocals;      /* without parameters */
	const uint8_t *locals; /* nlocals value type codes */
	struct span name;      /* from the name section, or of its first export, or empty */
};

struct wasm_import {
	struct span module, name;
	enum aot_extern kind;
	uint32_t type; /* FUNC */
	struct aot_limits limits;
	uint8_t elem_type;
	struct aot_globaltype global;
};

struct wasm_export {
	struct span name;
	enum aot_extern kind;
	uint32_t index;
};

struct wasm_table {
	struct aot_limits limits;
	uint8_t elem_type;
};

struct wasm_global {
	struct aot_globaltype type;
	struct aot_const init; /* unused for imported ones */
};

struct wasm_data {
	enum aot_segment_mode mode;
	struct aot_const offset;
	struct span bytes;
};

struct wasm_elem {
	enum aot_segment_mode mode;
	uint32_t table;
	uint8_t type;
	uint32_t len;
	const struct aot_const *items;
	struct aot_const offset;
};

struct wasm_custom {
	struct span name, payload;
};

struct wasm_module {
	struct span bytes;
	size_t code_at; /* where the code section's payload starts; DWARF counts from there */
	uint32_t ntypes, nimports, nexports, nfuncs, nimported_funcs;
	uint32_t ntables, nimported_tables, nglobals, nimported_globals;
	uint32_t nmemories, nimported_memories, ndatas, nelems, ncustoms;
	const struct aot_functype *types;
	const struct wasm_import *imports;
	const struct wasm_export *exports;
	const struct wasm_func *funcs;   /* by function index; imported ones: type and name only */
	const struct wasm_table *tables; /* by table index, imported ones first */
	const struct wasm_global *globals; /* by global index, imported ones first */
	struct aot_limits memory;
	const struct wasm_data *datas;
	const struct wasm_elem *elems;
	const struct wasm_custom *customs;
	uint32_t start; /* UINT32_MAX = none */
};

/* Decodes and validates. Returns 0; -E_INVALID, -E_UNSUPPORTED (a proposal beyond 2.0, by
 * name and offset), -E_LIMIT, -ENOMEM (the arena's cap); why names the
 * place: "at offset 0x1a3 of function 12 `parse`: ...", "at offset 0x2b in the type section: ...".
 * Offsets count from the start of the module, as in wasm-objdump. *ret_module is written only on
 * success. */
int module_decode(const void *bytes, size_t len, struct arena *arena,
		  const struct wasm_module **ret_module, struct why *why) MUST_USE;

#endif
