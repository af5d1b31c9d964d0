/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a module; what is accepted can be read instruction by instruction to its end. */
#include "sandbox/wasm/insn.h"
#include "sandbox/wasm/module.h"

enum { ARENA_BYTES = 16 << 20 };

static void read_all(const struct wasm_module *m)
{
	struct wasm_insn insn;
	for (uint32_t i = m->nimported_funcs; i < m->nfuncs; i++) {
		struct rd r = rd_from(m->funcs[i].code.at, m->funcs[i].code.len);
		while (r.left > 0)
			ENSURE(wasm_insn_next(&r, &insn) == 0);
		ENSURE(insn.op == WASM_END);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	struct why why = { 0 };
	const struct wasm_module *m = NULL;
	arena_init(&a, ARENA_BYTES);
	int err = module_decode(data, size, &a, &m, &why);
	ENSURE((err == 0) == (m != NULL) && (err == 0) == (why.text[0] == '\0'));
	if (m)
		read_all(m);
	arena_fini(&a);
	return 0;
}
