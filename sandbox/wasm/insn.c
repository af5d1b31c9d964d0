/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/wasm/insn.h"

#include <string.h>

#include "base/why.h"

/* Codes without prefix, 0xfc and 0xfd: a plane of 256 each. */
#define PLANE(code) ((code) >> 16 == 0 ? 0 : ((code) >> 16) - 0xfb)

static const struct wasm_opinfo table[3][256] = {
#define OP(code_, NAME, text_, pops_, pushes_, imm_, class_)                                       \
	[PLANE(code_)][(code_)&0xff] = {                                                           \
		.code = (code_),                                                                   \
		.text = (text_),                                                                   \
		.pops = (pops_),                                                                   \
		.pushes = (pushes_),                                                               \
		.imm = WASM_IMM_##imm_,                                                            \
		.class = WASM_CLASS_##class_,                                                      \
	},
#include "sandbox/wasm/opcode.def"
#undef OP
};

const struct wasm_opinfo *wasm_opinfo(uint32_t code)
{
	uint32_t prefix = code >> 16;
	if ((code & 0xffff) > 0xff || (prefix != 0 && prefix != 0xfc && prefix != 0xfd))
		return NULL;
	const struct wasm_opinfo *info = &table[PLANE(code)][code & 0xff];
	return info->text ? info : NULL;
}

bool wasm_is_value_type(uint8_t code)
{
	return (code >= AOT_V128 && code <= AOT_I32) || wasm_is_ref_type(code);
}

bool wasm_is_ref_type(uint8_t code)
{
	return code == AOT_FUNCREF || code == AOT_EXTERNREF;
}

const char *wasm_type_name(uint8_t code)
{
	static const char *const name[] = {
		[AOT_EXTERNREF] = "externref",
		[AOT_FUNCREF] = "funcref",
		[AOT_V128] = "v128",
		[AOT_F64] = "f64",
		[AOT_F32] = "f32",
		[AOT_I64] = "i64",
		[AOT_I32] = "i32",
	};
	return code < ARRAY_LEN(name) && name[code] ? name[code] : "a value";
}

/* The number at *p, which is moved behind it; `none` where there are no digits. */
static unsigned digits(const char **p, unsigned none)
{
	unsigned n = 0;
	if (**p < '0' || **p > '9')
		return none;
	for (; **p >= '0' && **p <= '9'; (*p)++)
		n = n * 10 + (unsigned)(**p - '0');
	return n;
}

/* The names are systematic: i64.load32_s reads 32 bits, v128.load16x4_s 16 * 4, f64.store 64. */
unsigned wasm_access_bytes(const struct wasm_opinfo *info)
{
	const char *dot = strchr(info->text, '.');
	if (!dot || (info->imm != WASM_IMM_MEMARG && info->imm != WASM_IMM_MEMARG_LANE))
		return 0;
	const char *type = info->text + 1;
	const char *at = dot + (dot[1] == 'l' ? sizeof(".load") : sizeof(".store")) - 1;
	unsigned bits = digits(&at, digits(&type, 0));
	if (*at == 'x') {
		at++;
		bits *= digits(&at, 1);
	}
	return bits / 8;
}

unsigned wasm_lanes(const struct wasm_opinfo *info)
{
	if (info->imm == WASM_IMM_MEMARG_LANE)
		return 16 / wasm_access_bytes(info);
	if (info->imm != WASM_IMM_LANE)
		return 0;
	const char *at = strchr(info->text, 'x') + 1;
	return digits(&at, 0);
}

/* One byte, the type itself, or an s33 that is a type index. The byte is never part of a longer
 * LEB128 form. */
static void block_type(struct rd *r, struct wasm_insn *insn)
{
	size_t left = r->left;
	insn->block = rd_leb_s33(r);
	if (insn->block >= 0 || insn->block == WASM_BLOCK_EMPTY)
		return;
	bool one_byte = left - r->left == 1;
	uint8_t type = (uint8_t)(insn->block & 0x7f);
	if (one_byte)
		insn->beyond = wasm_type_proposal(type);
	if (!one_byte || (!insn->beyond && !wasm_is_value_type(type)))
		rd_fail(r, -E_INVALID);
}

static void types(struct rd *r, uint32_t n, struct wasm_insn *insn)
{
	insn->types = rd_span(r, n);
	for (size_t i = 0; i < insn->types.len && !insn->beyond; i++) {
		insn->beyond = wasm_type_proposal(insn->types.at[i]);
		if (!insn->beyond && !wasm_is_value_type(insn->types.at[i]))
			rd_fail(r, -E_INVALID);
	}
}

/* 2.0 has one memory and keeps a byte for its index. */
static void memory_index(struct rd *r, struct wasm_insn *insn)
{
	if (rd_u8(r) != 0)
		insn->beyond = "multi-memory";
}

static void bytes16(struct rd *r, union aot_value *ret)
{
	struct span s = rd_span(r, sizeof(ret->v128));
	if (s.len)
		memcpy(ret->v128, s.at, s.len);
}

static void br_table(struct rd *r, struct wasm_insn *insn)
{
	insn->ntargets = rd_leb_count(r, 1);
	insn->targets = *r;
	for (uint32_t i = 0; rd_ok(r) && i <= insn->ntargets; i++)
		(void)rd_leb_u32(r);
	insn->targets.left -= r->left;
}

static void memarg(struct rd *r, struct wasm_insn *insn)
{
	insn->align = rd_leb_u32(r);
	if (insn->align >> 6 == 1) /* the flag for a memory's index behind it */
		insn->beyond = "multi-memory";
	insn->offset = rd_leb_u32(r);
}

static void immediates(struct rd *r, struct wasm_insn *insn)
{
	switch ((enum wasm_imm)insn->info->imm) {
	case WASM_IMM_NONE:
		break;
	case WASM_IMM_BLOCK:
		block_type(r, insn);
		break;
	case WASM_IMM_INDEX:
		insn->index = rd_leb_u32(r);
		break;
	case WASM_IMM_INDEX2:
		insn->index = rd_leb_u32(r);
		if (insn->op == WASM_MEMORY_INIT)
			memory_index(r, insn);
		else
			insn->index2 = rd_leb_u32(r);
		break;
	case WASM_IMM_BR_TABLE:
		br_table(r, insn);
		break;
	case WASM_IMM_SELECT:
		types(r, rd_leb_count(r, 1), insn);
		break;
	case WASM_IMM_REF_TYPE:
		types(r, 1, insn);
		if (insn->types.len && !insn->beyond && !wasm_is_ref_type(insn->types.at[0]))
			rd_fail(r, -E_INVALID);
		break;
	case WASM_IMM_MEMARG:
		memarg(r, insn);
		break;
	case WASM_IMM_MEMARG_LANE:
		memarg(r, insn);
		insn->index = rd_u8(r);
		break;
	case WASM_IMM_MEMORY2:
		memory_index(r, insn);
		memory_index(r, insn);
		break;
	case WASM_IMM_MEMORY:
		memory_index(r, insn);
		break;
	case WASM_IMM_I32:
		insn->value.i32 = (uint32_t)rd_leb_s32(r);
		break;
	case WASM_IMM_I64:
		insn->value.i64 = (uint64_t)rd_leb_s64(r);
		break;
	/* Floats travel as bits: a load into a float register may quiet a NaN. */
	case WASM_IMM_F32:
		insn->value.i32 = rd_u32(r);
		break;
	case WASM_IMM_F64:
		insn->value.i64 = rd_u64(r);
		break;
	case WASM_IMM_V128:
	case WASM_IMM_LANES16:
		bytes16(r, &insn->value);
		break;
	case WASM_IMM_LANE:
		insn->index = rd_u8(r);
		break;
	}
}

int wasm_insn_next(struct rd *code, struct wasm_insn *ret_insn)
{
	struct wasm_insn insn = { .at = code->at };
	insn.op = rd_u8(code);
	if (insn.op >= 0xfb && insn.op <= 0xfe) {
		uint32_t number = rd_leb_u32(code);
		/* A number that no prefix will ever reach must not alias one that exists. */
		insn.op = insn.op << 16 | (number > 0xffff ? 0xffff : number);
	}
	insn.info = rd_ok(code) ? wasm_opinfo(insn.op) : NULL;
	if (insn.info)
		immediates(code, &insn);
	*ret_insn = insn;
	if (!rd_ok(code))
		return -E_INVALID;
	return insn.info && !insn.beyond ? 0 : -E_UNSUPPORTED;
}
