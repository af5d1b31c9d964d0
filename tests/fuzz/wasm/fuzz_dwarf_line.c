/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as line tables; the last 64 are the strings that they may point to. */
#include "sandbox/wasm/dwarf_line.h"

enum { STRINGS = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t n = size > STRINGS ? size - STRINGS : size;
	const struct span strings = { data + n, size - n };
	const struct dwarf_sections s = { { data, n }, strings, strings };
	struct dwarf_lines l = { 0 };
	struct why why = { 0 };
	int err = dwarf_lines_read(&s, size % 2 == 0, &l, &why);
	ENSURE((err == 0) == (why.text[0] == '\0') && (err == 0 || l.nrows == 0));
	for (size_t i = 0; i < l.nrows; i++) {
		const struct dwarf_row *r = &l.rows[i];
		ENSURE(r->file == DWARF_NO_FILE || r->file < l.nfiles);
		ENSURE(i == 0 || l.rows[i - 1].address <= r->address);
		const struct dwarf_row *found = dwarf_lines_find(&l, r->address);
		ENSURE(!found || found->address == r->address);
	}
	dwarf_lines_fini(&l);
	return 0;
}
