/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/compiler/chunk.h"

#include <link.h>
#include <sodium.h>
#include <string.h>

#include "sandbox/compiler/debug.h"

enum { FUNC_HASH_BYTES = 32 };

struct hash {
	crypto_generichash_state state;
};

static void hash_start(struct hash *h)
{
	(void)crypto_generichash_init(&h->state, NULL, 0, CHUNK_KEY_BYTES);
}

static void hash_put(struct hash *h, const void *p, size_t n)
{
	(void)crypto_generichash_update(&h->state, p, n);
}

static void hash_u64(struct hash *h, uint64_t v)
{
	hash_put(h, &v, sizeof(v)); /* a key never leaves the machine that it was made on */
}

static void hash_bytes(struct hash *h, const void *p, size_t n)
{
	hash_u64(h, n);
	if (n > 0)
		hash_put(h, p, n);
}

static void hash_text(struct hash *h, const char *s)
{
	hash_bytes(h, s, strlen(s));
}

static void hash_end(struct hash *h, uint8_t ret[CHUNK_KEY_BYTES])
{
	(void)crypto_generichash_final(&h->state, ret, CHUNK_KEY_BYTES);
}

/* ---- the compiler ---- */

struct identity {
	struct hash *h;
	bool found_self, found_llvm;
};

/* The note that the linker leaves of all that it has put into a file. */
static bool hash_build_id(struct hash *h, const struct dl_phdr_info *info)
{
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		struct rd r = rd_from((const void *)(info->dlpi_addr + p->p_vaddr),
				      p->p_type == PT_NOTE ? p->p_memsz : 0);
		while (r.left > 0 && p->p_align <= 4) {
			uint32_t name = rd_u32(&r), len = rd_u32(&r), type = rd_u32(&r);
			(void)rd_span(&r, (name + 3) & ~3u);
			struct span id = rd_span(&r, (len + 3) & ~3u);
			if (!rd_ok(&r))
				break;
			if (type != NT_GNU_BUILD_ID)
				continue;
			hash_bytes(h, id.at, id.len);
			return true;
		}
	}
	return false;
}

static int on_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct identity *id = arg;
	(void)size;
	if (info->dlpi_name[0] == '\0')
		id->found_self = hash_build_id(id->h, info);
	else if (strstr(info->dlpi_name, "libLLVM"))
		id->found_llvm = hash_build_id(id->h, info);
	return 0;
}

/* False: it was linked without build ids, and nobody can tell one compiler from another. */
static bool hash_compiler(struct hash *h)
{
	struct identity id = { .h = h };
	(void)dl_iterate_phdr(on_object, &id);
	return id.found_self && id.found_llvm;
}

/* ---- the module ---- */

static void hash_functype(struct hash *h, const struct wasm_module *m, uint32_t type)
{
	const struct aot_functype *t = &m->types[type];
	hash_u64(h, t->nparams);
	hash_bytes(h, t->types, (size_t)t->nparams + t->nresults);
}

/* What code depends on wherever it stands in the module. */
static bool hash_module(struct hash *h, const struct source *s)
{
	const struct wasm_module *m = s->m;
	const uint64_t numbers[] = {
		AOT_ABI_VERSION,
		sizeof(struct aot_instance),
		s->o->bounds_check,
		(uint64_t)s->o->opt,
		s->o->keep_debug,
		s->t->is_x86,
		m->ntypes,
		m->nglobals - m->nimported_globals,
		m->nmemories,
		rebase_memory_is_smaller(m),
		/* which checks are needed */
		s->o->bounds_check ? m->memory.min : 0,
		s->o->bounds_check ? m->memory.max : 0,
		s->o->bounds_check ? m->nimported_memories : 0,
	};
	bool is_known = hash_compiler(h);
	hash_text(h, PENSTOCK_VERSION);
	hash_text(h, s->t->triple);
	hash_text(h, s->t->cpu);
	hash_text(h, s->t->features);
	hash_put(h, numbers, sizeof(numbers));
	return is_known;
}

/* ---- functions ---- */

static void hash_call(struct hash *h, const struct source *s, uint32_t index)
{
	const struct wasm_module *m = s->m;
	bool is_imported = index < m->nimported_funcs;
	hash_u64(h, is_imported ? index : UINT64_MAX);
	hash_text(h, is_imported ? "" : s->names[index]);
	hash_functype(h, m, m->funcs[index].type);
}

static void hash_global(struct hash *h, const struct source *s, uint32_t index)
{
	const struct wasm_module *m = s->m;
	const struct wasm_global *v = &m->globals[index];
	bool is_imported = index < m->nimported_globals;
	hash_u64(h, is_imported);
	hash_u64(h, is_imported ? index : index - m->nimported_globals);
	hash_u64(h, v->type.type);
	hash_u64(h, v->type.is_mutable);
	if (!is_imported && !v->type.is_mutable && v->init.kind == AOT_CONST_VALUE)
		hash_put(h, &v->init.value, sizeof(v->init.value));
	hash_u64(h, v->init.kind);
}

/* Adds what stands behind an instruction's indices. True: in place of its bytes. */
static bool hash_insn(struct hash *h, const struct source *s, const struct wasm_insn *insn)
{
	switch (insn->op) {
	case WASM_CALL:
		hash_call(h, s, insn->index);
		return true;
	case WASM_GLOBAL_GET:
	case WASM_GLOBAL_SET:
		hash_global(h, s, insn->index);
		return false;
	case WASM_CALL_INDIRECT:
		hash_functype(h, s->m, insn->index);
		return false;
	default:
		if (insn->info->imm == WASM_IMM_BLOCK && insn->block >= 0)
			hash_functype(h, s->m, (uint32_t)insn->block);
		return false;
	}
}

static void hash_row(struct hash *h, const struct source *s, const struct dwarf_row *row)
{
	hash_u64(h, row ? row->line : 0);
	if (!row)
		return;
	const struct dwarf_file *f = &s->lines->files[row->file];
	hash_bytes(h, f->dir.at, f->dir.len);
	hash_bytes(h, f->name.at, f->name.len);
}

/* Bytes between instructions that stand for something else go in as they are, at once. */
static void hash_body(struct hash *h, const struct source *s, const struct wasm_func *f)
{
	struct rd code = rd_from(f->code.at, f->code.len);
	const uint8_t *from = f->code.at;
	const struct dwarf_row *row = debug_row(s->m, s->lines, f->code_offset), *last = row;
	bool has_lines = row != NULL;
	hash_row(h, s, row);
	while (code.left > 0) {
		struct wasm_insn insn;
		const uint8_t *at = f->code.at + (f->code.len - code.left);
		ENSURE(wasm_insn_next(&code, &insn) == 0);
		const uint8_t *end = f->code.at + (f->code.len - code.left);
		if (has_lines)
			row = debug_row(s->m, s->lines, (size_t)(at - s->m->bytes.at));
		if (row != last) {
			hash_u64(h, (uint64_t)(at - f->code.at));
			hash_row(h, s, row);
			last = row;
		}
		bool is_replaced = hash_insn(h, s, &insn);
		if (!is_replaced)
			continue;
		hash_put(h, from, (size_t)(at - from));
		hash_u64(h, (uint64_t)(end - at)); /* offsets behind it */
		hash_u64(h, (uint64_t)(at - f->code.at));
		from = end;
	}
	hash_put(h, from, (size_t)(f->code.at + f->code.len - from));
}

static void hash_function(const struct source *s, uint32_t i, uint8_t ret[FUNC_HASH_BYTES])
{
	const struct wasm_func *f = &s->m->funcs[i];
	struct hash h;
	hash_start(&h);
	hash_text(&h, s->names[i]);
	hash_functype(&h, s->m, f->type);
	hash_u64(&h, f->code.len);
	hash_bytes(&h, f->locals, f->nlocals);
	hash_body(&h, s, f);
	hash_end(&h, ret);
}

/* ---- chunks ---- */

static void chunk_key(struct chunk *c, struct hash *h, bool is_known)
{
	uint8_t key[CHUNK_KEY_BYTES];
	hash_end(h, key);
	if (is_known)
		sodium_bin2hex(c->key, sizeof(c->key), key, sizeof(key));
}

/* The module in one: its key need not look at what is in it. */
static void make_whole(const struct source *s, struct chunks *ret)
{
	struct hash h;
	hash_start(&h);
	bool is_known = hash_module(&h, s);
	hash_bytes(&h, s->m->bytes.at, s->m->bytes.len);
	ret->at = gen_alloc(1, sizeof(struct chunk));
	ret->n = 1;
	ret->at[0] = (struct chunk){ .first = s->m->nimported_funcs, .end = s->m->nfuncs };
	chunk_key(&ret->at[0], &h, is_known);
}

static size_t code_len(const struct source *s, uint32_t i)
{
	return s->m->funcs[i].code.len;
}

/* Whether a chunk of this size so far ends with function i. Beyond half the wanted size every byte
 * of code has the same chance to be the last but for that of its function: the rest is decided by
 * the function's hash. A function that is too large alone stays alone: only its own optimisation is
 * limited then. */
static bool ends_with(const struct source *s, uint32_t i, const uint8_t hash[FUNC_HASH_BYTES],
		      size_t size, size_t wanted)
{
	uint64_t v;
	memcpy(&v, hash, sizeof(v));
	if (i + 1 < s->m->nfuncs && code_len(s, i + 1) > 2 * wanted)
		return true;
	return size >= 2 * wanted || (size >= wanted / 2 && v % (wanted / 2 + 1) < code_len(s, i));
}

static void close_chunk(const struct source *s, struct chunk *c, struct hash *h, bool is_known)
{
	/* Whether functions at its end are beyond what is optimised. */
	uint64_t before = c->code_before, size = 0;
	for (uint32_t i = c->first; i < c->end; i++)
		size += code_len(s, i);
	hash_u64(h, passes_reach(before + size) ? 0 : before);
	chunk_key(c, h, is_known);
}

static void make_several(const struct source *s, size_t wanted, struct chunks *ret)
{
	const struct wasm_module *m = s->m;
	struct hash h;
	struct chunk *c = NULL;
	uint8_t hash[FUNC_HASH_BYTES];
	uint64_t before = 0, size = 0;
	bool is_known = false;
	ret->at = gen_alloc(m->nfuncs - m->nimported_funcs, sizeof(struct chunk));
	for (uint32_t i = m->nimported_funcs; i < m->nfuncs; i++) {
		const struct wasm_func *f = &m->funcs[i];
		if (!c) {
			c = &ret->at[ret->n++];
			*c = (struct chunk){ .first = i, .code_before = before };
			/* Lines count from 1. */
			c->base = s->o->keep_debug ? 0 : f->code_offset - 1;
			hash_start(&h);
			is_known = hash_module(&h, s);
			size = 0;
		}
		hash_function(s, i, hash);
		hash_put(&h, hash, sizeof(hash));
		hash_u64(&h, f->code_offset - c->base);
		size += f->code.len;
		before += f->code.len;
		if (i + 1 < m->nfuncs && !ends_with(s, i, hash, size, wanted))
			continue;
		c->end = i + 1;
		close_chunk(s, c, &h, is_known);
		c = NULL;
	}
}

void chunks_make(const struct source *s, struct chunks *ret)
{
	size_t wanted = s->o->chunk_bytes ? s->o->chunk_bytes : COMPILE_CHUNK_BYTES;
	uint64_t total = 0;
	for (uint32_t i = s->m->nimported_funcs; i < s->m->nfuncs; i++)
		total += code_len(s, i);
	if (total > 2 * wanted)
		make_several(s, wanted, ret);
	if (ret->n > 1)
		return;
	free(ret->at);
	make_whole(s, ret);
}
