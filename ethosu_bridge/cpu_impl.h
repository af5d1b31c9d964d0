/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the processor's back end: cpu.c (preparing, memory, order), cpu_*.c (operators). */
#ifndef ETHOSU_BRIDGE_CPU_IMPL_H
#define ETHOSU_BRIDGE_CPU_IMPL_H

#include "ethosu_bridge/cpu.h"
#include "ethosu_bridge/fixed.h"

enum { CPU_INPUTS = 3 };

struct shape4 { /* NHWC */
	uint32_t n, h, w, c;
};

/* Sum of products of n bytes with each of four rows that lie `row` bytes apart, added to ret; cpu_dot.c. */
typedef void cpu_dot4(const int8_t *x, const int8_t *w, size_t row, uint32_t n, int32_t ret[4]);

/* One operator, ready to run. */
struct cpu_step {
	const struct tfl_op *op;
	const struct tfl_tensor *in[CPU_INPUTS], *out; /* in: NULL where there is none */
	uint8_t *in_at[CPU_INPUTS], *out_at;           /* filled in when memory is planned */
	uint8_t *scratch;
	size_t scratch_bytes; /* wanted by its prepare */
	void (*run)(const struct cpu_step *s);
	uint64_t macs;

	/* What prepares leave for runs. */
	struct shape4 a, b; /* in[0] and out, or in[1] */
	int32_t zero_in, zero_b, zero_out, least, most;
	struct multiplier k, k1, k2;
	const struct multiplier *ks; /* by output channel */
	const int32_t *bias;         /* by output channel, with the input's zero point folded in */
	const int8_t *weights;       /* as the kernel wants them */
	cpu_dot4 *dot;
	uint32_t pad_top, pad_left;
	uint32_t pad_bottom, pad_right;
	int32_t radius;  /* SOFTMAX: farther from the largest is nothing */
	uint32_t window; /* conv: products of one output; mean: elements of one */
	int8_t lut[256]; /* by the input's byte */
	/* Loops over up to all axes: how far one step goes in each tensor (elements), and how many there are. */
	uint32_t count[TFL_RANK_MAX], step_a[TFL_RANK_MAX], step_b[TFL_RANK_MAX],
		step_out[TFL_RANK_MAX];
	unsigned rank;
};

struct cpu_prepare {
	struct cpu_step *step;
	struct arena *arena;
	struct why *why;
	unsigned number; /* of the operator */
};

static inline int8_t cpu_clamp(int64_t v, int32_t least, int32_t most)
{
	return (int8_t)(v < least ? least : v > most ? most : v);
}

/* With the operator's number and name in front. */
int cpu_refuse(const struct cpu_prepare *p, int err, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Are the types those? in1, in2: 0xff = any, or not there. */
bool cpu_types(const struct cpu_prepare *p, enum tfl_type in0, enum tfl_type out);
/* One scale, one zero point in int8's range. */
int cpu_one_scale(const struct cpu_prepare *p, const struct tfl_tensor *t);
int cpu_shape4(const struct cpu_prepare *p, const struct tfl_tensor *t, struct shape4 *ret);
/* least, most: what the activation leaves of the output's type. */
int cpu_activation(const struct cpu_prepare *p, uint8_t activation);

cpu_dot4 *cpu_dot4_best(void);

#define CPU_OP(builtin, inputs_least, inputs_most, prepare)                                        \
	int prepare(const struct cpu_prepare *p);
#include "ethosu_bridge/cpu_ops.def"
#undef CPU_OP

#endif
