/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/lines.h"

#include "base/rd.h"

static const char *file_name(const struct aot_lines *l, uint32_t file)
{
	return file > 0 && file < l->files_bytes ? l->files + file : NULL;
}

/* The code of chunks follows each other in their order: the last one that starts before pc. */
static uint32_t chunk_at(const struct aot_module *a, uintptr_t pc)
{
	uint32_t i = a->nchunks - 1;
	while (i > 0 && (uintptr_t)a->lines[i].code > pc)
		i--;
	return i;
}

/* The chain that is a function as a whole, by its index in the chunk. */
static uint32_t whole(const struct aot_module *a, uint32_t chunk, uint32_t func)
{
	return a->lines[chunk].nchains - (a->chunks[chunk].nfuncs - func);
}

/* The function whose code holds pc: the last one that starts before it. */
static uint32_t native_func(const struct aot_module *a, uint32_t chunk, uintptr_t pc)
{
	const struct aot_chunk *c = &a->chunks[chunk];
	void *const *code = a->func_code + (c->first - a->nimported_funcs);
	uintptr_t best = UINTPTR_MAX;
	uint32_t func = 0;
	for (uint32_t i = 0; i < c->nfuncs; i++) {
		uintptr_t start = (uintptr_t)code[i];
		if (start <= pc && pc - start < best) {
			best = pc - start;
			func = i;
		}
	}
	return func;
}

/* p->chain is known, or AOT_CHAIN_NATIVE; file and line are as the tables have them. */
static void fill(const struct aot_module *a, uint32_t chunk, uintptr_t pc, struct place *p)
{
	const struct aot_chunk *c = &a->chunks[chunk];
	const struct aot_lines *l = &a->lines[chunk];
	if (p->chain >= l->nchains || l->chains[p->chain].func >= c->nfuncs)
		p->chain = whole(a, chunk, native_func(a, chunk, pc));
	uint32_t func = l->chains[p->chain].func;
	p->func = a->func_names[c->first + func];
	p->start = c->offset + l->chains[whole(a, chunk, func)].line;
	if (!p->file && p->line > 0)
		p->line += c->offset;
}

static const struct aot_mark *mark_before(const struct aot_lines *l, uintptr_t code)
{
	uint32_t low = 0, high = l->nmarks;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		if (l->marks[mid].code <= code)
			low = mid + 1;
		else
			high = mid;
	}
	return low > 0 ? &l->marks[low - 1] : NULL;
}

static uint32_t unzigzag(uint32_t v)
{
	return (v >> 1) ^ (0u - (v & 1));
}

/* Follows the stream from a mark to the last row at or before code. */
static struct aot_mark row_at(const struct aot_lines *l, const struct aot_mark *mark,
			      uintptr_t code)
{
	struct aot_mark row = *mark, next = row;
	uint32_t end = mark + 1 < l->marks + l->nmarks ? mark[1].at : l->stream_bytes;
	end = end <= l->stream_bytes ? end : l->stream_bytes;
	uint32_t at = mark->at <= end ? mark->at : end;
	struct rd r = rd_from(at < end ? l->stream + at : NULL, end - at);
	while (r.left > 0) {
		uint32_t step = rd_leb_u32(&r);
		next.code += step >> 1;
		next.line += unzigzag(rd_leb_u32(&r));
		if (step & 1) {
			next.file = rd_leb_u32(&r);
			next.chain = rd_leb_u32(&r);
		}
		if (r.err < 0 || next.code > code)
			break;
		row = next;
	}
	return row;
}

bool lines_find(const struct module *m, uintptr_t pc, struct place *ret)
{
	if (!m->aot->lines || m->aot->nchunks == 0 || !module_has_code_at(m, pc))
		return false;
	uint32_t chunk = chunk_at(m->aot, pc);
	const struct aot_lines *l = &m->aot->lines[chunk];
	if (l->nchains < m->aot->chunks[chunk].nfuncs)
		return false;
	uintptr_t code = pc - (uintptr_t)l->code;
	const struct aot_mark *mark = mark_before(l, code);
	*ret = (struct place){ .chain = AOT_CHAIN_NATIVE };
	if (mark) {
		struct aot_mark row = row_at(l, mark, code);
		ret->file = file_name(l, row.file);
		ret->line = row.line;
		ret->chain = row.chain;
	}
	fill(m->aot, chunk, pc, ret);
	return true;
}

bool lines_caller(const struct module *m, uintptr_t pc, struct place *p)
{
	uint32_t chunk = chunk_at(m->aot, pc);
	const struct aot_lines *l = &m->aot->lines[chunk];
	const struct aot_chain *c = &l->chains[p->chain];
	if (c->caller == AOT_CHAIN_END)
		return false;
	*p = (struct place){ .file = file_name(l, c->file), .line = c->line, .chain = c->caller };
	fill(m->aot, chunk, pc, p);
	return true;
}
