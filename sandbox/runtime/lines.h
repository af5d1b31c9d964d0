/* SPDX-License-Identifier: Apache-2.0 */
/* Reading struct aot_lines: where a native instruction comes from. */
#ifndef RUNTIME_LINES_H
#define RUNTIME_LINES_H

#include "sandbox/runtime/load.h"

/* A place in the source and the function it is in; from inside to outside with lines_caller(). */
struct place {
	const char *func; /* never NULL */
	const char *file; /* NULL: line is an offset in the module's bytes */
	uint32_t line;    /* 0: unknown */
	uint32_t start;   /* where the function begins, as such an offset */
	uint32_t chain;   /* for lines_caller() */
};

/* Where the instruction at pc comes from; false when pc is not this module's. */
bool lines_find(const struct module *m, uintptr_t pc, struct place *ret);
/* The function around an inlined one; false when p is of a native function. */
bool lines_caller(const struct module *m, uintptr_t pc, struct place *p);

#endif
