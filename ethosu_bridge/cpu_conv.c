/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED. Sums are of the bytes as they are: what the input's zero point
 * would add is folded into the bias, and the border of an image is filled with the zero point, so inner loops know neither.
 */
#include <errno.h>
#include <string.h>

#include "ethosu_bridge/cpu_impl.h"

enum {
	WINDOW_MAX = 1 << 16, /* products of one output: their sum stays below 2^30 */
	SCRATCH_MAX = 64 << 20,
	LANES = 4, /* of cpu_dot4 */
};

/* ---- preparing ---- */

static int check_tensors(const struct cpu_prepare *p, uint32_t channels, unsigned axis)
{
	struct cpu_step *s = p->step;
	const struct tfl_tensor *w = s->in[1], *bias = s->in[2];
	if (!cpu_types(p, TFL_I8, TFL_I8) || w->type != TFL_I8)
		return cpu_refuse(p, -E_UNSUPPORTED,
				  "%s input, %s weights, %s output: only int8 is offered",
				  tfl_type_name(s->in[0]->type), tfl_type_name(w->type),
				  tfl_type_name(s->out->type));
	if (w->data.len == 0 || (bias && bias->data.len == 0))
		return cpu_refuse(p, -E_UNSUPPORTED, "weights or bias are not constant");
	if (bias && (bias->type != TFL_I32 || bias->elements != channels))
		return cpu_refuse(p, -E_INVALID, "a bias of %u %s for %u channels", bias->elements,
				  tfl_type_name(bias->type), channels);
	if (w->nscales != 1 && (w->nscales != channels || w->axis != axis))
		return cpu_refuse(p, -E_INVALID, "%u scales of weights for %u channels", w->nscales,
				  channels);
	for (unsigned i = 0; i < w->nscales; i++) {
		if (w->zero[i] != 0)
			return cpu_refuse(p, -E_UNSUPPORTED, "weights with a zero point");
	}
	int err = cpu_one_scale(p, s->in[0]);
	return err < 0 ? err : cpu_one_scale(p, s->out);
}

/* single_float: FULLY_CONNECTED with one scale multiplies the scales as floats, the others as doubles. */
static int factors(const struct cpu_prepare *p, uint32_t channels, bool single_float)
{
	struct cpu_step *s = p->step;
	const struct tfl_tensor *in = s->in[0], *w = s->in[1];
	struct multiplier *ks = ARENA_NEW(p->arena, struct multiplier, channels);
	if (!ks)
		return cpu_refuse(p, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < channels; i++) {
		float scale = w->scale[w->nscales == 1 ? 0 : i];
		double product = single_float && w->nscales == 1
					 ? (double)(in->scale[0] * scale)
					 : (double)in->scale[0] * (double)scale;
		ks[i] = quantise_multiplier(product / (double)s->out->scale[0]);
	}
	s->ks = ks;
	s->zero_in = (int32_t)in->zero[0];
	s->zero_out = (int32_t)s->out->zero[0];
	return cpu_activation(p, s->op->activation);
}

/* A channel's weights are n bytes, `step` apart, from `at`. */
static int32_t folded_bias(const struct cpu_step *s, uint32_t channel, uint32_t at, uint32_t n,
			   uint32_t step)
{
	const int8_t *w = (const int8_t *)s->in[1]->data.at;
	int32_t given = 0;
	int64_t sum = 0;
	for (uint32_t i = 0; i < n; i++)
		sum += w[at + (size_t)i * step];
	if (s->in[2])
		memcpy(&given, s->in[2]->data.at + 4 * (size_t)channel, 4);
	return (int32_t)(uint32_t)(given - s->zero_in * sum);
}

/* Where windows lie; b is checked against it. */
static int geometry(const struct cpu_prepare *p, uint32_t kh, uint32_t kw)
{
	struct cpu_step *s = p->step;
	const struct tfl_op *op = s->op;
	const struct {
		uint64_t in, k, stride, dilation, out;
		uint32_t *before, *after;
	} axis[] = {
		{ s->a.h, kh, op->stride_h, op->dilation_h, s->b.h, &s->pad_top, &s->pad_bottom },
		{ s->a.w, kw, op->stride_w, op->dilation_w, s->b.w, &s->pad_left, &s->pad_right }
	};
	for (size_t i = 0; i < ARRAY_LEN(axis); i++) {
		uint64_t in = axis[i].in, k = axis[i].k, stride = axis[i].stride;
		if (stride == 0 || stride > UINT16_MAX || axis[i].dilation == 0 ||
		    axis[i].dilation > UINT16_MAX || k == 0 || k > UINT16_MAX)
			return cpu_refuse(p, -E_INVALID,
					  "a stride, dilation or window of 0, or too large");
		uint64_t reach = (k - 1) * axis[i].dilation + 1;
		uint64_t out = op->same_padding ? (in + stride - 1) / stride
			       : in >= reach    ? (in - reach) / stride + 1
						: 0;
		if (out == 0 || out != axis[i].out)
			return cpu_refuse(p, -E_INVALID,
					  "an output of %llu where its input gives %llu",
					  (unsigned long long)axis[i].out, (unsigned long long)out);
		uint64_t needed = (out - 1) * stride + reach;
		uint64_t padding = needed > in ? needed - in : 0;
		*axis[i].before = (uint32_t)(padding / 2);
		*axis[i].after = (uint32_t)(padding - padding / 2);
	}
	return 0;
}

static bool has_border(const struct cpu_step *s)
{
	return s->pad_top || s->pad_left || s->pad_bottom || s->pad_right;
}

/* The image with its border, where it has one, and `more` bytes. */
static int want_scratch(const struct cpu_prepare *p, uint64_t more)
{
	struct cpu_step *s = p->step;
	uint64_t h = (uint64_t)s->a.h + s->pad_top + s->pad_bottom,
		 w = (uint64_t)s->a.w + s->pad_left + s->pad_right;
	uint64_t bytes = more;
	if (h > SCRATCH_MAX || w > SCRATCH_MAX || h * w > SCRATCH_MAX ||
	    h * w * s->a.c > SCRATCH_MAX)
		return cpu_refuse(p, -E_LIMIT, "an image of %llu x %llu x %u is too large",
				  (unsigned long long)h, (unsigned long long)w, s->a.c);
	if (has_border(s))
		bytes += h * w * s->a.c;
	s->scratch_bytes = (size_t)bytes;
	return 0;
}

static int images(const struct cpu_prepare *p)
{
	struct cpu_step *s = p->step;
	int err = cpu_shape4(p, s->in[0], &s->a);
	if (err == 0)
		err = cpu_shape4(p, s->out, &s->b);
	if (err == 0 && (s->in[1]->rank != 4 || s->a.n != s->b.n))
		err = cpu_refuse(p, -E_INVALID, "weights or batches do not fit");
	return err;
}

/* ---- running ---- */

static int8_t requantise(const struct cpu_step *s, int32_t sum, uint32_t channel)
{
	int32_t v = multiply((int32_t)((uint32_t)sum + (uint32_t)s->bias[channel]), s->ks[channel]);
	v = v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : v;
	v += s->zero_out;
	return (int8_t)(v < s->least ? s->least : v > s->most ? s->most : v);
}

/* The image number n with its border; *ret_row: bytes of a line. */
static const int8_t *bordered(const struct cpu_step *s, uint32_t n, uint8_t *to, size_t *ret_row)
{
	const size_t line = (size_t)s->a.w * s->a.c;
	const uint8_t *from = s->in_at[0] + n * (s->a.h * line);
	*ret_row = line;
	if (!has_border(s))
		return (const int8_t *)from;
	const size_t left = (size_t)s->pad_left * s->a.c, right = (size_t)s->pad_right * s->a.c;
	const size_t row = left + line + right;
	const int zero = (uint8_t)s->zero_in;
	uint8_t *at = to;
	memset(at, zero, row * s->pad_top);
	at += row * s->pad_top;
	for (uint32_t y = 0; y < s->a.h; y++, at += row) {
		memset(at, zero, left);
		memcpy(at + left, from + y * line, line);
		memset(at + left + line, zero, right);
	}
	memset(at, zero, row * s->pad_bottom);
	*ret_row = row;
	return (const int8_t *)to;
}

/* All channels of one pixel; x: its window's corner. */
static void conv_pixel(const struct cpu_step *s, const int8_t *x, size_t row, int8_t *out)
{
	const struct tfl_op *op = s->op;
	const uint32_t kh = s->in[1]->dim[1], kw = s->in[1]->dim[2], c = s->a.c;
	const bool dense = op->dilation_w == 1;
	const uint32_t stretch = dense ? kw * c : c, stretches = dense ? 1 : kw;
	const size_t next = (size_t)op->dilation_w * c, down = row * op->dilation_h;
	for (uint32_t o = 0; o < s->b.c; o += LANES) {
		int32_t sum[LANES] = { 0 };
		/* The last few channels are done again with those before them. */
		uint32_t from = o + LANES <= s->b.c ? o : s->b.c - LANES;
		const int8_t *w = s->weights + (size_t)from * s->window;
		for (uint32_t y = 0; y < kh; y++) {
			for (uint32_t i = 0; i < stretches; i++, w += stretch)
				s->dot(x + y * down + i * next, w, s->window, stretch, sum);
		}
		for (uint32_t i = 0; i < LANES; i++)
			out[from + i] = requantise(s, sum[i], from + i);
	}
}

static void run_conv(const struct cpu_step *s)
{
	const struct tfl_op *op = s->op;
	int8_t *out = (int8_t *)s->out_at;
	for (uint32_t n = 0; n < s->b.n; n++) {
		size_t row;
		const int8_t *image = bordered(s, n, s->scratch, &row);
		for (uint32_t y = 0; y < s->b.h; y++) {
			const int8_t *line = image + (size_t)y * op->stride_h * row;
			for (uint32_t x = 0; x < s->b.w; x++, out += s->b.c)
				conv_pixel(s, line + (size_t)x * op->stride_w * s->a.c, row, out);
		}
	}
}

static int fold(const struct cpu_prepare *p, uint32_t channels)
{
	struct cpu_step *s = p->step;
	int32_t *bias = ARENA_NEW(p->arena, int32_t, channels);
	if (!bias)
		return cpu_refuse(p, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < channels; i++)
		bias[i] = folded_bias(s, i, i * s->window, s->window, 1);
	s->bias = bias;
	s->weights = (const int8_t *)s->in[1]->data.at;
	s->dot = cpu_dot4_best();
	return 0;
}

static void run_few(const struct cpu_step *s, const int8_t *x, uint32_t channels, int8_t *out)
{
	for (uint32_t o = 0; o < channels; o++) {
		const int8_t *w = s->weights + (size_t)o * s->window;
		int32_t sum = 0;
		for (uint32_t i = 0; i < s->window; i++)
			sum += x[i] * w[i];
		out[o] = requantise(s, sum, o);
	}
}

/* A convolution to fewer channels than there are lanes: windows are gathered, then as fully connected. */
static void run_conv_few(const struct cpu_step *s)
{
	const struct tfl_op *op = s->op;
	const uint32_t kh = s->in[1]->dim[1], kw = s->in[1]->dim[2], c = s->a.c;
	int8_t *out = (int8_t *)s->out_at, *window = (int8_t *)s->scratch;
	for (uint32_t n = 0; n < s->b.n; n++) {
		size_t row;
		const int8_t *image = bordered(s, n, s->scratch + s->window, &row);
		for (uint32_t i = 0; i < s->b.h * s->b.w; i++, out += s->b.c) {
			const int8_t *corner = image + (size_t)(i / s->b.w) * op->stride_h * row +
					       (size_t)(i % s->b.w) * op->stride_w * c;
			for (uint32_t k = 0; k < kh * kw; k++)
				memcpy(window + (size_t)k * c,
				       corner + (k / kw) * op->dilation_h * row +
					       (size_t)(k % kw) * op->dilation_w * c,
				       c);
			run_few(s, window, s->b.c, out);
		}
	}
}

int cpu_prepare_conv(const struct cpu_prepare *p)
{
	struct cpu_step *s = p->step;
	const struct tfl_tensor *w = s->in[1];
	int err = images(p);
	if (err == 0)
		err = check_tensors(p, s->b.c, 0);
	if (err < 0)
		return err;
	if (w->dim[0] != s->b.c || w->dim[3] != s->a.c)
		return cpu_refuse(p, -E_UNSUPPORTED, "weights of %u x %u channels for %u x %u",
				  w->dim[0], w->dim[3], s->b.c, s->a.c);
	uint64_t window = (uint64_t)w->dim[1] * w->dim[2] * w->dim[3];
	if (window > WINDOW_MAX)
		return cpu_refuse(p, -E_LIMIT, "a window of more than %d products", WINDOW_MAX);
	s->window = (uint32_t)window;
	s->run = s->b.c < LANES ? run_conv_few : run_conv;
	s->macs = window * s->out->elements;
	err = geometry(p, w->dim[1], w->dim[2]);
	if (err == 0)
		err = want_scratch(p, s->b.c < LANES ? window : 0);
	if (err == 0)
		err = factors(p, s->b.c, false);
	return err < 0 ? err : fold(p, s->b.c);
}

/* ---- fully connected ---- */

static void run_fully_connected(const struct cpu_step *s)
{
	const uint32_t channels = s->in[1]->dim[0];
	const int8_t *x = (const int8_t *)s->in_at[0];
	int8_t *out = (int8_t *)s->out_at;
	for (uint32_t n = 0; n < s->b.n; n++, x += s->window, out += channels) {
		if (channels < LANES) {
			run_few(s, x, channels, out);
			continue;
		}
		for (uint32_t o = 0; o < channels; o += LANES) {
			int32_t sum[LANES] = { 0 };
			uint32_t from = o + LANES <= channels ? o : channels - LANES;
			s->dot(x, s->weights + (size_t)from * s->window, s->window, s->window, sum);
			for (uint32_t i = 0; i < LANES; i++)
				out[from + i] = requantise(s, sum[i], from + i);
		}
	}
}

int cpu_prepare_fully_connected(const struct cpu_prepare *p)
{
	struct cpu_step *s = p->step;
	const struct tfl_tensor *w = s->in[1];
	if (w->rank != 2)
		return cpu_refuse(p, -E_INVALID, "weights of %u dimensions", w->rank);
	uint32_t channels = w->dim[0];
	s->window = w->dim[1];
	s->b.n = s->in[0]->elements / s->window;
	if (s->in[0]->elements % s->window != 0 || (uint64_t)s->b.n * channels != s->out->elements)
		return cpu_refuse(p, -E_INVALID, "%u inputs, %u x %u weights, %u outputs",
				  s->in[0]->elements, channels, s->window, s->out->elements);
	if (s->window > WINDOW_MAX)
		return cpu_refuse(p, -E_LIMIT, "more than %d products for an output", WINDOW_MAX);
	int err = check_tensors(p, channels, 0);
	if (err == 0)
		err = factors(p, channels, true);
	s->run = run_fully_connected;
	s->macs = (uint64_t)s->window * s->out->elements;
	return err < 0 ? err : fold(p, channels);
}

/* ---- depthwise: each output channel has one input channel ---- */

static void depthwise_add(const int8_t *restrict x, const int8_t *restrict w, int32_t *restrict sum,
			  uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		sum[i] += x[i] * w[i];
}

static void depthwise_spread(const int8_t *x, const int8_t *w, int32_t *sum, uint32_t channels,
			     uint32_t multiplier)
{
	for (uint32_t c = 0; c < channels; c++) {
		for (uint32_t m = 0; m < multiplier; m++)
			sum[c * multiplier + m] += x[c] * w[c * multiplier + m];
	}
}

static void depthwise_pixel(const struct cpu_step *s, const int8_t *x, size_t row, int32_t *sum,
			    int8_t *out)
{
	const struct tfl_op *op = s->op;
	const uint32_t kh = s->in[1]->dim[1], kw = s->in[1]->dim[2], channels = s->b.c;
	const uint32_t multiplier = channels / s->a.c;
	const int8_t *w = s->weights;
	memset(sum, 0, channels * sizeof(*sum));
	for (uint32_t i = 0; i < kh * kw; i++, w += channels) {
		const int8_t *at = x + (i / kw) * op->dilation_h * row +
				   (size_t)(i % kw) * op->dilation_w * s->a.c;
		if (multiplier == 1)
			depthwise_add(at, w, sum, channels);
		else
			depthwise_spread(at, w, sum, s->a.c, multiplier);
	}
	for (uint32_t o = 0; o < channels; o++)
		out[o] = requantise(s, sum[o], o);
}

static void run_depthwise(const struct cpu_step *s)
{
	const struct tfl_op *op = s->op;
	int8_t *out = (int8_t *)s->out_at;
	int32_t *sum = (int32_t *)s->scratch;
	for (uint32_t n = 0; n < s->b.n; n++) {
		size_t row;
		const int8_t *image = bordered(s, n, s->scratch + s->b.c * sizeof(*sum), &row);
		for (uint32_t y = 0; y < s->b.h; y++) {
			const int8_t *line = image + (size_t)y * op->stride_h * row;
			for (uint32_t x = 0; x < s->b.w; x++, out += s->b.c)
				depthwise_pixel(s, line + (size_t)x * op->stride_w * s->a.c, row,
						sum, out);
		}
	}
}

int cpu_prepare_depthwise(const struct cpu_prepare *p)
{
	struct cpu_step *s = p->step;
	const struct tfl_tensor *w = s->in[1];
	int err = images(p);
	if (err == 0)
		err = check_tensors(p, s->b.c, 3);
	if (err < 0)
		return err;
	if (w->dim[0] != 1 || w->dim[3] != s->b.c || s->b.c % s->a.c != 0)
		return cpu_refuse(p, -E_INVALID, "weights of %u channels, from %u to %u", w->dim[3],
				  s->a.c, s->b.c);
	uint64_t window = (uint64_t)w->dim[1] * w->dim[2];
	if (window > WINDOW_MAX)
		return cpu_refuse(p, -E_LIMIT, "a window of more than %d products", WINDOW_MAX);
	s->window = (uint32_t)window;
	s->run = run_depthwise;
	s->macs = window * s->out->elements;
	err = geometry(p, w->dim[1], w->dim[2]);
	if (err == 0)
		err = want_scratch(p, s->b.c * sizeof(int32_t));
	if (err == 0)
		err = factors(p, s->b.c, false);
	int32_t *bias = err == 0 ? ARENA_NEW(p->arena, int32_t, s->b.c) : NULL;
	if (err == 0 && !bias)
		err = cpu_refuse(p, -ENOMEM, "out of memory");
	for (uint32_t i = 0; err == 0 && i < s->b.c; i++)
		bias[i] = folded_bias(s, i, i, s->window, s->b.c);
	s->bias = bias;
	s->weights = (const int8_t *)w->data.at;
	return err;
}
