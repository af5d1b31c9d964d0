/* SPDX-License-Identifier: Apache-2.0 */
/* The machine that code is made for: triple, CPU and features, as LLVM knows them. */
#include "sandbox/compiler/compile.h"

#include <fcntl.h>
#include <llvm-c/Support.h>
#include <llvm-c/Target.h>
#include <string.h>
#include <sys/mman.h>

#include "base/own.h"

/* Options that only LLVM's command line has.
 * Index variables stay 32 bits wide until after the vectoriser: Wasm counts its loops in i32, often
 * from a negative start up to zero, and once IndVarSimplify has widened such a variable, the
 * run-time check of the vectorised loop folds to "never" (measured: jacobi-2d takes 2.0 times
 * instead of 1.1 times as long as native).
 * Less is inlined than in native code: who made the Wasm has done that already, and within a function
 * different parameters are told to be different arrays (roots.c).
 * No specialised copies of functions: they would lose their first argument, the instance, where
 * they do not use it, and the stack check needs it (stack.c).
 * No search for where variables are: there is no debug information of any, and with locations of
 * lines alone LLVM looks all the same (measured: 4 % of making code).
 * A conditional move from memory stays one: it traps whatever the condition, a branch around a load,
 * be it volatile, does not (keep_ways.c). */
static const char *const llvm_options[] = {
	"penstock-aot",
	"-indvars-widen-indvars=false",
	"-inline-threshold=100",
	"-funcspec-max-iters=0",
	"-experimental-debug-variable-locations=false",
	"-x86-cmov-converter-force-mem-operand=false",
};

static void init_llvm(void)
{
	static bool done;
	if (done)
		return;
	done = true;
	LLVMInitializeX86TargetInfo();
	LLVMInitializeX86Target();
	LLVMInitializeX86TargetMC();
	LLVMInitializeX86AsmPrinter();
	LLVMInitializeAArch64TargetInfo();
	LLVMInitializeAArch64Target();
	LLVMInitializeAArch64TargetMC();
	LLVMInitializeAArch64AsmPrinter();
	LLVMParseCommandLineOptions((int)ARRAY_LEN(llvm_options), llvm_options, NULL);
}

static LLVMTargetMachineRef machine(LLVMTargetRef target, const struct target *t,
				    LLVMCodeGenOptLevel level)
{
	LLVMTargetMachineOptionsRef o = LLVMCreateTargetMachineOptions();
	LLVMTargetMachineOptionsSetCPU(o, t->cpu);
	LLVMTargetMachineOptionsSetFeatures(o, t->features);
	LLVMTargetMachineOptionsSetCodeGenOptLevel(o, level);
	LLVMTargetMachineOptionsSetRelocMode(o, LLVMRelocPIC);
	LLVMTargetMachineOptionsSetCodeModel(o, LLVMCodeModelSmall);
	LLVMTargetMachineRef m = LLVMCreateTargetMachineWithOptions(target, t->triple, o);
	LLVMDisposeTargetMachineOptions(o);
	return m;
}

/* LLVM takes any name for a CPU, says on stderr that it does not know it, and makes code for none in
 * particular. Its C interface has no other way to find out. */
static bool knows_cpu(LLVMTargetRef target, const struct target *t)
{
	OWN_FD said = memfd_create("llvm-messages", MFD_CLOEXEC);
	OWN_FD saved = fcntl(2, F_DUPFD_CLOEXEC, 3);
	if (said < 0 || saved < 0 || dup2(said, 2) < 0)
		return false;
	LLVMTargetMachineRef m = machine(target, t, LLVMCodeGenLevelNone);
	LLVMDisposeTargetData(LLVMCreateTargetDataLayout(m));
	LLVMDisposeTargetMachine(m);
	(void)dup2(saved, 2);
	return lseek(said, 0, SEEK_END) == 0;
}

/* LLVM 19 shifts bytes to the right by 0 wrongly where the CPU has GFNI (x >> 0 becomes x | 0x80).
 * Gathers and scatters are slower than the loads and stores they replace on AMD's Zen, and on Intel's
 * CPUs since the microcode against Downfall (measured: AES by tables takes 2.7 times as long as native
 * with them, 1.3 times without). Vectors of 256 bits leave shorter ends of loops to scalar code than
 * those of 512. */
#define X86_CHOICE "-gfni,+prefer-no-gather,+prefer-no-scatter,+prefer-256-bit"

static char *with_choice(char *features)
{
	char *text;
	ENSURE(asprintf(&text, "%s," X86_CHOICE, features) >= 0);
	char *copy = LLVMCreateMessage(text);
	free(text);
	LLVMDisposeMessage(features);
	return copy;
}

/* x86-64-v2 is the floor: without SSE4.1's rounding, LLVM would call floor() of a C library. */
static void choose_cpu(struct target *t, const char *cpu, bool is_host)
{
	bool native = !cpu || strcmp(cpu, "native") == 0;
	if (native && is_host) {
		t->cpu = LLVMGetHostCPUName();
		t->features = LLVMGetHostCPUFeatures();
		if (t->is_x86)
			t->features = with_choice(t->features);
		return;
	}
	if (native || strcmp(cpu, "generic") == 0)
		cpu = t->is_x86 ? "x86-64-v2" : "generic";
	t->cpu = LLVMCreateMessage(cpu);
	t->features = LLVMCreateMessage(t->is_x86 ? "+sse4.1,+sse4.2,+popcnt," X86_CHOICE : "");
}

int target_open(const char *triple, const char *cpu, struct target *ret_target, struct why *why)
{
	struct target t = { 0 };
	init_llvm();
	char *host = LLVMGetDefaultTargetTriple();
	t.triple = LLVMNormalizeTargetTriple(triple ? triple : host);
	t.is_x86 = strncmp(t.triple, "x86_64-", 7) == 0;
	bool known = t.is_x86 || strncmp(t.triple, "aarch64-", 8) == 0;
	const char *dash = strchr(t.triple, '-');
	bool is_host = dash && strncmp(t.triple, host, (size_t)(dash - t.triple) + 1) == 0;
	LLVMDisposeMessage(host);
	LLVMTargetRef target = NULL;
	char *text = NULL;
	if (!known || !strstr(t.triple, "linux") ||
	    LLVMGetTargetFromTriple(t.triple, &target, &text)) {
		int rc = why_set(why, -E_UNSUPPORTED,
				 "target `%s`: code is made for x86_64-linux-gnu and "
				 "aarch64-linux-gnu only",
				 triple ? triple : t.triple);
		if (text)
			LLVMDisposeMessage(text);
		target_fini(&t);
		return rc;
	}
	choose_cpu(&t, cpu, is_host);
	if (!knows_cpu(target, &t)) {
		int rc = why_set(why, -E_UNSUPPORTED,
				 "LLVM knows no CPU `%s` for %s; `llc-19 "
				 "-mcpu=help -mtriple=%s` lists them",
				 t.cpu, t.triple, t.triple);
		target_fini(&t);
		return rc;
	}
	t.machine[0] = machine(target, &t, LLVMCodeGenLevelNone);
	t.machine[1] = machine(target, &t, LLVMCodeGenLevelDefault);
	*ret_target = t;
	return 0;
}

void target_fini(struct target *t)
{
	for (size_t i = 0; i < ARRAY_LEN(t->machine); i++) {
		if (t->machine[i])
			LLVMDisposeTargetMachine(t->machine[i]);
	}
	char *texts[] = { t->triple, t->cpu, t->features };
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (texts[i])
			LLVMDisposeMessage(texts[i]);
	}
	*t = (struct target){ 0 };
}
