/* SPDX-License-Identifier: Apache-2.0 */
/* Ways to trap, each marked with what traces.sh calls its line. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct reading {
	int value;
	struct reading *next;
};

static int bottomless;

__attribute__((noinline)) int check_limit(const struct reading *r)
{
	return r->next->value; /* load */
}

__attribute__((noinline)) int divide(int a, int b)
{
	return a / b; /* divide */
}

__attribute__((noinline)) int down(int n)
{
	bottomless++;
	return down(n * 3 + bottomless) * n + 1; /* recurse */
}

/* Large enough that the compiler of the module leaves it alone, and ours inlines it: one caller. */
static __attribute__((noinline)) int inlined(int a)
{
	return 1000 / a; /* inlined */
}

__attribute__((noinline)) int outer(int a)
{
	return inlined(a) + 1; /* call-inlined */
}

__attribute__((noinline)) void *wipe(size_t n)
{
	return memset((void *)64, 1, n); /* wipe */
}

typedef int binary(int, int);
static binary *volatile table[] = { divide };

int main(int argc, char **argv)
{
	struct reading r = { argc, (struct reading *)0xfffff000 };
	const char *what = argc > 1 ? argv[1] : "";
	if (strcmp(what, "load") == 0)
		return check_limit(&r); /* call-load */
	if (strcmp(what, "divide") == 0)
		return table[0](argc, argc - 2); /* call-divide */
	if (strcmp(what, "recurse") == 0)
		return down(argc); /* call-recurse */
	if (strcmp(what, "inlined") == 0)
		return outer(argc - 2); /* call-outer */
	if (strcmp(what, "wipe") == 0)
		return wipe((size_t)argc << 30) != NULL; /* call-wipe */
	if (strcmp(what, "spin") == 0)
		for (;;)
			bottomless++;
	return 0;
}
