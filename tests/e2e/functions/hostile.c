/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A function that does what its payload says, all of it bad. Each misdeed is a function of its own
 * name, which the gateway's error must give as the place.
 */
#include <penstock.h>
#include <string.h>

#define MISDEED __attribute__((noinline)) static int

static volatile int zero, sink;
static void *volatile somewhere;

MISDEED endless_loop(void)
{
	for (;;)
		sink++;
}

/* Without a frame in linear memory: it is the call stack that ends. */
MISDEED endless_recursion(int depth)
{
	return endless_recursion(depth + sink) ^ sink;
}

MISDEED memory_bomb(void)
{
	for (;;) {
		size_t pages = __builtin_wasm_memory_size(0);
		if (__builtin_wasm_memory_grow(0, 1) == (size_t)-1)
			__builtin_trap();
		memset((char *)(pages << 16), 1, 1 << 16);
	}
}

MISDEED out_of_bounds(void)
{
	return *(volatile int *)(uintptr_t)(0xfffffff0u + (unsigned)zero);
}

MISDEED unreachable(void)
{
	__builtin_trap();
}

MISDEED divide_by_zero(void)
{
	return (sink + 7) / zero;
}

MISDEED divide_overflow(void)
{
	return (-2147483647 - 1 + zero) / (zero - 1);
}

static int takes_one(int a)
{
	return a;
}

MISDEED wrong_indirect_call(void)
{
	somewhere = (void *)takes_one;
	return ((int (*)(double, int))somewhere)(1.0, 2);
}

MISDEED null_call(void)
{
	somewhere = NULL;
	return ((int (*)(void))somewhere)();
}

MISDEED output_flood(void)
{
	static char kilobyte[1024];

	for (int i = 0; i < 1000000; i++) {
		int err = penstock_emit("", kilobyte, sizeof(kilobyte));
		if (err < 0)
			return err;
	}
	return 0;
}

MISDEED log_flood(void)
{
	for (int i = 0; i < 1000000; i++)
		penstock_log(PENSTOCK_ERROR, "more and more and more\n<0>msg=\"forged\"");
	return 1;
}

MISDEED forbidden_topic(void)
{
	return penstock_emit("valves/main/open", "now", 3);
}

MISDEED invalid_topic(void)
{
	return penstock_emit("alerts/\xff\xfe", "x", 1);
}

MISDEED host_address(void)
{
	return penstock_payload((void *)0xfffffff0u, 4096);
}

PENSTOCK_ON_EVENT int on_event(void)
{
	static const struct {
		const char *name;
		int (*f)(void);
	} misdeeds[] = {
		{ "endless_loop", endless_loop },
		{ "memory_bomb", memory_bomb },
		{ "out_of_bounds", out_of_bounds },
		{ "unreachable", unreachable },
		{ "divide_by_zero", divide_by_zero },
		{ "divide_overflow", divide_overflow },
		{ "wrong_indirect_call", wrong_indirect_call },
		{ "null_call", null_call },
		{ "output_flood", output_flood },
		{ "log_flood", log_flood },
		{ "forbidden_topic", forbidden_topic },
		{ "invalid_topic", invalid_topic },
		{ "host_address", host_address },
	};
	char what[64];
	int n = penstock_payload(what, sizeof(what) - 1);

	what[n < 0 ? 0 : n < 63 ? n : 63] = '\0';
	/* Nothing of this may come through: it was emitted before the misdeed. */
	penstock_emit("", "half", 4);
	if (strcmp(what, "endless_recursion") == 0)
		return endless_recursion(0);
	for (size_t i = 0; i < sizeof(misdeeds) / sizeof(misdeeds[0]); i++)
		if (strcmp(what, misdeeds[i].name) == 0)
			return misdeeds[i].f();
	return 77;
}
