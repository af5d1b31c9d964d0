/* SPDX-License-Identifier: Apache-2.0 */
#include "ethosu_bridge/fixed.h"

#include <stddef.h>

#include "base/util.h"

static int32_t saturating_add(int32_t a, int32_t b)
{
	int64_t s = (int64_t)a + b;
	return s > INT32_MAX ? INT32_MAX : s < INT32_MIN ? INT32_MIN : (int32_t)s;
}

/* e^x for x in [-1/4, 0), Q31: Taylor around -1/8. */
static int32_t exp_near_zero(int32_t a)
{
	const int32_t e_minus_eighth = 1895147668, third = 715827883;
	int32_t x = a + (1 << 28);
	int32_t x2 = doubling_high_mul(x, x), x3 = doubling_high_mul(x2, x),
		x4 = doubling_high_mul(x2, x2);
	int32_t rest = doubling_high_mul(rounding_shift_right(x4, 2) + x3, third) + x2;
	rest = rounding_shift_right(rest, 1);
	return saturating_add(e_minus_eighth, doubling_high_mul(e_minus_eighth, x + rest));
}

int32_t fixed_exp(int32_t x, int integer_bits)
{
	/* e^-(2^k) for k = -2, -1 ..., Q31 */
	static const int32_t power[] = { 1672461947, 1302514674, 790015084, 290630308,
					 39332535,   720401,     242 };
	const int fraction_bits = 31 - integer_bits;
	const int32_t quarter = 1 << (fraction_bits - 2);
	if (x == 0)
		return INT32_MAX;
	int32_t near = (x & (quarter - 1)) - quarter;
	int32_t result = exp_near_zero(saturating_shift(near, integer_bits));
	uint32_t rest = (uint32_t)near - (uint32_t)x;
	for (int k = -2; k < integer_bits && (size_t)(k + 2) < ARRAY_LEN(power); k++) {
		if (rest & (UINT32_C(1) << (fraction_bits + k)))
			result = doubling_high_mul(result, power[k + 2]);
	}
	return result;
}

static int32_t half_sum(int32_t a, int32_t b)
{
	int64_t s = (int64_t)a + b;
	return (int32_t)((s + (s >= 0 ? 1 : -1)) / 2);
}

int32_t fixed_reciprocal_of_one_plus(int32_t x)
{
	const int32_t c48_over_17 = 1515870810, c32_over_17 = -1010580540; /* Q29 */
	int32_t half_denominator = half_sum(x, INT32_MAX);
	int32_t y = c48_over_17 + doubling_high_mul(half_denominator, c32_over_17);
	for (int i = 0; i < 3; i++) { /* Newton and Raphson */
		int32_t error = (1 << 29) - doubling_high_mul(half_denominator, y);
		y += saturating_shift(doubling_high_mul(y, error), 2);
	}
	return saturating_shift(y, 1);
}

int32_t fixed_radius(int integer_bits, int left_shift)
{
	double most =
		(double)((1 << integer_bits) - 1) * (double)(INT64_C(1) << (31 - integer_bits));
	return (int32_t)floor(most / (double)(INT64_C(1) << left_shift));
}
