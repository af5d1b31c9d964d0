/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/context.h"

#include <stdint.h>
#include <string.h>

void context_start(void); /* context_*.S: calls entry(arg) */

#if defined(__x86_64__)
/* The frame that context_switch pops, from the stack pointer up. */
enum { R15 = 1, R14, R13, R12, RBX, RBP, RETURN, FRAME_WORDS };
enum { SLOT_CONTROL = 0, SLOT_ARG = R13, SLOT_ENTRY = R12, SLOT_RETURN = RETURN };
#define CONTROL_WORD (UINT64_C(0x037f) << 32 | 0x1f80) /* x87 control word, mxcsr: as at start */
#elif defined(__aarch64__)
enum { SLOT_ARG = 0, SLOT_ENTRY = 1, SLOT_RETURN = 11, SLOT_CONTROL = 20, FRAME_WORDS = 22 };
#define CONTROL_WORD UINT64_C(0) /* fpcr: round to nearest, no traps */
#else
#error "no context switch for this architecture: add context_ARCH.S and its slots here"
#endif

void context_make(struct context *c, void *top, void (*entry)(void *), void *arg)
{
	/* Two zero words above the frame end a debugger's back trace. */
	uint64_t *end = (uint64_t *)((uintptr_t)top & ~(uintptr_t)15) - 2;
	uint64_t *frame = end - FRAME_WORDS;
	memset(frame, 0, (FRAME_WORDS + 2) * sizeof(*frame));
	frame[SLOT_CONTROL] = CONTROL_WORD;
	frame[SLOT_ARG] = (uintptr_t)arg;
	frame[SLOT_ENTRY] = (uintptr_t)entry;
	frame[SLOT_RETURN] = (uintptr_t)context_start;
	c->sp = frame;
}
