/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/compiler/report.h"

#include <string.h>

#include "sandbox/compiler/details.h"

void report_string(struct wr *w, const void *p, size_t n)
{
	const uint8_t *s = p;
	wr_u8(w, '"');
	for (size_t i = 0; i < n; i++) {
		if (s[i] < 0x20 || s[i] == 0x7f) {
			wr_fmt(w, "\\u%04x", s[i]);
			continue;
		}
		if (s[i] == '"' || s[i] == '\\')
			wr_u8(w, '\\');
		wr_u8(w, s[i]);
	}
	wr_u8(w, '"');
}

static void member(struct wr *w, const char *key, const char *value)
{
	wr_fmt(w, "\"%s\": ", key);
	report_string(w, value, strlen(value));
}

static const char *const kinds[] = { [AOT_EXT_FUNC] = "func",
				     [AOT_EXT_TABLE] = "table",
				     [AOT_EXT_MEMORY] = "memory",
				     [AOT_EXT_GLOBAL] = "global" };

static bool exports_func(const struct wasm_module *m, const char *name)
{
	for (uint32_t i = 0; i < m->nexports; i++) {
		if (m->exports[i].kind == AOT_EXT_FUNC && span_eq(m->exports[i].name, name))
			return true;
	}
	return false;
}

static void interface(struct wr *w, const struct wasm_module *m)
{
	wr_str(w, ",\n \"imports\": [");
	for (uint32_t i = 0; i < m->nimports; i++) {
		const struct wasm_import *im = &m->imports[i];
		wr_str(w, i ? ",\n  {\"module\": " : "\n  {\"module\": ");
		report_string(w, im->module.at, im->module.len);
		wr_str(w, ", \"name\": ");
		report_string(w, im->name.at, im->name.len);
		wr_fmt(w, ", \"kind\": \"%s\"}", kinds[im->kind]);
	}
	wr_str(w, "],\n \"exports\": [");
	for (uint32_t i = 0; i < m->nexports; i++) {
		const struct wasm_export *e = &m->exports[i];
		wr_str(w, i ? ",\n  {\"name\": " : "\n  {\"name\": ");
		report_string(w, e->name.at, e->name.len);
		wr_fmt(w, ", \"kind\": \"%s\"}", kinds[e->kind]);
	}
	wr_str(w, "]");
}

void report_module(struct wr *w, const struct wasm_module *m, const struct target *t,
		   const struct compile_result *r)
{
	unsigned major, minor, patch;
	LLVMGetVersion(&major, &minor, &patch);
	wr_fmt(w, "{\"ok\": true, \"compiler\": \"LLVM %u.%u.%u penstock %s\", ", major, minor,
	       patch, PENSTOCK_VERSION);
	member(w, "target", t->triple);
	wr_str(w, ", ");
	member(w, "cpu", t->cpu);
	uint32_t max_pages = m->nmemories == 0               ? 0
			     : m->memory.max < AOT_PAGES_MAX ? m->memory.max
							     : AOT_PAGES_MAX;
	wr_fmt(w,
	       ",\n \"functions\": %u, \"code_bytes\": %llu, \"memory_min_pages\": %u, "
	       "\"memory_max_pages\": %u, \"is_reactor\": %s, \"is_command\": %s, "
	       "\"chunks\": %zu, \"reused\": %zu",
	       m->nfuncs - m->nimported_funcs, (unsigned long long)r->code_bytes,
	       m->nmemories ? m->memory.min : 0, max_pages,
	       exports_func(m, "on_event") ? "true" : "false",
	       exports_func(m, "_start") ? "true" : "false", r->chunks, r->reused);
	interface(w, m);
	details_report(w, m, r);
	wr_str(w, ",\n \"notes\": [");
	for (size_t i = 0; i < r->nnotes; i++) {
		if (i)
			wr_str(w, ", ");
		report_string(w, r->notes[i], strlen(r->notes[i]));
	}
}

void report_close(struct wr *w, const char *extra_note, unsigned long long wall_ms)
{
	bool first = w->len > 0 && w->buf[w->len - 1] == '[';
	if (extra_note) {
		if (!first)
			wr_str(w, ", ");
		report_string(w, extra_note, strlen(extra_note));
	}
	wr_fmt(w, "],\n \"wall_ms\": %llu}\n", wall_ms);
}

void report_failure(struct wr *w, int err, const struct why *why)
{
	wr_str(w, "{\"ok\": false, ");
	member(w, "error", why_name(err));
	wr_str(w, ", ");
	member(w, "reason", why_text(why, err));
	wr_str(w, "}\n");
}
