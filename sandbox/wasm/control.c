/* SPDX-License-Identifier: Apache-2.0 */
/* Validation of blocks, branches and calls (core specification, section 3.3.8). */
#include <string.h>

#include "sandbox/wasm/validate.h"

static struct span params_of(const struct aot_functype *t)
{
	return (struct span){ t->types, t->nparams };
}

static struct span results_of(const struct aot_functype *t)
{
	return (struct span){ t->types + t->nparams, t->nresults };
}

static int block_type(struct validator *v, const struct wasm_insn *insn, struct span *ret_params,
		      struct span *ret_results)
{
	*ret_params = *ret_results = (struct span){ 0 };
	if (insn->block == WASM_BLOCK_EMPTY)
		return 0;
	if (insn->block < 0) {
		/* The byte behind the opcode is the type, and lives as long as the module. */
		*ret_results = (struct span){ insn->at + 1, 1 };
		return 0;
	}
	uint32_t index = (uint32_t)insn->block; /* an s33, so it fits */
	int err = validate_index(v, "type", index, v->d->m->ntypes);
	if (err < 0)
		return err;
	*ret_params = params_of(&v->d->m->types[index]);
	*ret_results = results_of(&v->d->m->types[index]);
	return 0;
}

static int block(struct validator *v, const struct wasm_insn *insn)
{
	struct span params, results;
	uint8_t found;
	int err = block_type(v, insn, &params, &results);
	if (err == 0 && insn->op == WASM_IF)
		err = validate_pop(v, AOT_I32, &found);
	if (err == 0)
		err = validate_pop_all(v, params);
	return err ? err : validate_enter(v, insn->op, params, results);
}

static int else_(struct validator *v)
{
	struct frame f;
	if (v->frames[v->nframes - 1].op != WASM_IF)
		return decode_fail(v->d, -E_INVALID, "else without if");
	int err = validate_leave(v, &f);
	return err ? err : validate_enter(v, WASM_ELSE, f.params, f.results);
}

static bool same(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static int end(struct validator *v)
{
	struct frame f;
	int err = validate_leave(v, &f);
	if (err < 0)
		return err;
	if (f.op == WASM_IF && !same(f.params, f.results))
		return decode_fail(v->d, -E_INVALID,
				   "an if without else must give what it takes, but its type takes "
				   "%zu values and gives %zu, or others",
				   f.params.len, f.results.len);
	/* At the end of the function nobody is left to take the results. */
	return v->nframes > 0 ? validate_push_all(v, f.results) : 0;
}

static int label(struct validator *v, uint32_t depth, struct span *ret)
{
	int err = validate_index(v, "label", depth, v->nframes);
	if (err < 0)
		return err;
	const struct frame *f = &v->frames[v->nframes - 1 - depth];
	*ret = f->op == WASM_LOOP ? f->params : f->results;
	return 0;
}

static int branch(struct validator *v, const struct wasm_insn *insn)
{
	struct span types;
	uint8_t found;
	int err = label(v, insn->index, &types);
	if (err == 0 && insn->op == WASM_BR_IF)
		err = validate_pop(v, AOT_I32, &found);
	if (err == 0)
		err = validate_pop_all(v, types);
	if (err < 0)
		return err;
	if (insn->op == WASM_BR_IF)
		return validate_push_all(v, types);
	validate_unreachable(v);
	return 0;
}

static int br_table(struct validator *v, const struct wasm_insn *insn)
{
	struct rd targets = insn->targets;
	struct span first = { 0 };
	uint8_t found;
	int err = DECODE_LIMIT(v->d, br_table_targets, insn->ntargets);
	if (err == 0)
		err = validate_pop(v, AOT_I32, &found);
	for (uint32_t i = 0; err == 0 && i <= insn->ntargets; i++) {
		struct span types;
		err = label(v, rd_leb_u32(&targets), &types);
		if (err < 0)
			return err;
		if (i == 0)
			first = types;
		if (types.len != first.len)
			return decode_fail(v->d, -E_INVALID,
					   "br_table to labels that take %zu and %zu values",
					   first.len, types.len);
		err = validate_peek_all(v, types);
	}
	if (err == 0)
		validate_unreachable(v);
	return err;
}

static int call(struct validator *v, const struct aot_functype *t)
{
	int err = validate_pop_all(v, params_of(t));
	return err ? err : validate_push_all(v, results_of(t));
}

static int call_direct(struct validator *v, const struct wasm_insn *insn)
{
	const struct wasm_module *m = v->d->m;
	int err = validate_index(v, "function", insn->index, m->nfuncs);
	return err ? err : call(v, &m->types[m->funcs[insn->index].type]);
}

static int call_indirect(struct validator *v, const struct wasm_insn *insn)
{
	const struct wasm_module *m = v->d->m;
	uint8_t found;
	int err = validate_index(v, "table", insn->index2, m->ntables);
	if (err == 0)
		err = validate_index(v, "type", insn->index, m->ntypes);
	if (err == 0 && m->tables[insn->index2].elem_type != AOT_FUNCREF)
		return decode_fail(v->d, -E_INVALID, "call_indirect through table %u of %s",
				   insn->index2, wasm_type_name(m->tables[insn->index2].elem_type));
	if (err == 0)
		err = validate_pop(v, AOT_I32, &found);
	return err ? err : call(v, &m->types[insn->index]);
}

int validate_control(struct validator *v, const struct wasm_insn *insn)
{
	int err;
	switch (insn->op) {
	case WASM_NOP:
		return 0;
	case WASM_BLOCK:
	case WASM_LOOP:
	case WASM_IF:
		return block(v, insn);
	case WASM_ELSE:
		return else_(v);
	case WASM_END:
		return end(v);
	case WASM_BR:
	case WASM_BR_IF:
		return branch(v, insn);
	case WASM_BR_TABLE:
		return br_table(v, insn);
	case WASM_CALL:
		return call_direct(v, insn);
	case WASM_CALL_INDIRECT:
		return call_indirect(v, insn);
	case WASM_RETURN:
		err = validate_pop_all(v, results_of(v->type));
		break;
	default: /* unreachable */
		err = 0;
		break;
	}
	if (err == 0)
		validate_unreachable(v);
	return err;
}
