/* SPDX-License-Identifier: Apache-2.0 */
/* From IR to an object: which optimisations run, and on what they must not. */
#include "sandbox/compiler/debug.h"
#include "sandbox/compiler/details.h"

#include <errno.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <string.h>

/* Beyond these, LLVM's time is no longer near linear in the code's size (400 kB of straight-line
 * arithmetic take over a minute at -O2, 3 s at -O0); such code is a generated table or a bomb. A
 * function of the first size is left out of optimisation; one of the second makes even the code
 * generator's own optimisations too slow, and they are on or off for the whole module. */
enum {
	OPTIMISED_FUNCTION_BYTES = 64 << 10,
	HUGE_FUNCTION_BYTES = 256 << 10,
	OPTIMISED_MODULE_BYTES = 8 << 20,
};

static void leave_alone(struct gen *g, LLVMValueRef f)
{
	static const char *const names[] = { "optnone", "noinline" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		unsigned kind = LLVMGetEnumAttributeKindForName(names[i], strlen(names[i]));
		LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex,
					LLVMCreateEnumAttribute(g->ctx, kind, 0));
	}
}

static size_t largest_function(const struct wasm_module *m, uint32_t first, uint32_t end)
{
	size_t most = 0;
	for (uint32_t i = first; i < end; i++)
		most = m->funcs[i].code.len > most ? m->funcs[i].code.len : most;
	return most;
}

void passes_plan(struct gen *g)
{
	const struct wasm_module *m = g->m;
	uint64_t total = g->chunk ? g->chunk->code_before : 0;
	g->opt = g->o->opt;
	if (largest_function(m, g->first, g->end) > HUGE_FUNCTION_BYTES)
		g->opt = 0;
	for (uint32_t i = g->first; g->opt > 0 && i < g->end; i++) {
		size_t len = m->funcs[i].code.len;
		total += len;
		if (len > OPTIMISED_FUNCTION_BYTES || total > OPTIMISED_MODULE_BYTES)
			leave_alone(g, g->funcs[i]);
	}
}

bool passes_reach(uint64_t code_before)
{
	return code_before <= OPTIMISED_MODULE_BYTES;
}

void passes_notes(const struct gen *g)
{
	const struct wasm_module *m = g->m;
	size_t most = largest_function(m, m->nimported_funcs, m->nfuncs);
	uint64_t total = 0;
	if (g->o->opt == 0)
		return;
	if (most > HUGE_FUNCTION_BYTES)
		compile_note(g->result,
			     "not optimised: a function has %zu bytes; over %d, "
			     "optimising takes too long",
			     most, HUGE_FUNCTION_BYTES);
	for (uint32_t i = m->nimported_funcs; i < m->nfuncs; i++) {
		size_t len = m->funcs[i].code.len;
		total += len;
		if (len > OPTIMISED_FUNCTION_BYTES && len <= HUGE_FUNCTION_BYTES)
			compile_note(g->result, "function %u `%.60s` has %zu bytes: not optimised",
				     i, g->names[i], len);
	}
	if (total > OPTIMISED_MODULE_BYTES)
		compile_note(g->result, "the code has %llu bytes: only the first %d optimised",
			     (unsigned long long)total, OPTIMISED_MODULE_BYTES);
}

/* What makes code small and plain, and what makes it fast. LLVM runs the first half again in the second,
 * for modules that it saw before inlining only; here each pass is as often as the kernels need it.
 * There is no loop-deletion: with a loop that only loads, its traps would go.
 * In the first half every load is volatile: what it inlines and simplifies takes no trap away. It is
 * LLVM's, since what it leaves to the second half is lost to keep_traps(): with fewer passes a random
 * module lost a trap that it has so. */
#define COMBINE  "instcombine<max-iterations=1;no-verify-fixpoint>"
#define BRANCHES "simplifycfg<switch-range-to-icmp"
#define SIMPLIFY "thinlto-pre-link<O2>"
#define OPTIMISE                                                                                   \
	"cgscc(function-attrs),function<eager-inv>(early-cse<memssa>,gvn,dse,"                     \
	"loop-mssa(licm<allowspeculation>)," BRANCHES                                              \
	";hoist-common-insts;sink-common-insts>," COMBINE                                          \
	",loop(loop-rotate,indvars,loop-unroll-full),loop-vectorize,"                              \
	"loop-load-elim," COMBINE "," BRANCHES ";forward-switch-cond;switch-to-lookup;"            \
	"no-keep-loops;hoist-common-insts;sink-common-insts>,slp-vectorizer,vector-combine,"       \
	"loop-unroll<O2>," COMBINE ",loop-mssa(licm<allowspeculation>),div-rem-pairs," BRANCHES    \
	">)"

static int run(struct gen *g, const char *pipeline, struct why *why)
{
	LLVMPassBuilderOptionsRef o = LLVMCreatePassBuilderOptions();
	LLVMPassBuilderOptionsSetLoopVectorization(o, true);
	LLVMPassBuilderOptionsSetLoopInterleaving(o, true);
	LLVMPassBuilderOptionsSetSLPVectorization(o, true);
	LLVMPassBuilderOptionsSetLoopUnrolling(o, true);
	LLVMErrorRef error = LLVMRunPasses(g->mod, pipeline, g->t->machine[1], o);
	LLVMDisposePassBuilderOptions(o);
	/* A function that nobody calls any more is deleted, a declared one, too. */
	g->check = LLVMGetNamedFunction(g->mod, BOUNDS_CHECK_NAME);
	if (!error)
		return 0;
	char *text = LLVMGetErrorMessage(error);
	int rc = why_set(why, -EIO, "LLVM refused the passes `%s`: %s", pipeline, text);
	LLVMDisposeErrorMessage(text);
	return rc;
}

/* The code, and in an object of its own where it comes from. */
static int emit(struct gen *g, LLVMMemoryBufferRef objects[2], struct why *why)
{
	objects[0] = objects[1] = NULL;
	char *text = NULL;
	int rc = 0;
	if (LLVMTargetMachineEmitToMemoryBuffer(g->t->machine[g->opt > 0], g->mod, LLVMObjectFile,
						&text, &objects[0])) {
		rc = why_set(why, -EIO, "LLVM made no object: %s", text);
		LLVMDisposeMessage(text);
		return rc;
	}
	compile_phase(g->result, "make code");
	details_end(g);
	if (g->chunk)
		rc = debug_lines(g, objects[0], &objects[1], why);
	compile_phase(g->result, "tables");
	if (rc < 0)
		LLVMDisposeMemoryBuffer(objects[0]);
	return rc;
}

int passes_run(struct gen *g, LLVMMemoryBufferRef ret_objects[2], struct why *why)
{
	/* Constants are folded in any case: LLVM's code generator never ends on some operations on
	 * constant vectors, which it is not used to see. */
	static const char early_0[] = "function(instsimplify)";
	static const char early[] = "function(early-cse,sccp,simplifycfg,early-cse)";
	/* -O1's first half keeps dead stores: the code generator would find them, and take away what is
	 * loaded for them. LLVM's own second halves take traps away, too: at -O3 they make branches of
	 * selects, and at every level they delete a loop that only loads. */
	static const char *const simplify[] = { NULL, "thinlto-pre-link<O1>,function(dse)",
						SIMPLIFY, "thinlto-pre-link<O3>" };
	int opt = g->opt;
	ENSURE(opt >= 0 && opt < (int)ARRAY_LEN(simplify));
	int rc = 0;
	if (opt > 0)
		rc = run(g, "function(mem2reg)", why);
	keep_quiet(g);
	if (rc == 0)
		rc = run(g, opt > 0 ? early : early_0, why);
	compile_phase(g->result, "prepare");
	if (rc == 0 && opt > 0) {
		compare_run(g);
		reroll_run(g);
	}
	if (rc == 0 && opt > 0) {
		checks_thin(g);
		rc = run(g, simplify[opt], why);
	}
	keep_traps(g);
	if (rc == 0 && opt > 0 && g->check)
		rc = run(g, "function(loop-simplify,lcssa)", why);
	if (rc == 0 && opt > 0) {
		checks_thin(g);
		rebase_run(g);
		hoist_run(g);
	}
	if (rc == 0)
		bounds_lower(g);
	compile_phase(g->result, "simplify");
	if (rc == 0 && opt > 0) {
		roots_split(g);
		rc = run(g, OPTIMISE, why);
		roots_join(g);
	}
	compile_phase(g->result, "optimise");
	if (rc == 0 && opt > 0) {
		lanes_count(g);
		rebase_run(g);
	}
	if (rc < 0)
		return rc;
	keep_ways(g);
	widths_keep(g);
	stack_checks(g);
	if (g->chunk)
		debug_settle(g);
	return emit(g, ret_objects, why);
}
