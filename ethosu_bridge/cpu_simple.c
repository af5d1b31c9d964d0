/* SPDX-License-Identifier: Apache-2.0 */
/* ADD, MUL, pools, PAD, MEAN, RESHAPE. */
#include <errno.h>
#include <string.h>

#include "ethosu_bridge/cpu_impl.h"

enum { ADD_SHIFT = 20, MEAN_MAX = 1 << 22 };

/* ---- two inputs, of the same shape or such that one is repeated ---- */

static uint32_t dim_from_right(const struct tfl_tensor *t, unsigned i)
{
	return i < t->rank ? t->dim[t->rank - 1 - i] : 1;
}

/* s->count, step_a, step_b: axes from the right. */
static int broadcast(const struct cpu_prepare *p)
{
	struct cpu_step *s = p->step;
	const struct tfl_tensor *a = s->in[0], *b = s->in[1];
	uint32_t stride_a = 1, stride_b = 1;
	s->rank = s->out->rank ? s->out->rank : 1;
	if (a->rank > s->rank || b->rank > s->rank)
		return cpu_refuse(p, -E_INVALID, "an input has more dimensions than the output");
	for (unsigned i = 0; i < s->rank; i++) {
		uint32_t na = dim_from_right(a, i), nb = dim_from_right(b, i);
		s->count[i] = dim_from_right(s->out, i);
		if ((na != nb && na != 1 && nb != 1) || s->count[i] != (na > nb ? na : nb))
			return cpu_refuse(p, -E_INVALID, "axes of %u and %u values give one of %u",
					  na, nb, s->count[i]);
		s->step_a[i] = na == 1 ? 0 : stride_a;
		s->step_b[i] = nb == 1 ? 0 : stride_b;
		stride_a *= na;
		stride_b *= nb;
	}
	return 0;
}

static int8_t add_one(const struct cpu_step *s, int8_t a, int8_t b)
{
	int32_t x = multiply((a - s->zero_in) * (1 << ADD_SHIFT), s->k1);
	int32_t y = multiply((b - s->zero_b) * (1 << ADD_SHIFT), s->k2);
	return cpu_clamp((int64_t)multiply(x + y, s->k) + s->zero_out, s->least, s->most);
}

static int8_t mul_one(const struct cpu_step *s, int8_t a, int8_t b)
{
	int32_t product = (a - s->zero_in) * (b - s->zero_b);
	return cpu_clamp((int64_t)multiply(product, s->k) + s->zero_out, s->least, s->most);
}

static void run_pairs(const struct cpu_step *s,
		      int8_t (*one)(const struct cpu_step *, int8_t, int8_t))
{
	const int8_t *a = (const int8_t *)s->in_at[0], *b = (const int8_t *)s->in_at[1];
	uint32_t index[TFL_RANK_MAX] = { 0 };
	size_t at_a = 0, at_b = 0;
	for (uint32_t i = 0; i < s->out->elements; i++) {
		s->out_at[i] = (uint8_t)one(s, a[at_a], b[at_b]);
		for (unsigned k = 0; k < s->rank; k++) {
			at_a += s->step_a[k];
			at_b += s->step_b[k];
			if (++index[k] < s->count[k])
				break;
			at_a -= (size_t)s->step_a[k] * s->count[k];
			at_b -= (size_t)s->step_b[k] * s->count[k];
			index[k] = 0;
		}
	}
}

static void run_add(const struct cpu_step *s)
{
	run_pairs(s, add_one);
}

static void run_mul(const struct cpu_step *s)
{
	run_pairs(s, mul_one);
}

static int prepare_pair(const struct cpu_prepare *p)
{
	struct cpu_step *s = p->step;
	if (!cpu_types(p, TFL_I8, TFL_I8) || s->in[1]->type != TFL_I8)
		return cpu_refuse(p, -E_UNSUPPORTED, "only int8 is offered, not %s and %s",
				  tfl_type_name(s->in[0]->type), tfl_type_name(s->in[1]->type));
	int err = cpu_one_scale(p, s->in[0]);
	if (err == 0)
		err = cpu_one_scale(p, s->in[1]);
	if (err == 0)
		err = cpu_one_scale(p, s->out);
	if (err == 0)
		err = broadcast(p);
	if (err < 0)
		return err;
	s->zero_in = (int32_t)s->in[0]->zero[0];
	s->zero_b = (int32_t)s->in[1]->zero[0];
	s->zero_out = (int32_t)s->out->zero[0];
	return cpu_activation(p, s->op->activation);
}

int cpu_prepare_add(const struct cpu_prepare *p)
{
	struct cpu_step *s = p->step;
	int err = prepare_pair(p);
	if (err < 0)
		return err;
	double a = (double)s->in[0]->scale[0], b = (double)s->in[1]->scale[0];
	double twice = 2 * (a > b ? a : b);
	s->k1 = quantise_multiplier(a / twice);
	s->k2 = quantise_multiplier(b / twice);
	s->k = quantise_multiplier(twice / ((1 << ADD_SHIFT) * (double)s->out->scale[0]));
	if (s->k.shift > 0)
		return cpu_refuse(p, -E_UNSUPPORTED, "its output's scale is far below its inputs'");
	s->run = run_add;
	return 0;
}

int cpu_prepare_mul(const struct cpu_prepare *p)
{
	struct cpu_step *s = p->step;
	int err = prepare_pair(p);
	if (err < 0)
		return err;
	s->k = quantise_multiplier((double)s->in[0]->scale[0] * (double)s->in[1]->scale[0] /
				   (double)s->out->scale[0]);
	s->run = run_mul;
	return 0;
}

/* ---- pools ---- */

struct span1 {
	uint32_t from, to;
};

/* The part of a window that lies inside. */
static struct span1 inside(uint32_t at, uint32_t stride, uint32_t pad, uint32_t size, uint32_t in)
{
	int64_t from = (int64_t)at * stride - pad, to = from + size;
	return (struct span1){ from < 0 ? 0 : (uint32_t)from, to > in ? in : (uint32_t)to };
}

static void pool_pixel(const struct cpu_step *s, const int8_t *image, struct span1 h,
		       struct span1 w, int8_t *out)
{
	const bool average = s->op->builtin == TFL_AVERAGE_POOL_2D;
	const uint32_t c = s->a.c;
	int32_t *sum = (int32_t *)s->scratch;
	const int32_t n = (int32_t)((h.to - h.from) * (w.to - w.from));
	for (uint32_t i = 0; i < c; i++)
		sum[i] = average ? 0 : INT8_MIN;
	for (uint32_t y = h.from; y < h.to; y++) {
		const int8_t *x = image + ((size_t)y * s->a.w + w.from) * c;
		for (uint32_t k = w.from; k < w.to; k++, x += c) {
			for (uint32_t i = 0; i < c; i++)
				sum[i] = average ? sum[i] + x[i] : sum[i] > x[i] ? sum[i] : x[i];
		}
	}
	for (uint32_t i = 0; i < c; i++) {
		int32_t v = sum[i];
		if (average)
			v = v > 0 ? (v + n / 2) / n : (v - n / 2) / n;
		out[i] = cpu_clamp(v, s->least, s->most);
	}
}

static void run_pool(const struct cpu_step *s)
{
	const struct tfl_op *op = s->op;
	int8_t *out = (int8_t *)s->out_at;
	for (uint32_t n = 0; n < s->b.n; n++) {
		const int8_t *image =
			(const int8_t *)s->in_at[0] + (size_t)n * s->a.h * s->a.w * s->a.c;
		for (uint32_t i = 0; i < s->b.h * s->b.w; i++, out += s->a.c)
			pool_pixel(
				s, image,
				inside(i / s->b.w, op->stride_h, s->pad_top, op->filter_h, s->a.h),
				inside(i % s->b.w, op->stride_w, s->pad_left, op->filter_w, s->a.w),
				out);
	}
}

/* Each window has something of the image in it: else an average would be of nothing. */
static int pool_axis(const struct cpu_prepare *p, uint32_t in, uint32_t out, uint32_t filter,
		     uint32_t stride, uint32_t *ret_pad)
{
	uint64_t want = 0;
	if (stride == 0 || stride > UINT16_MAX || filter == 0 || filter > UINT16_MAX)
		return cpu_refuse(p, -E_INVALID, "a window or stride of 0, or too large");
	if (p->step->op->same_padding)
		want = ((uint64_t)in + stride - 1) / stride;
	else if (in >= filter)
		want = (in - filter) / stride + 1;
	if (want == 0 || want != out)
		return cpu_refuse(p, -E_INVALID, "an output of %u where its input gives %llu", out,
				  (unsigned long long)want);
	uint64_t needed = ((uint64_t)out - 1) * stride + filter;
	*ret_pad = needed > in ? (uint32_t)((needed - in) / 2) : 0;
	return 0;
}

int cpu_prepare_pool(const struct cpu_prepare *p)
{
	struct cpu_step *s = p->step;
	const struct tfl_op *op = s->op;
	if (!cpu_types(p, TFL_I8, TFL_I8))
		return cpu_refuse(p, -E_UNSUPPORTED, "only int8 is offered");
	int err = cpu_one_scale(p, s->out);
	if (err == 0)
		err = cpu_shape4(p, s->in[0], &s->a);
	if (err == 0)
		err = cpu_shape4(p, s->out, &s->b);
	if (err == 0 && (s->a.n != s->b.n || s->a.c != s->b.c))
		err = cpu_refuse(p, -E_INVALID, "batches or channels do not fit");
	if (err == 0)
		err = pool_axis(p, s->a.h, s->b.h, op->filter_h, op->stride_h, &s->pad_top);
	if (err == 0)
		err = pool_axis(p, s->a.w, s->b.w, op->filter_w, op->stride_w, &s->pad_left);
	if (err == 0 && (uint64_t)op->filter_h * op->filter_w > MEAN_MAX)
		err = cpu_refuse(p, -E_LIMIT, "a window of more than %d values", MEAN_MAX);
	if (err == 0)
		err = cpu_activation(p, op->activation);
	s->scratch_bytes = s->a.c * sizeof(int32_t);
	s->run = run_pool;
	return err;
}

/* ---- constants that say where ---- */

static int32_t int_at(const struct tfl_tensor *t, uint32_t i)
{
	int32_t v;
	memcpy(&v, t->data.at + 4 * (size_t)i, sizeof(v));
	return v;
}

static bool is_constant_int(const struct tfl_tensor *t)
{
	return t->type == TFL_I32 && t->data.len > 0;
}

static uint32_t strides_of(const struct tfl_tensor *t, uint32_t ret[TFL_RANK_MAX])
{
	uint32_t stride = 1;
	for (unsigned i = t->rank; i-- > 0; stride *= t->dim[i])
		ret[i] = stride;
	return stride;
}

/* ---- PAD ---- */

static void run_pad(const struct cpu_step *s)
{
	const uint32_t row = s->count[s->rank - 1];
	uint32_t index[TFL_RANK_MAX] = { 0 };
	memset(s->out_at, (uint8_t)s->zero_out, s->out->bytes);
	for (uint32_t done = 0; done < s->in[0]->elements; done += row) {
		size_t at = s->pad_left;
		for (unsigned k = 0; k + 1 < s->rank; k++)
			at += (size_t)index[k] * s->step_out[k];
		memcpy(s->out_at + at, s->in_at[0] + done, row);
		for (unsigned k = s->rank - 1; k-- > 0;) {
			if (++index[k] < s->count[k])
				break;
			index[k] = 0;
		}
	}
}

int cpu_prepare_pad(const struct cpu_prepare *p)
{
	struct cpu_step *s = p->step;
	const struct tfl_tensor *a = s->in[0], *pads = s->in[1], *value = s->in[2];
	if (!cpu_types(p, TFL_I8, TFL_I8) || a->rank == 0 || a->rank != s->out->rank)
		return cpu_refuse(p, -E_UNSUPPORTED, "only int8 of as many dimensions is offered");
	if (!is_constant_int(pads) || pads->elements != 2 * a->rank)
		return cpu_refuse(p, -E_UNSUPPORTED, "its padding is not a constant for each axis");
	int err = cpu_one_scale(p, s->out);
	if (err < 0)
		return err;
	(void)strides_of(s->out, s->step_out);
	s->rank = a->rank;
	uint64_t first = 0;
	for (unsigned i = 0; i < a->rank; i++) {
		int64_t before = int_at(pads, 2 * i), after = int_at(pads, 2 * i + 1);
		if (before < 0 || after < 0 || before + after + a->dim[i] != s->out->dim[i])
			return cpu_refuse(p, -E_INVALID, "axis %u: %lld + %u + %lld is not %u", i,
					  (long long)before, a->dim[i], (long long)after,
					  s->out->dim[i]);
		first += (uint64_t)before * s->step_out[i];
		s->count[i] = a->dim[i];
	}
	s->pad_left = (uint32_t)first;
	s->zero_out = (int32_t)s->out->zero[0];
	if (value && (value->type != TFL_I8 || value->data.len != 1))
		return cpu_refuse(p, -E_UNSUPPORTED, "what it pads with is not one constant int8");
	if (value)
		s->zero_out = (int8_t)value->data.at[0];
	s->run = run_pad;
	return 0;
}

/* ---- MEAN ---- */

static void run_mean(const struct cpu_step *s)
{
	const int8_t *x = (const int8_t *)s->in_at[0];
	int32_t *sum = (int32_t *)s->scratch;
	uint32_t index[TFL_RANK_MAX] = { 0 };
	const int32_t n = (int32_t)s->window;
	size_t at = 0;
	memset(sum, 0, s->out->elements * sizeof(*sum));
	for (uint32_t i = 0; i < s->in[0]->elements; i++) {
		sum[at] += x[i] - s->zero_in;
		for (unsigned k = s->rank; k-- > 0;) {
			at += s->step_out[k];
			if (++index[k] < s->count[k])
				break;
			at -= (size_t)s->step_out[k] * s->count[k];
			index[k] = 0;
		}
	}
	for (uint32_t i = 0; i < s->out->elements; i++) {
		int32_t v = multiply(sum[i], s->k);
		v = v > 0 ? (v + n / 2) / n : (v - n / 2) / n;
		s->out_at[i] = (uint8_t)cpu_clamp((int64_t)v + s->zero_out, INT8_MIN, INT8_MAX);
	}
}

int cpu_prepare_mean(const struct cpu_prepare *p)
{
	struct cpu_step *s = p->step;
	const struct tfl_tensor *a = s->in[0], *axes = s->in[1];
	bool gone[TFL_RANK_MAX] = { false };
	if (!cpu_types(p, TFL_I8, TFL_I8) || a->rank == 0)
		return cpu_refuse(p, -E_UNSUPPORTED, "only int8 is offered");
	if (!is_constant_int(axes))
		return cpu_refuse(p, -E_UNSUPPORTED, "its axes are not constant");
	int err = cpu_one_scale(p, a);
	if (err == 0)
		err = cpu_one_scale(p, s->out);
	if (err < 0)
		return err;
	for (uint32_t i = 0; i < axes->elements; i++) {
		int64_t axis = int_at(axes, i);
		axis += axis < 0 ? a->rank : 0;
		if (axis < 0 || axis >= a->rank)
			return cpu_refuse(p, -E_INVALID, "axis %lld of %u",
					  (long long)int_at(axes, i), a->rank);
		gone[axis] = true;
	}
	uint64_t kept = 1;
	s->window = 1;
	for (unsigned i = a->rank; i-- > 0;) {
		s->count[i] = a->dim[i];
		s->step_out[i] = gone[i] ? 0 : (uint32_t)kept;
		if (gone[i])
			s->window *= a->dim[i];
		else
			kept *= a->dim[i];
	}
	if (kept != s->out->elements)
		return cpu_refuse(p, -E_INVALID, "%llu means, an output of %u",
				  (unsigned long long)kept, s->out->elements);
	if (s->window > MEAN_MAX)
		return cpu_refuse(p, -E_LIMIT, "a mean of more than %d values", MEAN_MAX);
	s->rank = a->rank;
	s->zero_in = (int32_t)a->zero[0];
	s->zero_out = (int32_t)s->out->zero[0];
	s->k = quantise_multiplier((double)a->scale[0] / (double)s->out->scale[0]);
	s->scratch_bytes = s->out->elements * sizeof(int32_t);
	s->run = run_mean;
	return 0;
}

/* ---- RESHAPE ---- */

static void run_copy(const struct cpu_step *s)
{
	memmove(s->out_at, s->in_at[0], s->out->bytes);
}

int cpu_prepare_reshape(const struct cpu_prepare *p)
{
	struct cpu_step *s = p->step;
	if (s->in[0]->type != s->out->type || s->in[0]->bytes != s->out->bytes)
		return cpu_refuse(p, -E_INVALID, "%u bytes in, %u out", s->in[0]->bytes,
				  s->out->bytes);
	s->run = run_copy;
	return 0;
}
