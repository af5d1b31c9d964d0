/* SPDX-License-Identifier: Apache-2.0 */
/* Small .tflite files made in memory: one operator, its tensors, nothing else. */
#ifndef TESTS_ETHOSU_MODEL_MAKER_H
#define TESTS_ETHOSU_MODEL_MAKER_H

#include <stdint.h>
#include <string.h>

#include "ethosu_bridge/tflite.h"

struct maker {
	uint8_t at[1 << 16];
	size_t n;
};

struct maker_tensor {
	enum tfl_type type;
	unsigned rank;
	uint32_t dim[4];
	float scale; /* 0: not quantised */
	int64_t zero;
	const void *data; /* NULL: not a constant */
};

struct maker_op {
	uint32_t builtin;
	unsigned ntensors,
		ninputs; /* the last tensor is the output; constants are no inputs of the graph */
	const struct maker_tensor *tensors;
	unsigned noptions;
	uint32_t options[8]; /* by field, 4 bytes each */
};

static inline void maker_put(struct maker *m, size_t at, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		m->at[at + i] = (uint8_t)(v >> (8 * i));
}

static inline void maker_align(struct maker *m)
{
	m->n = (m->n + 7) & ~(size_t)7;
}

/* A table of n fields of 8 bytes; what is not written is 0. Returns where it is. */
static inline size_t maker_table(struct maker *m, unsigned n)
{
	maker_align(m);
	size_t vtable = m->n, size = 4 + 2 * n, table = (vtable + size + 7) & ~(size_t)7;
	maker_put(m, vtable, size, 2);
	maker_put(m, vtable + 2, 8 + 8 * n, 2);
	for (unsigned i = 0; i < n; i++)
		maker_put(m, vtable + 4 + 2 * i, 8 + 8 * i, 2);
	maker_put(m, table, table - vtable, 4);
	m->n = table + 8 + 8 * n;
	return table;
}

static inline size_t maker_field(size_t table, unsigned i)
{
	return table + 8 + 8 * i;
}

/* The offset at this place names what is written next. */
static inline void maker_link(struct maker *m, size_t at)
{
	maker_align(m);
	maker_put(m, at, m->n - at, 4);
}

static inline size_t maker_vector(struct maker *m, size_t at, const void *data, size_t n,
				  size_t each)
{
	maker_align(m);
	m->n += 4; /* so that elements of 8 bytes are aligned */
	maker_put(m, at, m->n - at, 4);
	maker_put(m, m->n, n, 4);
	size_t first = m->n + 4;
	if (data)
		memcpy(m->at + first, data, n * each);
	m->n = first + n * each;
	return first;
}

static inline void maker_table_at(struct maker *m, size_t at, unsigned n, size_t *ret)
{
	maker_align(m);
	*ret = maker_table(m, n);
	maker_put(m, at, *ret - at, 4);
}

static inline void maker_tensors(struct maker *m, const struct maker_op *op, size_t graph,
				 size_t buffers)
{
	size_t list = maker_vector(m, maker_field(graph, 0), NULL, op->ntensors, 4);
	for (unsigned i = 0; i < op->ntensors; i++) {
		const struct maker_tensor *t = &op->tensors[i];
		size_t table, q, buffer, bytes = tfl_type_bytes(t->type);
		maker_table_at(m, list + 4 * i, 6, &table);
		for (unsigned k = 0; k < t->rank; k++)
			bytes *= t->dim[k];
		maker_vector(m, maker_field(table, 0), t->dim, t->rank, 4);
		maker_put(m, maker_field(table, 1), t->type, 1);
		maker_put(m, maker_field(table, 2), i + 1, 4);
		maker_vector(m, maker_field(table, 3), "t", 1, 1);
		maker_table_at(m, maker_field(table, 4), 7, &q);
		maker_vector(m, maker_field(q, 2), &t->scale, t->scale > 0, 4);
		maker_vector(m, maker_field(q, 3), &t->zero, t->scale > 0, 8);
		maker_table_at(m, buffers + 4 * (i + 1), 1, &buffer);
		maker_vector(m, maker_field(buffer, 0), t->data, t->data ? bytes : 0, 1);
	}
}

static inline struct span maker_model(struct maker *m, const struct maker_op *op)
{
	size_t model, code, graph, empty, o, options;
	int32_t ends[8];
	unsigned n = 0;
	memset(m, 0, sizeof(*m));
	m->n = 8;
	memcpy(m->at + 4, "TFL3", 4);
	maker_table_at(m, 0, 7, &model);
	maker_put(m, maker_field(model, 0), 3, 4);
	size_t codes = maker_vector(m, maker_field(model, 1), NULL, 1, 4);
	maker_table_at(m, codes, 4, &code);
	maker_put(m, maker_field(code, 3), op->builtin, 4);
	size_t buffers = maker_vector(m, maker_field(model, 4), NULL, op->ntensors + 1, 4);
	maker_table_at(m, buffers, 1, &empty);
	size_t graphs = maker_vector(m, maker_field(model, 2), NULL, 1, 4);
	maker_table_at(m, graphs, 4, &graph);
	maker_tensors(m, op, graph, buffers);
	for (unsigned i = 0; i < op->ninputs; i++) {
		if (!op->tensors[i].data)
			ends[n++] = (int32_t)i;
	}
	maker_vector(m, maker_field(graph, 1), ends, n, 4);
	ends[0] = (int32_t)op->ntensors - 1;
	maker_vector(m, maker_field(graph, 2), ends, 1, 4);
	size_t ops = maker_vector(m, maker_field(graph, 3), NULL, 1, 4);
	maker_table_at(m, ops, 5, &o);
	maker_vector(m, maker_field(o, 2), ends, 1, 4);
	for (unsigned i = 0; i < op->ninputs; i++)
		ends[i] = (int32_t)i;
	maker_vector(m, maker_field(o, 1), ends, op->ninputs, 4);
	maker_table_at(m, maker_field(o, 4), op->noptions, &options);
	for (unsigned i = 0; i < op->noptions; i++)
		maker_put(m, maker_field(options, i), op->options[i], 4);
	return (struct span){ m->at, m->n };
}

#endif
