/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where native code comes from: for gdb and perf in the terms of DWARF, for the runtime's traps as
 * struct aot_lines (proto/aot_abi.h).
 *
 * Each Wasm instruction has an LLVM debug location: file and line where the module carries DWARF,
 * else its offset in the module, as a line of the file DEBUG_WASM_FILE. LLVM keeps them through
 * everything it does, and writes a line table into the object, which debug_lines() reads back. That
 * table knows the innermost function of what was inlined only, so debug_settle() numbers the chains
 * of calls and leaves the number in each location as its discriminator, which DWARF carries along.
 */
#ifndef COMPILER_DEBUG_H
#define COMPILER_DEBUG_H

#include "sandbox/compiler/codegen.h"
#include "sandbox/wasm/dwarf_line.h"

#define DEBUG_WASM_FILE "wasm-offset"

/* The module's own tables, once for all chunks; notes debug information that makes no sense. */
void debug_read(const struct wasm_module *m, struct compile_result *r, struct dwarf_lines *ret);
/* Where the instruction at an offset of the module comes from; NULL: nobody says. */
const struct dwarf_row *debug_row(const struct wasm_module *m, const struct dwarf_lines *lines,
				  size_t offset);
/* Before the first function. */
void debug_begin(struct gen *g);
/* Around the instructions of a function. */
void debug_function(struct gen *g, uint32_t index);
void debug_at(struct gen *g, const struct wasm_insn *insn);
void debug_leave(struct gen *g);
/* After the last function, before the module is verified. */
void debug_end(struct gen *g);
/* After the last pass. */
void debug_settle(struct gen *g);
/* From the object to an object with its struct aot_lines, which begins DEBUG_SECTION. */
int debug_lines(struct gen *g, LLVMMemoryBufferRef object, LLVMMemoryBufferRef *ret,
		struct why *why) MUST_USE;
void debug_free(struct gen *g);

/* The section that holds it, and nothing else; the linker gives it a symbol. */
#define DEBUG_SECTION "penstock_lines"

/* ---- between debug.c and debug_lines.c ---- */

/* A chain of calls that were inlined, seen from inside. */
struct debug_chain {
	LLVMMetadataRef scope, call; /* the innermost function, and where it was called */
	uint32_t func;               /* its index */
	uint32_t caller;             /* chain number of the function around it; 0: the native one */
	uint32_t line;               /* of the call */
	LLVMMetadataRef file;        /* of the call */
};

struct debug_chain *debug_chains(struct gen *g, uint32_t *ret_n);

#endif
