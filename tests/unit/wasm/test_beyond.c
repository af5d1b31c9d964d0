/* SPDX-License-Identifier: Apache-2.0 */
/* What came after WebAssembly 2.0 is refused by its name, with the place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "sandbox/wasm/decode.h"
#include "tests/unit/wasm/build.h"

enum { ARENA_BYTES = 1 << 20, MODULE_BYTES = 256 };

static void refused(const uint8_t *bytes, size_t len, const char *place, const char *proposal)
{
	struct arena arena;
	struct why why = { 0 };
	const struct wasm_module *m;
	char name[64];
	arena_init(&arena, ARENA_BYTES);
	int err = module_decode(bytes, len, &arena, &m, &why);
	arena_fini(&arena);
	(void)snprintf(name, sizeof(name), " belongs to `%s`, ", proposal);
	if (err != -E_UNSUPPORTED || strncmp(why.text, place, strlen(place)) != 0 ||
	    !strstr(why.text, name))
		fail_msg("%d, and not `%s...%s...`: %s", err, place, name, why.text);
}

/* One function `parse`, of no parameters and results, with a memory and a table. */
static void instructions_name_proposal_place_and_function(void **state)
{
	static const struct {
		struct bytes code;
		const char *proposal;
	} row[] = {
		{ B("\x12\0"), "tail call" },
		{ B("\x13\0\0"), "tail call" },
		{ B("\x06\x40"), "exception handling" },
		{ B("\x08\0"), "exception handling" },
		{ B("\x0a"), "exception handling" },
		{ B("\x1f\x40\0"), "exception handling" },
		{ B("\x02\x69"), "exception handling" },
		{ B("\xfe\x10\2\0"), "threads" },
		{ B("\xfe\x03\0"), "threads" },
		{ B("\x14\0"), "typed function references" },
		{ B("\xd4"), "typed function references" },
		{ B("\x1c\1\x63"), "typed function references" },
		{ B("\xd3"), "garbage collection" },
		{ B("\xfb\0\0"), "garbage collection" },
		{ B("\xd0\x6e"), "garbage collection" },
		{ B("\xfb\x80\1"), "reference-typed strings" },
		{ B("\xfd\x80\2"), "relaxed SIMD" },
		{ B("\xfd\xaf\2"), "relaxed SIMD" },
		{ B("\xe0\0"), "stack switching" },
		{ B("\xfc\x13"), "wide arithmetic" },
		{ B("\x3f\1"), "multi-memory" },
		{ B("\x41\0\x40\1"), "multi-memory" },
		{ B("\x41\0\x28\x42\1\0"), "multi-memory" },
		{ B("\xfc\x0a\1\0"), "multi-memory" },
		{ B("\xfc\x0b\1"), "multi-memory" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		uint8_t buf[MODULE_BYTES];
		char place[64];
		struct wr w = wr_into(buf, sizeof(buf));
		build_header(&w);
		BUILD_SECTION(&w, 1, "\1\x60\0\0");
		BUILD_SECTION(&w, 3, "\1\0");
		BUILD_SECTION(&w, 4, "\1\x70\0\1");
		BUILD_SECTION(&w, 5, "\1\0\1");
		BUILD_SECTION(&w, 7, "\1\5parse\0\0");
		wr_u8(&w, 10);
		wr_u8(&w, (uint8_t)(row[i].code.len + 4));
		wr_u8(&w, 1);
		wr_u8(&w, (uint8_t)(row[i].code.len + 2));
		wr_u8(&w, 0);
		bool constant_first = row[i].code.at[0] == '\x41';
		(void)snprintf(place, sizeof(place), "at offset 0x%zx of function 0 `parse`: ",
			       w.len + (constant_first ? 2 : 0));
		wr_bytes(&w, row[i].code.at, row[i].code.len);
		wr_u8(&w, 0x0b);
		refused(buf, w.len, place, row[i].proposal);
	}
}

static void declarations_name_proposal_and_place(void **state)
{
	static const struct {
		struct bytes sections;
		const char *place, *proposal;
	} row[] = {
		{ B("\1\4\1\x5f\0\0"), "at offset 0xb in the type section", "garbage collection" },
		{ B("\1\4\1\x4e\0\0"), "at offset 0xb in the type section", "garbage collection" },
		{ B("\1\4\1\x5d\0\0"), "at offset 0xb in the type section", "stack switching" },
		{ B("\1\5\1\x60\1\x64\0"), "at offset 0xd in the type section",
		  "typed function references" },
		{ B("\1\5\1\x60\1\x6b\0"), "at offset 0xd in the type section",
		  "garbage collection" },
		{ B("\2\x09\1\1m\1n\4\0\0\0"), "at offset 0xf in the import section",
		  "exception handling" },
		{ B("\4\7\1\x40\0\x70\0\1\x0b"), "at offset 0xb in the table section",
		  "typed function references" },
		{ B("\4\4\1\x70\4\1"), "at offset 0xc in the table section", "memory64" },
		{ B("\5\4\1\3\1\1"), "at offset 0xb in the memory section", "threads" },
		{ B("\5\3\1\4\1"), "at offset 0xb in the memory section", "memory64" },
		{ B("\5\4\1\7\1\1"), "at offset 0xb in the memory section", "memory64" },
		{ B("\5\4\1\x08\1\0"), "at offset 0xb in the memory section", "custom page sizes" },
		{ B("\5\5\2\0\0\0\0"), "at offset 0xa in the memory section", "multi-memory" },
		{ B("\6\x09\1\x7f\0\x41\0\x41\0\x6a\x0b"), "at offset 0x11 in the global section",
		  "extended constant expressions" },
		{ B("\6\x09\1\x7e\0\x42\0\x42\0\x7e\x0b"), "at offset 0x11 in the global section",
		  "extended constant expressions" },
		{ B("\x0d\3\1\0\0"), "at offset 0x8", "exception handling" },
		{ B("\7\5\1\1t\4\0"), "at offset 0xd in the export section", "exception handling" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		uint8_t buf[MODULE_BYTES];
		struct wr w = wr_into(buf, sizeof(buf));
		build_header(&w);
		wr_bytes(&w, row[i].sections.at, row[i].sections.len);
		refused(buf, w.len, row[i].place, row[i].proposal);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(instructions_name_proposal_place_and_function),
		cmocka_unit_test(declarations_name_proposal_and_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
