/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions: the one opcode table (opcode.def) and the one reader of instruction bytes, for
 * validator, compiler and disassembler.
 *
 * opcode.def rows: OP(code, NAME, "text", "pops", "pushes", IMM, CLASS)
 *   code    0x00..0xff, or prefix << 16 | number (0xfc0008, 0xfd000c)
 *   pops    operand types, first pushed first: i I f F v r(any reference) ; "" where the validator
 *   pushes  has a rule of its own (control, parametric, variable, call, reference, table)
 *   IMM     which immediates follow (enum wasm_imm)
 *   CLASS   what the compiler makes of it (enum wasm_class): one emit function per class
 */
#ifndef WASM_INSN_H
#define WASM_INSN_H

#include <stdbool.h>

#include "base/rd.h"
#include "proto/aot_abi.h"

enum wasm_imm {
	WASM_IMM_NONE,
	WASM_IMM_BLOCK,  /* block type */
	WASM_IMM_INDEX,  /* one index: local, global, func, label, table, segment, type */
	WASM_IMM_INDEX2, /* two: call_indirect type table, table.copy, table.init, memory.init */
	WASM_IMM_BR_TABLE,
	WASM_IMM_SELECT,      /* vector of types */
	WASM_IMM_REF_TYPE,    /* ref.null */
	WASM_IMM_MEMARG,      /* align, offset */
	WASM_IMM_MEMARG_LANE, /* align, offset, lane */
	WASM_IMM_MEMORY,      /* the byte 0x00: memory.size, .grow, .fill */
	WASM_IMM_MEMORY2,     /* two bytes 0x00: memory.copy */
	WASM_IMM_I32,
	WASM_IMM_I64,
	WASM_IMM_F32,
	WASM_IMM_F64,
	WASM_IMM_V128,
	WASM_IMM_LANE,
	WASM_IMM_LANES16,
};

/* One class per way of translation, e.g. all of i32.add, i64.mul are BINARY. */
enum wasm_class {
	WASM_CLASS_CONTROL,
	WASM_CLASS_PARAMETRIC,
	WASM_CLASS_VARIABLE,
	WASM_CLASS_REFERENCE,
	WASM_CLASS_TABLE,
	WASM_CLASS_LOAD,
	WASM_CLASS_STORE,
	WASM_CLASS_MEMORY,
	WASM_CLASS_CONST,
	WASM_CLASS_TEST,
	WASM_CLASS_COMPARE,
	WASM_CLASS_UNARY,
	WASM_CLASS_BINARY,
	WASM_CLASS_SHIFT,
	WASM_CLASS_DIVIDE,
	WASM_CLASS_CONVERT,
	WASM_CLASS_SIMD,
};

enum wasm_op {
#define OP(code, NAME, text, pops, pushes, imm, class) WASM_##NAME = (code),
#include "sandbox/wasm/opcode.def"
#undef OP
};

struct wasm_opinfo {
	uint32_t code;
	const char *text, *pops, *pushes;
	uint8_t imm, class;
};

/* NULL for a code that WebAssembly 2.0 does not have. O(1). */
const struct wasm_opinfo *wasm_opinfo(uint32_t code);
/* beyond.c: the name of the proposal that an unknown code, type, form of type, or flags of limits
 * belong to ("tail call", "threads", ...), or NULL. */
const char *wasm_proposal(uint32_t code);
const char *wasm_type_proposal(uint8_t code);
const char *wasm_form_proposal(uint8_t form);
const char *wasm_limits_proposal(uint8_t flags);
/* How many bytes of memory an instruction with a memarg touches, which is its natural alignment
 * too; 0 for any other. */
unsigned wasm_access_bytes(const struct wasm_opinfo *info);
/* How many lanes the lane of a LANE or MEMARG_LANE instruction chooses from; 0 for any other. */
unsigned wasm_lanes(const struct wasm_opinfo *info);

bool wasm_is_value_type(uint8_t code);
bool wasm_is_ref_type(uint8_t code);
const char *wasm_type_name(uint8_t code); /* "i32" ... "externref"; never NULL */

enum { WASM_BLOCK_EMPTY = -64 };

struct wasm_insn {
	const struct wasm_opinfo *info;
	uint32_t op;            /* enum wasm_op */
	const uint8_t *at;      /* its first byte */
	uint32_t index, index2; /* INDEX, INDEX2; lane in index for LANE and MEMARG_LANE */
	uint32_t align;         /* log2 */
	uint64_t offset;        /* memarg; < 2^32 */
	int64_t block; /* WASM_BLOCK_EMPTY, a negative value type (-1 = i32), or a type index */
	union aot_value value; /* constants; 16 lanes for LANES16 */
	struct span types;     /* SELECT, one byte each; REF_TYPE: one byte */
	uint32_t ntargets;     /* BR_TABLE, without the default */
	const char *beyond;    /* the proposal that an immediate belongs to; NULL: none */
	struct rd targets;     /* rd_leb_u32() it ntargets + 1 times; proven to be well-formed */
};

/* Reads one instruction. 0, or -E_INVALID (malformed), -E_UNSUPPORTED (unknown opcode, or
 * an immediate beyond 2.0): then insn->op is the code and insn->at its place. Validates form, not types. */
int wasm_insn_next(struct rd *code, struct wasm_insn *ret_insn) MUST_USE;

#endif
