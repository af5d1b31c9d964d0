/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of sandbox/wasm: the state of one module_decode(), its error messages, and the readers of
 * single things that several sections share.
 *
 * The reader's error is sticky, so readers here may go on after it with zeros; the first
 * decode_fail() afterwards, or the end of the section, then reports the reader's error instead of
 * what the zeros look like.
 */
#ifndef WASM_DECODE_H
#define WASM_DECODE_H

#include "sandbox/wasm/insn.h"
#include "sandbox/wasm/module.h"

struct decoder {
	struct wasm_module *m; /* what is known so far; the arrays below are its writable sides */
	struct wasm_func *funcs;
	struct wasm_table *tables;
	struct wasm_global *globals;
	struct wasm_custom *customs;
	uint8_t *declared; /* by function index: may be named by ref.func (C.refs in the spec) */

	struct arena *arena;
	struct why *why;

	struct rd r;         /* the section or function body that is being read */
	const uint8_t *at;   /* the thing in it that an error would be about */
	const char *section; /* NULL outside of sections and in function bodies */
	uint32_t func;       /* the function being read, UINT32_MAX = none */

	uint32_t segment_elements;
	uint32_t nbodies;
	uint32_t data_count;
	bool has_data_count;
};

/* Sets the reason, with the place, and returns err; if the reader has failed, its reason and
 * -E_INVALID instead. */
int decode_fail(struct decoder *d, int err, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* What wasm_insn_next() refused: names the opcode and its proposal. */
int decode_fail_insn(struct decoder *d, int err, const struct wasm_insn *insn);
/* -E_UNSUPPORTED: what it is, and the proposal that it belongs to. */
int decode_fail_beyond(struct decoder *d, const char *proposal, const char *fmt, ...)
	PRINTF_LIKE(3, 4);
int decode_fail_memory(struct decoder *d);

uint8_t decode_u8(struct decoder *d);
uint32_t decode_u32(struct decoder *d); /* LEB128 */
/* A count of things that take min_bytes or more each; -E_LIMIT above `most`. */
int decode_count(struct decoder *d, const char *limit, uint32_t most, size_t min_bytes,
		 uint32_t *ret_count) MUST_USE;
#define DECODE_COUNT(d, limit, min_bytes, ret_count)                                               \
	decode_count((d), #limit, WASM_MAX_##limit, (min_bytes), (ret_count))
int decode_limit(struct decoder *d, const char *limit, uint64_t most, uint64_t have) MUST_USE;
#define DECODE_LIMIT(d, limit, have) decode_limit((d), #limit, WASM_MAX_##limit, (have))
int decode_index(struct decoder *d, const char *what, uint32_t count, uint32_t *ret) MUST_USE;
int decode_name(struct decoder *d, struct span *ret) MUST_USE;
int decode_value_type(struct decoder *d, uint8_t *ret) MUST_USE;
int decode_ref_type(struct decoder *d, uint8_t *ret) MUST_USE;
/* A copy of nold elements with room for nnew in all; NULL = out of memory. */
void *decode_extend(struct decoder *d, const void *old, size_t nold, size_t nnew, size_t size);

/* const_expr.c: one constant expression of the given type, with its `end`. */
int const_expr(struct decoder *d, uint8_t type, struct aot_const *ret) MUST_USE;

/* sections.c: what comes before the code; segments.c: elements and data; bodies.c: the code */
int section_types(struct decoder *d) MUST_USE;
int section_imports(struct decoder *d) MUST_USE;
int section_functions(struct decoder *d) MUST_USE;
int section_tables(struct decoder *d) MUST_USE;
int section_memories(struct decoder *d) MUST_USE;
int section_globals(struct decoder *d) MUST_USE;
int section_exports(struct decoder *d) MUST_USE;
int section_start(struct decoder *d) MUST_USE;
int section_elements(struct decoder *d) MUST_USE;
int section_data_count(struct decoder *d) MUST_USE;
int section_bodies(struct decoder *d) MUST_USE;
int section_datas(struct decoder *d) MUST_USE;

/* names.c: gives every function its name, as far as there is one. Never fails. */
void names_assign(struct decoder *d);

/* validate.c: the body of every function. */
int validate_functions(struct decoder *d) MUST_USE;

#endif
