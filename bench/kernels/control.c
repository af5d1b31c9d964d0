/* SPDX-License-Identifier: Apache-2.0 */
/* What runs beside machines: small, scalar, each step after the last. */
#include "bench/kernels/kernel.h"

/* Controllers with limits and anti-windup, each with a heater of two time constants to control */
enum { PID_LOOPS = 48, PID_STEPS = 160000 };
struct pid_loop {
	double kp, ki, kd, integral, error, wall, sensor, power;
};
struct pid {
	struct pid_loop loop[PID_LOOPS];
	double target[64];
};

static void pid_fill(void *state)
{
	struct pid *s = state;
	fill_doubles(s->target, 64, 61);
	for (int i = 0; i < PID_LOOPS; i++)
		s->loop[i] = (struct pid_loop){ .kp = 4 + i * 0.125, .ki = 0.5, .kd = 2 };
}

static double limited(double x, double low, double high)
{
	return x < low ? low : x > high ? high : x;
}

APART void pid(struct pid_loop *l, double target)
{
	const double dt = 0.01;
	double error = target - l->sensor;
	double slope = (error - l->error) / dt;
	double wanted = l->kp * error + l->ki * l->integral + l->kd * slope;
	l->power = limited(wanted, 0, 10);
	if (l->power == wanted || (wanted > 0) != (error > 0))
		l->integral += error * dt;
	l->error = error;
	l->wall += dt * (l->power - 0.8 * l->wall);
	l->sensor += dt * 0.5 * (l->wall - l->sensor);
}

static void pid_run(void *state)
{
	struct pid *s = state;
	for (int t = 0; t < PID_STEPS; t++)
		for (int i = 0; i < PID_LOOPS; i++)
			pid(&s->loop[i], 5 * s->target[t / 500 % 64]);
}
KERNEL(pid);

/* A filter for position and speed on a plane, of which positions are measured */
enum { KALMAN_N = 4, KALMAN_M = 2, KALMAN_STEPS = 480000, KALMAN_NOISE = 1024 };
struct kalman {
	double x[KALMAN_N], p[KALMAN_N][KALMAN_N], f[KALMAN_N][KALMAN_N];
	double noise[KALMAN_NOISE][KALMAN_M];
};

static void kalman_fill(void *state)
{
	struct kalman *s = state;
	fill_doubles(&s->noise[0][0], KALMAN_NOISE * KALMAN_M, 62);
	for (int i = 0; i < KALMAN_N; i++) {
		s->p[i][i] = 10;
		s->f[i][i] = 1;
	}
	s->f[0][2] = s->f[1][3] = 0.02;
}

static void product(double out[][KALMAN_N], double a[][KALMAN_N], double b[][KALMAN_N])
{
	for (int i = 0; i < KALMAN_N; i++) {
		for (int j = 0; j < KALMAN_N; j++) {
			double sum = 0;
			for (int k = 0; k < KALMAN_N; k++)
				sum += a[i][k] * b[k][j];
			out[i][j] = sum;
		}
	}
}

APART void kalman_predict(double *x, double p[][KALMAN_N], double f[][KALMAN_N])
{
	double fp[KALMAN_N][KALMAN_N], ft[KALMAN_N][KALMAN_N], fx[KALMAN_N];
	for (int i = 0; i < KALMAN_N; i++) {
		fx[i] = 0;
		for (int j = 0; j < KALMAN_N; j++) {
			ft[i][j] = f[j][i];
			fx[i] += f[i][j] * x[j];
		}
	}
	product(fp, f, p);
	product(p, fp, ft);
	for (int i = 0; i < KALMAN_N; i++) {
		x[i] = fx[i];
		p[i][i] += 0.001;
	}
}

/* One measured coordinate after the other: then nothing is to be inverted but a number. */
APART void kalman_correct(double *x, double p[][KALMAN_N], int axis, double measured)
{
	double gain[KALMAN_N], row[KALMAN_N];
	double innovation = measured - x[axis];
	for (int i = 0; i < KALMAN_N; i++) {
		gain[i] = p[i][axis] / (p[axis][axis] + 0.25);
		row[i] = p[axis][i];
	}
	for (int i = 0; i < KALMAN_N; i++) {
		x[i] += gain[i] * innovation;
		for (int j = 0; j < KALMAN_N; j++)
			p[i][j] -= gain[i] * row[j];
	}
}

static void kalman_run(void *state)
{
	struct kalman *s = state;
	for (int t = 0; t < KALMAN_STEPS; t++) {
		kalman_predict(s->x, s->p, s->f);
		for (int axis = 0; axis < KALMAN_M; axis++)
			kalman_correct(s->x, s->p, axis,
				       t * 0.01 + s->noise[t % KALMAN_NOISE][axis]);
	}
}
KERNEL(kalman);
