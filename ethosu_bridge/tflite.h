/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TensorFlow Lite model (.tflite, flatbuffer "TFL3", schema version 3) as a structure, read with every offset,
 * length and index checked: a model is as hostile as any file. One subgraph. Names, shapes, constants and custom
 * options are spans into the file, which has to live as long as the model; the rest is in the arena.
 * Source: tensorflow/lite/schema/schema.fbs, and the flatbuffers' own description of their binary form.
 */
#ifndef ETHOSU_BRIDGE_TFLITE_H
#define ETHOSU_BRIDGE_TFLITE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/rd.h"
#include "base/why.h"

enum {
	TFL_RANK_MAX = 6,
	TFL_TENSORS_MAX = 4096,
	TFL_OPS_MAX = 4096,
	TFL_ENDS_MAX = 16, /* inputs, and outputs: as many as an Ethos-U takes */
	TFL_OP_ENDS_MAX = 32,
	TFL_BYTES_MAX = 64 << 20, /* of one file, and of one tensor */
};

enum tfl_type {
	TFL_F32 = 0,
	TFL_I32 = 2,
	TFL_U8 = 3,
	TFL_I64 = 4,
	TFL_BOOL = 6,
	TFL_I16 = 7,
	TFL_I8 = 9,
};

struct tfl_tensor {
	struct span name;
	enum tfl_type type;
	unsigned rank; /* 0: a scalar */
	uint32_t dim[TFL_RANK_MAX];
	uint32_t elements, bytes; /* of all dimensions; 0: it is empty */
	struct span data;         /* a constant's, bytes long; else empty */
	unsigned nscales;         /* 0: not quantised; 1; or one for each index of axis */
	const float *scale;       /* finite, not negative */
	const int64_t *zero;      /* as many */
	unsigned axis;
};

enum tfl_builtin {
	TFL_ADD = 0,
	TFL_AVERAGE_POOL_2D = 1,
	TFL_CONV_2D = 3,
	TFL_DEPTHWISE_CONV_2D = 4,
	TFL_DEQUANTIZE = 6,
	TFL_FULLY_CONNECTED = 9,
	TFL_LOGISTIC = 14,
	TFL_MAX_POOL_2D = 17,
	TFL_MUL = 18,
	TFL_RELU = 19,
	TFL_RELU6 = 21,
	TFL_RESHAPE = 22,
	TFL_SOFTMAX = 25,
	TFL_CUSTOM = 32,
	TFL_PAD = 34,
	TFL_MEAN = 40,
	TFL_PADV2 = 60,
	TFL_QUANTIZE = 114,
};

enum tfl_activation { TFL_ACT_NONE, TFL_ACT_RELU, TFL_ACT_RELU_N1_TO_1, TFL_ACT_RELU6 };

struct tfl_op {
	uint32_t builtin;   /* enum tfl_builtin, or another number */
	struct span custom; /* its name; "" = not custom */
	unsigned ninputs, noutputs;
	int32_t input[TFL_OP_ENDS_MAX]; /* tensors; -1: an optional one that is not there */
	int32_t output[TFL_OP_ENDS_MAX];
	struct span custom_options;
	/* Options of all kinds that are read, 0 or the schema's default where an operator has none. */
	bool same_padding;
	uint8_t activation; /* enum tfl_activation, or one that is not offered */
	uint32_t stride_w, stride_h, dilation_w, dilation_h, filter_w, filter_h, multiplier;
	float beta;
	bool keep_dims;
};

struct tfl_model {
	struct span file, description;
	struct tfl_tensor *tensors;
	struct tfl_op *ops;
	unsigned ntensors, nops, ninputs, noutputs;
	uint32_t input[TFL_ENDS_MAX], output[TFL_ENDS_MAX]; /* tensors */
	const int32_t
		*offsets; /* "OfflineMemoryAllocation": by tensor, -1 = not planned; NULL: none */
};

/* -E_INVALID: not such a file, with the place; -E_UNSUPPORTED: several subgraphs, types that are not offered;
 * -E_LIMIT; -ENOMEM. */
int tfl_read(struct span file, struct arena *arena, struct tfl_model *ret,
	     struct why *why) MUST_USE;

const char *tfl_type_name(enum tfl_type t);     /* "int8" */
unsigned tfl_type_bytes(enum tfl_type t);       /* 0: none of those */
const char *tfl_builtin_name(uint32_t builtin); /* "CONV_2D"; "operator N" is the caller's: NULL */
/* "1x49x10x1", for people */
const char *tfl_shape_text(const struct tfl_tensor *t, char *buf, size_t cap);

#endif
