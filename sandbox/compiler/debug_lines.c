/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table for traps (struct aot_lines), from the line table that LLVM has written into the object
 * and the chains of calls that debug.c has numbered. The object is our own, made in this process:
 * what is not as expected in it is a bug.
 */
#include "sandbox/compiler/debug.h"

#include <elf.h>
#include <errno.h>
#include <llvm-c/DebugInfo.h>
#include <string.h>

#include "base/wr.h"
#include "sandbox/compiler/details.h"
#include "sandbox/wasm/dwarf_line.h"

_Static_assert(sizeof(struct aot_lines) == 5 * 8 + 6 * 4, "table_emit()");
_Static_assert(sizeof(struct aot_mark) == 20 && sizeof(struct aot_chain) == 16, "written as u32");

struct object {
	const uint8_t *at;
	size_t len;
	const Elf64_Shdr *sections;
	unsigned nsections, text; /* where the guest's functions are; 0: nowhere */
	const char *names;
	const Elf64_Sym *symbols;
	size_t nsymbols;
	const char *symbol_names;
};

struct native {
	uint64_t at, end;
	uint32_t func;
};

struct table {
	struct gen *g;
	struct dwarf_lines lines;
	struct native *natives; /* by address */
	size_t nnatives;
	uint32_t *file_at; /* where the name of each file is in files, by its index */
	struct wr files, marks, chains, stream;
	uint32_t nrows, code_bytes;
	struct aot_mark last;
	LLVMMetadataRef asked; /* chains of one file stand together */
	uint32_t answer;
};

static const void *section_data(const struct object *o, const Elf64_Shdr *s, size_t *ret_len)
{
	ENSURE(s->sh_offset <= o->len && s->sh_size <= o->len - s->sh_offset);
	*ret_len = s->sh_size;
	return o->at + s->sh_offset;
}

static const Elf64_Shdr *section(const struct object *o, const char *name)
{
	for (unsigned i = 1; i < o->nsections; i++) {
		if (strcmp(o->names + o->sections[i].sh_name, name) == 0)
			return &o->sections[i];
	}
	return NULL;
}

static void object_open(struct object *o, LLVMMemoryBufferRef buffer)
{
	size_t len;
	*o = (struct object){ .at = (const uint8_t *)LLVMGetBufferStart(buffer),
			      .len = LLVMGetBufferSize(buffer) };
	const Elf64_Ehdr *head = (const void *)o->at;
	o->sections = (const void *)(o->at + head->e_shoff);
	/* Over 65,279 sections the number is elsewhere; we make a dozen. */
	o->nsections = head->e_shnum;
	o->names = section_data(o, &o->sections[head->e_shstrndx], &len);
	const Elf64_Shdr *text = section(o, GUEST_SECTION), *symbols = section(o, ".symtab");
	o->text = text ? (unsigned)(text - o->sections) : 0;
	if (!symbols)
		return;
	o->symbols = section_data(o, symbols, &len);
	o->nsymbols = len / sizeof(*o->symbols);
	o->symbol_names = section_data(o, &o->sections[symbols->sh_link], &len);
}

/* ---- which function is where ---- */

static int by_at(const void *a, const void *b)
{
	const struct native *x = a, *y = b;
	return x->at < y->at ? -1 : x->at > y->at;
}

struct named {
	const char *name;
	uint32_t func;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static void find_natives(struct table *t, const struct object *o)
{
	uint32_t first = t->g->first, n = t->g->end - first;
	struct named *names = gen_alloc(n, sizeof(*names));
	for (uint32_t i = 0; i < n; i++)
		names[i] = (struct named){ t->g->names[first + i], first + i };
	qsort(names, n, sizeof(*names), by_name);
	t->natives = gen_alloc(n, sizeof(*t->natives));
	for (size_t i = 0; i < o->nsymbols; i++) {
		const Elf64_Sym *s = &o->symbols[i];
		if (ELF64_ST_TYPE(s->st_info) != STT_FUNC || s->st_shndx != o->text)
			continue;
		const struct named key = { .name = o->symbol_names + s->st_name };
		const struct named *is = bsearch(&key, names, n, sizeof(key), by_name);
		ENSURE(is && t->nnatives < n);
		if (t->g->result->details)
			t->g->result->details->code_bytes[is->func] = s->st_size;
		t->natives[t->nnatives++] =
			(struct native){ s->st_value, s->st_value + s->st_size, is->func };
	}
	qsort(t->natives, t->nnatives, sizeof(*t->natives), by_at);
	free(names);
}

/* ---- the object's line table ---- */

/* Its addresses are relocations: the symbol's place in the section, and an addend. */
static int read_lines(struct table *t, const struct object *o, struct why *why)
{
	const Elf64_Shdr *line = section(o, ".debug_line"), *rela = section(o, ".rela.debug_line");
	size_t len, nbytes;
	if (!line || !rela)
		return 0;
	const uint8_t *from = section_data(o, line, &len);
	uint8_t *copy = gen_alloc(len, 1);
	memcpy(copy, from, len);
	const Elf64_Rela *r = section_data(o, rela, &nbytes);
	for (size_t i = 0; i < nbytes / sizeof(*r); i++) {
		ENSURE(ELF64_R_SYM(r[i].r_info) < o->nsymbols && r[i].r_offset + 8 <= len);
		const Elf64_Sym *s = &o->symbols[ELF64_R_SYM(r[i].r_info)];
		/* Thunks are in another section: out of reach for those who look. */
		uint64_t at =
			s->st_shndx == o->text ? s->st_value + (uint64_t)r[i].r_addend : UINT64_MAX;
		memcpy(copy + r[i].r_offset, &at, sizeof(at));
	}
	const struct dwarf_sections s = { .line = { copy, len } };
	int rc = dwarf_lines_read(&s, true, &t->lines, why);
	if (rc < 0)
		rc = why_set(why, -EIO, "LLVM's line table cannot be read");
	/* The names of files are all that points into the copy. */
	for (size_t i = 0; rc == 0 && i < t->lines.nfiles; i++) {
		struct span name = t->lines.files[i].name;
		bool is_offset = span_eq(name, DEBUG_WASM_FILE);
		t->file_at[i] = is_offset ? 0 : (uint32_t)t->files.len;
		if (!is_offset) {
			wr_bytes(&t->files, name.at, name.len);
			wr_u8(&t->files, 0);
		}
	}
	free(copy);
	return rc;
}

static uint32_t file_offset(struct table *t, LLVMMetadataRef file)
{
	if (file == t->asked)
		return t->answer;
	t->asked = file;
	t->answer = 0;
	unsigned len = 0;
	const char *name = LLVMDIFileGetFilename(file, &len);
	for (size_t at = 1; at < t->files.len;) {
		size_t n = strlen((const char *)t->files.buf + at);
		if (n == len && memcmp(t->files.buf + at, name, len) == 0)
			return t->answer = (uint32_t)at;
		at += n + 1;
	}
	return 0;
}

/* First what was inlined, as numbered; then each function as a whole, by its index. */
static void put_chains(struct table *t)
{
	uint32_t n;
	const struct debug_chain *c = debug_chains(t->g, &n);
	const struct wasm_func *funcs = t->g->m->funcs;
	for (uint32_t i = 0; i < n; i++) {
		wr_u32(&t->chains, c[i].func - t->g->first);
		wr_u32(&t->chains, c[i].caller ? c[i].caller - 1 : AOT_CHAIN_NATIVE);
		wr_u32(&t->chains, file_offset(t, c[i].file));
		wr_u32(&t->chains, c[i].line);
	}
	for (uint32_t i = t->g->first; i < t->g->end; i++) {
		wr_u32(&t->chains, i - t->g->first);
		wr_u32(&t->chains, AOT_CHAIN_END);
		wr_u32(&t->chains, 0);
		wr_u32(&t->chains, (uint32_t)(funcs[i].code_offset - t->g->chunk->base));
	}
}

static void put_leb(struct wr *w, uint64_t v)
{
	for (; v > 0x7f; v >>= 7)
		wr_u8(w, (uint8_t)(v | 0x80));
	wr_u8(w, (uint8_t)v);
}

static uint32_t zigzag(int32_t v)
{
	return ((uint32_t)v << 1) ^ (uint32_t)(v >> 31);
}

static void put_row(struct table *t, struct aot_mark row)
{
	struct aot_mark *last = &t->last;
	if (t->nrows > 0 && row.line == last->line && row.file == last->file &&
	    row.chain == last->chain)
		return;
	if (t->nrows++ % AOT_MARK_ROWS == 0) {
		wr_u32(&t->marks, row.code);
		wr_u32(&t->marks, (uint32_t)t->stream.len);
		wr_u32(&t->marks, row.line);
		wr_u32(&t->marks, row.file);
		wr_u32(&t->marks, row.chain);
	} else {
		bool moved = row.file != last->file || row.chain != last->chain;
		put_leb(&t->stream, (uint64_t)(row.code - last->code) << 1 | moved);
		put_leb(&t->stream, zigzag((int32_t)(row.line - last->line)));
		if (moved) {
			put_leb(&t->stream, row.file);
			put_leb(&t->stream, row.chain);
		}
	}
	*last = row;
}

/* One pass over both lists, which are in the order of addresses. */
static void put_rows(struct table *t)
{
	uint32_t nchains;
	(void)debug_chains(t->g, &nchains);
	size_t i = 0;
	for (size_t k = 0; k < t->nnatives; k++) {
		const struct native *n = &t->natives[k];
		uint32_t whole = nchains + n->func - t->g->first;
		struct aot_mark row = { .code = (uint32_t)n->at, .chain = whole };
		put_row(t, row);
		for (; i < t->lines.nrows && t->lines.rows[i].address < n->end; i++) {
			const struct dwarf_row *r = &t->lines.rows[i];
			bool later = i + 1 < t->lines.nrows &&
				     t->lines.rows[i + 1].address == r->address;
			if (r->address < n->at || later)
				continue; /* later: the last one at an address counts */
			row.code = (uint32_t)r->address;
			row.line = r->line;
			row.file = r->file == DWARF_NO_FILE ? 0 : t->file_at[r->file];
			row.chain = r->discriminator ? r->discriminator - 1 : whole;
			put_row(t, row);
		}
		t->code_bytes = (uint32_t)n->end;
	}
}

/* ---- as an object ---- */

static LLVMValueRef blob(LLVMModuleRef mod, LLVMContextRef ctx, const struct wr *w)
{
	LLVMValueRef value = LLVMConstStringInContext2(ctx, (const char *)w->buf, w->len, true);
	LLVMValueRef v = LLVMAddGlobal(mod, LLVMTypeOf(value), "");
	LLVMSetInitializer(v, value);
	LLVMSetGlobalConstant(v, true);
	LLVMSetLinkage(v, LLVMPrivateLinkage);
	LLVMSetAlignment(v, 4);
	return v;
}

static int table_emit(struct table *t, LLVMMemoryBufferRef *ret, struct why *why)
{
	struct gen *g = t->g;
	LLVMModuleRef mod = LLVMModuleCreateWithNameInContext("lines", g->ctx);
	LLVMSetTarget(mod, g->t->triple);
	LLVMSetModuleDataLayout(mod, LLVMGetModuleDataLayout(g->mod));
	LLVMValueRef code = LLVMConstNull(g->ptr);
	if (t->nnatives > 0) {
		ENSURE(t->natives[0].at == 0);
		code = LLVMAddGlobal(mod, g->i8,
				     g->is_whole ? "__start_" GUEST_SECTION
						 : g->names[t->natives[0].func]);
		LLVMSetVisibility(code, LLVMHiddenVisibility);
	}
	LLVMValueRef fields[] = {
		code,
		blob(mod, g->ctx, &t->marks),
		blob(mod, g->ctx, &t->chains),
		blob(mod, g->ctx, &t->stream),
		blob(mod, g->ctx, &t->files),
		gen_i32(g, t->code_bytes),
		gen_i32(g, (uint32_t)(t->marks.len / sizeof(struct aot_mark))),
		gen_i32(g, (uint32_t)(t->chains.len / sizeof(struct aot_chain))),
		gen_i32(g, (uint32_t)t->stream.len),
		gen_i32(g, (uint32_t)t->files.len),
		gen_i32(g, 0),
	};
	LLVMValueRef value = LLVMConstStructInContext(g->ctx, fields, ARRAY_LEN(fields), false);
	LLVMValueRef v = LLVMAddGlobal(mod, LLVMTypeOf(value), "lines");
	LLVMSetInitializer(v, value);
	LLVMSetGlobalConstant(v, true);
	LLVMSetLinkage(v, LLVMInternalLinkage);
	LLVMSetSection(v, DEBUG_SECTION);
	LLVMSetAlignment(v, 8);
	char *text = NULL;
	int rc = 0;
	if (LLVMTargetMachineEmitToMemoryBuffer(g->t->machine[0], mod, LLVMObjectFile, &text, ret))
		rc = why_set(why, -EIO, "LLVM made no object of the line table: %s", text);
	if (rc < 0)
		LLVMDisposeMessage(text);
	LLVMDisposeModule(mod);
	return rc;
}

static struct wr room(size_t bytes)
{
	return wr_into(gen_alloc(bytes, 1), bytes);
}

int debug_lines(struct gen *g, LLVMMemoryBufferRef object, LLVMMemoryBufferRef *ret,
		struct why *why)
{
	struct object o;
	struct table t = { .g = g };
	uint32_t nchains;
	(void)debug_chains(g, &nchains);
	object_open(&o, object);
	find_natives(&t, &o);
	const Elf64_Shdr *line = section(&o, ".debug_line");
	/* A name has at least three bytes around it there. */
	t.files = room((line ? line->sh_size : 0) + 1);
	t.file_at = gen_alloc(line ? line->sh_size : 0, sizeof(uint32_t));
	wr_u8(&t.files, 0); /* 0 is no file */
	int rc = read_lines(&t, &o, why);
	size_t nrows = t.lines.nrows + t.nnatives;
	t.chains = room(((size_t)nchains + (g->end - g->first)) * sizeof(struct aot_chain));
	t.marks = room((nrows / AOT_MARK_ROWS + 1) * sizeof(struct aot_mark));
	t.stream = room(nrows * 4 * 5);
	if (rc == 0) {
		put_chains(&t);
		put_rows(&t);
		ENSURE(wr_ok(&t.files) && wr_ok(&t.chains) && wr_ok(&t.marks) && wr_ok(&t.stream));
		rc = table_emit(&t, ret, why);
	}
	struct wr *all[] = { &t.files, &t.marks, &t.chains, &t.stream };
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		free(all[i]->buf);
	free(t.natives);
	free(t.file_at);
	dwarf_lines_fini(&t.lines);
	return rc;
}
