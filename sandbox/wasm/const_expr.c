/* SPDX-License-Identifier: Apache-2.0 */
/* Constant expressions (core specification, section 3.3.7). In 2.0 each is one instruction. */
#include "sandbox/wasm/decode.h"

static int one_const(struct decoder *d, const struct wasm_insn *insn, struct aot_const *ret,
		     uint8_t *ret_type)
{
	const struct wasm_module *m = d->m;
	struct aot_const c = { .kind = AOT_CONST_VALUE, .value = insn->value };
	uint8_t type;
	switch (insn->op) {
	case WASM_I32_CONST:
		type = AOT_I32;
		break;
	case WASM_I64_CONST:
		type = AOT_I64;
		break;
	case WASM_F32_CONST:
		type = AOT_F32;
		break;
	case WASM_F64_CONST:
		type = AOT_F64;
		break;
	case WASM_V128_CONST:
		type = AOT_V128;
		break;
	case WASM_REF_NULL:
		c.kind = AOT_CONST_NULL;
		type = insn->types.at[0];
		break;
	case WASM_REF_FUNC:
		if (insn->index >= m->nfuncs)
			return decode_fail(d, -E_INVALID, "unknown function %u; there are %u",
					   insn->index, m->nfuncs);
		d->declared[insn->index] = 1;
		c = (struct aot_const){ .kind = AOT_CONST_FUNC, .index = insn->index };
		type = AOT_FUNCREF;
		break;
	case WASM_GLOBAL_GET:
		if (insn->index >= m->nimported_globals)
			return decode_fail(
				d, -E_INVALID,
				"unknown global %u: a constant expression may use only the "
				"%u imported ones",
				insn->index, m->nimported_globals);
		if (d->globals[insn->index].type.is_mutable)
			return decode_fail(
				d, -E_INVALID,
				"a constant expression may not use the mutable global %u",
				insn->index);
		c = (struct aot_const){ .kind = AOT_CONST_GLOBAL, .index = insn->index };
		type = d->globals[insn->index].type.type;
		break;
	case WASM_I32_ADD:
	case WASM_I32_SUB:
	case WASM_I32_MUL:
	case WASM_I64_ADD:
	case WASM_I64_SUB:
	case WASM_I64_MUL:
		return decode_fail_beyond(d, "extended constant expressions",
					  "%s in a constant expression", insn->info->text);
	default:
		return decode_fail(d, -E_INVALID, "%s is not allowed in a constant expression",
				   insn->info->text);
	}
	*ret = c;
	*ret_type = type;
	return 0;
}

int const_expr(struct decoder *d, uint8_t type, struct aot_const *ret)
{
	struct wasm_insn insn;
	struct aot_const c = { 0 };
	uint8_t found = 0;
	unsigned n = 0;
	for (;; n++) {
		int err = wasm_insn_next(&d->r, &insn);
		if (err < 0)
			return decode_fail_insn(d, err, &insn);
		d->at = insn.at;
		if (insn.op == WASM_END)
			break;
		err = one_const(d, &insn, &c, &found);
		if (err < 0)
			return err;
	}
	if (n != 1)
		return decode_fail(d, -E_INVALID,
				   "a constant expression must give one value, this one gives %u",
				   n);
	if (found != type)
		return decode_fail(d, -E_INVALID, "the constant expression must give %s, found %s",
				   wasm_type_name(type), wasm_type_name(found));
	*ret = c;
	return 0;
}
