/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What looks at one value, or one row of values: LOGISTIC, RELU, RELU6, QUANTIZE from int8 are a table of 256 results, made once;
 * SOFTMAX; QUANTIZE and DEQUANTIZE of float32.
 */
#include <errno.h>
#include <string.h>

#include "ethosu_bridge/cpu_impl.h"

/* ---- tables ---- */

static void run_table(const struct cpu_step *s)
{
	for (uint32_t i = 0; i < s->out->elements; i++)
		s->out_at[i] = (uint8_t)s->lut[s->in_at[0][i]];
}

static int is_unary(const struct cpu_prepare *p, enum tfl_type in, enum tfl_type out)
{
	struct cpu_step *s = p->step;
	if (!cpu_types(p, in, out))
		return cpu_refuse(p, -E_UNSUPPORTED, "from %s to %s", tfl_type_name(s->in[0]->type),
				  tfl_type_name(s->out->type));
	if (s->in[0]->elements != s->out->elements)
		return cpu_refuse(p, -E_INVALID, "%u values in, %u out", s->in[0]->elements,
				  s->out->elements);
	return 0;
}

static int both_scales(const struct cpu_prepare *p)
{
	struct cpu_step *s = p->step;
	int err = is_unary(p, TFL_I8, TFL_I8);
	if (err == 0)
		err = cpu_one_scale(p, s->in[0]);
	if (err == 0)
		err = cpu_one_scale(p, s->out);
	if (err < 0)
		return err;
	s->zero_in = (int32_t)s->in[0]->zero[0];
	s->zero_out = (int32_t)s->out->zero[0];
	s->k = quantise_multiplier((double)s->in[0]->scale[0] / (double)s->out->scale[0]);
	s->run = run_table;
	return 0;
}

static int rescale(const struct cpu_prepare *p, int32_t least, int32_t most)
{
	struct cpu_step *s = p->step;
	for (int v = INT8_MIN; v <= INT8_MAX; v++)
		s->lut[(uint8_t)v] = cpu_clamp(
			(int64_t)multiply(v - s->zero_in, s->k) + s->zero_out, least, most);
	return 0;
}

int cpu_prepare_relu(const struct cpu_prepare *p)
{
	struct cpu_step *s = p->step;
	int err = both_scales(p);
	if (err == 0)
		err = cpu_activation(p, s->op->builtin == TFL_RELU ? TFL_ACT_RELU : TFL_ACT_RELU6);
	return err < 0 ? err : rescale(p, s->least, s->most);
}

/* 1 / (1 + e^-x) of x with 4 bits before the point, Q31. */
static int32_t logistic(int32_t x)
{
	if (x == 0)
		return 1 << 30;
	int32_t of_positive = fixed_reciprocal_of_one_plus(fixed_exp(x > 0 ? -x : x, 4));
	return x > 0 ? of_positive : INT32_MAX - of_positive;
}

int cpu_prepare_logistic(const struct cpu_prepare *p)
{
	struct cpu_step *s = p->step;
	int err = both_scales(p);
	if (err < 0)
		return err;
	if (s->zero_out != INT8_MIN || s->out->scale[0] != 1.0f / 256)
		return cpu_refuse(p, -E_UNSUPPORTED, "its output is not 1/256 from -128");
	s->k = quantise_multiplier((double)s->in[0]->scale[0] * (double)(1 << 27));
	if (s->k.shift < 0)
		return cpu_refuse(p, -E_UNSUPPORTED, "its input's scale is too small");
	int32_t radius = fixed_radius(4, s->k.shift);
	for (int v = INT8_MIN; v <= INT8_MAX; v++) {
		int32_t x = v - s->zero_in;
		int8_t y = x <= -radius ? INT8_MIN : INT8_MAX;
		if (x > -radius && x < radius)
			y = cpu_clamp(rounding_shift_right(logistic(multiply(x, s->k)), 31 - 8) +
					      s->zero_out,
				      INT8_MIN, INT8_MAX);
		s->lut[(uint8_t)v] = y;
	}
	return 0;
}

/* ---- softmax ---- */

static void softmax_row(const struct cpu_step *s, const int8_t *x, int8_t *out)
{
	const int32_t farthest = -s->radius;
	int32_t largest = INT8_MIN, sum = 0;
	int32_t e[256]; /* by distance from the largest, Q31 */
	bool known[256] = { false };
	for (uint32_t i = 0; i < s->window; i++)
		largest = x[i] > largest ? x[i] : largest;
	for (uint32_t i = 0; i < s->window; i++) {
		int32_t d = x[i] - largest;
		if (d < farthest)
			continue;
		if (!known[-d]) {
			e[-d] = fixed_exp(multiply(d, s->k), 5);
			known[-d] = true;
		}
		sum += rounding_shift_right(e[-d], 12); /* 12 bits before the point */
	}
	int headroom = __builtin_clz((uint32_t)sum);
	int32_t scale = fixed_reciprocal_of_one_plus(
		(int32_t)(((uint32_t)sum << headroom) - (UINT32_C(1) << 31)));
	const int shift = 12 - headroom + 31 - 8; /* above 31 nothing is left */
	for (uint32_t i = 0; i < s->window; i++) {
		int32_t d = x[i] - largest;
		int32_t y = INT8_MIN;
		if (d >= farthest && shift <= 31)
			y += rounding_shift_right(doubling_high_mul(scale, e[-d]), shift);
		out[i] = cpu_clamp(y, INT8_MIN, INT8_MAX);
	}
}

static void run_softmax(const struct cpu_step *s)
{
	for (uint32_t at = 0; at < s->out->elements; at += s->window)
		softmax_row(s, (const int8_t *)s->in_at[0] + at, (int8_t *)s->out_at + at);
}

int cpu_prepare_softmax(const struct cpu_prepare *p)
{
	enum { ROW_MAX = 4096 }; /* the sum of that many ones still fits 12 bits before the point */
	struct cpu_step *s = p->step;
	const struct tfl_tensor *in = s->in[0];
	int err = both_scales(p);
	if (err < 0)
		return err;
	s->window = in->rank ? in->dim[in->rank - 1] : 1;
	if (s->window >= ROW_MAX)
		return cpu_refuse(p, -E_LIMIT, "rows of %u values, less than %d are offered",
				  s->window, ROW_MAX);
	if (s->zero_out != INT8_MIN || s->out->scale[0] != 1.0f / 256)
		return cpu_refuse(p, -E_UNSUPPORTED, "its output is not 1/256 from -128");
	double real = (double)s->op->beta * (double)in->scale[0] * (double)(1 << 26);
	s->k = quantise_multiplier(real < (double)INT32_MAX ? real : (double)INT32_MAX);
	if (!(real > 1) || s->k.shift < 1)
		return cpu_refuse(p, -E_UNSUPPORTED, "its input's scale or its beta is too small");
	s->radius = fixed_radius(5, s->k.shift);
	s->run = run_softmax;
	return 0;
}

/* ---- float32 ---- */

static void run_quantise(const struct cpu_step *s)
{
	const float scale = s->out->scale[0];
	for (uint32_t i = 0; i < s->out->elements; i++) {
		float x;
		memcpy(&x, s->in_at[0] + 4 * (size_t)i, sizeof(x));
		x = roundf(x / scale);
		int64_t v = isnan(x) ? 0 : x > 1e6f ? 1000000 : x < -1e6f ? -1000000 : (int64_t)x;
		s->out_at[i] = (uint8_t)cpu_clamp(v + s->zero_out, INT8_MIN, INT8_MAX);
	}
}

int cpu_prepare_quantize(const struct cpu_prepare *p)
{
	struct cpu_step *s = p->step;
	if (s->in[0]->type == TFL_I8) {
		int both = both_scales(p);
		return both < 0 ? both : rescale(p, INT8_MIN, INT8_MAX);
	}
	int err = is_unary(p, TFL_F32, TFL_I8);
	if (err == 0)
		err = cpu_one_scale(p, s->out);
	if (err == 0)
		s->zero_out = (int32_t)s->out->zero[0];
	s->run = run_quantise;
	return err;
}

static void run_dequantise(const struct cpu_step *s)
{
	const double scale = (double)s->in[0]->scale[0];
	for (uint32_t i = 0; i < s->out->elements; i++) {
		float x = (float)(scale * ((int8_t)s->in_at[0][i] - s->zero_in));
		memcpy(s->out_at + 4 * (size_t)i, &x, sizeof(x));
	}
}

int cpu_prepare_dequantize(const struct cpu_prepare *p)
{
	struct cpu_step *s = p->step;
	int err = is_unary(p, TFL_I8, TFL_F32);
	if (err == 0)
		err = cpu_one_scale(p, s->in[0]);
	if (err == 0)
		s->zero_in = (int32_t)s->in[0]->zero[0];
	s->run = run_dequantise;
	return err;
}
