/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's stack at a trap: the chain of frame pointers, which generated code keeps in every
 * function, walked after the guest has been left and before its stack is used again. So nothing of
 * this runs in a signal handler. Reads stay inside the stack whatever lies there.
 *
 * A trap by time may have interrupted a function that had not set up its frame yet; its caller is
 * missing from the trace then.
 */
#ifndef RUNTIME_BACKTRACE_H
#define RUNTIME_BACKTRACE_H

#include "base/wr.h"
#include "sandbox/runtime/instance.h"

enum {
	BACKTRACE_TOP = 20,
	BACKTRACE_BOTTOM = 12, /* of a deep recursion both ends are of interest */
	BACKTRACE_FRAMES = BACKTRACE_TOP + BACKTRACE_BOTTOM,
	BACKTRACE_TEXT_BYTES = 8 << 10,
};

struct backtrace {
	uint32_t n;       /* frames kept, innermost first */
	uint32_t skipped; /* between the first BACKTRACE_TOP and the rest */
	uintptr_t pc[BACKTRACE_FRAMES];
};

/* pc: of the instruction that trapped. fp: the frame pointer there, or of a function that this one
 * has called; 0: not known. */
void backtrace_take(struct backtrace *b, struct instance *in, uintptr_t pc, uintptr_t fp);
/* "overheat.c:41 check_limit", or without lines in the module "check_limit+0x1a (0x2c3)": bytes of
 * Wasm from the function's beginning, and from the module's. Nothing when pc is no guest's. */
void backtrace_place(struct instance *in, uintptr_t pc, struct wr *w);
/* The functions around that place, one per line, "  from overheat.c:57 on_event\n", in at most
 * BACKTRACE_TEXT_BYTES. */
void backtrace_callers(const struct backtrace *b, struct instance *in, struct wr *w);

#endif
