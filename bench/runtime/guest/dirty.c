/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a byte to each of so many pages of 4 KiB, spread over its memory: always the same, or others
 * each time. */
#include <stdint.h>

#include <penstock.h>

extern unsigned char __heap_base;

PENSTOCK_ON_EVENT int on_event(void)
{
	struct {
		uint32_t pages, seed; /* seed 0: the same pages each time */
	} want = { 0 };
	(void)penstock_payload((char *)&want, sizeof(want));
	volatile unsigned char *heap = &__heap_base;
	uint32_t there = (__builtin_wasm_memory_size(0) * 65536 - (uintptr_t)heap) / 4096;
	uint32_t x = want.seed;
	for (uint32_t i = 0; i < want.pages; i++) {
		uint32_t page = i * (there / want.pages);
		if (want.seed) {
			x = x * 1664525 + 1013904223;
			page = (x >> 8) % there;
		}
		heap[page * 4096] = 1;
	}
	return 0;
}
