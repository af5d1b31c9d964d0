/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Line tables of DWARF 4 and 5 (section 6.2 of both): which address belongs to which line of which
 * file. The bytes are foreign: every read is bounded, and so is what is kept.
 *
 * In a Wasm module an address counts from the first byte of the code section's payload.
 */
#ifndef WASM_DWARF_LINE_H
#define WASM_DWARF_LINE_H

#include <stdbool.h>

#include "base/rd.h"
#include "base/why.h"

struct dwarf_sections {
	struct span line, line_str,
		str; /* .debug_line, .debug_line_str, .debug_str; empty: absent */
};

struct dwarf_row {
	uint64_t address;
	uint32_t file; /* index into files, or DWARF_NO_FILE */
	uint32_t line; /* 0: of no line */
	uint32_t discriminator;
	uint32_t order; /* in the table; the later one counts */
	bool is_end;    /* the first address behind a sequence: belongs to nothing */
};

struct dwarf_file {
	struct span dir, name; /* as the producer wrote them; either may be empty */
};

struct dwarf_lines {
	struct dwarf_row *rows; /* by address */
	size_t nrows, rows_cap;
	struct dwarf_file *files;
	size_t nfiles, files_cap;
};

#define DWARF_NO_FILE UINT32_MAX

enum { DWARF_ROWS_MAX = 4 << 20, DWARF_FILES_MAX = 1 << 20 };

/* Reads every unit. Spans of *ret point into the sections. Sequences that begin at address 0 or at
 * the top of the address space are functions that the linker dropped, and are left out.
 * Returns 0 (also when there is nothing); -E_INVALID with the place; -E_LIMIT; -ENOMEM. */
int dwarf_lines_read(const struct dwarf_sections *s, bool keep_zero, struct dwarf_lines *ret,
		     struct why *why) MUST_USE;
void dwarf_lines_fini(struct dwarf_lines *l);

/* The row that address belongs to; NULL when none does. */
const struct dwarf_row *dwarf_lines_find(const struct dwarf_lines *l, uint64_t address);

#endif
