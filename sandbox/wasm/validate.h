/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of sandbox/wasm: what validate.c and control.c share. */
#ifndef WASM_VALIDATE_H
#define WASM_VALIDATE_H

#include "sandbox/wasm/decode.h"

/* Beside the codes of value types. */
enum { VALIDATE_UNKNOWN = 0, VALIDATE_NOTHING = 1 };

struct frame {
	uint32_t op; /* WASM_BLOCK, WASM_LOOP, WASM_IF or WASM_ELSE */
	bool unreachable;
	uint32_t height; /* of the operand stack below its parameters */
	struct span params, results;
};

struct validator {
	struct decoder *d; /* d->r reads the body, d->at is the instruction */
	const struct aot_functype *type;
	const struct wasm_insn *insn;
	struct frame *frames;
	uint8_t *stack; /* types of operands, or VALIDATE_UNKNOWN */
	uint32_t nframes, frames_cap, depth, stack_cap;
};

int validate_push(struct validator *v, uint8_t type) MUST_USE;
int validate_push_all(struct validator *v, struct span types) MUST_USE;
/* want may be VALIDATE_UNKNOWN: any. *ret_found is the more exact one of want and what was there.
 */
int validate_pop(struct validator *v, uint8_t want, uint8_t *ret_found) MUST_USE;
int validate_pop_all(struct validator *v, struct span types) MUST_USE;
/* As pop_all and pushing back what was there. */
int validate_peek_all(struct validator *v, struct span types) MUST_USE;
int validate_enter(struct validator *v, uint32_t op, struct span params,
		   struct span results) MUST_USE;
int validate_leave(struct validator *v, struct frame *ret) MUST_USE;
void validate_unreachable(struct validator *v);
int validate_index(struct validator *v, const char *what, uint32_t index, uint32_t count) MUST_USE;

/* control.c: the rules of WASM_CLASS_CONTROL. */
int validate_control(struct validator *v, const struct wasm_insn *insn) MUST_USE;

#endif
