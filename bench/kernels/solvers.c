/* SPDX-License-Identifier: Apache-2.0 */
/* Linear systems and factorisations. */
#include <math.h>

#include "bench/kernels/kernel.h"

/* A symmetric matrix that is positive definite: its diagonal outweighs its rows. */
static void fill_definite(double *a, int n, uint32_t seed)
{
	fill_doubles(a, (size_t)n * (size_t)n, seed);
	for (int i = 0; i < n; i++) {
		for (int j = 0; j < i; j++)
			a[i * n + j] = a[j * n + i];
		a[i * n + i] += n;
	}
}

/* A = L U in place, no pivots */
enum { LU_N = 560 };
struct lu {
	double a[LU_N][LU_N];
};

static void lu_fill(void *state)
{
	fill_definite(&((struct lu *)state)->a[0][0], LU_N, 11);
}

APART void lu(double a[][LU_N])
{
	for (int k = 0; k < LU_N; k++) {
		for (int i = k + 1; i < LU_N; i++) {
			a[i][k] /= a[k][k];
			for (int j = k + 1; j < LU_N; j++)
				a[i][j] -= a[i][k] * a[k][j];
		}
	}
}

static void lu_run(void *state)
{
	lu(((struct lu *)state)->a);
}
KERNEL(lu);

/* A = L Lt, L into A's lower triangle; row by row, so by dot products */
enum { CHOLESKY_N = 600 };
struct cholesky {
	double a[CHOLESKY_N][CHOLESKY_N];
};

static void cholesky_fill(void *state)
{
	fill_definite(&((struct cholesky *)state)->a[0][0], CHOLESKY_N, 12);
}

APART void cholesky(double a[][CHOLESKY_N])
{
	for (int i = 0; i < CHOLESKY_N; i++) {
		for (int j = 0; j < i; j++) {
			for (int k = 0; k < j; k++)
				a[i][j] -= a[i][k] * a[j][k];
			a[i][j] /= a[j][j];
		}
		for (int k = 0; k < i; k++)
			a[i][i] -= a[i][k] * a[i][k];
		a[i][i] = sqrt(a[i][i]);
	}
}

static void cholesky_run(void *state)
{
	cholesky(((struct cholesky *)state)->a);
}
KERNEL(cholesky);

/* Levinson's recursion for a Toeplitz matrix: half of its accesses run backwards */
enum { LEVINSON_N = 7000 };
struct levinson {
	double r[LEVINSON_N], y[LEVINSON_N], z[LEVINSON_N];
};

static void levinson_fill(void *state)
{
	struct levinson *s = state;
	fill_doubles(s->r, LEVINSON_N, 13);
	for (int i = 0; i < LEVINSON_N; i++)
		s->r[i] /= 2 * LEVINSON_N;
}

APART void levinson(double *r, double *y, double *z)
{
	double alpha = -r[0], beta = 1;
	y[0] = -r[0];
	for (int k = 1; k < LEVINSON_N; k++) {
		double sum = 0;
		beta *= 1 - alpha * alpha;
		for (int i = 0; i < k; i++)
			sum += r[k - i - 1] * y[i];
		alpha = -(r[k] + sum) / beta;
		for (int i = 0; i < k; i++)
			z[i] = y[i] + alpha * y[k - i - 1];
		for (int i = 0; i < k; i++)
			y[i] = z[i];
		y[k] = alpha;
	}
}

static void levinson_run(void *state)
{
	struct levinson *s = state;
	levinson(s->r, s->y, s->z);
}
KERNEL(levinson);

/* L x = b for many b */
enum { TRISOLV_N = 400, TRISOLV_RIGHT = 500 };
struct trisolv {
	double l[TRISOLV_N][TRISOLV_N], x[TRISOLV_RIGHT][TRISOLV_N];
};

static void trisolv_fill(void *state)
{
	struct trisolv *s = state;
	fill_definite(&s->l[0][0], TRISOLV_N, 14);
	fill_doubles(&s->x[0][0], TRISOLV_RIGHT * TRISOLV_N, 15);
}

APART void trisolv(double l[][TRISOLV_N], double *x)
{
	for (int i = 0; i < TRISOLV_N; i++) {
		for (int j = 0; j < i; j++)
			x[i] -= l[i][j] * x[j];
		x[i] /= l[i][i];
	}
}

static void trisolv_run(void *state)
{
	struct trisolv *s = state;
	for (int b = 0; b < TRISOLV_RIGHT; b++)
		trisolv(s->l, s->x[b]);
}
KERNEL(trisolv);

/* A = Q R by the modified Gram-Schmidt process, along the columns */
enum { GRAM_M = 320, GRAM_N = 280 };
struct gramschmidt {
	double a[GRAM_M][GRAM_N], r[GRAM_N][GRAM_N], q[GRAM_M][GRAM_N];
};

static void gramschmidt_fill(void *state)
{
	struct gramschmidt *s = state;
	fill_doubles(&s->a[0][0], GRAM_M * GRAM_N, 16);
	for (int i = 0; i < GRAM_N; i++)
		s->a[i][i] += 8;
}

APART void gramschmidt(double a[][GRAM_N], double r[][GRAM_N], double q[][GRAM_N])
{
	for (int k = 0; k < GRAM_N; k++) {
		double norm = 0;
		for (int i = 0; i < GRAM_M; i++)
			norm += a[i][k] * a[i][k];
		r[k][k] = sqrt(norm);
		for (int i = 0; i < GRAM_M; i++)
			q[i][k] = a[i][k] / r[k][k];
		for (int j = k + 1; j < GRAM_N; j++) {
			r[k][j] = 0;
			for (int i = 0; i < GRAM_M; i++)
				r[k][j] += q[i][k] * a[i][j];
			for (int i = 0; i < GRAM_M; i++)
				a[i][j] -= q[i][k] * r[k][j];
		}
	}
}

static void gramschmidt_run(void *state)
{
	struct gramschmidt *s = state;
	gramschmidt(s->a, s->r, s->q);
}
KERNEL(gramschmidt);
