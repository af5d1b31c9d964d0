/* SPDX-License-Identifier: Apache-2.0 */
/* A model from anybody: read, prepared, run; inputs are what the file ends with. */
#include <string.h>

#include "ethosu_bridge/cpu.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MACS_MAX = 10000000, ARENA_BYTES = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { 0 };
	struct tfl_model m;
	struct cpu_model *c = NULL;
	struct why why = { 0 };
	arena_init(&arena, ARENA_BYTES);
	int err = tfl_read((struct span){ data, size }, &arena, &m, &why);
	if (err == 0)
		err = cpu_prepare(&m, &c, &why);
	ENSURE((err == 0) == (why.text[0] == '\0'));
	for (unsigned i = 0; c && i < m.ninputs; i++) {
		size_t n = m.tensors[m.input[i]].bytes;
		memset(cpu_input(c, i), 0x5a, n);
		memcpy(cpu_input(c, i), data + size - (n < size ? n : size), n < size ? n : size);
	}
	if (c && cpu_macs(c) < MACS_MAX)
		cpu_run(c);
	cpu_free(c);
	arena_fini(&arena);
	return 0;
}
