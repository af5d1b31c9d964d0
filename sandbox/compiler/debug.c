/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/compiler/debug.h"

#include <llvm-c/DebugInfo.h>
#include <string.h>

#include "sandbox/wasm/dwarf_line.h"

enum { PATH_BYTES_MAX = 1000 };

/* From an LLVM node to a number. */
struct map {
	struct {
		LLVMMetadataRef key, key2;
		uint32_t value;
	} * slots;
	size_t n, mask;
};

struct debug {
	LLVMDIBuilderRef b;
	LLVMMetadataRef type, wasm_file;
	LLVMMetadataRef *files; /* by g->lines->files; made when first needed */
	struct map funcs;       /* scope -> function index */
	struct map chain_of;    /* scope and call -> chain number */
	struct debug_chain *chains;
	uint32_t nchains, chains_cap;
	struct debug_func {
		LLVMMetadataRef subprogram, start; /* and a location at its beginning */
		LLVMMetadataRef file;
	} * own;
	/* of the function that is generated */
	uint32_t func;
	bool has_lines;
	const struct dwarf_row *last_row;
	LLVMMetadataRef scope, scope_file; /* the last one used */
};

static size_t map_slot(const struct map *m, LLVMMetadataRef key, LLVMMetadataRef key2)
{
	uint64_t hash = ((uintptr_t)key >> 4) * UINT64_C(0x9e3779b97f4a7c15) +
			((uintptr_t)key2 >> 4) * UINT64_C(0xc2b2ae3d27d4eb4f);
	size_t i = (size_t)(hash >> 20) & m->mask;
	while (m->slots[i].key && (m->slots[i].key != key || m->slots[i].key2 != key2))
		i = (i + 1) & m->mask;
	return i;
}

static const uint32_t *map_find(const struct map *m, LLVMMetadataRef key, LLVMMetadataRef key2)
{
	if (!m->slots)
		return NULL;
	size_t i = map_slot(m, key, key2);
	return m->slots[i].key ? &m->slots[i].value : NULL;
}

static void map_put(struct map *m, LLVMMetadataRef key, LLVMMetadataRef key2, uint32_t value)
{
	if (2 * m->n >= m->mask) {
		struct map more = { .mask = m->mask ? m->mask * 2 + 1 : 255 };
		more.slots = gen_alloc(more.mask + 1, sizeof(*more.slots));
		for (size_t i = 0; m->slots && i <= m->mask; i++) {
			if (m->slots[i].key)
				map_put(&more, m->slots[i].key, m->slots[i].key2,
					m->slots[i].value);
		}
		free(m->slots);
		*m = more;
	}
	size_t i = map_slot(m, key, key2);
	m->n += m->slots[i].key == NULL;
	m->slots[i].key = key;
	m->slots[i].key2 = key2;
	m->slots[i].value = value;
}

static struct span custom(const struct wasm_module *m, const char *name)
{
	for (uint32_t i = 0; i < m->ncustoms; i++) {
		if (span_eq(m->customs[i].name, name))
			return m->customs[i].payload;
	}
	return (struct span){ 0 };
}

void debug_read(const struct wasm_module *m, struct compile_result *r, struct dwarf_lines *ret)
{
	const struct dwarf_sections s = { custom(m, ".debug_line"), custom(m, ".debug_line_str"),
					  custom(m, ".debug_str") };
	struct why why = { 0 };
	int err = dwarf_lines_read(&s, false, ret, &why);
	if (err < 0)
		compile_note(r, "no lines in traps: %.120s", why_text(&why, err));
}

static LLVMMetadataRef make_file(struct debug *d, struct span dir, struct span name)
{
	size_t n = name.len < PATH_BYTES_MAX ? name.len : PATH_BYTES_MAX;
	char text[PATH_BYTES_MAX];
	/* Names are shown in terminals and logs. */
	for (size_t i = 0; i < n; i++)
		text[i] = name.at[i] < 0x20 || name.at[i] == 0x7f ? '?' : (char)name.at[i];
	return LLVMDIBuilderCreateFile(d->b, text, n, dir.len ? (const char *)dir.at : "",
				       dir.len < PATH_BYTES_MAX ? dir.len : PATH_BYTES_MAX);
}

static LLVMMetadataRef literal_file(struct debug *d, const char *name)
{
	return make_file(d, (struct span){ 0 },
			 (struct span){ (const uint8_t *)name, strlen(name) });
}

static LLVMMetadataRef file_of(struct gen *g, const struct dwarf_row *row)
{
	struct debug *d = g->debug;
	if (row->file == DWARF_NO_FILE)
		return d->wasm_file;
	const struct dwarf_file *f = &g->lines->files[row->file];
	if (!d->files[row->file])
		d->files[row->file] = make_file(d, f->dir, f->name);
	return d->files[row->file];
}

/* Version 4: line tables hold their strings then, so there is nothing to relocate in them but
 * addresses. */
static void module_flags(struct gen *g)
{
	static const struct {
		const char *key;
		uint32_t value;
	} flags[] = { { "Debug Info Version", 3 }, { "Dwarf Version", 4 } };
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		LLVMAddModuleFlag(g->mod, LLVMModuleFlagBehaviorWarning, flags[i].key,
				  strlen(flags[i].key),
				  LLVMValueAsMetadata(gen_i32(g, flags[i].value)));
}

void debug_begin(struct gen *g)
{
	static const char producer[] = "penstock " PENSTOCK_VERSION;
	struct debug *d = gen_alloc(1, sizeof(*d));
	g->debug = d;
	d->b = LLVMCreateDIBuilder(g->mod);
	module_flags(g);
	d->wasm_file = literal_file(d, DEBUG_WASM_FILE);
	(void)LLVMDIBuilderCreateCompileUnit(d->b, LLVMDWARFSourceLanguageC99, d->wasm_file,
					     producer, sizeof(producer) - 1, g->opt > 0, "", 0, 0,
					     "", 0, LLVMDWARFEmissionLineTablesOnly, 0, true, false,
					     "", 0, "", 0);
	d->type = LLVMDIBuilderCreateSubroutineType(d->b, d->wasm_file, NULL, 0, LLVMDIFlagZero);
	d->own = gen_alloc(g->m->nfuncs, sizeof(*d->own));
	d->files = gen_alloc(g->lines->nfiles, sizeof(LLVMMetadataRef));
}

const struct dwarf_row *debug_row(const struct wasm_module *m, const struct dwarf_lines *lines,
				  size_t offset)
{
	const struct dwarf_row *row = dwarf_lines_find(lines, offset - m->code_at);
	return row && row->line > 0 && row->file != DWARF_NO_FILE ? row : NULL;
}

static const struct dwarf_row *row_at(const struct gen *g, size_t offset)
{
	return debug_row(g->m, g->lines, offset);
}

static void set_location(struct gen *g, LLVMMetadataRef location)
{
	LLVMSetCurrentDebugLocation2(g->b, location);
	LLVMSetCurrentDebugLocation2(g->prologue, location);
}

void debug_function(struct gen *g, uint32_t index)
{
	struct debug *d = g->debug;
	const struct wasm_func *f = &g->m->funcs[index];
	const struct dwarf_row *row = row_at(g, f->code_offset);
	d->has_lines = row != NULL;
	uint32_t line = row ? row->line : (uint32_t)(f->code_offset - g->chunk->base);
	LLVMMetadataRef file = row ? file_of(g, row) : d->wasm_file;
	const char *name = g->names[index];
	struct debug_func *own = &d->own[index];
	own->subprogram =
		LLVMDIBuilderCreateFunction(d->b, file, name, strlen(name), "", 0, file, line,
					    d->type, true, true, line, LLVMDIFlagZero, g->opt > 0);
	own->file = file;
	own->start = LLVMDIBuilderCreateDebugLocation(g->ctx, line, 0, own->subprogram, NULL);
	LLVMSetSubprogram(g->funcs[index], own->subprogram);
	map_put(&d->funcs, own->subprogram, NULL, index);
	d->func = index;
	d->last_row = row;
	d->scope = own->subprogram;
	d->scope_file = file;
	set_location(g, own->start);
}

/* The function, or where a part of it came from another file: its producer inlined, too. */
static LLVMMetadataRef scope_in(struct debug *d, LLVMMetadataRef file)
{
	const struct debug_func *own = &d->own[d->func];
	if (file == d->scope_file)
		return d->scope;
	d->scope = file == own->file
			   ? own->subprogram
			   : LLVMDIBuilderCreateLexicalBlockFile(d->b, own->subprogram, file, 0);
	d->scope_file = file;
	map_put(&d->funcs, d->scope, NULL, d->func);
	return d->scope;
}

void debug_at(struct gen *g, const struct wasm_insn *insn)
{
	struct debug *d = g->debug;
	size_t offset = (size_t)(insn->at - g->m->bytes.at);
	LLVMMetadataRef scope = d->scope;
	uint32_t line = (uint32_t)(offset - g->chunk->base);
	if (d->has_lines) {
		const struct dwarf_row *row = row_at(g, offset);
		/* Line 0 is glue: it belongs to what comes before it. */
		row = row ? row : d->last_row;
		scope = scope_in(d, file_of(g, row));
		line = row->line;
		d->last_row = row;
	}
	set_location(g, LLVMDIBuilderCreateDebugLocation(g->ctx, line, 0, scope, NULL));
}

void debug_leave(struct gen *g)
{
	set_location(g, NULL);
}

void debug_end(struct gen *g)
{
	LLVMDIBuilderFinalize(g->debug->b);
}

/* ---- after the passes ---- */

static uint32_t func_of(const struct debug *d, LLVMMetadataRef scope, uint32_t otherwise)
{
	const uint32_t *index = map_find(&d->funcs, scope, NULL);
	return index ? *index : otherwise;
}

static uint32_t chain_put(struct debug *d, struct debug_chain c)
{
	if (d->nchains == d->chains_cap) {
		d->chains_cap = d->chains_cap ? d->chains_cap * 2 : 64;
		d->chains = realloc(d->chains, d->chains_cap * sizeof(c));
		ENSURE(d->chains);
	}
	d->chains[d->nchains++] = c;
	return d->nchains; /* 0 is the native function */
}

/* Deep chains are long to make, and a module can ask for many: the inliner's budget bounds both. */
static uint32_t chain_number(struct debug *d, LLVMMetadataRef scope, LLVMMetadataRef call,
			     uint32_t native)
{
	uint32_t func = func_of(d, scope, native);
	LLVMMetadataRef subprogram = d->own[func].subprogram;
	const uint32_t *known = map_find(&d->chain_of, subprogram, call);
	if (known)
		return *known;
	LLVMMetadataRef around = LLVMDILocationGetScope(call);
	LLVMMetadataRef outer = LLVMDILocationGetInlinedAt(call);
	struct debug_chain c = { .scope = subprogram,
				 .call = call,
				 .func = func,
				 .caller = outer ? chain_number(d, around, outer, native) : 0,
				 .line = LLVMDILocationGetLine(call),
				 .file = LLVMDIScopeGetFile(around) };
	uint32_t number = chain_put(d, c);
	map_put(&d->chain_of, subprogram, call, number);
	return number;
}

/* Of LLVM's own passes each location is right. Ours put in instructions with none, or with that of
 * another function, which the debugger's tables cannot hold. */
static void settle(struct gen *g, uint32_t native, LLVMValueRef insn)
{
	struct debug *d = g->debug;
	LLVMMetadataRef at = LLVMInstructionGetDebugLoc(insn);
	LLVMMetadataRef call = at ? LLVMDILocationGetInlinedAt(at) : NULL, outermost = at;
	for (LLVMMetadataRef c = call; c; c = LLVMDILocationGetInlinedAt(c))
		outermost = c;
	if (!at || func_of(d, LLVMDILocationGetScope(outermost), native) != native) {
		LLVMInstructionSetDebugLoc(insn, d->own[native].start);
		return;
	}
	if (!call)
		return;
	LLVMMetadataRef scope = LLVMDILocationGetScope(at);
	uint32_t number = chain_number(d, scope, call, native);
	LLVMMetadataRef numbered = LLVMDIBuilderCreateLexicalBlockFile(
		d->b, d->own[func_of(d, scope, native)].subprogram, LLVMDIScopeGetFile(scope),
		number);
	LLVMInstructionSetDebugLoc(insn, LLVMDIBuilderCreateDebugLocation(g->ctx,
									  LLVMDILocationGetLine(at),
									  0, numbered, call));
}

void debug_settle(struct gen *g)
{
	for (uint32_t i = g->first; i < g->end; i++) {
		LLVMBasicBlockRef block = LLVMGetFirstBasicBlock(g->funcs[i]);
		for (; block; block = LLVMGetNextBasicBlock(block)) {
			LLVMValueRef v = LLVMGetFirstInstruction(block);
			for (; v; v = LLVMGetNextInstruction(v))
				settle(g, i, v);
		}
	}
}

struct debug_chain *debug_chains(struct gen *g, uint32_t *ret_n)
{
	*ret_n = g->debug->nchains;
	return g->debug->chains;
}

void debug_free(struct gen *g)
{
	struct debug *d = g->debug;
	if (!d)
		return;
	LLVMDisposeDIBuilder(d->b);
	free(d->files);
	free(d->funcs.slots);
	free(d->chain_of.slots);
	free(d->chains);
	free(d->own);
	free(d);
	g->debug = NULL;
}
