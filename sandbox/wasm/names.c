/* SPDX-License-Identifier: Apache-2.0 */
/* Names of functions, for people: from the name section (core specification, appendix 7.4.1), else
 * from exports. Whatever is wrong with the name section makes it absent, never the module invalid.
 */
#include "sandbox/wasm/decode.h"

enum { SUBSECTION_FUNCTIONS = 1 };

/* False at the first malformed thing. Only with `apply` are names given, so that a section that is
 * malformed at its end gives none. */
static bool function_names(struct decoder *d, struct span map, bool apply)
{
	struct rd r = rd_from(map.at, map.len);
	uint32_t n = rd_leb_count(&r, 2);
	for (uint32_t i = 0; i < n && rd_ok(&r); i++) {
		uint32_t index = rd_leb_u32(&r);
		struct span name = rd_span(&r, rd_leb_u32(&r));
		if (index >= d->m->nfuncs || name.len > WASM_MAX_name_bytes || !span_is_utf8(name))
			return false;
		if (apply)
			d->funcs[index].name = name;
	}
	return rd_done(&r);
}

static bool name_section(struct decoder *d, struct span payload, bool apply)
{
	struct rd r = rd_from(payload.at, payload.len);
	while (rd_ok(&r) && r.left > 0) {
		uint8_t id = rd_u8(&r);
		struct span sub = rd_span(&r, rd_leb_u32(&r));
		if (!rd_ok(&r))
			return false;
		if (id == SUBSECTION_FUNCTIONS && !function_names(d, sub, apply))
			return false;
	}
	return rd_done(&r);
}

void names_assign(struct decoder *d)
{
	const struct wasm_module *m = d->m;
	for (uint32_t i = 0; i < m->ncustoms; i++) {
		if (!span_eq(m->customs[i].name, "name"))
			continue;
		if (name_section(d, m->customs[i].payload, false))
			(void)name_section(d, m->customs[i].payload, true);
		break;
	}
	for (uint32_t i = 0; i < m->nexports; i++) {
		const struct wasm_export *e = &m->exports[i];
		if (e->kind == AOT_EXT_FUNC && d->funcs[e->index].name.len == 0)
			d->funcs[e->index].name = e->name;
	}
}
