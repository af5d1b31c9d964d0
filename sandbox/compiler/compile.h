/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A verified module becomes an ELF object: the whole of LLVM stands behind these two calls. What
 * the object holds is described in proto/aot_abi.h. No files, no processes: those are main.c's.
 */
#ifndef COMPILER_COMPILE_H
#define COMPILER_COMPILE_H

#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>

#include "sandbox/wasm/module.h"

enum { COMPILE_NOTES_MAX = 16, COMPILE_PHASES_MAX = 16, COMPILE_OPT_DEFAULT = 2 };
enum { COMPILE_CHUNK_BYTES = 128 << 10 };

/* The machine that code is made for. Opened before the jail: it reads /proc/cpuinfo on some. */
struct target {
	LLVMTargetMachineRef machine[2]; /* [0] without optimisation, [1] with */
	char *triple, *cpu, *features;   /* LLVM's messages, see LLVMDisposeMessage */
	bool is_x86;
};

/* triple NULL = this machine, cpu NULL or "native" = this CPU; "generic" is x86-64-v2 on amd64.
 * Returns 0; -E_UNSUPPORTED for a triple or CPU that the compiler cannot make code for. */
int target_open(const char *triple, const char *cpu, struct target *ret_target,
		struct why *why) MUST_USE;
void target_fini(struct target *t); /* half-built and zeroed ones are fine */

struct compile_options {
	bool bounds_check;
	int opt; /* 0..3 */
	bool details;
	bool keep_debug;      /* DWARF will stay: its offsets are of the module, not of the chunk */
	unsigned chunk_bytes; /* of Wasm code, about; 0: COMPILE_CHUNK_BYTES */
	struct span previous; /* what an earlier compile gave as its object, or empty; not with
			       * details, which have to be made */
};

struct compile_phase {
	const char *name;
	uint64_t cpu_us;
};

struct compile_result {
	LLVMMemoryBufferRef object;      /* archive.h; see compile_result_fini() */
	size_t chunks, reused;           /* how many there are, and came from options.previous */
	uint64_t code_bytes;             /* of the guest's functions */
	unsigned rolled_loops;           /* see reroll.c */
	unsigned skipping_loops;         /* see compare.c */
	struct compile_details *details; /* details.h; NULL: not asked for */
	struct compile_phase phases[COMPILE_PHASES_MAX];
	size_t nphases;
	uint64_t phase_start_us;
	size_t nnotes;
	char notes[COMPILE_NOTES_MAX][160]; /* what the author or operator should know */
};

/* The same module, target and options give the same bytes. Returns 0; -EIO where LLVM failed on
 * what is not the module's fault. Out of memory aborts, as everywhere in LLVM: the caller is a
 * process of its own (main.c) or a fuzzer. */
int compile_module(const struct wasm_module *m, const struct target *t,
		   const struct compile_options *o, struct compile_result *ret_result,
		   struct why *why) MUST_USE;
void compile_result_fini(struct compile_result *r);
/* What has been done since the last one, or since the start of the process. */
void compile_phase(struct compile_result *r, const char *name);
void compile_note(struct compile_result *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
