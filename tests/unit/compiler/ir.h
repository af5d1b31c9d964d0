/* SPDX-License-Identifier: Apache-2.0 */
/* One pass on IR written by hand. */
#ifndef TESTS_COMPILER_IR_H
#define TESTS_COMPILER_IR_H

#include <llvm-c/Analysis.h>
#include <llvm-c/IRReader.h>
#include <string.h>

#include "sandbox/compiler/codegen.h"

static void ir_open(struct gen *g, const char *text)
{
	static const char name[] = "invariant.load";
	LLVMMemoryBufferRef buffer =
		LLVMCreateMemoryBufferWithMemoryRangeCopy(text, strlen(text), "ir");
	char *problem = NULL;
	*g = (struct gen){ .ctx = LLVMContextCreate() };
	if (LLVMParseIRInContext(g->ctx, buffer, &g->mod, &problem))
		fail_msg("%s", problem);
	g->b = LLVMCreateBuilderInContext(g->ctx);
	g->i8 = LLVMInt8TypeInContext(g->ctx);
	g->i32 = LLVMInt32TypeInContext(g->ctx);
	g->i64 = LLVMInt64TypeInContext(g->ctx);
	g->ptr = LLVMPointerTypeInContext(g->ctx, 0);
	g->md_invariant = LLVMGetMDKindIDInContext(g->ctx, name, (unsigned)strlen(name));
}

static void ir_close(struct gen *g)
{
	LLVMDisposeBuilder(g->b);
	LLVMDisposeModule(g->mod);
	LLVMContextDispose(g->ctx);
}

/* The module as text, which is valid; LLVMDisposeMessage() is its end. */
static char *ir_text(const struct gen *g)
{
	char *problem = NULL;
	if (LLVMVerifyModule(g->mod, LLVMReturnStatusAction, &problem))
		fail_msg("%s", problem);
	LLVMDisposeMessage(problem);
	return LLVMPrintModuleToString(g->mod);
}

#endif
