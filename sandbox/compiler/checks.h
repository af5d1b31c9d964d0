/* SPDX-License-Identifier: Apache-2.0 */
/* What is compared with the size of the memory: zext(x + c) + k, without wrap in 64 bits. */
#ifndef COMPILER_CHECKS_H
#define COMPILER_CHECKS_H

#include "sandbox/compiler/codegen.h"

struct check {
	LLVMValueRef call;  /* of check() */
	LLVMValueRef size;  /* of the memory, as it was read for this check */
	LLVMValueRef x;     /* i32 */
	LLVMValueRef index; /* the zext(x + c), i64 */
	uint32_t c;
	uint64_t k;
};

/* Takes apart a call of check() (bounds.c); false: it is something else, and stays. */
bool check_read(const struct gen *g, LLVMValueRef v, struct check *ret);
/* v is i32: the sum of *ret_x and the result, modulo 2^32. */
uint32_t check_sum(LLVMValueRef v, LLVMValueRef *ret_x);

#endif
