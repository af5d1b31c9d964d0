/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Types of function bodies: the algorithm of the core specification, appendix 7.3, with a stack of
 * operand types and one of open blocks. After an unconditional branch the operands of the block
 * are polymorphic: below what has been pushed since lies as much as anyone wants, of UNKNOWN type.
 */
#include "sandbox/wasm/validate.h"

#include <string.h>

enum { STACK_START = 1024, FRAMES_START = 64 };

/* ---- operands ---- */

static uint8_t letter_type(char c)
{
	switch (c) {
	case 'i':
		return AOT_I32;
	case 'I':
		return AOT_I64;
	case 'f':
		return AOT_F32;
	case 'F':
		return AOT_F64;
	default:
		return AOT_V128;
	}
}

/* Stacks start small and double, up to their limit. */
static uint32_t larger(uint32_t cap, uint32_t start, uint32_t most)
{
	return cap == 0 ? start : cap > most / 2 ? most : cap * 2;
}

static int stack_room(struct validator *v, size_t more)
{
	if (more <= v->stack_cap - v->depth)
		return 0;
	int err = DECODE_LIMIT(v->d, operands, v->depth + (uint64_t)more);
	if (err < 0)
		return err;
	uint32_t cap = v->stack_cap;
	do
		cap = larger(cap, STACK_START, WASM_MAX_operands);
	while (cap - v->depth < more);
	v->stack = decode_extend(v->d, v->stack, v->depth, cap, sizeof(*v->stack));
	v->stack_cap = cap;
	return v->stack ? 0 : decode_fail_memory(v->d);
}

static int frames_grow(struct validator *v)
{
	uint32_t cap = larger(v->frames_cap, FRAMES_START, WASM_MAX_nesting);
	int err = DECODE_LIMIT(v->d, nesting, (uint64_t)v->nframes + 1);
	if (err < 0)
		return err;
	v->frames = decode_extend(v->d, v->frames, v->nframes, cap, sizeof(*v->frames));
	v->frames_cap = cap;
	return v->frames ? 0 : decode_fail_memory(v->d);
}

int validate_push(struct validator *v, uint8_t type)
{
	int err = stack_room(v, 1);
	if (err < 0)
		return err;
	v->stack[v->depth++] = type;
	return 0;
}

static int mismatch(struct validator *v, uint8_t want, uint8_t found)
{
	const char *name = v->insn->info->text;
	if (found == VALIDATE_NOTHING)
		return decode_fail(v->d, -E_INVALID,
				   "%s needs %s, but the stack of its block is empty", name,
				   wasm_type_name(want));
	return decode_fail(v->d, -E_INVALID, "%s needs %s, found %s", name, wasm_type_name(want),
			   wasm_type_name(found));
}

int validate_pop(struct validator *v, uint8_t want, uint8_t *ret_found)
{
	const struct frame *f = &v->frames[v->nframes - 1];
	uint8_t found = VALIDATE_UNKNOWN;
	if (v->depth > f->height)
		found = v->stack[--v->depth];
	else if (!f->unreachable)
		return mismatch(v, want, VALIDATE_NOTHING);
	if (found != want && found != VALIDATE_UNKNOWN && want != VALIDATE_UNKNOWN)
		return mismatch(v, want, found);
	*ret_found = found != VALIDATE_UNKNOWN ? found : want;
	return 0;
}

/* A call or branch of two bytes may move a thousand operands, so these three do not go through push
 * and pop for each. */
int validate_peek_all(struct validator *v, struct span types)
{
	const struct frame *f = &v->frames[v->nframes - 1];
	uint32_t at = v->depth;
	if (types.len == 0 || (types.len <= at - f->height &&
			       !memcmp(v->stack + at - types.len, types.at, types.len)))
		return 0;
	for (size_t i = types.len; i-- > 0;) {
		if (at == f->height)
			return f->unreachable ? 0 : mismatch(v, types.at[i], VALIDATE_NOTHING);
		uint8_t found = v->stack[--at];
		if (found != types.at[i] && found != VALIDATE_UNKNOWN)
			return mismatch(v, types.at[i], found);
	}
	return 0;
}

int validate_pop_all(struct validator *v, struct span types)
{
	uint32_t have = v->depth - v->frames[v->nframes - 1].height;
	int err = validate_peek_all(v, types);
	if (err == 0)
		v->depth -= types.len < have ? (uint32_t)types.len : have;
	return err;
}

int validate_push_all(struct validator *v, struct span types)
{
	int err = stack_room(v, types.len);
	if (err == 0 && types.len > 0) {
		memcpy(v->stack + v->depth, types.at, types.len);
		v->depth += (uint32_t)types.len;
	}
	return err;
}

/* What the opcode table says. */
static int simple(struct validator *v, const struct wasm_insn *insn)
{
	uint8_t found;
	int err = 0;
	const char *pops = insn->info->pops;
	for (size_t i = strlen(pops); err == 0 && i-- > 0;)
		err = validate_pop(v, letter_type(pops[i]), &found);
	for (const char *p = insn->info->pushes; err == 0 && *p; p++)
		err = validate_push(v, letter_type(*p));
	return err;
}

/* ---- blocks ---- */

int validate_enter(struct validator *v, uint32_t op, struct span params, struct span results)
{
	int err = v->nframes == v->frames_cap ? frames_grow(v) : 0;
	if (err < 0)
		return err;
	v->frames[v->nframes++] = (struct frame){
		.op = op,
		.height = v->depth,
		.params = params,
		.results = results,
	};
	return validate_push_all(v, params);
}

int validate_leave(struct validator *v, struct frame *ret)
{
	struct frame f = v->frames[v->nframes - 1];
	int err = validate_pop_all(v, f.results);
	if (err < 0)
		return err;
	if (v->depth != f.height)
		return decode_fail(v->d, -E_INVALID,
				   "%u values are left on the stack beyond what the block gives",
				   v->depth - f.height);
	v->nframes--;
	*ret = f;
	return 0;
}

void validate_unreachable(struct validator *v)
{
	struct frame *f = &v->frames[v->nframes - 1];
	v->depth = f->height;
	f->unreachable = true;
}

/* ---- instructions outside of control.c ---- */

static int drop(struct validator *v)
{
	uint8_t found;
	return validate_pop(v, VALIDATE_UNKNOWN, &found);
}

static int select_untyped(struct validator *v)
{
	uint8_t cond, a, b;
	int err = validate_pop(v, AOT_I32, &cond);
	if (err == 0)
		err = validate_pop(v, VALIDATE_UNKNOWN, &b);
	if (err == 0)
		err = validate_pop(v, b, &a);
	if (err < 0)
		return err;
	if (wasm_is_ref_type(a))
		return decode_fail(v->d, -E_INVALID,
				   "select of references needs its type written out, found %s",
				   wasm_type_name(a));
	return validate_push(v, a);
}

static int select_typed(struct validator *v, const struct wasm_insn *insn)
{
	uint8_t found;
	if (insn->types.len != 1)
		return decode_fail(v->d, -E_INVALID, "select must have one type, not %zu",
				   insn->types.len);
	uint8_t type = insn->types.at[0];
	int err = validate_pop(v, AOT_I32, &found);
	if (err == 0)
		err = validate_pop(v, type, &found);
	if (err == 0)
		err = validate_pop(v, type, &found);
	return err ? err : validate_push(v, type);
}

static int parametric(struct validator *v, const struct wasm_insn *insn)
{
	if (insn->op == WASM_DROP)
		return drop(v);
	return insn->op == WASM_SELECT ? select_untyped(v) : select_typed(v, insn);
}

int validate_index(struct validator *v, const char *what, uint32_t index, uint32_t count)
{
	if (index < count)
		return 0;
	return decode_fail(v->d, -E_INVALID, "%s of unknown %s %u; there are %u",
			   v->insn->info->text, what, index, count);
}

static int variable_type(struct validator *v, const struct wasm_insn *insn, uint8_t *ret)
{
	const struct wasm_module *m = v->d->m;
	const struct wasm_func *f = &m->funcs[v->d->func];
	uint32_t i = insn->index, nparams = v->type->nparams;
	if (insn->op != WASM_GLOBAL_GET && insn->op != WASM_GLOBAL_SET) {
		int err = validate_index(v, "local", i, nparams + f->nlocals);
		if (err == 0)
			*ret = i < nparams ? v->type->types[i] : f->locals[i - nparams];
		return err;
	}
	int err = validate_index(v, "global", i, m->nglobals);
	if (err < 0)
		return err;
	if (insn->op == WASM_GLOBAL_SET && !m->globals[i].type.is_mutable)
		return decode_fail(v->d, -E_INVALID, "global.set of the immutable global %u", i);
	*ret = m->globals[i].type.type;
	return 0;
}

static int variable(struct validator *v, const struct wasm_insn *insn)
{
	uint8_t type = 0, found;
	int err = variable_type(v, insn, &type);
	if (err < 0)
		return err;
	if (insn->op == WASM_LOCAL_GET || insn->op == WASM_GLOBAL_GET)
		return validate_push(v, type);
	err = validate_pop(v, type, &found);
	return err || insn->op != WASM_LOCAL_TEE ? err : validate_push(v, type);
}

static int reference(struct validator *v, const struct wasm_insn *insn)
{
	const struct wasm_module *m = v->d->m;
	uint8_t found;
	if (insn->op == WASM_REF_NULL)
		return validate_push(v, insn->types.at[0]);
	if (insn->op == WASM_REF_IS_NULL) {
		int err = validate_pop(v, VALIDATE_UNKNOWN, &found);
		if (err == 0 && found != VALIDATE_UNKNOWN && !wasm_is_ref_type(found))
			return decode_fail(v->d, -E_INVALID,
					   "ref.is_null needs a reference, found %s",
					   wasm_type_name(found));
		return err ? err : validate_push(v, AOT_I32);
	}
	int err = validate_index(v, "function", insn->index, m->nfuncs);
	if (err < 0)
		return err;
	if (!v->d->declared[insn->index])
		return decode_fail(v->d, -E_INVALID,
				   "ref.func of function %u, which no export, global or element "
				   "segment declares",
				   insn->index);
	return validate_push(v, AOT_FUNCREF);
}

/* ---- tables ---- */

/* table.get, .set, .grow, .fill: operands depend on the type of the table. */
static int table_access(struct validator *v, const struct wasm_insn *insn, uint8_t elem)
{
	const uint8_t get[] = { AOT_I32 }, set[] = { AOT_I32, elem };
	const uint8_t grown[] = { elem, AOT_I32 }, fill[] = { AOT_I32, elem, AOT_I32 };
	int err;
	switch (insn->op) {
	case WASM_TABLE_GET:
		err = validate_pop_all(v, (struct span){ get, sizeof(get) });
		return err ? err : validate_push(v, elem);
	case WASM_TABLE_SET:
		return validate_pop_all(v, (struct span){ set, sizeof(set) });
	case WASM_TABLE_GROW:
		err = validate_pop_all(v, (struct span){ grown, sizeof(grown) });
		return err ? err : validate_push(v, AOT_I32);
	case WASM_TABLE_FILL:
		return validate_pop_all(v, (struct span){ fill, sizeof(fill) });
	default: /* table.size */
		return simple(v, insn);
	}
}

static int table_types(struct validator *v, uint8_t to, uint8_t from)
{
	if (to == from)
		return 0;
	return decode_fail(v->d, -E_INVALID, "%s between %s and %s", v->insn->info->text,
			   wasm_type_name(from), wasm_type_name(to));
}

static int table(struct validator *v, const struct wasm_insn *insn)
{
	const struct wasm_module *m = v->d->m;
	bool segment = insn->op == WASM_TABLE_INIT || insn->op == WASM_ELEM_DROP;
	int err = segment ? validate_index(v, "element segment", insn->index, m->nelems)
			  : validate_index(v, "table", insn->index, m->ntables);
	if (err == 0 && insn->info->imm == WASM_IMM_INDEX2)
		err = validate_index(v, "table", insn->index2, m->ntables);
	if (err < 0)
		return err;
	if (insn->op == WASM_TABLE_INIT)
		err = table_types(v, m->tables[insn->index2].elem_type, m->elems[insn->index].type);
	else if (insn->op == WASM_TABLE_COPY)
		err = table_types(v, m->tables[insn->index].elem_type,
				  m->tables[insn->index2].elem_type);
	else if (insn->op != WASM_ELEM_DROP)
		return table_access(v, insn, m->tables[insn->index].elem_type);
	return err ? err : simple(v, insn);
}

/* ---- memory ---- */

static int memory_exists(struct validator *v)
{
	return validate_index(v, "memory", 0, v->d->m->nmemories);
}

static int memory_access(struct validator *v, const struct wasm_insn *insn)
{
	unsigned bytes = wasm_access_bytes(insn->info);
	int err = memory_exists(v);
	if (err < 0)
		return err;
	if (insn->align >= 32 || (uint64_t)1 << insn->align > bytes)
		return decode_fail(v->d, -E_INVALID,
				   "%s has alignment 2^%u, more than its natural one of %u bytes",
				   insn->info->text, insn->align, bytes);
	return simple(v, insn);
}

static int memory(struct validator *v, const struct wasm_insn *insn)
{
	bool segment = insn->op == WASM_MEMORY_INIT || insn->op == WASM_DATA_DROP;
	int err = insn->op == WASM_DATA_DROP ? 0 : memory_exists(v);
	if (err == 0 && segment && !v->d->has_data_count)
		return decode_fail(v->d, -E_INVALID, "%s needs a data count section",
				   insn->info->text);
	if (err == 0 && segment)
		err = validate_index(v, "data segment", insn->index, v->d->m->ndatas);
	return err ? err : simple(v, insn);
}

static int simd_shuffle(struct validator *v, const struct wasm_insn *insn)
{
	for (size_t i = 0; i < sizeof(insn->value.v128); i++) {
		if (insn->value.v128[i] >= 32)
			return decode_fail(v->d, -E_INVALID, "i8x16.shuffle of lane %u of 32",
					   insn->value.v128[i]);
	}
	return simple(v, insn);
}

static int simd(struct validator *v, const struct wasm_insn *insn)
{
	unsigned lanes = wasm_lanes(insn->info);
	if (insn->op == WASM_I8X16_SHUFFLE)
		return simd_shuffle(v, insn);
	if (lanes && insn->index >= lanes)
		return decode_fail(v->d, -E_INVALID, "%s of lane %u of %u", insn->info->text,
				   insn->index, lanes);
	if (insn->info->imm == WASM_IMM_MEMARG || insn->info->imm == WASM_IMM_MEMARG_LANE)
		return memory_access(v, insn);
	return simple(v, insn);
}

/* ---- functions ---- */

static int (*const rule[])(struct validator *v, const struct wasm_insn *insn) = {
	[WASM_CLASS_CONTROL] = validate_control,
	[WASM_CLASS_PARAMETRIC] = parametric,
	[WASM_CLASS_VARIABLE] = variable,
	[WASM_CLASS_REFERENCE] = reference,
	[WASM_CLASS_TABLE] = table,
	[WASM_CLASS_LOAD] = memory_access,
	[WASM_CLASS_STORE] = memory_access,
	[WASM_CLASS_MEMORY] = memory,
	[WASM_CLASS_CONST] = simple,
	[WASM_CLASS_TEST] = simple,
	[WASM_CLASS_COMPARE] = simple,
	[WASM_CLASS_UNARY] = simple,
	[WASM_CLASS_BINARY] = simple,
	[WASM_CLASS_SHIFT] = simple,
	[WASM_CLASS_DIVIDE] = simple,
	[WASM_CLASS_CONVERT] = simple,
	[WASM_CLASS_SIMD] = simd,
};

static int function(struct validator *v, const struct wasm_func *f)
{
	struct decoder *d = v->d;
	struct wasm_insn insn;
	v->type = &d->m->types[f->type];
	v->depth = 0;
	v->nframes = 0;
	d->r = rd_from(f->code.at, f->code.len);
	d->at = d->r.at;
	/* The parameters are locals; the outermost block has only results. */
	const uint8_t *results = v->type->types + v->type->nparams;
	int err = validate_enter(v, WASM_BLOCK, (struct span){ 0 },
				 (struct span){ results, v->type->nresults });
	while (err == 0 && v->nframes > 0) {
		err = wasm_insn_next(&d->r, &insn);
		if (err < 0)
			return decode_fail_insn(d, err, &insn);
		d->at = insn.at;
		v->insn = &insn;
		err = rule[insn.info->class](v, &insn);
	}
	d->at = d->r.at;
	if (err == 0 && d->r.left > 0)
		return decode_fail(d, -E_INVALID, "%zu bytes follow the end of the function",
				   d->r.left);
	return err;
}

int validate_functions(struct decoder *d)
{
	struct validator v = { .d = d };
	int err = 0;
	for (uint32_t i = d->m->nimported_funcs; err == 0 && i < d->m->nfuncs; i++) {
		d->func = i;
		err = function(&v, &d->funcs[i]);
	}
	return err;
}
