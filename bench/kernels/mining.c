/* SPDX-License-Identifier: Apache-2.0 */
/* Dynamic programming and data mining. */
#include "bench/kernels/kernel.h"

/* Floyd and Warshall: the shortest ways between all nodes */
enum { PATHS_N = 400 };
struct paths {
	int32_t d[PATHS_N][PATHS_N];
};

static void paths_fill(void *state)
{
	struct paths *s = state;
	uint32_t *d = (uint32_t *)&s->d[0][0];
	fill_words(d, PATHS_N * PATHS_N, 31);
	for (int i = 0; i < PATHS_N * PATHS_N; i++)
		d[i] = d[i] % 9 == 0 ? d[i] % 1000 + 1 : 100000;
}

APART void paths(int32_t d[][PATHS_N])
{
	for (int k = 0; k < PATHS_N; k++)
		for (int i = 0; i < PATHS_N; i++)
			for (int j = 0; j < PATHS_N; j++)
				d[i][j] = d[i][j] < d[i][k] + d[k][j] ? d[i][j] : d[i][k] + d[k][j];
}

static void paths_run(void *state)
{
	paths(((struct paths *)state)->d);
}
KERNEL(paths);

/* Nussinov: the most base pairs that a strand of RNA can form when it folds */
enum { FOLD_N = 700 };
struct fold {
	int32_t best[FOLD_N][FOLD_N];
	uint8_t base[FOLD_N];
};

static void fold_fill(void *state)
{
	struct fold *s = state;
	fill_bytes(s->base, FOLD_N, 32);
	for (int i = 0; i < FOLD_N; i++)
		s->base[i] &= 3;
}

static int32_t larger(int32_t a, int32_t b)
{
	return a > b ? a : b;
}

APART void fold(const uint8_t *base, int32_t best[][FOLD_N])
{
	for (int i = FOLD_N - 2; i >= 0; i--) {
		for (int j = i + 1; j < FOLD_N; j++) {
			int32_t pair = base[i] + base[j] == 3;
			int32_t most = larger(best[i][j - 1], best[i + 1][j]);
			most = larger(most, best[i + 1][j - 1] + (j - i > 1 ? pair : 0));
			for (int k = i + 1; k < j; k++)
				most = larger(most, best[i][k] + best[k + 1][j]);
			best[i][j] = most;
		}
	}
}

static void fold_run(void *state)
{
	struct fold *s = state;
	fold(s->base, s->best);
}
KERNEL(fold);

enum { COV_ROWS = 440, COV_COLS = 360 };
struct covariance {
	double data[COV_ROWS][COV_COLS], cov[COV_COLS][COV_COLS], mean[COV_COLS];
};

static void covariance_fill(void *state)
{
	struct covariance *s = state;
	fill_doubles(&s->data[0][0], COV_ROWS * COV_COLS, 33);
}

APART void covariance(double data[][COV_COLS], double cov[][COV_COLS], double *mean)
{
	for (int j = 0; j < COV_COLS; j++) {
		mean[j] = 0;
		for (int i = 0; i < COV_ROWS; i++)
			mean[j] += data[i][j];
		mean[j] /= COV_ROWS;
	}
	for (int i = 0; i < COV_ROWS; i++)
		for (int j = 0; j < COV_COLS; j++)
			data[i][j] -= mean[j];
	for (int i = 0; i < COV_COLS; i++) {
		for (int j = i; j < COV_COLS; j++) {
			cov[i][j] = 0;
			for (int k = 0; k < COV_ROWS; k++)
				cov[i][j] += data[k][i] * data[k][j];
			cov[i][j] /= COV_ROWS - 1;
			cov[j][i] = cov[i][j];
		}
	}
}

static void covariance_run(void *state)
{
	struct covariance *s = state;
	covariance(s->data, s->cov, s->mean);
}
KERNEL(covariance);

enum { KMEANS_POINTS = 12000, KMEANS_DIMS = 8, KMEANS_K = 12, KMEANS_ROUNDS = 72 };
struct kmeans {
	float point[KMEANS_POINTS][KMEANS_DIMS], centre[KMEANS_K][KMEANS_DIMS];
	float sum[KMEANS_K][KMEANS_DIMS];
	int32_t owner[KMEANS_POINTS], count[KMEANS_K];
};

static void kmeans_fill(void *state)
{
	struct kmeans *s = state;
	fill_floats(&s->point[0][0], KMEANS_POINTS * KMEANS_DIMS, 34);
	fill_floats(&s->centre[0][0], KMEANS_K * KMEANS_DIMS, 35);
}

static int nearest(const float *p, float centre[][KMEANS_DIMS])
{
	float least = 1e30f;
	int owner = 0;
	for (int c = 0; c < KMEANS_K; c++) {
		float distance = 0;
		for (int d = 0; d < KMEANS_DIMS; d++)
			distance += (p[d] - centre[c][d]) * (p[d] - centre[c][d]);
		owner = distance < least ? c : owner;
		least = distance < least ? distance : least;
	}
	return owner;
}

APART void kmeans(float point[][KMEANS_DIMS], float centre[][KMEANS_DIMS], int32_t *owner)
{
	for (int i = 0; i < KMEANS_POINTS; i++)
		owner[i] = nearest(point[i], centre);
}

static void kmeans_move(struct kmeans *s)
{
	for (int c = 0; c < KMEANS_K; c++) {
		s->count[c] = 0;
		for (int d = 0; d < KMEANS_DIMS; d++)
			s->sum[c][d] = 0;
	}
	for (int i = 0; i < KMEANS_POINTS; i++) {
		s->count[s->owner[i]]++;
		for (int d = 0; d < KMEANS_DIMS; d++)
			s->sum[s->owner[i]][d] += s->point[i][d];
	}
	for (int c = 0; c < KMEANS_K; c++)
		for (int d = 0; s->count[c] > 0 && d < KMEANS_DIMS; d++)
			s->centre[c][d] = s->sum[c][d] / (float)s->count[c];
}

static void kmeans_run(void *state)
{
	struct kmeans *s = state;
	for (int round = 0; round < KMEANS_ROUNDS; round++) {
		kmeans(s->point, s->centre, s->owner);
		kmeans_move(s);
	}
}
KERNEL(kmeans);
