/* SPDX-License-Identifier: Apache-2.0 */
/* The whole of the compiler in one process: what the validator accepts, LLVM's verifier accepts too,
 * and an object comes out. The last byte chooses the options. */
#include "sandbox/compiler/compile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct target target;
	struct compile_result result;
	struct why why = { 0 };
	struct arena arena;
	const struct wasm_module *m;
	struct compile_options o = { .opt = size && data[size - 1] & 1, .bounds_check = size & 2 };
	ENSURE(target.triple || target_open(NULL, "generic", &target, &why) == 0);
	arena_init(&arena, 16 << 20);
	/* Larger ones only cost time: LLVM does not see the module's size, only its shapes. */
	if (size <= 4096 && module_decode(data, size, &arena, &m, &why) == 0) {
		ENSURE(compile_module(m, &target, &o, &result, &why) == 0);
		compile_result_fini(&result);
	}
	arena_fini(&arena);
	return 0;
}
