/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A module in parts that are compiled each for itself: functions that follow each other, some
 * hundred kilobytes of Wasm. Where one ends depends on the functions around that place and on nothing
 * else, so what is put in or taken out shifts no boundary further on. A small module is one chunk.
 *
 * The key of a chunk is a hash over all that its object depends on: the compiler and LLVM, machine,
 * flags, ABI, what it uses of types, globals and memory, names, bodies, and lines. What a function
 * calls is in it by name and type, not by index: functions that others were put before keep their
 * keys. Equal keys, equal objects; whoever adds to the code generator something that depends on more
 * of the module adds it to hash_insn() or hash_module().
 */
#ifndef COMPILER_CHUNK_H
#define COMPILER_CHUNK_H

#include "sandbox/compiler/compile.h"
#include "sandbox/wasm/dwarf_line.h"

enum { CHUNK_KEY_BYTES = 32 };

struct chunk {
	uint32_t first, end;  /* functions */
	size_t base;          /* offsets in its object count from here in the module's bytes */
	uint64_t code_before; /* bytes of code in the chunks before it */
	char key[2 * CHUNK_KEY_BYTES + 1]; /* hex; "": the compiler does not know itself */
};

struct chunks {
	struct chunk *at; /* at least one, which may be without functions */
	size_t n;
};

/* What they are made from. */
struct source {
	const struct wasm_module *m;
	const struct compile_options *o;
	const struct target *t;
	char *const *names; /* names.c */
	const struct dwarf_lines *lines;
};

/* The caller frees ret->at. */
void chunks_make(const struct source *s, struct chunks *ret);

#endif
