/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fixed-point arithmetic as TensorFlow Lite's int8 reference kernels do it, so that results are the same to the last
 * bit: a real factor is a 32-bit fraction and a power of two (quantise_multiplier), products are rounded twice. Source:
 * gemmlowp fixedpoint.h, tensorflow/lite/kernels/internal/{common.h, quantization_util.cc}.
 */
#ifndef ETHOSU_BRIDGE_FIXED_H
#define ETHOSU_BRIDGE_FIXED_H

#include <math.h>
#include <stdint.h>

struct multiplier {
	int32_t m; /* a fraction in Q31: 0, or from 2^30 */
	int shift; /* to the left; -31 to 30 */
};

static inline struct multiplier quantise_multiplier(double real)
{
	struct multiplier r = { 0 };
	if (!(real > 0))
		return r;
	double q = frexp(real, &r.shift);
	int64_t fixed = (int64_t)round(q * (double)(INT64_C(1) << 31));
	if (fixed == INT64_C(1) << 31) {
		fixed /= 2;
		r.shift++;
	}
	if (r.shift < -31)
		return (struct multiplier){ 0 };
	if (r.shift > 30)
		return (struct multiplier){ INT32_MAX, 30 };
	r.m = (int32_t)fixed;
	return r;
}

/* The upper half of 2ab, rounded to the nearest, halves upwards: gemmlowp's nudge and division give the same. */
static inline int32_t doubling_high_mul(int32_t a, int32_t b)
{
	if (a == INT32_MIN && b == INT32_MIN)
		return INT32_MAX;
	return (int32_t)(((int64_t)a * b + (INT64_C(1) << 30)) >> 31);
}

/* x / 2^n, n from 0 to 31; halves away from zero. */
static inline int32_t rounding_shift_right(int32_t x, int n)
{
	int32_t mask = (int32_t)((INT64_C(1) << n) - 1);
	int32_t threshold = (mask >> 1) + (x < 0);
	return (x >> n) + ((x & mask) > threshold);
}

static inline int32_t wrapping_shift_left(int32_t x, int n)
{
	return (int32_t)((uint32_t)x << n);
}

static inline int32_t multiply(int32_t x, struct multiplier k)
{
	int left = k.shift > 0 ? k.shift : 0, right = k.shift > 0 ? 0 : -k.shift;
	return rounding_shift_right(doubling_high_mul(wrapping_shift_left(x, left), k.m), right);
}

/* x * 2^n, n may be negative; saturates. */
static inline int32_t saturating_shift(int32_t x, int n)
{
	if (n <= 0)
		return rounding_shift_right(x, -n);
	int64_t wide = (int64_t)x * (INT64_C(1) << n);
	return wide > INT32_MAX ? INT32_MAX : wide < INT32_MIN ? INT32_MIN : (int32_t)wide;
}

/* e^x for x <= 0, given with `integer_bits` (4 or 5) before the point; the result is in Q31. */
int32_t fixed_exp(int32_t x, int integer_bits);
/* 1 / (1 + x) for x in [0, 1), both in Q31. */
int32_t fixed_reciprocal_of_one_plus(int32_t x);
/* The largest |x| that a table of integer_bits can tell from infinity, before it is multiplied. */
int32_t fixed_radius(int integer_bits, int left_shift);

#endif
