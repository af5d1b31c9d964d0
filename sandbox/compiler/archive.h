/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects of a compile as one file that every linker takes: ar(5), without a table of symbols.
 * A member is named by the key of what it was made from (chunk.h), so an archive is also the store
 * that the next compile takes members from whose key is the same.
 */
#ifndef COMPILER_ARCHIVE_H
#define COMPILER_ARCHIVE_H

#include <llvm-c/Core.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/rd.h"

/* All-zero: empty. */
struct archive {
	struct archive_member {
		char *name;
		LLVMMemoryBufferRef object;
	} * members;
	size_t n, cap;
	uint64_t code_bytes; /* in GUEST_SECTION of all */
};

/* The code and, unless NULL, its lines; the archive owns them from here. Out of memory aborts, as in
 * LLVM. */
void archive_put(struct archive *a, const char *key, LLVMMemoryBufferRef objects[2]);
/* The same objects in the same order give the same bytes. */
LLVMMemoryBufferRef archive_make(const struct archive *a);
void archive_fini(struct archive *a);

/* Both objects of a key from the bytes of an archive, which must stay. False: not there, or the
 * bytes are no archive of ours; they may be anything. */
bool archive_find(struct span bytes, const char *key, LLVMMemoryBufferRef ret_objects[2]);

#endif
