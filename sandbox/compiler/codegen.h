/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the code generator share, and nobody else sees.
 *
 * struct gen is one module on its way to an object, struct fn one function on its way to IR. The
 * Wasm is valid, so nothing is checked again: an operand that is missing is a bug (ENSURE).
 *
 * What LLVM must never be told, because Wasm does not promise it (facts that cost others weeks):
 *  1. mustprogress, willreturn: an endless loop is a legal program.
 *  2. fast-math, contraction.
 *  3. that a function named memcpy is memcpy ("no-builtins"): guests name theirs as they like.
 *  4. poison: divisor, shift width and float range are checked or masked before the instruction.
 */
#ifndef COMPILER_CODEGEN_H
#define COMPILER_CODEGEN_H

#include "sandbox/compiler/chunk.h"
#include "sandbox/wasm/insn.h"

/* Where the guest's functions are, and nothing else: its bounds are code_start and code_end. */
#define GUEST_SECTION "penstock_text"
/* With a dot, which names of guests never have. */
#define BOUNDS_CHECK_NAME "penstock.check"

/* Kinds of storage that never overlap. Linear memory cannot reach instance fields, so stores to it
 * leave what was read from them valid: this is what lets loops over arrays be vectorised. */
enum alias { ALIAS_MEMORY, ALIAS_MEMORY_SIZE, ALIAS_GLOBAL, ALIAS_TABLE, ALIAS_COUNT };

struct gen {
	const struct wasm_module *m;
	const struct compile_options *o;
	const struct target *t;
	const struct chunks *chunks;
	const struct chunk *chunk; /* NULL: only the descriptor is made */
	uint32_t first, end;       /* the functions that are made here: of the chunk, or none */
	bool is_whole; /* the module is one chunk, with its descriptor in the same object */
	int opt;       /* what is asked for, or less (passes_plan) */
	struct compile_result *result;
	LLVMContextRef ctx;
	LLVMModuleRef mod;
	LLVMBuilderRef b;        /* at the instruction being translated */
	LLVMBuilderRef prologue; /* at the end of the entry block of the current function */
	LLVMTypeRef void_, i1, i8, i16, i32, i64, f32, f64, ptr;
	LLVMTypeRef
		*types; /* of functions, by type index; made when first needed, gen_functype() */
	LLVMValueRef *funcs; /* by function index, likewise; gen_func() */
	char **names;        /* by function index, sanitised and unique; all chunks share them */
	const struct dwarf_lines *lines; /* where the module carries them; shared, too */
	LLVMValueRef type_ids;           /* uint32_t[ntypes], filled in by the runtime */
	LLVMValueRef check;              /* bounds.c; NULL: there are no bounds checks */
	LLVMValueRef alias[ALIAS_COUNT], empty_md;
	unsigned md_tbaa, md_invariant;
	LLVMAttributeRef cold, noreturn, nomerge;
	struct debug *debug; /* debug.h */
};

struct label {
	uint32_t op;             /* WASM_BLOCK, _LOOP, _IF; _ELSE after it; the body is a BLOCK */
	LLVMBasicBlockRef to;    /* where a branch to it goes; made when first needed */
	LLVMBasicBlockRef other; /* IF: where the else branch starts */
	const uint8_t *params, *results; /* type codes */
	uint32_t nparams, nresults;
	size_t base; /* operands below its parameters */
};

struct fn {
	struct gen *g;
	const struct wasm_func *wf;
	const struct aot_functype *type;
	LLVMValueRef f, self;
	LLVMValueRef mem_base; /* NULL until first used */
	LLVMValueRef *locals;  /* allocas, parameters first */
	LLVMValueRef *stack;
	size_t depth, stack_cap;
	struct label *labels; /* innermost last */
	size_t nlabels, labels_cap;
	bool dead;          /* the current place cannot be reached, instructions are skipped */
	size_t dead_labels; /* blocks opened since */
};

/* codegen.c */
LLVMTypeRef gen_functype(struct gen *g, uint32_t type);
LLVMValueRef gen_func(struct gen *g, uint32_t index); /* NULL: imported */
LLVMTypeRef gen_type(const struct gen *g, uint8_t code);
LLVMValueRef gen_i32(const struct gen *g, uint32_t v);
LLVMValueRef gen_i64(const struct gen *g, uint64_t v);
LLVMValueRef gen_constant(const struct gen *g, uint8_t type, const union aot_value *v);
/* An intrinsic overloaded on over[0..nover). */
LLVMValueRef gen_intrinsic(struct gen *g, const char *name, LLVMTypeRef *over, size_t nover,
			   LLVMValueRef *args, unsigned nargs);
void *gen_alloc(size_t count, size_t size) MUST_USE; /* zeroed, never NULL */
void gen_attributes(struct gen *g, LLVMValueRef f);
/* Loads of what is constant while a guest runs, at base + offset. */
LLVMValueRef gen_load_const(struct gen *g, LLVMBuilderRef b, LLVMTypeRef type, LLVMValueRef base,
			    uint64_t offset);
LLVMValueRef gen_load(struct gen *g, LLVMTypeRef type, LLVMValueRef at, enum alias alias);
void gen_store(struct gen *g, LLVMValueRef value, LLVMValueRef at, enum alias alias);
LLVMValueRef gen_at(struct gen *g, LLVMValueRef base, uint64_t offset);

/* names.c */
char **names_make(const struct wasm_module *m) MUST_USE;
void names_free(char **names, uint32_t n);

/* func.c */
void func_emit(struct gen *g, uint32_t index);
void fn_push(struct fn *fn, LLVMValueRef v);
LLVMValueRef fn_pop(struct fn *fn);
LLVMBasicBlockRef fn_block(struct fn *fn);
void fn_trap(struct fn *fn, enum aot_trap kind); /* ends the block */
void fn_trap_if(struct fn *fn, LLVMValueRef cond, LLVMValueRef kind);
LLVMValueRef fn_trap_kind(struct fn *fn, enum aot_trap kind);
/* A helper of struct aot_ops (by its offset there) with self and args; result NULL for void. */
LLVMValueRef fn_helper(struct fn *fn, size_t op, LLVMTypeRef result, LLVMValueRef *args,
		       unsigned nargs);

/* One function per class of opcode: control.c, call.c, variable.c, memory.c, table.c, numeric.c,
 * convert.c, simd.c */
typedef void emit_insn(struct fn *fn, const struct wasm_insn *insn);
emit_insn emit_control, emit_call, emit_call_indirect, emit_parametric, emit_variable, emit_const;
emit_insn emit_load, emit_store, emit_memory, emit_table, emit_reference;
emit_insn emit_test, emit_compare, emit_unary, emit_binary, emit_shift, emit_divide, emit_convert;
emit_insn emit_simd;
void control_enter(struct fn *fn, uint32_t op, const struct aot_functype *type);
bool control_skip(struct fn *fn, const struct wasm_insn *insn);
void control_return(struct fn *fn);
LLVMValueRef table_address(struct fn *fn, uint32_t table);
/* Where a load or store goes that has `at` as its operand; checked as far as it must be. */
LLVMValueRef memory_address(struct fn *fn, const struct wasm_insn *insn, LLVMValueRef at);
LLVMValueRef numeric_quiet(struct fn *fn, LLVMValueRef v);

/* bounds.c: a check is an instruction of its own until bounds_lower(), between the halves of the
 * optimiser. */
LLVMValueRef bounds_size(struct fn *fn);            /* of memory 0, in bytes */
void bounds_check(struct fn *fn, LLVMValueRef end); /* traps unless end <= size */
bool bounds_is_check(const struct gen *g, LLVMValueRef v);
void bounds_lower(struct gen *g);

/* checks.c: fewer of them. hoist.c: out of loops, where rebase_run() runs; needs loops in the form of
 * LLVM's loop-simplify and lcssa. */
void checks_thin(struct gen *g);
void hoist_run(struct gen *g);

/* descriptor.c, thunk.c */
void descriptor_emit(struct gen *g);
LLVMValueRef thunk_emit(struct gen *g, uint32_t type);

/* keep.c: what the optimiser must not take away. First quieting, right after mem2reg; then the traps of loads, which are
 * volatile until then: after functions were inlined and made simple, before loops are made fast. Last, after all passes,
 * what the code generator would move (keep_ways.c). */
void keep_quiet(struct gen *g);
void keep_traps(struct gen *g);
void keep_ways(struct gen *g);
bool keep_needed_on_every_way(LLVMValueRef v, bool in_machine); /* keep_ways.c */
bool keep_needs_last_byte(LLVMValueRef v);                      /* keep_narrow.c */
void keep_quieting(struct gen *g, LLVMValueRef insn);           /* keep_quiet.c */

/* widths.c: what the code generator must not narrow; after all passes. */
void widths_keep(struct gen *g);

/* stack.c: after all passes. */
void stack_checks(struct gen *g);

/* rebase.c: between simplification and vectorisation. */
void rebase_run(struct gen *g);
/* Whether no memory that the module can have takes all that an i32 can name. */
bool rebase_memory_is_smaller(const struct wasm_module *m);

/* reroll.c: loops that the producer unrolled; after keep_traps(), before the optimiser. */
void reroll_run(struct gen *g);

/* compare.c: loops that compare byte by byte; before the optimiser. */
void compare_run(struct gen *g);

/* roots.c: around vectorisation. */
void roots_split(struct gen *g);
void roots_join(struct gen *g);

/* lanes.c: after vectorisation. */
void lanes_count(struct gen *g);

/* passes.c: an object with the code, and where there are functions one with its lines (else NULL). */
int passes_run(struct gen *g, LLVMMemoryBufferRef ret_objects[2], struct why *why) MUST_USE;
/* Marks functions that the optimiser would take too long for. */
void passes_plan(struct gen *g);
/* Whether some of what follows this many bytes of code is optimised at all. */
bool passes_reach(uint64_t code_before);
/* What is not optimised, for people; of the module as a whole. */
void passes_notes(const struct gen *g);

#endif
