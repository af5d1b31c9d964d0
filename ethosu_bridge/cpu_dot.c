/* SPDX-License-Identifier: Apache-2.0 */
/* The inner loop of convolutions and fully connected layers, once for each kind of processor that is worth it. Plain C that
 * the compiler vectorises; sums stay in range (cpu_conv.c bounds n). */
#include "ethosu_bridge/cpu_impl.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE void dot4(const int8_t *x, const int8_t *w, size_t row, uint32_t n, int32_t ret[4])
{
	int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0;
	const int8_t *w1 = w + row, *w2 = w + 2 * row, *w3 = w + 3 * row;
	for (uint32_t i = 0; i < n; i++) {
		int32_t v = x[i];
		a0 += v * w[i];
		a1 += v * w1[i];
		a2 += v * w2[i];
		a3 += v * w3[i];
	}
	ret[0] += a0;
	ret[1] += a1;
	ret[2] += a2;
	ret[3] += a3;
}

static void dot4_plain(const int8_t *x, const int8_t *w, size_t row, uint32_t n, int32_t ret[4])
{
	dot4(x, w, row, n, ret);
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static void dot4_avx2(const int8_t *x, const int8_t *w, size_t row,
						      uint32_t n, int32_t ret[4])
{
	dot4(x, w, row, n, ret);
}
#endif

cpu_dot4 *cpu_dot4_best(void)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2"))
		return dot4_avx2;
#endif
	return dot4_plain;
}
