/* SPDX-License-Identifier: Apache-2.0 */
/* What the first malloc() of an event does in most languages: a page more, and a little of it used. */
#include <penstock.h>

PENSTOCK_ON_EVENT int on_event(void)
{
	size_t at = __builtin_wasm_memory_grow(0, 1);
	if (at == (size_t)-1)
		return 1;
	volatile char *heap = (volatile char *)(at * 65536);
	heap[0] = heap[4096] = 1;
	return 0;
}
