/* SPDX-License-Identifier: Apache-2.0 */
/* What people who tune want to know of a compile: frames, code sizes, what LLVM says of loops. */
#ifndef COMPILER_DETAILS_H
#define COMPILER_DETAILS_H

#include "base/wr.h"
#include "sandbox/compiler/codegen.h"

enum { DETAILS_REMARKS_MAX = 1000, DETAILS_REMARK_BYTES = 200 };

struct compile_details {
	uint64_t *code_bytes, *frame_bytes; /* by function index */
	size_t nframes;                     /* so far, in the order in which code is made */
	uint64_t *frames;                   /* of every function of the object, thunks too */
	size_t frames_cap;
	char **remarks;
	size_t nremarks;
};

/* Before the first function; does nothing unless details are asked for. */
void details_begin(struct gen *g);
/* With the code made: whose frame is which. */
void details_end(struct gen *g);
/* ", \"phases\": [...]" and with details ", \"details\": {...}". */
void details_report(struct wr *w, const struct wasm_module *m, const struct compile_result *r);
void details_free(struct compile_result *r);

#endif
