/* SPDX-License-Identifier: Apache-2.0 */
#include "ethosu_bridge/tflite.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TABLE_FIELDS_MAX = 64, SCHEMA_VERSION = 3 };

/* ---- flatbuffers ---- */

struct reading {
	struct span file;
	struct arena *arena;
	struct why *why;
	const char *place; /* what is being read */
	int err;           /* sticky, as of struct rd */
};

/* A table; at 0: it is not there, and all its fields are their defaults. */
struct table {
	uint32_t at,
		fields; /* where its field offsets begin, and how many bytes of them there are */
	uint32_t vtable;
};

/* A vector: where its first element is. */
struct vector {
	uint32_t at, n;
};

static int bad(struct reading *r, const char *what)
{
	if (r->err == 0)
		r->err = why_set(r->why, -E_INVALID, "%s: %s", r->place, what);
	return r->err;
}

static bool in_file(struct reading *r, uint64_t at, uint64_t n)
{
	if (r->err == 0 && at <= r->file.len && n <= r->file.len - at)
		return true;
	(void)bad(r, "it reaches beyond the end of the file");
	return false;
}

/* Little endian, at any address. */
static uint64_t number(struct reading *r, uint64_t at, unsigned bytes)
{
	uint64_t v = 0;
	if (!in_file(r, at, bytes))
		return 0;
	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)r->file.at[at + i] << (8 * i);
	return v;
}

/* What a uoffset at this place names; 0: an error. */
static uint32_t follow(struct reading *r, uint32_t at)
{
	uint64_t to = at + number(r, at, 4);
	return in_file(r, to, 4) && to > at ? (uint32_t)to : 0;
}

static struct table table_at(struct reading *r, uint32_t at)
{
	struct table t = { 0 };
	int64_t vtable = (int64_t)at - (int32_t)number(r, at, 4);
	if (r->err < 0)
		return t;
	if (vtable < 0) {
		(void)bad(r, "a table's description lies before the file");
		return t;
	}
	uint64_t size = number(r, (uint64_t)vtable, 2);
	if (size < 4 || size % 2 != 0 || size > 4 + 2 * TABLE_FIELDS_MAX ||
	    !in_file(r, (uint64_t)vtable, size)) {
		(void)bad(r, "a table's description makes no sense");
		return t;
	}
	return (struct table){ at, (uint32_t)size, (uint32_t)vtable };
}

/* Where a field is; 0: it is not there. */
static uint32_t field(struct reading *r, const struct table *t, unsigned i)
{
	if (t->at == 0 || 4 + 2 * i + 2 > t->fields)
		return 0;
	uint64_t off = number(r, t->vtable + 4 + 2 * i, 2);
	return off && in_file(r, (uint64_t)t->at + off, 1) ? t->at + (uint32_t)off : 0;
}

static uint64_t field_number(struct reading *r, const struct table *t, unsigned i, unsigned bytes,
			     uint64_t def)
{
	uint32_t at = field(r, t, i);
	return at ? number(r, at, bytes) : def;
}

static struct table field_table(struct reading *r, const struct table *t, unsigned i)
{
	uint32_t at = field(r, t, i);
	uint32_t to = at ? follow(r, at) : 0;
	return to ? table_at(r, to) : (struct table){ 0 };
}

static struct vector field_vector(struct reading *r, const struct table *t, unsigned i,
				  unsigned element_bytes)
{
	uint32_t at = field(r, t, i);
	uint32_t to = at ? follow(r, at) : 0;
	uint64_t n = to ? number(r, to, 4) : 0;
	if (n == 0 || !in_file(r, (uint64_t)to + 4, n * element_bytes))
		return (struct vector){ 0 };
	return (struct vector){ to + 4, (uint32_t)n };
}

static struct table vector_table(struct reading *r, struct vector v, uint32_t i)
{
	uint32_t to = follow(r, v.at + 4 * i);
	return to ? table_at(r, to) : (struct table){ 0 };
}

static struct span field_bytes(struct reading *r, const struct table *t, unsigned i)
{
	struct vector v = field_vector(r, t, i, 1);
	return (struct span){ v.n ? r->file.at + v.at : NULL, v.n };
}

static float as_float(uint64_t bits)
{
	uint32_t b = (uint32_t)bits;
	float f;
	memcpy(&f, &b, sizeof(f));
	return f;
}

/* ---- names ---- */

static const struct {
	enum tfl_type type;
	const char *name;
	unsigned bytes;
} types[] = {
	{ TFL_F32, "float32", 4 }, { TFL_I32, "int32", 4 }, { TFL_U8, "uint8", 1 },
	{ TFL_I64, "int64", 8 },   { TFL_BOOL, "bool", 1 }, { TFL_I16, "int16", 2 },
	{ TFL_I8, "int8", 1 },
};

unsigned tfl_type_bytes(enum tfl_type t)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (types[i].type == t)
			return types[i].bytes;
	}
	return 0;
}

const char *tfl_type_name(enum tfl_type t)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (types[i].type == t)
			return types[i].name;
	}
	return "?";
}

const char *tfl_shape_text(const struct tfl_tensor *t, char *buf, size_t cap)
{
	size_t n = 0;
	(void)snprintf(buf, cap, "scalar");
	for (unsigned i = 0; i < t->rank && n < cap; i++)
		n += (size_t)snprintf(buf + n, cap - n, "%s%u", i ? "x" : "", t->dim[i]);
	return buf;
}

/* ---- tensors ---- */

static void read_shape(struct reading *r, const struct table *t, struct tfl_tensor *ret)
{
	struct vector shape = field_vector(r, t, 0, 4);
	uint64_t all = 1;
	if (shape.n > TFL_RANK_MAX) {
		(void)bad(r, "more dimensions than are offered");
		return;
	}
	ret->rank = shape.n;
	for (unsigned i = 0; i < shape.n; i++) {
		int32_t d = (int32_t)number(r, shape.at + 4 * i, 4);
		all = d >= 0 ? all * (uint32_t)d : 0;
		if (d < 0 || all > TFL_BYTES_MAX) {
			(void)bad(r, d < 0 ? "a dimension is not known" : "it is too large");
			return;
		}
		ret->dim[i] = (uint32_t)d;
	}
	ret->elements = (uint32_t)all;
	all *= tfl_type_bytes(ret->type);
	if (all > TFL_BYTES_MAX)
		(void)bad(r, "it is too large");
	ret->bytes = (uint32_t)all;
}

static void read_quantisation(struct reading *r, const struct table *t, struct tfl_tensor *ret)
{
	struct table q = field_table(r, t, 4);
	struct vector scale = field_vector(r, &q, 2, 4), zero = field_vector(r, &q, 3, 8);
	ret->axis = (unsigned)field_number(r, &q, 6, 4, 0);
	if (scale.n == 0 || r->err < 0)
		return;
	if (zero.n != scale.n && zero.n > 1) {
		(void)bad(r, "not as many zero points as scales");
		return;
	}
	/* A vector has one axis; some writers give its bias the weights' axis. */
	if (ret->rank == 1)
		ret->axis = 0;
	if (scale.n > 1 && (ret->axis >= ret->rank || ret->dim[ret->axis] != scale.n)) {
		(void)bad(r, "not as many scales as its axis has indices");
		return;
	}
	float *scales = ARENA_NEW(r->arena, float, scale.n);
	int64_t *zeros = ARENA_NEW(r->arena, int64_t, scale.n);
	if (!scales || !zeros) {
		r->err = why_set(r->why, -ENOMEM, "out of memory");
		return;
	}
	for (unsigned i = 0; i < scale.n; i++) {
		scales[i] = as_float(number(r, scale.at + 4 * i, 4));
		zeros[i] = zero.n ? (int64_t)number(r, zero.at + 8 * (zero.n > 1 ? i : 0), 8) : 0;
		if (!isfinite(scales[i]) || scales[i] < 0)
			(void)bad(r, "a scale is not a number, or negative");
		if (zeros[i] < INT32_MIN || zeros[i] > INT32_MAX)
			(void)bad(r, "a zero point is out of range");
	}
	ret->scale = scales;
	ret->zero = zeros;
	ret->nscales = scale.n;
}

static void read_data(struct reading *r, const struct table *t, struct vector buffers,
		      struct tfl_tensor *ret)
{
	uint64_t i = field_number(r, t, 2, 4, 0);
	if (i == 0 || r->err < 0) /* buffer 0 is always empty */
		return;
	if (i >= buffers.n) {
		(void)bad(r, "it names a buffer that the file does not have");
		return;
	}
	struct table b = vector_table(r, buffers, (uint32_t)i);
	ret->data = field_bytes(r, &b, 0);
	if (ret->data.len > 0 && ret->data.len != ret->bytes)
		(void)bad(r, "its data is not as long as its shape and type say");
}

static void read_tensor(struct reading *r, const struct table *t, struct vector buffers,
			struct tfl_tensor *ret)
{
	ret->name = field_bytes(r, t, 3);
	ret->type = (enum tfl_type)field_number(r, t, 1, 1, TFL_F32);
	if (r->err == 0 && tfl_type_bytes(ret->type) == 0) {
		r->err = why_set(r->why, -E_UNSUPPORTED, "%s: type %d is not offered", r->place,
				 (int)ret->type);
		return;
	}
	struct table sparsity = field_table(r, t, 6);
	if (sparsity.at)
		(void)bad(r, "sparse tensors are not offered");
	read_shape(r, t, ret);
	if (r->err == 0)
		read_quantisation(r, t, ret);
	if (r->err == 0)
		read_data(r, t, buffers, ret);
}

/* ---- operators ---- */

/* Which field of an operator's options goes where; NONE: it has no such. The fields that are there for most. */
enum { NONE = 0xff };
static const struct {
	uint8_t builtin;
	const char *name;
	uint8_t padding, stride_w, stride_h, activation, dilation_w, dilation_h, filter_w, filter_h,
		multiplier, beta, keep_dims;
} kinds[] = {
	{ TFL_ADD, "ADD", NONE, NONE, NONE, 0, NONE, NONE, NONE, NONE, NONE, NONE, NONE },
	{ TFL_AVERAGE_POOL_2D, "AVERAGE_POOL_2D", 0, 1, 2, 5, NONE, NONE, 3, 4, NONE, NONE, NONE },
	{ TFL_CONV_2D, "CONV_2D", 0, 1, 2, 3, 4, 5, NONE, NONE, NONE, NONE, NONE },
	{ TFL_DEPTHWISE_CONV_2D, "DEPTHWISE_CONV_2D", 0, 1, 2, 4, 5, 6, NONE, NONE, 3, NONE, NONE },
	{ TFL_DEQUANTIZE, "DEQUANTIZE", NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE,
	  NONE },
	{ TFL_FULLY_CONNECTED, "FULLY_CONNECTED", NONE, NONE, NONE, 0, NONE, NONE, NONE, NONE, NONE,
	  NONE, NONE },
	{ TFL_LOGISTIC, "LOGISTIC", NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE,
	  NONE },
	{ TFL_MAX_POOL_2D, "MAX_POOL_2D", 0, 1, 2, 5, NONE, NONE, 3, 4, NONE, NONE, NONE },
	{ TFL_MUL, "MUL", NONE, NONE, NONE, 0, NONE, NONE, NONE, NONE, NONE, NONE, NONE },
	{ TFL_RELU, "RELU", NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE },
	{ TFL_RELU6, "RELU6", NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE },
	{ TFL_RESHAPE, "RESHAPE", NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE,
	  NONE },
	{ TFL_SOFTMAX, "SOFTMAX", NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, 0, NONE },
	{ TFL_CUSTOM, "CUSTOM", NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE },
	{ TFL_PAD, "PAD", NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE },
	{ TFL_MEAN, "MEAN", NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, 0 },
	{ TFL_PADV2, "PADV2", NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE },
	{ TFL_QUANTIZE, "QUANTIZE", NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE,
	  NONE },
};

/* Of operators that are named where they are refused. */
static const struct {
	uint8_t builtin;
	const char *name;
} others[] = {
	{ 2, "CONCATENATION" },
	{ 5, "DEPTH_TO_SPACE" },
	{ 7, "EMBEDDING_LOOKUP" },
	{ 8, "FLOOR" },
	{ 11, "L2_NORMALIZATION" },
	{ 13, "LOCAL_RESPONSE_NORMALIZATION" },
	{ 16, "LSTM" },
	{ 20, "RELU_N1_TO_1" },
	{ 23, "RESIZE_BILINEAR" },
	{ 24, "RNN" },
	{ 27, "SVDF" },
	{ 28, "TANH" },
	{ 36, "GATHER" },
	{ 39, "TRANSPOSE" },
	{ 41, "SUB" },
	{ 42, "DIV" },
	{ 43, "SQUEEZE" },
	{ 44, "UNIDIRECTIONAL_SEQUENCE_LSTM" },
	{ 45, "STRIDED_SLICE" },
	{ 47, "EXP" },
	{ 49, "SPLIT" },
	{ 50, "LOG_SOFTMAX" },
	{ 53, "CAST" },
	{ 54, "PRELU" },
	{ 55, "MAXIMUM" },
	{ 56, "ARG_MAX" },
	{ 57, "MINIMUM" },
	{ 65, "SLICE" },
	{ 67, "TRANSPOSE_CONV" },
	{ 70, "EXPAND_DIMS" },
	{ 74, "SUM" },
	{ 77, "SHAPE" },
	{ 78, "POW" },
	{ 83, "PACK" },
	{ 88, "UNPACK" },
	{ 97, "RESIZE_NEAREST_NEIGHBOR" },
	{ 98, "LEAKY_RELU" },
	{ 102, "SPLIT_V" },
	{ 117, "HARD_SWISH" },
	{ 126, "BATCH_MATMUL" },
};

const char *tfl_builtin_name(uint32_t builtin)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (kinds[i].builtin == builtin)
			return kinds[i].name;
	}
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		if (others[i].builtin == builtin)
			return others[i].name;
	}
	return NULL;
}

static uint32_t option(struct reading *r, const struct table *o, uint8_t i, unsigned bytes,
		       uint32_t def)
{
	return i == NONE ? def : (uint32_t)field_number(r, o, i, bytes, def);
}

static void read_options(struct reading *r, const struct table *t, struct tfl_op *op)
{
	struct table o = field_table(r, t, 4);
	op->custom_options = field_bytes(r, t, 5);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (kinds[i].builtin != op->builtin)
			continue;
		op->same_padding =
			option(r, &o, kinds[i].padding, 1, 0) == 0 && kinds[i].padding != NONE;
		op->stride_w = option(r, &o, kinds[i].stride_w, 4, 0);
		op->stride_h = option(r, &o, kinds[i].stride_h, 4, 0);
		op->activation = (uint8_t)option(r, &o, kinds[i].activation, 1, 0);
		op->dilation_w = option(r, &o, kinds[i].dilation_w, 4, 1);
		op->dilation_h = option(r, &o, kinds[i].dilation_h, 4, 1);
		op->filter_w = option(r, &o, kinds[i].filter_w, 4, 0);
		op->filter_h = option(r, &o, kinds[i].filter_h, 4, 0);
		op->multiplier = option(r, &o, kinds[i].multiplier, 4, 0);
		op->beta = as_float(option(r, &o, kinds[i].beta, 4, 0));
		op->keep_dims = option(r, &o, kinds[i].keep_dims, 1, 0) != 0;
	}
}

static unsigned read_ends(struct reading *r, const struct table *t, unsigned i, unsigned ntensors,
			  bool optional, int32_t *ret, unsigned cap)
{
	struct vector v = field_vector(r, t, i, 4);
	if (v.n > cap) {
		(void)bad(r, "more inputs or outputs than are offered");
		return 0;
	}
	for (unsigned k = 0; k < v.n; k++) {
		ret[k] = (int32_t)number(r, v.at + 4 * k, 4);
		if ((ret[k] < 0 && !(optional && ret[k] == -1)) || ret[k] >= (int32_t)ntensors)
			(void)bad(r, "it names a tensor that the model does not have");
	}
	return v.n;
}

static void read_op(struct reading *r, const struct table *t, struct vector codes,
		    unsigned ntensors, struct tfl_op *op)
{
	uint64_t code = field_number(r, t, 0, 4, 0);
	if (code >= codes.n) {
		(void)bad(r, "it names an operator code that the file does not have");
		return;
	}
	struct table c = vector_table(r, codes, (uint32_t)code);
	/* Old files have a byte only; newer ones both, and the larger one counts. */
	uint64_t old = field_number(r, &c, 0, 1, 0), now = field_number(r, &c, 3, 4, 0);
	op->builtin = (uint32_t)(now > old ? now : old);
	op->custom = field_bytes(r, &c, 1);
	op->ninputs = read_ends(r, t, 1, ntensors, true, op->input, TFL_OP_ENDS_MAX);
	op->noutputs = read_ends(r, t, 2, ntensors, false, op->output, TFL_OP_ENDS_MAX);
	read_options(r, t, op);
}

/* ---- the model ---- */

static void read_offsets(struct reading *r, const struct table *model, struct vector buffers,
			 struct tfl_model *ret)
{
	struct vector all = field_vector(r, model, 6, 4);
	for (unsigned i = 0; r->err == 0 && i < all.n; i++) {
		struct table m = vector_table(r, all, i);
		struct span name = field_bytes(r, &m, 0);
		uint64_t b = field_number(r, &m, 1, 4, 0);
		if (!span_eq(name, "OfflineMemoryAllocation") || b >= buffers.n)
			continue;
		struct table buffer = vector_table(r, buffers, (uint32_t)b);
		struct span data = field_bytes(r, &buffer, 0);
		struct rd w = rd_from(data.at, data.len);
		uint32_t version = rd_u32(&w), graphs = rd_u32(&w), n = rd_u32(&w);
		if (version != 0 || graphs != 1 || n != ret->ntensors) {
			(void)bad(r, "its plan of memory is not for its tensors");
			return;
		}
		int32_t *offsets = ARENA_NEW(r->arena, int32_t, n);
		for (unsigned k = 0; offsets && k < n; k++)
			offsets[k] = (int32_t)rd_u32(&w);
		if (!offsets || !rd_ok(&w))
			(void)bad(r, "its plan of memory is cut off");
		ret->offsets = offsets;
	}
}

static void read_graph(struct reading *r, const struct table *graph, struct vector codes,
		       struct vector buffers, struct tfl_model *ret)
{
	char place[48];
	struct vector tensors = field_vector(r, graph, 0, 4), ops = field_vector(r, graph, 3, 4);
	if (tensors.n > TFL_TENSORS_MAX || ops.n > TFL_OPS_MAX) {
		(void)bad(r, "more tensors or operators than are offered");
		return;
	}
	ret->tensors = ARENA_NEW(r->arena, struct tfl_tensor, tensors.n);
	ret->ops = ARENA_NEW(r->arena, struct tfl_op, ops.n);
	if (!ret->tensors || !ret->ops) {
		r->err = why_set(r->why, -ENOMEM, "out of memory");
		return;
	}
	r->place = place;
	for (; r->err == 0 && ret->ntensors < tensors.n; ret->ntensors++) {
		(void)snprintf(place, sizeof(place), "tensor %u", ret->ntensors);
		struct table t = vector_table(r, tensors, ret->ntensors);
		read_tensor(r, &t, buffers, &ret->tensors[ret->ntensors]);
	}
	for (; r->err == 0 && ret->nops < ops.n; ret->nops++) {
		(void)snprintf(place, sizeof(place), "operator %u", ret->nops);
		struct table t = vector_table(r, ops, ret->nops);
		read_op(r, &t, codes, ret->ntensors, &ret->ops[ret->nops]);
	}
	r->place = "the graph";
	_Static_assert(sizeof(ret->input[0]) == sizeof(int32_t), "read_ends");
	ret->ninputs =
		read_ends(r, graph, 1, ret->ntensors, false, (int32_t *)ret->input, TFL_ENDS_MAX);
	ret->noutputs =
		read_ends(r, graph, 2, ret->ntensors, false, (int32_t *)ret->output, TFL_ENDS_MAX);
	if (r->err == 0 && (ret->ninputs == 0 || ret->noutputs == 0))
		(void)bad(r, "it has no inputs, or no outputs");
}

int tfl_read(struct span file, struct arena *arena, struct tfl_model *ret, struct why *why)
{
	struct reading r = { .file = file, .arena = arena, .why = why, .place = "the file" };
	*ret = (struct tfl_model){ .file = file };
	if (file.len < 8 || memcmp(file.at + 4, "TFL3", 4) != 0)
		return why_set(why, -E_INVALID,
			       "this is no TensorFlow Lite model: \"TFL3\" is not at its byte 4");
	if (file.len > TFL_BYTES_MAX)
		return why_set(why, -E_LIMIT, "the model is larger than %d bytes", TFL_BYTES_MAX);
	uint32_t root = follow(&r, 0);
	struct table model = r.err == 0 ? table_at(&r, root) : (struct table){ 0 };
	uint64_t version = field_number(&r, &model, 0, 4, 0);
	if (r.err == 0 && version != SCHEMA_VERSION)
		return why_set(why, -E_UNSUPPORTED, "schema version %llu, only 3 is offered",
			       (unsigned long long)version);
	struct vector codes = field_vector(&r, &model, 1, 4),
		      graphs = field_vector(&r, &model, 2, 4),
		      buffers = field_vector(&r, &model, 4, 4);
	ret->description = field_bytes(&r, &model, 3);
	if (r.err == 0 && graphs.n != 1)
		return why_set(why, -E_UNSUPPORTED, "%u subgraphs, only one is offered", graphs.n);
	struct table graph = r.err == 0 ? vector_table(&r, graphs, 0) : (struct table){ 0 };
	if (r.err == 0)
		read_graph(&r, &graph, codes, buffers, ret);
	r.place = "the metadata";
	if (r.err == 0)
		read_offsets(&r, &model, buffers, ret);
	return r.err;
}
