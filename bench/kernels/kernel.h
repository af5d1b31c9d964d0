/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One kernel: a small computation whose time says how good a compiler's code is.
 *
 * Its state is one object without pointers, and no NaN ends up in it: the state's bytes after a run
 * are then the same from every correct compiler on every little-endian machine, and a hash of them
 * is the checksum that all variants must agree on. So nothing here calls libm (of which each libc
 * has its own last bit) but sqrt, which is exact.
 *
 * Arrays reach the loops as pointers of a function that is not inlined, as they do in a library:
 * neither compiler may know that they do not overlap.
 */
#ifndef PENSTOCK_BENCH_KERNELS_KERNEL_H
#define PENSTOCK_BENCH_KERNELS_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#define APART __attribute__((noinline)) static

struct kernel {
	const char *name;
	size_t state_bytes;
	void (*fill)(void *state); /* the state is all zero before; not timed */
	void (*run)(void *state);  /* timed */
};

/* For struct NAME, NAME_fill and NAME_run. */
#define KERNEL(name)                                                                               \
	const struct kernel kernel_##name = { #name, sizeof(struct name), name##_fill, name##_run }

/* Data that looks random and is always the same; seed is not 0. */
void fill_doubles(double *to, size_t n, uint32_t seed); /* in [0, 1) */
void fill_floats(float *to, size_t n, uint32_t seed);   /* in [0, 1) */
void fill_words(uint32_t *to, size_t n, uint32_t seed);
void fill_bytes(void *to, size_t n, uint32_t seed);

#endif
