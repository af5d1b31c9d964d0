/* SPDX-License-Identifier: Apache-2.0 */
/* Products of matrices, vectors and tensors. */
#include "bench/kernels/kernel.h"

/* C = 0.5 A B + 0.25 C */
enum { GEMM_N = 320, GEMM_ROUNDS = 5 };
struct gemm {
	double a[GEMM_N][GEMM_N], b[GEMM_N][GEMM_N], c[GEMM_N][GEMM_N];
};

static void gemm_fill(void *state)
{
	struct gemm *s = state;
	fill_doubles(&s->a[0][0], 3 * GEMM_N * GEMM_N, 1);
}

APART void gemm(double a[][GEMM_N], double b[][GEMM_N], double c[][GEMM_N])
{
	for (int i = 0; i < GEMM_N; i++) {
		for (int j = 0; j < GEMM_N; j++)
			c[i][j] *= 0.25;
		for (int k = 0; k < GEMM_N; k++)
			for (int j = 0; j < GEMM_N; j++)
				c[i][j] += 0.5 * a[i][k] * b[k][j];
	}
}

static void gemm_run(void *state)
{
	struct gemm *s = state;
	for (int r = 0; r < GEMM_ROUNDS; r++)
		gemm(s->a, s->b, s->c);
}
KERNEL(gemm);

/* The lower triangle of C = 1.5 A At + 1.2 C */
enum { SYRK_N = 360, SYRK_M = 240, SYRK_ROUNDS = 5 };
struct syrk {
	double a[SYRK_N][SYRK_M], c[SYRK_N][SYRK_N];
};

static void syrk_fill(void *state)
{
	struct syrk *s = state;
	fill_doubles(&s->a[0][0], SYRK_N * SYRK_M, 2);
	fill_doubles(&s->c[0][0], SYRK_N * SYRK_N, 3);
}

APART void syrk(double a[][SYRK_M], double c[][SYRK_N])
{
	for (int i = 0; i < SYRK_N; i++) {
		for (int j = 0; j <= i; j++)
			c[i][j] *= 1.2;
		for (int k = 0; k < SYRK_M; k++)
			for (int j = 0; j <= i; j++)
				c[i][j] += 1.5 * a[i][k] * a[j][k];
	}
}

static void syrk_run(void *state)
{
	struct syrk *s = state;
	for (int r = 0; r < SYRK_ROUNDS; r++)
		syrk(s->a, s->c);
}
KERNEL(syrk);

/* B = L B, where L is lower triangular with ones in its diagonal; from the last row up, in place. */
enum { TRMM_N = 360, TRMM_ROUNDS = 5 };
struct trmm {
	double l[TRMM_N][TRMM_N], b[TRMM_N][TRMM_N];
};

static void trmm_fill(void *state)
{
	struct trmm *s = state;
	fill_doubles(&s->l[0][0], 2 * TRMM_N * TRMM_N, 4);
}

APART void trmm(double l[][TRMM_N], double b[][TRMM_N])
{
	for (int i = TRMM_N - 1; i >= 0; i--)
		for (int k = 0; k < i; k++)
			for (int j = 0; j < TRMM_N; j++)
				b[i][j] += l[i][k] * b[k][j];
}

static void trmm_run(void *state)
{
	struct trmm *s = state;
	for (int r = 0; r < TRMM_ROUNDS; r++)
		trmm(s->l, s->b);
}
KERNEL(trmm);

/* x += A u, y += At v */
enum { MVT_N = 400, MVT_ROUNDS = 100 };
struct mvt {
	double a[MVT_N][MVT_N], u[MVT_N], v[MVT_N], x[MVT_N], y[MVT_N];
};

static void mvt_fill(void *state)
{
	struct mvt *s = state;
	fill_doubles(&s->a[0][0], MVT_N * MVT_N, 5);
	fill_doubles(s->u, 2 * MVT_N, 6);
}

APART void mvt(double a[][MVT_N], double *u, double *v, double *x, double *y)
{
	for (int i = 0; i < MVT_N; i++)
		for (int j = 0; j < MVT_N; j++)
			x[i] += a[i][j] * u[j];
	for (int i = 0; i < MVT_N; i++)
		for (int j = 0; j < MVT_N; j++)
			y[i] += a[j][i] * v[j];
}

static void mvt_run(void *state)
{
	struct mvt *s = state;
	for (int r = 0; r < MVT_ROUNDS; r++)
		mvt(s->a, s->u, s->v, s->x, s->y);
}
KERNEL(mvt);

/* y = At (A x) */
enum { ATAX_N = 400, ATAX_ROUNDS = 180 };
struct atax {
	double a[ATAX_N][ATAX_N], x[ATAX_N], y[ATAX_N], ax[ATAX_N];
};

static void atax_fill(void *state)
{
	struct atax *s = state;
	fill_doubles(&s->a[0][0], ATAX_N * ATAX_N, 7);
	fill_doubles(s->x, ATAX_N, 8);
}

APART void atax(double a[][ATAX_N], double *x, double *y, double *ax)
{
	for (int i = 0; i < ATAX_N; i++)
		y[i] = 0;
	for (int i = 0; i < ATAX_N; i++) {
		double sum = 0;
		for (int j = 0; j < ATAX_N; j++)
			sum += a[i][j] * x[j];
		ax[i] = sum;
		for (int j = 0; j < ATAX_N; j++)
			y[j] += a[i][j] * sum;
	}
}

static void atax_run(void *state)
{
	struct atax *s = state;
	for (int r = 0; r < ATAX_ROUNDS; r++) {
		atax(s->a, s->x, s->y, s->ax);
		for (int i = 0; i < ATAX_N; i++)
			s->x[i] = s->y[i] / (ATAX_N * ATAX_N);
	}
}
KERNEL(atax);

/* T[r][q] = T[r][q] M for every r and q */
enum { TENSOR_R = 60, TENSOR_Q = 50, TENSOR_N = 120 };
struct tensor {
	double t[TENSOR_R][TENSOR_Q][TENSOR_N], m[TENSOR_N][TENSOR_N], row[TENSOR_N];
};

static void tensor_fill(void *state)
{
	struct tensor *s = state;
	fill_doubles(&s->t[0][0][0], TENSOR_R * TENSOR_Q * TENSOR_N, 9);
	fill_doubles(&s->m[0][0], TENSOR_N * TENSOR_N, 10);
}

APART void tensor(double t[][TENSOR_Q][TENSOR_N], double m[][TENSOR_N], double *row)
{
	for (int r = 0; r < TENSOR_R; r++) {
		for (int q = 0; q < TENSOR_Q; q++) {
			for (int p = 0; p < TENSOR_N; p++) {
				row[p] = 0;
				for (int k = 0; k < TENSOR_N; k++)
					row[p] += t[r][q][k] * m[k][p];
			}
			for (int p = 0; p < TENSOR_N; p++)
				t[r][q][p] = row[p];
		}
	}
}

static void tensor_run(void *state)
{
	struct tensor *s = state;
	tensor(s->t, s->m, s->row);
}
KERNEL(tensor);
