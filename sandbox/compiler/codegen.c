/* SPDX-License-Identifier: Apache-2.0 */
/* The module as a whole: types, attributes, metadata, and the order of generation. */
#include "sandbox/compiler/archive.h"
#include "sandbox/compiler/debug.h"
#include "sandbox/compiler/details.h"

#include <errno.h>
#include <llvm-c/Analysis.h>
#include <stdarg.h>
#include <string.h>

/* Running out of memory ends the process, as it does inside LLVM; main.c's parent reports it. */
void *gen_alloc(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size);
	ENSURE(p != NULL);
	return p;
}

void compile_note(struct compile_result *r, const char *fmt, ...)
{
	if (r->nnotes == COMPILE_NOTES_MAX)
		return;
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(r->notes[r->nnotes++], sizeof(r->notes[0]), fmt, ap);
	va_end(ap);
}

LLVMValueRef gen_i32(const struct gen *g, uint32_t v)
{
	return LLVMConstInt(g->i32, v, false);
}

LLVMValueRef gen_i64(const struct gen *g, uint64_t v)
{
	return LLVMConstInt(g->i64, v, false);
}

LLVMTypeRef gen_type(const struct gen *g, uint8_t code)
{
	switch (code) {
	case AOT_I32:
		return g->i32;
	case AOT_I64:
		return g->i64;
	case AOT_F32:
		return g->f32;
	case AOT_F64:
		return g->f64;
	case AOT_FUNCREF:
	case AOT_EXTERNREF:
		return g->ptr;
	default:
		ENSURE(code == AOT_V128);
		return LLVMVectorType(g->i8, 16);
	}
}

static LLVMValueRef vector(const struct gen *g, const uint8_t bytes[16])
{
	LLVMValueRef lanes[16];
	for (size_t i = 0; i < ARRAY_LEN(lanes); i++)
		lanes[i] = LLVMConstInt(g->i8, bytes[i], false);
	return LLVMConstVector(lanes, ARRAY_LEN(lanes));
}

/* Floats are made from their bits: a double cannot carry every NaN of a float. */
LLVMValueRef gen_constant(const struct gen *g, uint8_t type, const union aot_value *v)
{
	switch (type) {
	case AOT_I32:
		return gen_i32(g, v->i32);
	case AOT_I64:
		return gen_i64(g, v->i64);
	case AOT_F32:
		return LLVMConstBitCast(gen_i32(g, v->i32), g->f32);
	case AOT_F64:
		return LLVMConstBitCast(gen_i64(g, v->i64), g->f64);
	default:
		ENSURE(type == AOT_V128);
		return vector(g, v->v128);
	}
}

LLVMValueRef gen_intrinsic(struct gen *g, const char *name, LLVMTypeRef *over, size_t nover,
			   LLVMValueRef *args, unsigned nargs)
{
	unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
	ENSURE(id != 0);
	LLVMValueRef f = LLVMGetIntrinsicDeclaration(g->mod, id, over, nover);
	return LLVMBuildCall2(g->b, LLVMGlobalGetValueType(f), f, args, nargs, "");
}

LLVMValueRef gen_at(struct gen *g, LLVMValueRef base, uint64_t offset)
{
	LLVMValueRef by = gen_i64(g, offset);
	return LLVMBuildInBoundsGEP2(g->b, g->i8, base, &by, 1, "");
}

LLVMValueRef gen_load_const(struct gen *g, LLVMBuilderRef b, LLVMTypeRef type, LLVMValueRef base,
			    uint64_t offset)
{
	LLVMValueRef by = gen_i64(g, offset);
	LLVMValueRef v =
		LLVMBuildLoad2(b, type, LLVMBuildInBoundsGEP2(b, g->i8, base, &by, 1, ""), "");
	LLVMSetMetadata(v, g->md_invariant, g->empty_md);
	return v;
}

LLVMValueRef gen_load(struct gen *g, LLVMTypeRef type, LLVMValueRef at, enum alias alias)
{
	LLVMValueRef v = LLVMBuildLoad2(g->b, type, at, "");
	LLVMSetMetadata(v, g->md_tbaa, g->alias[alias]);
	if (alias == ALIAS_MEMORY) {
		LLVMSetAlignment(v, 1);
		LLVMSetVolatile(v, true); /* until keep_traps() has looked at it */
	}
	return v;
}

void gen_store(struct gen *g, LLVMValueRef value, LLVMValueRef at, enum alias alias)
{
	LLVMValueRef v = LLVMBuildStore(g->b, value, at);
	LLVMSetMetadata(v, g->md_tbaa, g->alias[alias]);
	if (alias == ALIAS_MEMORY)
		LLVMSetAlignment(v, 1);
}

static LLVMAttributeRef enum_attribute(struct gen *g, const char *name, uint64_t value)
{
	unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
	ENSURE(kind != 0);
	return LLVMCreateEnumAttribute(g->ctx, kind, value);
}

static void text_attribute(struct gen *g, LLVMValueRef f, const char *key, const char *value)
{
	LLVMAttributeRef a = LLVMCreateStringAttribute(g->ctx, key, (unsigned)strlen(key), value,
						       (unsigned)strlen(value));
	LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex, a);
}

/* What every function gets. Absent on purpose: see codegen.h. The frame pointer is for perf, whose
 * stacks are right with it; a frame larger than a page touches each of its pages, so it meets the
 * guard page (stack.c). */
void gen_attributes(struct gen *g, LLVMValueRef f)
{
	static const struct {
		const char *key, *value;
	} text[] = {
		{ "disable-tail-calls", "true" },
		{ "probe-stack", "inline-asm" },
		{ "no-builtins", "" },
		{ "frame-pointer", "all" },
	};
	for (size_t i = 0; i < ARRAY_LEN(text); i++)
		text_attribute(g, f, text[i].key, text[i].value);
	LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex, enum_attribute(g, "nounwind", 0));
	if (g->o->details)
		text_attribute(g, f, "warn-stack-size", "0");
	/* 2: valid at every instruction, so that gdb can unwind from a fault. */
	LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex, enum_attribute(g, "uwtable", 2));
}

/* Type-based alias information: a root and one leaf per kind of storage. */
static void make_metadata(struct gen *g)
{
	static const char *const name[ALIAS_COUNT] = {
		[ALIAS_MEMORY] = "memory",
		[ALIAS_MEMORY_SIZE] = "memory size",
		[ALIAS_GLOBAL] = "global",
		[ALIAS_TABLE] = "table",
	};
	LLVMMetadataRef root = LLVMMDStringInContext2(g->ctx, "penstock", strlen("penstock"));
	root = LLVMMDNodeInContext2(g->ctx, &root, 1);
	LLVMMetadataRef zero = LLVMValueAsMetadata(gen_i64(g, 0));
	for (size_t i = 0; i < ALIAS_COUNT; i++) {
		LLVMMetadataRef leaf[] = { LLVMMDStringInContext2(g->ctx, name[i], strlen(name[i])),
					   root, zero };
		LLVMMetadataRef type = LLVMMDNodeInContext2(g->ctx, leaf, 3);
		LLVMMetadataRef tag[] = { type, type, zero };
		g->alias[i] = LLVMMetadataAsValue(g->ctx, LLVMMDNodeInContext2(g->ctx, tag, 3));
	}
	g->empty_md = LLVMMetadataAsValue(g->ctx, LLVMMDNodeInContext2(g->ctx, NULL, 0));
	g->md_tbaa = LLVMGetMDKindIDInContext(g->ctx, "tbaa", 4);
	g->md_invariant = LLVMGetMDKindIDInContext(g->ctx, "invariant.load", 14);
}

static LLVMTypeRef function_type(const struct gen *g, const struct aot_functype *t)
{
	LLVMTypeRef at[WASM_MAX_params + 1];
	for (uint32_t i = 0; i < t->nresults; i++)
		at[i] = gen_type(g, t->types[t->nparams + i]);
	LLVMTypeRef result = t->nresults == 0 ? g->void_
			     : t->nresults == 1
				     ? at[0]
				     : LLVMStructTypeInContext(g->ctx, at, t->nresults, 0);
	at[0] = g->ptr;
	for (uint32_t i = 0; i < t->nparams; i++)
		at[i + 1] = gen_type(g, t->types[i]);
	return LLVMFunctionType(result, at, t->nparams + 1, false);
}
_Static_assert(WASM_MAX_results <= WASM_MAX_params, "function_type() has one array for both");

/* All in one section, whose bounds the linker names: code_start and code_end of the descriptor. */
static LLVMValueRef declare_function(struct gen *g, uint32_t i)
{
	const struct wasm_module *m = g->m;
	const LLVMAttributeRef self[] = {
		enum_attribute(g, "nonnull", 0),
		enum_attribute(g, "noundef", 0),
		enum_attribute(g, "dereferenceable",
			       offsetof(struct aot_instance, globals) +
				       (uint64_t)(m->nglobals - m->nimported_globals) *
					       sizeof(union aot_value)),
		enum_attribute(g, "align", _Alignof(struct aot_instance)),
	};
	LLVMValueRef f = LLVMAddFunction(g->mod, g->names[i], gen_functype(g, m->funcs[i].type));
	if (g->is_whole)
		LLVMSetLinkage(f, LLVMInternalLinkage);
	else
		LLVMSetVisibility(f, LLVMHiddenVisibility);
	LLVMSetSection(f, GUEST_SECTION);
	gen_attributes(g, f);
	for (size_t a = 0; a < ARRAY_LEN(self); a++)
		LLVMAddAttributeAtIndex(f, 1, self[a]);
	return f;
}

LLVMValueRef gen_func(struct gen *g, uint32_t index)
{
	if (index >= g->m->nimported_funcs && !g->funcs[index])
		g->funcs[index] = declare_function(g, index);
	return g->funcs[index];
}

LLVMTypeRef gen_functype(struct gen *g, uint32_t type)
{
	if (!g->types[type])
		g->types[type] = function_type(g, &g->m->types[type]);
	return g->types[type];
}

static void declare_type_ids(struct gen *g)
{
	LLVMTypeRef type = LLVMArrayType2(g->i32, g->m->ntypes ? g->m->ntypes : 1);
	g->type_ids = LLVMAddGlobal(g->mod, type, "type_ids");
	if (g->is_whole)
		LLVMSetLinkage(g->type_ids, LLVMInternalLinkage);
	else
		LLVMSetVisibility(g->type_ids, LLVMHiddenVisibility);
	if (g->chunk && !g->is_whole)
		return; /* it is with the descriptor */
	LLVMSetInitializer(g->type_ids, LLVMConstNull(type));
	LLVMSetExternallyInitialized(g->type_ids, true);
}

static void gen_init(struct gen *g)
{
	g->ctx = LLVMContextCreate();
	LLVMContextSetDiscardValueNames(g->ctx, true);
	g->mod = LLVMModuleCreateWithNameInContext("guest", g->ctx);
	LLVMSetTarget(g->mod, g->t->triple);
	LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(g->t->machine[0]);
	LLVMSetModuleDataLayout(g->mod, layout);
	LLVMDisposeTargetData(layout);
	g->b = LLVMCreateBuilderInContext(g->ctx);
	g->prologue = LLVMCreateBuilderInContext(g->ctx);
	g->void_ = LLVMVoidTypeInContext(g->ctx);
	g->i1 = LLVMInt1TypeInContext(g->ctx);
	g->i8 = LLVMInt8TypeInContext(g->ctx);
	g->i16 = LLVMInt16TypeInContext(g->ctx);
	g->i32 = LLVMInt32TypeInContext(g->ctx);
	g->i64 = LLVMInt64TypeInContext(g->ctx);
	g->f32 = LLVMFloatTypeInContext(g->ctx);
	g->f64 = LLVMDoubleTypeInContext(g->ctx);
	g->ptr = LLVMPointerTypeInContext(g->ctx, 0);
	g->cold = enum_attribute(g, "cold", 0);
	g->noreturn = enum_attribute(g, "noreturn", 0);
	g->nomerge = enum_attribute(g, "nomerge", 0);
	make_metadata(g);
	g->types = gen_alloc(g->m->ntypes, sizeof(LLVMTypeRef));
	g->funcs = gen_alloc(g->m->nfuncs, sizeof(LLVMValueRef));
	declare_type_ids(g);
	for (uint32_t i = g->first; i < g->end; i++)
		(void)gen_func(g, i);
}

static void gen_fini(struct gen *g)
{
	debug_free(g);
	free(g->funcs);
	free(g->types);
	LLVMDisposeBuilder(g->prologue);
	LLVMDisposeBuilder(g->b);
	LLVMDisposeModule(g->mod);
	LLVMContextDispose(g->ctx);
}

/* A failure here is a bug of ours, found before LLVM acts on broken IR. */
static int verify(struct gen *g, struct why *why)
{
	char *text = NULL;
	int rc = 0;
	if (LLVMVerifyModule(g->mod, LLVMReturnStatusAction, &text))
		rc = why_set(why, -EIO, "the compiler made invalid IR, please report this: %s",
			     text);
	LLVMDisposeMessage(text);
	return rc;
}

/* The functions of a chunk, the descriptor, or both. */
static int compile_part(const struct gen *shared, const struct chunk *chunk,
			LLVMMemoryBufferRef ret_objects[2], struct why *why)
{
	struct gen g = *shared;
	g.chunk = chunk;
	g.first = chunk ? chunk->first : g.m->nfuncs;
	g.end = chunk ? chunk->end : g.m->nfuncs;
	gen_init(&g);
	details_begin(&g);
	if (chunk)
		debug_begin(&g);
	for (uint32_t i = g.first; i < g.end; i++)
		func_emit(&g, i);
	if (g.is_whole || !chunk)
		descriptor_emit(&g);
	if (chunk)
		debug_end(&g);
	passes_plan(&g);
	int rc = verify(&g, why);
	compile_phase(g.result, "generate");
	if (rc == 0)
		rc = passes_run(&g, ret_objects, why);
	gen_fini(&g);
	return rc;
}

static int compile_chunks(const struct gen *shared, struct archive *a, struct why *why)
{
	const struct chunks *c = shared->chunks;
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < c->n; i++) {
		LLVMMemoryBufferRef objects[2];
		const struct chunk *chunk = &c->at[i];
		/* What people who tune ask for is not in an archive. */
		if (!shared->o->details && archive_find(shared->o->previous, chunk->key, objects)) {
			shared->result->reused++;
		} else {
			rc = compile_part(shared, chunk, objects, why);
		}
		if (rc == 0)
			archive_put(a, chunk->key, objects);
	}
	if (rc == 0 && !shared->is_whole) {
		LLVMMemoryBufferRef objects[2];
		rc = compile_part(shared, NULL, objects, why);
		if (rc == 0)
			archive_put(a, "descriptor", objects);
	}
	return rc;
}

int compile_module(const struct wasm_module *m, const struct target *t,
		   const struct compile_options *o, struct compile_result *ret_result,
		   struct why *why)
{
	struct compile_result result = { 0 };
	struct dwarf_lines lines = { 0 };
	struct chunks chunks = { 0 };
	struct archive archive = { 0 };
	compile_phase(&result, "decode");
	debug_read(m, &result, &lines);
	char **names = names_make(m);
	const struct source source = { m, o, t, names, &lines };
	chunks_make(&source, &chunks);
	struct gen g = { .m = m,
			 .o = o,
			 .t = t,
			 .result = &result,
			 .names = names,
			 .lines = &lines,
			 .chunks = &chunks,
			 .is_whole = chunks.n == 1 };
	passes_notes(&g);
	compile_phase(&result, "hash");
	int rc = compile_chunks(&g, &archive, why);
	if (rc == 0) {
		result.object = archive_make(&archive);
		result.code_bytes = archive.code_bytes;
		result.chunks = chunks.n;
		*ret_result = result;
	}
	archive_fini(&archive);
	free(chunks.at);
	names_free(names, m->nfuncs);
	dwarf_lines_fini(&lines);
	return rc;
}

void compile_result_fini(struct compile_result *r)
{
	if (r->object)
		LLVMDisposeMemoryBuffer(r->object);
	details_free(r);
	r->object = NULL;
}
