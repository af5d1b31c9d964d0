/* SPDX-License-Identifier: Apache-2.0 */
/* Operators one by one, against what they mean in real numbers; and models that make no sense. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ethosu_bridge/cpu.h"
#include "tests/unit/ethosu/model_maker.h"

struct run {
	struct maker maker;
	struct arena arena;
	struct tfl_model m;
	struct cpu_model *c;
	struct why why;
	int err;
};

static struct run *begin(const struct maker_op *op)
{
	struct run *r = calloc(1, sizeof(*r));
	assert_non_null(r);
	arena_init(&r->arena, 4 << 20);
	struct span file = maker_model(&r->maker, op);
	r->err = tfl_read(file, &r->arena, &r->m, &r->why);
	if (r->err == 0)
		r->err = cpu_prepare(&r->m, &r->c, &r->why);
	return r;
}

static void end(struct run *r)
{
	cpu_free(r->c);
	arena_fini(&r->arena);
	free(r);
}

static int8_t *bytes_of(unsigned n)
{
	static int8_t room[4096];
	static uint32_t x = 1;
	for (unsigned i = 0; i < n; i++)
		room[i] = (int8_t)((x = x * 1103515245u + 12345u) >> 16);
	return room;
}

static double real_of(const struct maker_tensor *t, int8_t v)
{
	return (double)t->scale * (v - (double)t->zero);
}

/* The nearest byte to a real number. */
static double byte_of(const struct maker_tensor *t, double v)
{
	double b = v / (double)t->scale + (double)t->zero;
	return b < -128 ? -128 : b > 127 ? 127 : b;
}

static double unary(uint32_t builtin, double x)
{
	switch (builtin) {
	case TFL_LOGISTIC:
		return 1 / (1 + exp(-x));
	case TFL_RELU:
		return x > 0 ? x : 0;
	case TFL_RELU6:
		return x > 6 ? 6 : x > 0 ? x : 0;
	default:
		return x;
	}
}

static void tables_are_within_one_step_of_the_function(void **state)
{
	static const struct {
		uint32_t builtin;
		float in_scale;
		int64_t in_zero;
		float out_scale;
		int64_t out_zero;
	} row[] = { { TFL_LOGISTIC, 0.1f, 3, 1.0f / 256, -128 },
		    { TFL_LOGISTIC, 0.01f, -50, 1.0f / 256, -128 },
		    { TFL_RELU, 0.05f, 10, 0.04f, -128 },
		    { TFL_RELU6, 0.1f, 0, 6.0f / 255, -128 },
		    { TFL_QUANTIZE, 0.1f, 0, 0.05f, 20 } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		const struct maker_tensor t[] = {
			{ TFL_I8, 2, { 1, 256 }, row[i].in_scale, row[i].in_zero, NULL },
			{ TFL_I8, 2, { 1, 256 }, row[i].out_scale, row[i].out_zero, NULL },
		};
		struct run *r = begin(&(struct maker_op){ row[i].builtin, 2, 1, t, 0, { 0 } });
		if (r->err != 0)
			fail_msg("row %zu: %s", i, r->why.text);
		for (int v = 0; v < 256; v++)
			cpu_input(r->c, 0)[v] = (uint8_t)v;
		cpu_run(r->c);
		for (int v = 0; v < 256; v++) {
			double want =
				byte_of(&t[1], unary(row[i].builtin, real_of(&t[0], (int8_t)v)));
			double got = (int8_t)cpu_output(r->c, 0)[v];
			if (fabs(got - want) > 1)
				fail_msg("row %zu, %d: %g, not %g", i, v, got, want);
		}
		end(r);
	}
}

static void pairs_of_any_broadcast_are_within_one_step(void **state)
{
	static const struct {
		uint32_t builtin;
		unsigned ra, rb;
		uint32_t a[4], b[4], out[4];
	} row[] = { { TFL_ADD, 4, 4, { 1, 2, 3, 4 }, { 1, 2, 3, 4 }, { 1, 2, 3, 4 } },
		    { TFL_ADD, 4, 1, { 1, 2, 3, 4 }, { 4 }, { 1, 2, 3, 4 } },
		    { TFL_MUL, 4, 4, { 1, 2, 1, 4 }, { 1, 1, 3, 4 }, { 1, 2, 3, 4 } },
		    { TFL_MUL, 4, 0, { 1, 2, 3, 4 }, { 0 }, { 1, 2, 3, 4 } } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct maker_tensor t[] = { { TFL_I8, row[i].ra, { 0 }, 0.05f, 4, NULL },
					    { TFL_I8, row[i].rb, { 0 }, 0.02f, -7, NULL },
					    { TFL_I8, 4, { 0 }, 0.06f, -3, NULL } };
		memcpy(t[0].dim, row[i].a, sizeof(t[0].dim));
		memcpy(t[1].dim, row[i].b, sizeof(t[1].dim));
		memcpy(t[2].dim, row[i].out, sizeof(t[2].dim));
		struct run *r =
			begin(&(struct maker_op){ row[i].builtin, 3, 2, t, 1, { TFL_ACT_NONE } });
		if (r->err != 0)
			fail_msg("row %zu: %s", i, r->why.text);
		uint32_t na = r->m.tensors[0].elements, nb = r->m.tensors[1].elements;
		memcpy(cpu_input(r->c, 0), bytes_of(na), na);
		memcpy(cpu_input(r->c, 1), bytes_of(nb), nb);
		int8_t a[24], b[24];
		memcpy(a, cpu_input(r->c, 0), na);
		memcpy(b, cpu_input(r->c, 1), nb);
		cpu_run(r->c);
		for (uint32_t k = 0; k < 24; k++) {
			uint32_t y = k / 12, x = k / 4 % 3, c = k % 4;
			uint32_t ia = na == 24 ? k : y * 4 + c;
			uint32_t ib = nb == 24 ? k : nb == 12 ? x * 4 + c : nb == 4 ? c : 0;
			double u = real_of(&t[0], a[ia]), v = real_of(&t[1], b[ib]);
			double want = byte_of(&t[2], row[i].builtin == TFL_ADD ? u + v : u * v);
			double got = (int8_t)cpu_output(r->c, 0)[k];
			if (fabs(got - want) > 1)
				fail_msg("row %zu, %u: %g, not %g", i, k, got, want);
		}
		end(r);
	}
}

static void a_mean_is_of_the_axes_that_are_named(void **state)
{
	static const struct {
		int32_t axes[2];
		unsigned naxes, rank;
		uint32_t out[4];
	} row[] = { { { 1, 2 }, 2, 2, { 1, 4 } },
		    { { -1, 0 }, 2, 2, { 2, 3 } },
		    { { 3, 3 }, 2, 3, { 1, 2, 3 } } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct maker_tensor t[] = {
			{ TFL_I8, 4, { 1, 2, 3, 4 }, 0.05f, 4, NULL },
			{ TFL_I32, 1, { row[i].naxes }, 0, 0, row[i].axes },
			{ TFL_I8, row[i].rank, { 0 }, 0.04f, -3, NULL },
		};
		memcpy(t[2].dim, row[i].out, sizeof(t[2].dim));
		struct run *r = begin(&(struct maker_op){ TFL_MEAN, 3, 2, t, 1, { 0 } });
		if (r->err != 0)
			fail_msg("row %zu: %s", i, r->why.text);
		int8_t x[24];
		memcpy(x, bytes_of(24), 24);
		memcpy(cpu_input(r->c, 0), x, 24);
		cpu_run(r->c);
		uint32_t n = r->m.tensors[2].elements;
		for (uint32_t o = 0; o < n; o++) {
			double sum = 0;
			for (uint32_t k = 0; k < 24; k++) {
				uint32_t at = i == 0 ? k % 4 : k / 4;
				sum += at == o ? real_of(&t[0], x[k]) : 0;
			}
			double want = byte_of(&t[2], sum / (24.0 / n));
			assert_true(fabs((int8_t)cpu_output(r->c, 0)[o] - want) <= 1);
		}
		end(r);
	}
}

static void padding_is_the_zero_point(void **state)
{
	static const int32_t pads[] = { 0, 0, 1, 0, 0, 2, 0, 1 };
	const struct maker_tensor t[] = { { TFL_I8, 4, { 1, 2, 2, 2 }, 0.1f, 5, NULL },
					  { TFL_I32, 2, { 4, 2 }, 0, 0, pads },
					  { TFL_I8, 4, { 1, 3, 4, 3 }, 0.1f, 5, NULL } };
	struct run *r = begin(&(struct maker_op){ TFL_PAD, 3, 2, t, 0, { 0 } });
	(void)state;
	assert_int_equal(r->err, 0);
	for (int i = 0; i < 8; i++)
		cpu_input(r->c, 0)[i] = (uint8_t)(50 + i);
	cpu_run(r->c);
	for (int y = 0; y < 3; y++) {
		for (int x = 0; x < 4; x++) {
			for (int c = 0; c < 3; c++) {
				bool in = y >= 1 && x < 2 && c < 2;
				int want = in ? 50 + ((y - 1) * 2 + x) * 2 + c : 5;
				assert_int_equal((int8_t)cpu_output(r->c, 0)[(y * 4 + x) * 3 + c],
						 want);
			}
		}
	}
	end(r);
}

/* Against a loop that knows neither borders nor lanes; odd sizes, strides, dilations, few and many channels. */
static void convolutions_agree_with_their_definition(void **state)
{
	static const struct {
		uint32_t h, w, c, o, kh, kw, stride, dilation;
		bool same, depthwise;
	} row[] = {
		{ 5, 7, 3, 8, 3, 3, 1, 1, true, false },  { 5, 7, 3, 2, 3, 3, 2, 1, true, false },
		{ 6, 6, 5, 5, 1, 1, 1, 1, false, false }, { 9, 9, 2, 7, 3, 2, 1, 2, false, false },
		{ 9, 9, 2, 1, 3, 3, 2, 2, true, false },  { 5, 7, 6, 6, 3, 3, 1, 1, true, true },
		{ 8, 8, 1, 4, 3, 5, 2, 1, true, true },   { 8, 8, 2, 6, 2, 2, 1, 3, false, true },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		const uint32_t s = row[i].stride, d = row[i].dilation, h = row[i].h, w = row[i].w,
			       c = row[i].c, o = row[i].o, kh = row[i].kh, kw = row[i].kw;
		const bool dw = row[i].depthwise;
		uint32_t rh = (kh - 1) * d + 1, rw = (kw - 1) * d + 1;
		uint32_t oh = row[i].same ? (h + s - 1) / s : (h - rh) / s + 1;
		uint32_t ow = row[i].same ? (w + s - 1) / s : (w - rw) / s + 1;
		int8_t weights[1024];
		int32_t bias[16];
		uint32_t nweights = dw ? kh * kw * o : o * kh * kw * c;
		memcpy(weights, bytes_of(nweights), nweights);
		for (uint32_t k = 0; k < o; k++)
			bias[k] = (int32_t)k * 100 - 300;
		const struct maker_tensor t[] = {
			{ TFL_I8, 4, { 1, h, w, c }, 0.05f, -9, NULL },
			{ TFL_I8, 4, { dw ? 1 : o, kh, kw, dw ? o : c }, 0.01f, 0, weights },
			{ TFL_I32, 1, { o }, 0.0005f, 0, bias },
			{ TFL_I8, 4, { 1, oh, ow, o }, 0.1f, 3, NULL },
		};
		struct maker_op op = {
			dw ? TFL_DEPTHWISE_CONV_2D : TFL_CONV_2D, 4, 3, t, 7, { 0 }
		};
		op.options[0] = !row[i].same;
		op.options[1] = op.options[2] = s;
		op.options[dw ? 5 : 4] = op.options[dw ? 6 : 5] = d;
		if (dw)
			op.options[3] = o / c;
		struct run *r = begin(&op);
		if (r->err != 0)
			fail_msg("row %zu: %s", i, r->why.text);
		int8_t x[1024];
		memcpy(x, bytes_of(h * w * c), h * w * c);
		memcpy(cpu_input(r->c, 0), x, h * w * c);
		cpu_run(r->c);
		int64_t ph = row[i].same && (oh - 1) * s + rh > h ? ((oh - 1) * s + rh - h) / 2 : 0;
		int64_t pw = row[i].same && (ow - 1) * s + rw > w ? ((ow - 1) * s + rw - w) / 2 : 0;
		for (uint32_t at = 0; at < oh * ow * o; at++) {
			uint32_t k = at % o, px = at / o % ow, py = at / o / ow;
			double sum = bias[k] * 0.0005;
			for (uint32_t e = 0; e < kh * kw * (dw ? 1 : c); e++) {
				uint32_t ch = dw ? k / (o / c) : e % c, pos = dw ? e : e / c;
				int64_t iy = (int64_t)py * s - ph + (pos / kw) * d,
					ix = (int64_t)px * s - pw + (pos % kw) * d;
				if (iy < 0 || iy >= h || ix < 0 || ix >= w)
					continue;
				int8_t wt =
					dw ? weights[pos * o + k] : weights[k * kh * kw * c + e];
				sum += real_of(&t[0], x[(iy * w + ix) * c + ch]) * 0.01 * wt;
			}
			double want = byte_of(&t[3], sum), got = (int8_t)cpu_output(r->c, 0)[at];
			if (fabs(got - want) > 1.01)
				fail_msg("row %zu, %u: %g, not %g", i, at, got, want);
		}
		end(r);
	}
}

static void floats_are_quantised_and_back(void **state)
{
	static const float given[] = { 0, 1, -1, 0.049f, 1e30f, -1e30f, NAN, INFINITY };
	static const int8_t want[] = { 3, 13, -7, 3, 127, -128, 3, 127 };
	const struct maker_tensor t[] = { { TFL_F32, 1, { 8 }, 0, 0, NULL },
					  { TFL_I8, 1, { 8 }, 0.1f, 3, NULL } };
	const struct maker_tensor back[] = { t[1], t[0] };
	struct run *r = begin(&(struct maker_op){ TFL_QUANTIZE, 2, 1, t, 0, { 0 } });
	(void)state;
	assert_int_equal(r->err, 0);
	memcpy(cpu_input(r->c, 0), given, sizeof(given));
	cpu_run(r->c);
	assert_memory_equal(cpu_output(r->c, 0), want, sizeof(want));
	end(r);
	r = begin(&(struct maker_op){ TFL_DEQUANTIZE, 2, 1, back, 0, { 0 } });
	assert_int_equal(r->err, 0);
	memcpy(cpu_input(r->c, 0), want, sizeof(want));
	cpu_run(r->c);
	float f[8];
	memcpy(f, cpu_output(r->c, 0), sizeof(f));
	assert_true(fabsf(f[1] - 1) < 1e-5f && fabsf(f[2] + 1) < 1e-5f && f[0] == 0);
	end(r);
}

static void what_does_not_fit_is_refused_with_the_operator(void **state)
{
	static const int8_t w[64] = { 1 };
	static const int32_t b[4] = { 0 };
	static const struct maker_tensor fc[] = { { TFL_I8, 2, { 1, 16 }, 0.1f, 0, NULL },
						  { TFL_I8, 2, { 4, 16 }, 0.1f, 0, w },
						  { TFL_I32, 1, { 4 }, 0.01f, 0, b },
						  { TFL_I8, 2, { 1, 4 }, 0.1f, 0, NULL } };
	static const struct {
		unsigned tensor;
		struct maker_tensor instead;
		const char *reason;
	} row[] = {
		{ 0,
		  { TFL_I8, 2, { 1, 15 }, 0.1f, 0, NULL },
		  "operator 0, FULLY_CONNECTED: 15 inputs" },
		{ 0, { TFL_F32, 2, { 1, 16 }, 0, 0, NULL }, "only int8 is offered" },
		{ 0, { TFL_I8, 2, { 1, 16 }, 0, 0, NULL }, "has 0 scales" },
		{ 0, { TFL_I8, 2, { 1, 16 }, 0.1f, 200, NULL }, "zero point 200 is no int8" },
		{ 1, { TFL_I8, 2, { 4, 16 }, 0.1f, 0, NULL }, "not constant" },
		{ 1, { TFL_I8, 2, { 4, 16 }, 0.1f, 1, w }, "weights with a zero point" },
		{ 2, { TFL_I32, 1, { 3 }, 0.01f, 0, b }, "a bias of 3 int32 for 4 channels" },
		{ 3, { TFL_I8, 2, { 1, 5 }, 0.1f, 0, NULL }, "5 outputs" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct maker_tensor t[4];
		memcpy(t, fc, sizeof(t));
		t[row[i].tensor] = row[i].instead;
		struct run *r = begin(&(struct maker_op){ TFL_FULLY_CONNECTED, 4, 3, t, 1, { 0 } });
		assert_true(r->err < 0);
		if (!strstr(r->why.text, row[i].reason))
			fail_msg("row %zu: \"%s\" lacks \"%s\"", i, r->why.text, row[i].reason);
		end(r);
	}
}

/* Every prefix of a model, and every byte of one changed: refused or run, never more. */
static void damaged_models_are_refused(void **state)
{
	static const int8_t w[64] = { 1, -2, 3 };
	const struct maker_tensor t[] = { { TFL_I8, 2, { 1, 16 }, 0.1f, 0, NULL },
					  { TFL_I8, 2, { 4, 16 }, 0.1f, 0, w },
					  { TFL_I8, 2, { 1, 4 }, 0.1f, 0, NULL } };
	struct maker made;
	struct span whole =
		maker_model(&made, &(struct maker_op){ TFL_FULLY_CONNECTED, 3, 2, t, 1, { 0 } });
	unsigned ran = 0;
	(void)state;
	for (size_t i = 0; i < 2 * whole.len; i++) {
		struct arena arena = { 0 };
		struct tfl_model m;
		struct cpu_model *c = NULL;
		struct why why = { 0 };
		size_t n = i < whole.len ? i : whole.len;
		uint8_t *bytes = malloc(n + 1); /* an allocation of its own, for the sanitizer */
		assert_non_null(bytes);
		memcpy(bytes, whole.at, n);
		if (i >= whole.len)
			bytes[i - whole.len] ^= 0x81;
		arena_init(&arena, 4 << 20);
		int err = tfl_read((struct span){ bytes, n }, &arena, &m, &why);
		if (err == 0)
			err = cpu_prepare(&m, &c, &why);
		if (err == 0) {
			cpu_run(c);
			ran++;
		}
		assert_int_equal(err == 0, why.text[0] == '\0');
		cpu_free(c);
		arena_fini(&arena);
		free(bytes);
	}
	assert_in_range(ran, 1, 2 * whole.len - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_are_within_one_step_of_the_function),
		cmocka_unit_test(pairs_of_any_broadcast_are_within_one_step),
		cmocka_unit_test(a_mean_is_of_the_axes_that_are_named),
		cmocka_unit_test(padding_is_the_zero_point),
		cmocka_unit_test(convolutions_agree_with_their_definition),
		cmocka_unit_test(floats_are_quantised_and_back),
		cmocka_unit_test(what_does_not_fit_is_refused_with_the_operator),
		cmocka_unit_test(damaged_models_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
