/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures and signals. */
#include "bench/kernels/kernel.h"

/* Deriche's recursive smoothing of a picture: forwards and backwards along rows, then columns */
enum { EDGES_W = 480, EDGES_H = 360, EDGES_ROUNDS = 24 };
struct edges {
	float in[EDGES_H][EDGES_W], out[EDGES_H][EDGES_W];
	float forth[EDGES_H][EDGES_W], back[EDGES_H][EDGES_W];
};

static void edges_fill(void *state)
{
	struct edges *s = state;
	fill_floats(&s->in[0][0], EDGES_W * EDGES_H, 41);
}

/* For alpha = 0.25 */
static const float A1 = 0.0510792f, A2 = 0.0340911f - 0.0042f, A3 = 0.0655867f, A4 = -0.0398021f;
static const float B1 = 1.5576016f, B2 = -0.6065307f;

APART void along_rows(float in[][EDGES_W], float forth[][EDGES_W], float back[][EDGES_W],
		      float out[][EDGES_W])
{
	for (int i = 0; i < EDGES_H; i++) {
		float before = 0, y1 = 0, y2 = 0, x1 = 0, x2 = 0;
		for (int j = 0; j < EDGES_W; j++) {
			forth[i][j] = A1 * in[i][j] + A2 * before + B1 * y1 + B2 * y2;
			before = in[i][j];
			y2 = y1;
			y1 = forth[i][j];
		}
		y1 = y2 = 0;
		for (int j = EDGES_W - 1; j >= 0; j--) {
			back[i][j] = A3 * x1 + A4 * x2 + B1 * y1 + B2 * y2;
			x2 = x1;
			x1 = in[i][j];
			y2 = y1;
			y1 = back[i][j];
		}
		for (int j = 0; j < EDGES_W; j++)
			out[i][j] = forth[i][j] + back[i][j];
	}
}

APART void along_columns(float in[][EDGES_W], float forth[][EDGES_W], float back[][EDGES_W],
			 float out[][EDGES_W])
{
	for (int i = 2; i < EDGES_H; i++)
		for (int j = 0; j < EDGES_W; j++)
			forth[i][j] = A1 * in[i][j] + A2 * in[i - 1][j] + B1 * forth[i - 1][j] +
				      B2 * forth[i - 2][j];
	for (int i = EDGES_H - 3; i >= 0; i--)
		for (int j = 0; j < EDGES_W; j++)
			back[i][j] = A3 * in[i + 1][j] + A4 * in[i + 2][j] + B1 * back[i + 1][j] +
				     B2 * back[i + 2][j];
	for (int i = 0; i < EDGES_H; i++)
		for (int j = 0; j < EDGES_W; j++)
			out[i][j] = forth[i][j] + back[i][j];
}

static void edges_run(void *state)
{
	struct edges *s = state;
	for (int r = 0; r < EDGES_ROUNDS; r++) {
		along_rows(s->in, s->forth, s->back, s->out);
		along_columns(s->out, s->forth, s->back, s->in);
	}
}
KERNEL(edges);

/* A quantised 3x3 convolution as TinyML models have them: int8 in, int32 sums, int8 out */
enum { CONV_SIDE = 34, CONV_IN = 16, CONV_OUT = 32, CONV_ROUNDS = 80 };
struct conv8 {
	int8_t in[CONV_SIDE][CONV_SIDE][CONV_IN], weight[CONV_OUT][3][3][CONV_IN];
	int8_t out[CONV_SIDE - 2][CONV_SIDE - 2][CONV_OUT];
	int32_t bias[CONV_OUT], scale[CONV_OUT];
};

static void conv8_fill(void *state)
{
	struct conv8 *s = state;
	fill_bytes(s->in, sizeof(s->in), 42);
	fill_bytes(s->weight, sizeof(s->weight), 43);
	for (int i = 0; i < CONV_OUT; i++) {
		s->bias[i] = i * 100 - 1600;
		s->scale[i] = (1 << 22) + i * 9973;
	}
}

static int8_t requantised(int32_t sum, int32_t scale)
{
	int32_t v = (int32_t)(((int64_t)sum * scale + (INT64_C(1) << 31)) >> 32);
	return (int8_t)(v < -128 ? -128 : v > 127 ? 127 : v);
}

APART void conv8_pixel(const int8_t (*in)[CONV_SIDE][CONV_IN], int x, const struct conv8 *s,
		       int8_t *out)
{
	for (int o = 0; o < CONV_OUT; o++) {
		int32_t sum = s->bias[o];
		for (int ky = 0; ky < 3; ky++)
			for (int kx = 0; kx < 3; kx++)
				for (int c = 0; c < CONV_IN; c++)
					sum += in[ky][x + kx][c] * s->weight[o][ky][kx][c];
		out[o] = requantised(sum, s->scale[o]);
	}
}

static void conv8_run(void *state)
{
	struct conv8 *s = state;
	for (int r = 0; r < CONV_ROUNDS; r++) {
		for (int y = 0; y < CONV_SIDE - 2; y++)
			for (int x = 0; x < CONV_SIDE - 2; x++)
				conv8_pixel((const int8_t(*)[CONV_SIDE][CONV_IN])s->in + y, x, s,
					    s->out[y][x]);
		s->in[r % 32 + 1][1][0] = s->out[r % 32][0][0];
	}
}
KERNEL(conv8);

/* Cooley and Tukey's transform, radix 2, in place */
enum { FFT_BITS = 12, FFT_N = 1 << FFT_BITS, FFT_ROUNDS = 600 };
struct fft {
	double re[FFT_N], im[FFT_N], cosine[FFT_N / 2], sine[FFT_N / 2];
};

/* Of a small angle, by Taylor's series: exact enough, and the same everywhere. */
static void root_of_unity(double angle, double *ret_cos, double *ret_sin)
{
	double square = angle * angle;
	*ret_cos = 1 - square / 2 * (1 - square / 12 * (1 - square / 30));
	*ret_sin = angle * (1 - square / 6 * (1 - square / 20 * (1 - square / 42)));
}

static void fft_fill(void *state)
{
	struct fft *s = state;
	double c, d;
	fill_doubles(s->re, FFT_N, 44);
	root_of_unity(-2 * 3.14159265358979323846 / FFT_N, &c, &d);
	s->cosine[0] = 1;
	for (int i = 1; i < FFT_N / 2; i++) {
		s->cosine[i] = s->cosine[i - 1] * c - s->sine[i - 1] * d;
		s->sine[i] = s->cosine[i - 1] * d + s->sine[i - 1] * c;
	}
}

static void swap(double *a, double *b)
{
	double t = *a;
	*a = *b;
	*b = t;
}

APART void fft_reorder(double *re, double *im)
{
	for (uint32_t i = 0, j = 0; i < FFT_N; i++) {
		if (i < j) {
			swap(&re[i], &re[j]);
			swap(&im[i], &im[j]);
		}
		uint32_t bit = FFT_N >> 1;
		for (; j & bit; bit >>= 1)
			j ^= bit;
		j |= bit;
	}
}

APART void fft_stages(double *re, double *im, const double *cosine, const double *sine)
{
	for (int half = 1; half < FFT_N; half *= 2) {
		int step = FFT_N / 2 / half;
		for (int block = 0; block < FFT_N; block += 2 * half) {
			for (int k = 0; k < half; k++) {
				int a = block + k, b = a + half;
				double wr = cosine[k * step], wi = sine[k * step];
				double tr = re[b] * wr - im[b] * wi, ti = re[b] * wi + im[b] * wr;
				re[b] = re[a] - tr;
				im[b] = im[a] - ti;
				re[a] += tr;
				im[a] += ti;
			}
		}
	}
}

static void fft_run(void *state)
{
	struct fft *s = state;
	for (int r = 0; r < FFT_ROUNDS; r++) {
		fft_reorder(s->re, s->im);
		fft_stages(s->re, s->im, s->cosine, s->sine);
		for (int i = 0; i < FFT_N; i++) {
			s->re[i] /= 64;
			s->im[i] /= 64;
		}
	}
}
KERNEL(fft);
