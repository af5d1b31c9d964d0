/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/lines.h"

#include "base/rd.h"

static const char *file_name(const struct aot_lines *l, uint32_t file)
{
	return file > 0 && file < l->files_bytes ? l->files + file : NULL;
}

/* The chain that is a function as a whole. */
static uint32_t whole(const struct aot_module *a, uint32_t func)
{
	return a->lines->nchains - (a->nfuncs - func);
}

/* The function whose code holds pc: the last one that starts before it. */
static uint32_t native_func(const struct aot_module *a, uintptr_t pc)
{
	uintptr_t best = UINTPTR_MAX;
	uint32_t func = a->nimported_funcs;
	for (uint32_t i = a->nimported_funcs; i < a->nfuncs; i++) {
		uintptr_t start = (uintptr_t)a->func_code[i - a->nimported_funcs];
		if (start <= pc && pc - start < best) {
			best = pc - start;
			func = i;
		}
	}
	return func;
}

/* p->chain is known, or AOT_CHAIN_NATIVE. */
static void fill_function(const struct aot_module *a, uintptr_t pc, struct place *p)
{
	if (p->chain >= a->lines->nchains || a->lines->chains[p->chain].func >= a->nfuncs)
		p->chain = whole(a, native_func(a, pc));
	uint32_t func = a->lines->chains[p->chain].func;
	p->func = a->func_names[func];
	p->start = a->lines->chains[whole(a, func)].line;
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
	struct rd r = rd_from(l->stream + at, end - at);
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
	const struct aot_lines *l = m->aot->lines;
	if (!l || l->nchains < m->aot->nfuncs - m->aot->nimported_funcs ||
	    !module_has_code_at(m, pc))
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
	fill_function(m->aot, pc, ret);
	return true;
}

bool lines_caller(const struct module *m, uintptr_t pc, struct place *p)
{
	const struct aot_lines *l = m->aot->lines;
	const struct aot_chain *c = &l->chains[p->chain];
	if (c->caller == AOT_CHAIN_END)
		return false;
	*p = (struct place){ .file = file_name(l, c->file), .line = c->line, .chain = c->caller };
	fill_function(m->aot, pc, p);
	return true;
}
