/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/wasm/features.h"

#include "sandbox/wasm/insn.h"

#define USES(id) (1u << WASM_FEATURE_##id)

static const char *const names[] = {
#define FEATURE(id, name) name,
	WASM_FEATURES(FEATURE)
#undef FEATURE
};

const char *wasm_feature_name(enum wasm_feature f)
{
	return names[f];
}

/* Ranges of opcodes, by the proposal that brought them. */
static const struct {
	uint32_t first, last, uses;
} ranges[] = {
	{ WASM_I32_EXTEND8_S, WASM_I64_EXTEND32_S, USES(SIGN_EXT) },
	{ 0xfc0000, 0xfc0007, USES(SATURATING) },
	{ 0xfc0008, 0xfc000e, USES(BULK_MEMORY) },
	{ 0xfc000f, 0xfc0011, USES(REFERENCE_TYPES) },
	{ 0x1c, 0x1c, USES(REFERENCE_TYPES) }, /* select with a type */
	{ 0x25, 0x26, USES(REFERENCE_TYPES) }, /* table.get, table.set */
	{ 0xd0, 0xd2, USES(REFERENCE_TYPES) },
	{ 0xfd0000, 0xfdffff, USES(SIMD) },
};

static uint32_t of_insn(const struct wasm_module *m, const struct wasm_insn *insn)
{
	uint32_t uses = 0;
	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		if (insn->op >= ranges[i].first && insn->op <= ranges[i].last)
			uses |= ranges[i].uses;
	}
	if (insn->info->imm == WASM_IMM_BLOCK && insn->block >= 0 &&
	    (m->types[insn->block].nparams > 0 || m->types[insn->block].nresults > 1))
		uses |= USES(MULTIVALUE);
	return uses;
}

static uint32_t of_types(const struct wasm_module *m)
{
	uint32_t uses = 0;
	for (uint32_t i = 0; i < m->ntypes; i++) {
		const struct aot_functype *t = &m->types[i];
		uses |= t->nresults > 1 ? USES(MULTIVALUE) : 0;
		for (uint32_t k = 0; k < t->nparams + t->nresults; k++) {
			uses |= t->types[k] == AOT_V128 ? USES(SIMD) : 0;
			uses |= wasm_is_ref_type(t->types[k]) ? USES(REFERENCE_TYPES) : 0;
		}
	}
	return uses;
}

static uint32_t of_externs(const struct wasm_module *m)
{
	uint32_t uses = m->ntables > 1 ? USES(REFERENCE_TYPES) : 0;
	for (uint32_t i = 0; i < m->nimports; i++) {
		if (m->imports[i].kind == AOT_EXT_GLOBAL && m->imports[i].global.is_mutable)
			uses |= USES(MUTABLE_GLOBALS);
	}
	for (uint32_t i = 0; i < m->nexports; i++) {
		if (m->exports[i].kind == AOT_EXT_GLOBAL &&
		    m->globals[m->exports[i].index].type.is_mutable)
			uses |= USES(MUTABLE_GLOBALS);
	}
	return uses;
}

uint32_t wasm_features(const struct wasm_module *m)
{
	uint32_t uses = of_types(m) | of_externs(m);
	for (uint32_t i = m->nimported_funcs; i < m->nfuncs; i++) {
		struct rd code = rd_from(m->funcs[i].code.at, m->funcs[i].code.len);
		struct wasm_insn insn;
		while (code.left > 0 && wasm_insn_next(&code, &insn) == 0)
			uses |= of_insn(m, &insn);
	}
	for (uint32_t i = 0; i < m->ndatas; i++)
		uses |= m->datas[i].mode == AOT_SEG_PASSIVE ? USES(BULK_MEMORY) : 0;
	return uses;
}
