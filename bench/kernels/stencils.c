/* SPDX-License-Identifier: Apache-2.0 */
/* Each cell from its neighbours, step after step. */
#include "bench/kernels/kernel.h"

enum { HEAT1_N = 4000, HEAT1_STEPS = 30000 };
struct heat1d {
	double a[HEAT1_N], b[HEAT1_N];
};

static void heat1d_fill(void *state)
{
	struct heat1d *s = state;
	fill_doubles(s->a, 2 * HEAT1_N, 21);
}

APART void heat1d(double *a, double *b)
{
	for (int t = 0; t < HEAT1_STEPS; t += 2) {
		for (int i = 1; i < HEAT1_N - 1; i++)
			b[i] = 0.33333 * (a[i - 1] + a[i] + a[i + 1]);
		for (int i = 1; i < HEAT1_N - 1; i++)
			a[i] = 0.33333 * (b[i - 1] + b[i] + b[i + 1]);
	}
}

static void heat1d_run(void *state)
{
	struct heat1d *s = state;
	heat1d(s->a, s->b);
}
KERNEL(heat1d);

enum { HEAT2_N = 250, HEAT2_STEPS = 1000 };
struct heat2d {
	double a[HEAT2_N][HEAT2_N], b[HEAT2_N][HEAT2_N];
};

static void heat2d_fill(void *state)
{
	struct heat2d *s = state;
	fill_doubles(&s->a[0][0], 2 * HEAT2_N * HEAT2_N, 22);
}

APART void heat2d(double from[][HEAT2_N], double to[][HEAT2_N])
{
	for (int i = 1; i < HEAT2_N - 1; i++)
		for (int j = 1; j < HEAT2_N - 1; j++)
			to[i][j] = 0.2 * (from[i][j] + from[i][j - 1] + from[i][j + 1] +
					  from[i + 1][j] + from[i - 1][j]);
}

static void heat2d_run(void *state)
{
	struct heat2d *s = state;
	for (int t = 0; t < HEAT2_STEPS; t += 2) {
		heat2d(s->a, s->b);
		heat2d(s->b, s->a);
	}
}
KERNEL(heat2d);

enum { HEAT3_N = 48, HEAT3_STEPS = 320 };
struct heat3d {
	double a[HEAT3_N][HEAT3_N][HEAT3_N], b[HEAT3_N][HEAT3_N][HEAT3_N];
};

static void heat3d_fill(void *state)
{
	struct heat3d *s = state;
	fill_doubles(&s->a[0][0][0], 2 * HEAT3_N * HEAT3_N * HEAT3_N, 23);
}

APART void heat3d(double a[][HEAT3_N][HEAT3_N], double b[][HEAT3_N][HEAT3_N])
{
	for (int i = 1; i < HEAT3_N - 1; i++)
		for (int j = 1; j < HEAT3_N - 1; j++)
			for (int k = 1; k < HEAT3_N - 1; k++) {
				double twice = 2.0 * a[i][j][k];
				b[i][j][k] = 0.125 * (a[i + 1][j][k] - twice + a[i - 1][j][k]) +
					     0.125 * (a[i][j + 1][k] - twice + a[i][j - 1][k]) +
					     0.125 * (a[i][j][k + 1] - twice + a[i][j][k - 1]) +
					     a[i][j][k];
			}
}

static void heat3d_run(void *state)
{
	struct heat3d *s = state;
	for (int t = 0; t < HEAT3_STEPS; t += 2) {
		heat3d(s->a, s->b);
		heat3d(s->b, s->a);
	}
}
KERNEL(heat3d);

/* Gauss-Seidel: in place, so that each cell waits for the one before it */
enum { SEIDEL_N = 220, SEIDEL_STEPS = 75 };
struct seidel {
	double a[SEIDEL_N][SEIDEL_N];
};

static void seidel_fill(void *state)
{
	struct seidel *s = state;
	fill_doubles(&s->a[0][0], SEIDEL_N * SEIDEL_N, 24);
}

APART void seidel(double a[][SEIDEL_N])
{
	for (int i = 1; i < SEIDEL_N - 1; i++)
		for (int j = 1; j < SEIDEL_N - 1; j++)
			a[i][j] = (a[i - 1][j - 1] + a[i - 1][j] + a[i - 1][j + 1] + a[i][j - 1] +
				   a[i][j] + a[i][j + 1] + a[i + 1][j - 1] + a[i + 1][j] +
				   a[i + 1][j + 1]) /
				  9.0;
}

static void seidel_run(void *state)
{
	struct seidel *s = state;
	for (int t = 0; t < SEIDEL_STEPS; t++)
		seidel(s->a);
}
KERNEL(seidel);

/* Electromagnetic waves on a plane: finite differences in the time domain, a source at one edge */
enum { FDTD_N = 240, FDTD_STEPS = 480 };
struct fdtd {
	double ex[FDTD_N][FDTD_N], ey[FDTD_N][FDTD_N], hz[FDTD_N][FDTD_N], source[FDTD_STEPS];
};

static void fdtd_fill(void *state)
{
	struct fdtd *s = state;
	fill_doubles(&s->ex[0][0], 3 * FDTD_N * FDTD_N, 25);
	fill_doubles(s->source, FDTD_STEPS, 26);
}

APART void fdtd(double ex[][FDTD_N], double ey[][FDTD_N], double hz[][FDTD_N], double source)
{
	for (int j = 0; j < FDTD_N; j++)
		ey[0][j] = source;
	for (int i = 1; i < FDTD_N; i++)
		for (int j = 0; j < FDTD_N; j++)
			ey[i][j] -= 0.5 * (hz[i][j] - hz[i - 1][j]);
	for (int i = 0; i < FDTD_N; i++)
		for (int j = 1; j < FDTD_N; j++)
			ex[i][j] -= 0.5 * (hz[i][j] - hz[i][j - 1]);
	for (int i = 0; i < FDTD_N - 1; i++)
		for (int j = 0; j < FDTD_N - 1; j++)
			hz[i][j] -= 0.7 * (ex[i][j + 1] - ex[i][j] + ey[i + 1][j] - ey[i][j]);
}

static void fdtd_run(void *state)
{
	struct fdtd *s = state;
	for (int t = 0; t < FDTD_STEPS; t++)
		fdtd(s->ex, s->ey, s->hz, s->source[t]);
}
KERNEL(fdtd);
