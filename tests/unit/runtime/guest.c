/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A compiled module written by hand, as penstock-aot would make it (proto/aot_abi.h). test_task.c
 * includes it; test_serve.c loads it as a shared object.
 */
#include "proto/aot_abi.h"

#define GUEST                                                                                      \
	static __attribute__((section("guest_code"), noinline, used,                               \
			      no_sanitize("address", "undefined", "thread"), no_stack_protector,   \
			      disable_sanitizer_instrumentation))
#define SELF struct aot_instance *self

extern const char __start_guest_code[] __attribute__((visibility("hidden")));
extern const char __stop_guest_code[] __attribute__((visibility("hidden")));

/* Where things lie in the guest's memory. */
enum {
	AT_DATA = 100,
	AT_INIT = 200,
	AT_IOV = 256,
	AT_RET = 272,
	AT_SUB = 320,
	AT_EVENT = 400,
	AT_BUF = 1024,
	BUF_BYTES = 32768
};
enum {
	IMP_FD_WRITE,
	IMP_POLL,
	IMP_EXIT,
	IMP_CLOCK,
	IMP_PAYLOAD,
	IMP_EMIT,
	IMP_LOG,
	IMP_RANDOM,
	NIMPORTS
};

typedef uint32_t fn_ii(SELF, uint32_t, uint32_t);
typedef uint32_t fn_iii(SELF, uint32_t, uint32_t, uint32_t);
typedef uint32_t fn_iiii(SELF, uint32_t, uint32_t, uint32_t, uint32_t);
typedef uint32_t fn_iiiii(SELF, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t);
typedef uint32_t fn_iIi(SELF, uint32_t, uint64_t, uint32_t);
typedef void fn_exit(SELF, uint32_t);

#define IMPORT(index, type) ((type *)self->imports[index].code)
#define MEM(at)             ((volatile uint8_t *)self->mem_base + (at))

GUEST void put32(SELF, uint32_t at, uint32_t v)
{
	*(volatile uint32_t *)MEM(at) = v;
}

GUEST void g_unreachable(SELF)
{
	self->ops->trap(self, AOT_TRAP_UNREACHABLE);
}

GUEST uint32_t g_load(SELF, uint32_t at)
{
	return *(volatile uint32_t *)MEM(at);
}

GUEST void g_loop(SELF)
{
	(void)self;
	for (;;)
		__asm__ volatile("");
}

GUEST uint32_t g_recurse(SELF, uint32_t n)
{
	volatile uint8_t frame[200];
	if ((uintptr_t)__builtin_frame_address(0) < self->stack_limit)
		self->ops->trap(self, AOT_TRAP_STACK);
	frame[n % 200] = 1;
	return g_recurse(self, n + 1) + frame[n % 100];
}

GUEST void g_smash(SELF)
{
	*(volatile uint8_t *)(self->stack_limit - AOT_STACK_RESERVE_BYTES - 8) = 1;
}

GUEST void g_wild(SELF)
{
	(void)self;
	*(volatile uint8_t *)16 = 1;
}

GUEST uint32_t g_bomb(SELF)
{
	while (self->ops->memory_grow(self, 1) != UINT32_MAX)
		*MEM(self->memory->bytes - 1) = 1;
	return (uint32_t)(self->memory->bytes / AOT_PAGE_BYTES);
}

GUEST uint32_t g_fill(SELF, uint32_t n)
{
	self->ops->memory_fill(self, 0, 7, n);
	return *MEM(n - 1);
}

GUEST uint32_t g_table(SELF, uint32_t at)
{
	return self->ops->table_get(self, 0, at) != NULL;
}

GUEST uint32_t g_host_loop(SELF, uint32_t n)
{
	for (uint32_t i = 0; n == 0 || i < n; i++)
		IMPORT(IMP_CLOCK, fn_iIi)(self, 1, 0, AT_RET);
	return n;
}

/* One relative clock of `ms`; the errno of poll_oneoff. */
GUEST uint32_t g_sleep(SELF, uint32_t ms)
{
	for (uint32_t i = 0; i < 48; i++)
		*MEM(AT_SUB + i) = 0;
	put32(self, AT_SUB + 16, 1);
	*(volatile uint64_t *)MEM(AT_SUB + 24) = ms * UINT64_C(1000000);
	return IMPORT(IMP_POLL, fn_iiii)(self, AT_SUB, AT_EVENT, 1, AT_RET);
}

GUEST uint32_t g_exit(SELF, uint32_t code)
{
	IMPORT(IMP_EXIT, fn_exit)(self, code);
	return 1;
}

GUEST uint32_t g_random(SELF, uint32_t at)
{
	return IMPORT(IMP_RANDOM, fn_ii)(self, at, 16);
}

static inline __attribute__((always_inline, no_sanitize("address", "undefined", "thread"))) uint32_t
draw(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Leaves traces wherever it can, which places depending on the seed: stores of its own, across pages,
 * and of helpers and host calls for it. */
GUEST uint32_t g_scribble(SELF, uint32_t seed)
{
	struct aot_table *t = self->tables[0];
	uint32_t n = draw(&seed) % 50;
	if (draw(&seed) % 4 == 0)
		(void)self->ops->memory_grow(self, draw(&seed) % 3);
	uint32_t bytes = (uint32_t)self->memory->bytes;
	for (uint32_t i = 0; i < n; i++)
		*(volatile uint64_t *)MEM(draw(&seed) % (bytes - 8)) = UINT64_C(0xa5a5a5a5a5a5a5a5);
	if (draw(&seed) % 4 == 0)
		self->ops->memory_fill(self, bytes - 40000, 0xaa, 40000);
	if (draw(&seed) % 4 == 0)
		(void)IMPORT(IMP_RANDOM, fn_ii)(self, draw(&seed) % (bytes - 20000), 20000);
	if (draw(&seed) % 4 == 0)
		(void)self->ops->table_grow(self, 0, &self->funcs[0], draw(&seed) % 3);
	if (draw(&seed) % 4 == 0)
		self->ops->table_set(self, 0, draw(&seed) % t->size, &self->funcs[1]);
	if (draw(&seed) % 4 == 0)
		self->ops->data_drop(self, 0);
	self->globals[0].i32 = seed;
	return n;
}

/* Writes a byte to each `every`th page of 4 KiB. */
GUEST uint32_t g_stride(SELF, uint32_t every)
{
	for (uint64_t at = 0; at < self->memory->bytes; at += every * UINT64_C(4096))
		*MEM(at) = 0xa5;
	return 0;
}

/* Where it may have that many pages of memory, it never ends. */
enum { ENDLESS_START_PAGES = 7 };

GUEST void g_start(SELF)
{
	self->globals[0].i32++;
	if (self->memory->max_pages == ENDLESS_START_PAGES)
		g_loop(self);
}

GUEST void g_initialize(SELF)
{
	self->globals[0].i32 += 10;
	*MEM(AT_INIT) = 42;
}

GUEST uint32_t write_stdout(SELF, uint32_t bytes)
{
	put32(self, AT_IOV, AT_BUF);
	put32(self, AT_IOV + 4, bytes);
	return IMPORT(IMP_FD_WRITE, fn_iiii)(self, 1, AT_IOV, 1, AT_RET);
}

/* The payload becomes the memory's first 4 KiB; its first words say which import to call, and with
 * what (fuzz_wasi.c). */
GUEST uint32_t g_fuzz(SELF)
{
	(void)IMPORT(IMP_PAYLOAD, fn_ii)(self, 0, 4096);
	const volatile uint32_t *a = (const volatile uint32_t *)MEM(0);
	switch (a[0] % 5) {
	case 0:
		return IMPORT(IMP_FD_WRITE, fn_iiii)(self, a[1], a[2], a[3], a[4]);
	case 1:
		return IMPORT(IMP_POLL, fn_iiii)(self, a[1], a[2], a[3], a[4]);
	case 2:
		return IMPORT(IMP_EMIT, fn_iiiii)(self, a[1], a[2], a[3], a[4], a[5]);
	case 3:
		return IMPORT(IMP_LOG, fn_iii)(self, a[1], a[2], a[3]);
	default:
		return IMPORT(IMP_RANDOM, fn_ii)(self, a[1], a[2]);
	}
}

/* Is everything as after _initialize? Then makes a mess of it. */
GUEST uint32_t fresh_then_dirty(SELF)
{
	struct aot_table *t = self->tables[0];
	uint32_t bad = 0;
	bad |= self->globals[0].i32 != 11 ? 1 : 0;
	bad |= *MEM(AT_INIT) != 42 || *MEM(AT_DATA) != 'i' ? 2 : 0;
	bad |= t->size != 4 || t->elems[0] || !t->elems[1] ? 4 : 0;
	bad |= self->memory->bytes != AOT_PAGE_BYTES ? 8 : 0;
	for (uint32_t i = AT_BUF; i < AOT_PAGE_BYTES; i++)
		bad |= *MEM(i) != 0 && i > AT_BUF + 16 ? 16 : 0;
	self->ops->memory_fill(self, 0, 0xaa, AOT_PAGE_BYTES);
	(void)g_bomb(self);
	(void)self->ops->table_grow(self, 0, &self->funcs[0], 3);
	t->elems[0] = &self->funcs[0];
	t->elems[1] = NULL;
	self->globals[0].i32 = 7;
	self->ops->data_drop(self, 0);
	return bad;
}

/* Very much to stderr, all of it empty lines. */
GUEST uint32_t write_newlines(SELF)
{
	enum { IOVS = 1024 };
	(void)g_bomb(self);
	self->ops->memory_fill(self, 0, '\n', (uint32_t)self->memory->bytes);
	for (uint32_t i = 0; i < IOVS; i++) {
		put32(self, AT_BUF + 8 * i, 0);
		put32(self, AT_BUF + 8 * i + 4, (uint32_t)self->memory->bytes);
	}
	return IMPORT(IMP_FD_WRITE, fn_iiii)(self, 2, AT_BUF, IOVS, AT_RET);
}

/* Does what the first byte of the payload says. */
GUEST uint32_t g_on_event(SELF)
{
	uint32_t n = IMPORT(IMP_PAYLOAD, fn_ii)(self, AT_BUF, 16);
	uint32_t count = 0;
	switch (n > 0 ? *MEM(AT_BUF) : 0) {
	case 'b': /* burns for some milliseconds */
		for (volatile uint32_t i = 0; i < 20000000; i++)
			;
		return 0;
	case 'd':
		return fresh_then_dirty(self);
	case 'D': /* the same, and a trap in the middle of it */
		if (fresh_then_dirty(self) == 0)
			g_unreachable(self);
		return 1;
	case 'e': /* emits until told to stop */
		while (IMPORT(IMP_EMIT, fn_iiiii)(self, 0, 0, AT_BUF, 100, 1) == 0)
			count++;
		return count;
	case 'f':
		for (;;)
			(void)write_stdout(self, BUF_BYTES);
	case 'h':
		return g_host_loop(self, 0);
	case 'l':
		g_loop(self);
		return 0;
	case 'm':
		return g_load(self, 0x7fff0000);
	case 'n':
		return write_newlines(self);
	case 'r':
		for (; count < 8; count++)
			(void)write_stdout(self, BUF_BYTES);
		return 0;
	case 'R':
		return g_recurse(self, 0);
	case 's':
		return g_sleep(self, 30);
	case 'S':
		return g_sleep(self, 60000);
	case 't':
		return IMPORT(IMP_EMIT, fn_iiiii)(self, AT_DATA, 3, AT_BUF, 2, 1 | 4);
	case 'T': /* a topic that is none */
		*MEM(AT_BUF) = 0xff;
		return IMPORT(IMP_EMIT, fn_iiiii)(self, AT_BUF, 1, AT_BUF, 2, 1);
	case 'u':
		g_unreachable(self);
		return 0;
	case 'x':
		return 5;
	default: /* its length, for payloads of any size */
		put32(self, AT_BUF, n);
		return IMPORT(IMP_EMIT, fn_iiiii)(self, 0, 0, AT_BUF, 4, 0);
	}
}

/* ---- the descriptor ---- */

enum { T_V_V, T_V_I, T_I_I, T_II_I, T_III_I, T_IIII_I, T_IIIII_I, T_IJI_I, T_I_V, NTYPES };
#define I AOT_I32
#define J AOT_I64
static const uint8_t iiiiii[] = { I, I, I, I, I, I }, ijii[] = { I, J, I, I };
static const struct aot_functype types[NTYPES] = {
	[T_V_V] = { iiiiii, 0, 0 },     [T_V_I] = { iiiiii, 0, 1 },   [T_I_I] = { iiiiii, 1, 1 },
	[T_II_I] = { iiiiii, 2, 1 },    [T_III_I] = { iiiiii, 3, 1 }, [T_IIII_I] = { iiiiii, 4, 1 },
	[T_IIIII_I] = { iiiiii, 5, 1 }, [T_IJI_I] = { ijii, 3, 1 },   [T_I_V] = { iiiiii, 1, 0 },
};
#undef I
#undef J
static uint32_t type_ids[NTYPES];

GUEST void invoke_v_v(void *code, SELF, union aot_value *v)
{
	(void)v;
	((void (*)(SELF))code)(self);
}

GUEST void invoke_v_i(void *code, SELF, union aot_value *v)
{
	v[0].i32 = ((uint32_t(*)(SELF))code)(self);
}

GUEST void invoke_i_i(void *code, SELF, union aot_value *v)
{
	v[0].i32 = ((uint32_t(*)(SELF, uint32_t))code)(self, v[0].i32);
}

static aot_invoke *const invoke[NTYPES] = {
	[T_V_V] = invoke_v_v, [T_V_I] = invoke_v_i, [T_I_I] = invoke_i_i
};

#define IMPORT_ROW(m, n, t)                                                                        \
	{                                                                                          \
		.module = m, .name = n, .module_len = sizeof(m) - 1, .name_len = sizeof(n) - 1,    \
		.kind = AOT_EXT_FUNC, .type = t                                                    \
	}
#define WASI "wasi_snapshot_preview1"
static const struct aot_import imports[NIMPORTS] = {
	[IMP_FD_WRITE] = IMPORT_ROW(WASI, "fd_write", T_IIII_I),
	[IMP_POLL] = IMPORT_ROW(WASI, "poll_oneoff", T_IIII_I),
	[IMP_EXIT] = IMPORT_ROW(WASI, "proc_exit", T_I_V),
	[IMP_CLOCK] = IMPORT_ROW(WASI, "clock_time_get", T_IJI_I),
	[IMP_PAYLOAD] = IMPORT_ROW("penstock", "event_payload", T_II_I),
	[IMP_EMIT] = IMPORT_ROW("penstock", "emit", T_IIIII_I),
	[IMP_LOG] = IMPORT_ROW("penstock", "log", T_III_I),
	[IMP_RANDOM] = IMPORT_ROW(WASI, "random_get", T_II_I),
};

/* FUNC(name, type): exported under its name */
#define FUNCS(FUNC)                                                                                \
	FUNC(unreachable, T_V_V)                                                                   \
	FUNC(load, T_I_I)                                                                          \
	FUNC(loop, T_V_V)                                                                          \
	FUNC(recurse, T_I_I)                                                                       \
	FUNC(smash, T_V_V)                                                                         \
	FUNC(wild, T_V_V)                                                                          \
	FUNC(bomb, T_V_I)                                                                          \
	FUNC(fill, T_I_I)                                                                          \
	FUNC(table, T_I_I)                                                                         \
	FUNC(host_loop, T_I_I)                                                                     \
	FUNC(sleep, T_I_I)                                                                         \
	FUNC(exit, T_I_I)                                                                          \
	FUNC(random, T_I_I)                                                                        \
	FUNC(scribble, T_I_I)                                                                      \
	FUNC(stride, T_I_I)                                                                        \
	FUNC(start, T_V_V)                                                                         \
	FUNC(fuzz, T_V_I)                                                                          \
	FUNC(initialize, T_V_V)                                                                    \
	FUNC(on_event, T_V_I)

enum {
	F_BEFORE = NIMPORTS - 1,
#define FUNC(name, type) F_##name,
	FUNCS(FUNC)
#undef FUNC
		NFUNCS
};

static const uint32_t func_types[NFUNCS] = { T_IIII_I,   T_IIII_I,  T_I_V,   T_IJI_I,
					     T_II_I,     T_IIIII_I, T_III_I, T_II_I,
#define FUNC(name, type) type,
					     FUNCS(FUNC)
#undef FUNC
};

static void *const func_code[] = {
#define FUNC(name, type) (void *)g_##name,
	FUNCS(FUNC)
#undef FUNC
};

static const char *const func_names[NFUNCS] = {
	"fd_write",      "poll_oneoff", "proc_exit", "clock_time_get",
	"event_payload", "emit",        "log",       "random_get",
#define FUNC(name, type) #name,
	FUNCS(FUNC)
#undef FUNC
};

static const struct aot_export exports[] = {
	{ "on_event", 8, AOT_EXT_FUNC, F_on_event, 0 },
	{ "_initialize", 11, AOT_EXT_FUNC, F_initialize, 0 },
	{ "loop", 4, AOT_EXT_FUNC, F_loop, 0 },
};

static const struct aot_tabletype tables[] = { { { 4, 10 }, AOT_FUNCREF } };
static const struct aot_global globals[] = { { .type = { AOT_I32, 1, { 0 } } } };
static const struct aot_const elem_items[] = { { .kind = AOT_CONST_FUNC, .index = F_load } };
static const struct aot_elem elems[] = { { .mode = AOT_SEG_ACTIVE,
					   .type = AOT_FUNCREF,
					   .len = 1,
					   .items = elem_items,
					   .offset = { .value = { .i32 = 1 } } } };
static const uint8_t data_bytes[] = "i/m";
static const struct aot_data datas[] = { { .mode = AOT_SEG_ACTIVE,
					   .len = 3,
					   .bytes = data_bytes,
					   .offset = { .value = { .i32 = AT_DATA } } } };

/* Names of functions, and no lines. */
static const struct aot_chain chains[NFUNCS - NIMPORTS] = {
#define FUNC(name, type) { F_##name - NIMPORTS, AOT_CHAIN_END, 0, 0 },
	FUNCS(FUNC)
#undef FUNC
};
static const struct aot_lines lines = {
	.code = __start_guest_code,
	.chains = chains,
	.nchains = NFUNCS - NIMPORTS,
	.files = "",
};
static const struct aot_chunk chunk = { NIMPORTS, NFUNCS - NIMPORTS, 0 };

__attribute__((visibility("default"))) extern const struct aot_module penstock_module;
const struct aot_module penstock_module = {
	.abi = AOT_ABI_VERSION,
	.bounds = AOT_BOUNDS_GUARD,
	.ntypes = NTYPES,
	.nimports = NIMPORTS,
	.nexports = 3,
	.nfuncs = NFUNCS,
	.nimported_funcs = NIMPORTS,
	.ntables = 1,
	.nglobals = 1,
	.nmemories = 1,
	.ndatas = 1,
	.nelems = 1,
	.start = F_start,
	.memory = { 1, 100 },
	.types = types,
	.type_ids = type_ids,
	.invoke = invoke,
	.imports = imports,
	.exports = exports,
	.func_types = func_types,
	.func_code = func_code,
	.func_names = func_names,
	.tables = tables,
	.globals = globals,
	.datas = datas,
	.elems = elems,
	.code_start = __start_guest_code,
	.code_end = __stop_guest_code,
	.lines = &lines,
	.chunks = &chunk,
	.nchunks = 1,
};
