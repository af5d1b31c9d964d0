/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What compiled functions and the runtime tell each other: the binary contract between the output
 * of sandbox/compiler and sandbox/runtime. Both include this header and nothing else of each other.
 *
 * A compiled module is a position-independent ELF shared object without undefined symbols. It has
 * ONE exported symbol that matters, AOT_MODULE_SYMBOL, a struct aot_module. Guest functions keep
 * the names of the Wasm name section as local ELF symbols, for gdb and perf.
 *
 * Calling convention: the platform's C convention. A Wasm function (p0, p1, ...) -> r is
 *	r f(struct aot_instance *self, p0, p1, ...)
 * with i32, i64, float, double, <16 x i8> for v128, void * for references. Several results are
 * returned as an LLVM literal struct of them (of no concern to C: the runtime calls guests only
 * through the `invoke` thunks, and host functions return at most one value).
 *
 * Trust: the shared object is ours (compiled here, sealed), so pointers in it are believed; what
 * the guest computes is not: linear memory addresses, table indices and counts are checked by the
 * generated code or by the helpers in struct aot_ops.
 */
#ifndef PROTO_AOT_ABI_H
#define PROTO_AOT_ABI_H

#include <stddef.h>
#include <stdint.h>

#define AOT_ABI_VERSION   4
#define AOT_MODULE_SYMBOL "penstock_module"

#define AOT_PAGE_BYTES 65536u
#define AOT_PAGES_MAX  65536u
/* A memory has AOT_PAGES_MAX only if that is its minimum: none grows beyond this. So the last 64 KiB
 * that an i32 can name are out of bounds in all others (sandbox/compiler/rebase.c relies on it). */
#define AOT_PAGES_GROWN_MAX 65535u
/* Address space reserved for a memory: 4 GiB that an i32 can name + what a static offset below
 * AOT_GUARD_BYTES and an access of up to 16 bytes can add. A static offset at or beyond
 * AOT_GUARD_BYTES gets an explicit check (DESIGN.md, "Memory"). */
#define AOT_GUARD_BYTES   (UINT64_C(64) << 20)
#define AOT_RESERVE_BYTES ((UINT64_C(4) << 30) + AOT_GUARD_BYTES + AOT_PAGE_BYTES)

/* The runtime keeps this much stack free below stack_limit for helpers, host calls and a signal
 * frame; functions check on entry that their frame starts above stack_limit. */
#define AOT_STACK_RESERVE_BYTES (128u << 10)

/* Value types by their codes in the binary format (core specification, section 5.3). */
enum aot_type {
	AOT_I32 = 0x7f,
	AOT_I64 = 0x7e,
	AOT_F32 = 0x7d,
	AOT_F64 = 0x7c,
	AOT_V128 = 0x7b,
	AOT_FUNCREF = 0x70,
	AOT_EXTERNREF = 0x6f,
};

/* One value where its type is known from elsewhere. References: NULL is ref.null; a funcref points
 * to a struct aot_funcref; an externref is opaque to the guest. */
union aot_value {
	uint32_t i32;
	uint64_t i64;
	float f32;
	double f64;
	void *ref;
	uint8_t v128[16];
	_Alignas(16) uint64_t u64[2];
};
_Static_assert(sizeof(union aot_value) == 16, "ABI");

/* Why a guest stopped. TRAP(name, text): text is what people see after "trap: ". */
#define AOT_TRAPS(TRAP)                                                                            \
	TRAP(NONE, "none")                                                                         \
	TRAP(UNREACHABLE, "unreachable")                                                           \
	TRAP(MEMORY, "memory")               /* out-of-bounds linear memory access */              \
	TRAP(TABLE, "table")                 /* out-of-bounds table access */                      \
	TRAP(INDIRECT_NULL, "indirect-call") /* call_indirect to a null element */                 \
	TRAP(INDIRECT_TYPE, "indirect-call") /* ... to a function of another type */               \
	TRAP(DIVIDE, "divide-by-zero")                                                             \
	TRAP(OVERFLOW, "integer-overflow") /* INT_MIN / -1, or a conversion out of range */        \
	TRAP(CONVERSION, "conversion")     /* NaN to integer */                                    \
	TRAP(STACK, "stack")               /* call depth or frame size */                          \
	TRAP(TIME, "time")                 /* CPU budget or deadline used up */                    \
	TRAP(LIMIT, "limit")               /* output, effects or another quota of the host */      \
	TRAP(HOST, "host")                 /* a host call was given what it must refuse */         \
	TRAP(INIT, "init")                 /* instantiation failed */

enum aot_trap {
#define TRAP(name, text) AOT_TRAP_##name,
	AOT_TRAPS(TRAP)
#undef TRAP
		AOT_TRAP_COUNT
};

struct aot_instance;

/* A function as a first-class value: table element, ref.func, import. */
struct aot_funcref {
	void *code;                    /* f(instance, ...) */
	struct aot_instance *instance; /* passed as its first argument */
	uint32_t type;                 /* process-wide id: equal ids <=> equal signatures */
	uint32_t pad;
};
_Static_assert(sizeof(struct aot_funcref) == 24, "ABI");

struct aot_table {
	void **elems; /* references; [0, size) are valid to read */
	uint32_t size;
	uint32_t max;
};

struct aot_memory {
	uint8_t *base;  /* never moves while the instance lives */
	uint64_t bytes; /* current size, a multiple of AOT_PAGE_BYTES */
	uint32_t max_pages;
	uint32_t pad;
};

/* Helpers that generated code calls through instance->ops. Those that return void trap themselves
 * on bad operands, in the order and with the meaning of the core specification, section 4.4; they
 * never return to the guest then. */
struct aot_ops {
	void (*trap)(struct aot_instance *self, uint32_t kind) __attribute__((noreturn));
	uint32_t (*memory_grow)(struct aot_instance *self,
				uint32_t pages); /* old size or UINT32_MAX */
	void (*memory_fill)(struct aot_instance *self, uint32_t at, uint32_t byte, uint32_t n);
	void (*memory_copy)(struct aot_instance *self, uint32_t to, uint32_t from, uint32_t n);
	void (*memory_init)(struct aot_instance *self, uint32_t segment, uint32_t to, uint32_t from,
			    uint32_t n);
	void (*data_drop)(struct aot_instance *self, uint32_t segment);
	void *(*table_get)(struct aot_instance *self, uint32_t table, uint32_t at);
	void (*table_set)(struct aot_instance *self, uint32_t table, uint32_t at, void *ref);
	uint32_t (*table_grow)(struct aot_instance *self, uint32_t table, void *ref, uint32_t n);
	void (*table_fill)(struct aot_instance *self, uint32_t table, uint32_t at, void *ref,
			   uint32_t n);
	void (*table_copy)(struct aot_instance *self, uint32_t to_table, uint32_t from_table,
			   uint32_t to, uint32_t from, uint32_t n);
	void (*table_init)(struct aot_instance *self, uint32_t table, uint32_t segment, uint32_t to,
			   uint32_t from, uint32_t n);
	void (*elem_drop)(struct aot_instance *self, uint32_t segment);
};

/* What generated code sees of an instance. The runtime embeds it; `globals` must be last.
 * Constant while a guest runs, so generated code loads them once per function: mem_base, memory,
 * ops, tables, imports, imported_globals, funcs. stack_limit is constant during one activation. */
struct aot_instance {
	uint8_t *mem_base;         /* memory 0, or NULL */
	struct aot_memory *memory; /* memory 0, or NULL */
	uintptr_t stack_limit;     /* lowest address at which a frame may start */
	const struct aot_ops *ops;
	struct aot_table *const *tables;   /* by table index, imported ones first */
	const struct aot_funcref *imports; /* imported functions by index */
	union aot_value *const *imported_globals;
	struct aot_funcref *funcs; /* every function by index, for ref.func */
	union aot_value globals[]; /* the module's own: global index - number imported */
};
_Static_assert(offsetof(struct aot_instance, stack_limit) == 16, "ABI");
_Static_assert(offsetof(struct aot_instance, ops) == 24, "ABI");
_Static_assert(offsetof(struct aot_instance, funcs) == 56, "ABI");
_Static_assert(offsetof(struct aot_instance, globals) == 64, "ABI");

/* ---- the module descriptor, constant data of the shared object ---- */

struct aot_functype {
	const uint8_t *types; /* enum aot_type codes: parameters, then results */
	uint32_t nparams, nresults;
};

enum aot_extern { AOT_EXT_FUNC, AOT_EXT_TABLE, AOT_EXT_MEMORY, AOT_EXT_GLOBAL };

struct aot_limits {
	uint32_t min, max; /* pages or elements; max = UINT32_MAX where the module gives none */
};

struct aot_globaltype {
	uint8_t type;
	uint8_t is_mutable;
	uint8_t pad[2];
};

struct aot_import {
	const char *module,
		*name; /* UTF-8, may hold any byte but is NUL-terminated; lengths below */
	uint32_t module_len, name_len;
	uint32_t kind;            /* enum aot_extern */
	uint32_t type;            /* FUNC: index into types */
	struct aot_limits limits; /* TABLE, MEMORY */
	uint8_t elem_type;        /* TABLE */
	uint8_t pad[3];
	struct aot_globaltype global; /* GLOBAL */
};

struct aot_export {
	const char *name;
	uint32_t name_len;
	uint32_t kind;  /* enum aot_extern */
	uint32_t index; /* in the index space of its kind, imports first */
	uint32_t pad;
};

/* A constant expression of WebAssembly 2.0: one instruction. */
enum aot_const_kind { AOT_CONST_VALUE, AOT_CONST_GLOBAL, AOT_CONST_FUNC, AOT_CONST_NULL };

struct aot_const {
	uint32_t kind;
	uint32_t index; /* GLOBAL, FUNC */
	uint64_t pad;
	union aot_value value; /* VALUE */
};
_Static_assert(sizeof(struct aot_const) == 32, "ABI");

struct aot_global {
	struct aot_globaltype type;
	uint32_t pad[3];
	struct aot_const init;
};

struct aot_tabletype {
	struct aot_limits limits;
	uint32_t elem_type;
};

enum aot_segment_mode { AOT_SEG_ACTIVE, AOT_SEG_PASSIVE, AOT_SEG_DECLARED };

struct aot_data {
	uint32_t mode;
	uint32_t len;
	const uint8_t *bytes;
	struct aot_const offset; /* ACTIVE; memory 0 */
};

struct aot_elem {
	uint32_t mode;
	uint32_t table; /* ACTIVE */
	uint32_t type;  /* enum aot_type */
	uint32_t len;
	const struct aot_const *items;
	uint64_t pad;
	struct aot_const offset; /* ACTIVE */
};

/* Calls code(self, args...) with values[0..nparams) and leaves the results in
 * values[0..nresults). One per function type. */
typedef void aot_invoke(void *code, struct aot_instance *self, union aot_value *values);

/* Where code comes from, for traps. A row says: from this place on, code comes from this line of that
 * file, through that chain of calls. Every AOT_MARK_ROWS-th row is a mark; those between follow in
 * the stream from `at` on, each as LEB128 numbers: (distance in code << 1 | moved), the difference
 * of lines in zigzag, and where moved is 1 file and chain. */
enum { AOT_MARK_ROWS = 64 };
struct aot_mark {
	uint32_t code;  /* from aot_lines.code on */
	uint32_t at;    /* of the next row, in the stream */
	uint32_t line;  /* 0: unknown. Without a file: offset, from aot_chunk.offset on */
	uint32_t file;  /* where its name is in files; 0: none */
	uint32_t chain; /* index into chains */
};

/* A function where it was inlined; and behind those, one for each function of the chunk, by index: as
 * a whole. */
struct aot_chain {
	uint32_t func;       /* index in the chunk */
	uint32_t caller;     /* index into chains; or one of the two below */
	uint32_t file, line; /* of the call, as above. END: line is where the function begins */
};
#define AOT_CHAIN_NATIVE (UINT32_MAX - 1) /* called by the native function around it */
#define AOT_CHAIN_END    UINT32_MAX       /* a native function */

/* Of one chunk. Nothing in it says where in the module the chunk is: it stays what it is when the rest
 * of the module changes. */
struct aot_lines {
	const void *code;
	const struct aot_mark *marks; /* by code */
	const struct aot_chain *chains;
	const uint8_t *stream;
	const char *files; /* NUL-terminated names */
	uint32_t code_bytes, nmarks, nchains, stream_bytes, files_bytes, pad;
};

/* Functions that follow each other and were compiled together: [first, first + nfuncs). */
struct aot_chunk {
	uint32_t first, nfuncs;
	uint32_t offset; /* in the module's bytes */
};

struct aot_module {
	uint32_t abi;    /* AOT_ABI_VERSION; anything else is refused */
	uint32_t bounds; /* enum aot_bounds */
	uint32_t ntypes, nimports, nexports;
	uint32_t nfuncs, nimported_funcs; /* nfuncs counts the imported ones too */
	uint32_t ntables, nimported_tables;
	uint32_t nglobals, nimported_globals;
	uint32_t nmemories, nimported_memories; /* 0 or 1 */
	uint32_t ndatas, nelems;
	uint32_t start;           /* function index, UINT32_MAX = none */
	struct aot_limits memory; /* of memory 0, imported or not */
	const struct aot_functype *types;
	uint32_t *type_ids;               /* writable; the runtime fills in process-wide ids */
	aot_invoke *const *invoke;        /* by type index */
	const struct aot_import *imports; /* in the module's order */
	const struct aot_export *exports;
	const uint32_t *func_types;         /* type index, by function index, imported too */
	void *const *func_code;             /* by function index - nimported_funcs */
	const char *const *func_names;      /* by function index; never NULL ("f12" if unnamed) */
	const struct aot_tabletype *tables; /* the module's own */
	const struct aot_global *globals;   /* the module's own */
	const struct aot_data *datas;
	const struct aot_elem *elems;
	const void *code_start, *code_end; /* every guest instruction lies in [start, end) */
	const struct aot_lines *lines;     /* by chunk; NULL: no functions */
	const struct aot_chunk *chunks;    /* in the order of functions and of code */
	uint32_t nchunks, pad;
};

enum aot_bounds {
	AOT_BOUNDS_GUARD, /* needs AOT_RESERVE_BYTES of address space per memory */
	AOT_BOUNDS_CHECK, /* compares every address with memory->bytes */
};

#endif
