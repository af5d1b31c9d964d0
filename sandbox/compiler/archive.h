/* SPDX-License-Identifier: Apache-2.0 */
/* Several objects as one file that every linker takes: ar(5), without a table of symbols. */
#ifndef COMPILER_ARCHIVE_H
#define COMPILER_ARCHIVE_H

#include <llvm-c/Core.h>

/* The objects stay the caller's. Out of memory aborts, as in LLVM. */
LLVMMemoryBufferRef archive_make(const LLVMMemoryBufferRef *objects, size_t n);

#endif
