/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/compiler/archive.h"

#include <ar.h>
#include <llvm-c/Object.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "sandbox/compiler/codegen.h"

#define CODE_ENDING  ".code.o"
#define LINES_ENDING ".lines.o"
/* Names longer than 15 letters stand in a member of their own, each with this behind it. */
#define NAMES_MEMBER "//"
#define NAME_END     "/\n"

static uint64_t code_bytes(LLVMMemoryBufferRef object)
{
	uint64_t bytes = 0;
	char *text = NULL;
	LLVMBinaryRef binary = LLVMCreateBinary(object, NULL, &text);
	if (!binary) {
		LLVMDisposeMessage(text);
		return 0;
	}
	LLVMSectionIteratorRef at = LLVMObjectFileCopySectionIterator(binary);
	for (; !LLVMObjectFileIsSectionIteratorAtEnd(binary, at); LLVMMoveToNextSection(at)) {
		const char *name = LLVMGetSectionName(at);
		if (name && strcmp(name, GUEST_SECTION) == 0)
			bytes += LLVMGetSectionSize(at);
	}
	LLVMDisposeSectionIterator(at);
	LLVMDisposeBinary(binary);
	return bytes;
}

static void add(struct archive *a, const char *key, const char *ending, LLVMMemoryBufferRef object)
{
	if (a->n == a->cap) {
		a->cap = a->cap ? 2 * a->cap : 16;
		a->members = realloc(a->members, a->cap * sizeof(a->members[0]));
		ENSURE(a->members);
	}
	char *name;
	ENSURE(asprintf(&name, "%s%s", key, ending) > 0);
	a->members[a->n++] = (struct archive_member){ name, object };
}

void archive_put(struct archive *a, const char *key, LLVMMemoryBufferRef objects[2])
{
	add(a, key, CODE_ENDING, objects[0]);
	if (objects[1])
		add(a, key, LINES_ENDING, objects[1]);
	a->code_bytes += code_bytes(objects[0]);
}

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

LLVMMemoryBufferRef archive_make(const struct archive *a)
{
	size_t bytes = SARMAG + sizeof(struct ar_hdr) + 1, names_len = 0, at = SARMAG;
	for (size_t i = 0; i < a->n; i++) {
		names_len += strlen(a->members[i].name) + strlen(NAME_END);
		bytes += sizeof(struct ar_hdr) + LLVMGetBufferSize(a->members[i].object) + 1;
	}
	char *names = gen_alloc(names_len + 1, 1), *all = gen_alloc(bytes + names_len, 1);
	memcpy(all, ARMAG, SARMAG);
	for (size_t i = 0, len = 0; i < a->n; i++)
		len += (size_t)snprintf(names + len, names_len + 1 - len, "%s" NAME_END,
					a->members[i].name);
	at += put(all + at, NAMES_MEMBER, names, names_len);
	for (size_t i = 0, len = 0; i < a->n; i++) {
		char name[17];
		LLVMMemoryBufferRef object = a->members[i].object;
		(void)snprintf(name, sizeof(name), "/%zu", len);
		at += put(all + at, name, LLVMGetBufferStart(object), LLVMGetBufferSize(object));
		len += strlen(a->members[i].name) + strlen(NAME_END);
	}
	LLVMMemoryBufferRef r = LLVMCreateMemoryBufferWithMemoryRangeCopy(all, at, "objects");
	free(all);
	free(names);
	return r;
}

void archive_fini(struct archive *a)
{
	for (size_t i = 0; i < a->n; i++) {
		free(a->members[i].name);
		LLVMDisposeMemoryBuffer(a->members[i].object);
	}
	free(a->members);
	*a = (struct archive){ 0 };
}

/* ---- reading ---- */

/* A number in a field that spaces fill up; -1: none. */
static long long number(const char *field, size_t n)
{
	long long v = 0;
	size_t i = 0;
	for (; i < n && field[i] >= '0' && field[i] <= '9'; i++)
		v = v * 10 + (field[i] - '0');
	return i == 0 || (i < n && field[i] != ' ') ? -1 : v;
}

static bool next(struct rd *r, struct ar_hdr *ret_head, struct span *ret_body)
{
	struct span head = rd_span(r, sizeof(*ret_head));
	if (!rd_ok(r))
		return false;
	memcpy(ret_head, head.at, sizeof(*ret_head));
	long long size = number(ret_head->ar_size, sizeof(ret_head->ar_size));
	if (size < 0 || memcmp(ret_head->ar_fmag, ARFMAG, sizeof(ret_head->ar_fmag)) != 0)
		return false;
	*ret_body = rd_span(r, (size_t)size);
	if (size % 2)
		(void)rd_u8(r);
	return rd_ok(r);
}

/* Whether the member whose head this is has the name. */
static bool is_named(const struct ar_hdr *head, struct span names, const char *name)
{
	long long at = number(head->ar_name + 1, sizeof(head->ar_name) - 1);
	size_t len = strlen(name);
	return head->ar_name[0] == '/' && at >= 0 && (size_t)at <= names.len &&
	       names.len - (size_t)at >= len + strlen(NAME_END) &&
	       memcmp(names.at + at, name, len) == 0 &&
	       memcmp(names.at + at + len, NAME_END, strlen(NAME_END)) == 0;
}

static bool find(struct span bytes, const char *key, const char *ending, struct span *ret)
{
	struct rd r = rd_from(bytes.at, bytes.len);
	struct ar_hdr head;
	struct span names;
	char name[128];
	(void)snprintf(name, sizeof(name), "%s%s", key, ending);
	struct span magic = rd_span(&r, SARMAG);
	if (!rd_ok(&r) || memcmp(magic.at, ARMAG, SARMAG) != 0 || !next(&r, &head, &names) ||
	    memcmp(head.ar_name, NAMES_MEMBER " ", strlen(NAMES_MEMBER) + 1) != 0)
		return false;
	while (r.left > 0 && next(&r, &head, ret)) {
		if (is_named(&head, names, name))
			return true;
	}
	return false;
}

bool archive_find(struct span bytes, const char *key, LLVMMemoryBufferRef ret_objects[2])
{
	static const char *const endings[] = { CODE_ENDING, LINES_ENDING };
	struct span found[ARRAY_LEN(endings)];
	for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
		if (!key[0] || !find(bytes, key, endings[i], &found[i]))
			return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(endings); i++)
		ret_objects[i] = LLVMCreateMemoryBufferWithMemoryRangeCopy(
			(const char *)found[i].at, found[i].len, "object");
	return true;
}
