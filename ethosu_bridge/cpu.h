/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Models on the processor: int8 as TensorFlow Lite Micro's reference kernels compute it, bit for bit. A model is prepared
 * once (shapes, types and factors checked, constants folded, memory planned), and run as often as wanted.
 *
 * Operators: cpu_ops.def. int8 activations; int8 weights, one scale or one for each output channel; int32 biases; QUANTIZE and
 * DEQUANTIZE know float32.
 *
 * Threads: a prepared model is one thread's at a time. Preparing and running touch nothing else.
 */
#ifndef ETHOSU_BRIDGE_CPU_H
#define ETHOSU_BRIDGE_CPU_H

#include "ethosu_bridge/tflite.h"

struct cpu_model;

enum { CPU_MEMORY_MAX = 256 << 20 }; /* that one model may take for its tensors */

/* m and the file behind it are borrowed until cpu_free. -E_UNSUPPORTED: an operator, type or shape that is not
 * offered, by name and place; -E_INVALID: they do not fit together; -E_LIMIT; -ENOMEM. */
int cpu_prepare(const struct tfl_model *m, struct cpu_model **ret, struct why *why) MUST_USE;
void cpu_free(struct cpu_model *c); /* NULL is fine */

/* The memory of the i-th input and output: written before, read after cpu_run; the model's size. The memory of inputs may
 * be used for other things by cpu_run: write all of them each time. */
uint8_t *cpu_input(struct cpu_model *c, unsigned i);
const uint8_t *cpu_output(struct cpu_model *c, unsigned i);
void cpu_run(struct cpu_model *c);

uint64_t cpu_macs(const struct cpu_model *c); /* multiply-accumulates of one run */
uint64_t cpu_macs_of(const struct cpu_model *c, unsigned op);
size_t
cpu_memory(const struct cpu_model *c); /* bytes of all tensors that are not constant, as planned */

#endif
