/* SPDX-License-Identifier: Apache-2.0 */
/* What came after WebAssembly 2.0, by the codes that give it away: so that it is refused by name. */
#include "sandbox/wasm/insn.h"

struct range {
	uint32_t first, last;
	const char *name;
};

static const struct range opcodes[] = {
	{ 0x06, 0x0a, "exception handling" },
	{ 0x12, 0x13, "tail call" },
	{ 0x14, 0x15, "typed function references" },
	{ 0x18, 0x19, "exception handling" },
	{ 0x1f, 0x1f, "exception handling" },
	{ 0xd3, 0xd3, "garbage collection" },
	{ 0xd4, 0xd6, "typed function references" },
	{ 0xe0, 0xe6, "stack switching" },
	{ 0xfb0000, 0xfb001f, "garbage collection" },
	{ 0xfb0080, 0xfb00bf, "reference-typed strings" },
	{ 0xfc0012, 0xfc0012, "memory control" },
	{ 0xfc0013, 0xfc0016, "wide arithmetic" },
	{ 0xfd0100, 0xfd012f, "relaxed SIMD" },
	{ 0xfe0000, 0xfe004f, "threads" },
};

static const struct range types[] = {
	{ 0x63, 0x64, "typed function references" }, /* (ref null? ht) */
	{ 0x67, 0x67, "reference-typed strings" },   { 0x68, 0x68, "stack switching" },
	{ 0x69, 0x69, "exception handling" },        { 0x6a, 0x6e, "garbage collection" },
	{ 0x71, 0x73, "garbage collection" },        { 0x74, 0x74, "exception handling" },
	{ 0x75, 0x75, "stack switching" },
};

static const struct range forms[] = {
	{ 0x4e, 0x50, "garbage collection" },
	{ 0x5d, 0x5d, "stack switching" },
	{ 0x5e, 0x5f, "garbage collection" },
};

/* Flag 1: shared, 2: 64-bit indices, 3: pages of another size. */
static const struct range limits[] = {
	{ 2, 3, "threads" },
	{ 4, 7, "memory64" },
	{ 8, 15, "custom page sizes" },
};

static const char *name_of(const struct range *list, size_t n, uint32_t code)
{
	for (size_t i = 0; i < n; i++) {
		if (code >= list[i].first && code <= list[i].last)
			return list[i].name;
	}
	return NULL;
}

const char *wasm_proposal(uint32_t code)
{
	return name_of(opcodes, ARRAY_LEN(opcodes), code);
}

const char *wasm_type_proposal(uint8_t code)
{
	return name_of(types, ARRAY_LEN(types), code);
}

const char *wasm_form_proposal(uint8_t form)
{
	return name_of(forms, ARRAY_LEN(forms), form);
}

const char *wasm_limits_proposal(uint8_t flags)
{
	return name_of(limits, ARRAY_LEN(limits), flags);
}
