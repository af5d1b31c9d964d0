/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/compiler/archive.h"

#include <ar.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

/* No times and no owners: the same objects give the same bytes. */
static size_t put(char *to, const char *name, const void *p, size_t n)
{
	char head[sizeof(struct ar_hdr) + 1];
	int len = snprintf(head, sizeof(head), "%-16s%-12s%-6s%-6s%-8s%-10zu" ARFMAG, name, "0",
			   "0", "0", "644", n);
	ENSURE(len == (int)sizeof(struct ar_hdr));
	memcpy(to, head, sizeof(struct ar_hdr));
	memcpy(to + sizeof(struct ar_hdr), p, n);
	if (n % 2)
		to[sizeof(struct ar_hdr) + n] = '\n';
	return sizeof(struct ar_hdr) + n + n % 2;
}

LLVMMemoryBufferRef archive_make(const LLVMMemoryBufferRef *objects, size_t n)
{
	size_t bytes = SARMAG, at = SARMAG;
	for (size_t i = 0; i < n; i++)
		bytes += sizeof(struct ar_hdr) + LLVMGetBufferSize(objects[i]) + 1;
	char *all = malloc(bytes);
	ENSURE(all != NULL);
	memcpy(all, ARMAG, SARMAG);
	for (size_t i = 0; i < n; i++) {
		char name[17];
		(void)snprintf(name, sizeof(name), "%zu.o/", i);
		at += put(all + at, name, LLVMGetBufferStart(objects[i]),
			  LLVMGetBufferSize(objects[i]));
	}
	LLVMMemoryBufferRef r = LLVMCreateMemoryBufferWithMemoryRangeCopy(all, at, "objects");
	free(all);
	return r;
}
