/* SPDX-License-Identifier: Apache-2.0 */
#include "ethosu_bridge/cpu.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ethosu_bridge/cpu_impl.h"

enum { ALIGN = 64, WORK_BYTES_MAX = 128 << 20 };

struct cpu_model {
	const struct tfl_model *model;
	struct arena arena;
	struct cpu_step *steps;
	uint8_t **at; /* by tensor: where it is */
	uint8_t *memory;
	size_t memory_bytes;
};

static const struct {
	uint32_t builtin;
	unsigned least, most;
	int (*prepare)(const struct cpu_prepare *p);
} offered[] = {
#define CPU_OP(builtin, inputs_least, inputs_most, prepare)                                        \
	{ builtin, inputs_least, inputs_most, prepare },
#include "ethosu_bridge/cpu_ops.def"
#undef CPU_OP
};

/* ---- what prepares share ---- */

int cpu_refuse(const struct cpu_prepare *p, int err, const char *fmt, ...)
{
	char text[300], number[32];
	const struct tfl_op *op = p->step->op;
	const char *name = tfl_builtin_name(op->builtin);
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)snprintf(number, sizeof(number), "number %u", op->builtin);
	if (op->builtin == TFL_CUSTOM)
		return why_set(p->why, err, "operator %u, custom \"%.*s\": %s", p->number,
			       (int)(op->custom.len > 60 ? 60 : op->custom.len),
			       (const char *)op->custom.at, text);
	return why_set(p->why, err, "operator %u, %s: %s", p->number, name ? name : number, text);
}

bool cpu_types(const struct cpu_prepare *p, enum tfl_type in0, enum tfl_type out)
{
	return p->step->in[0]->type == in0 && p->step->out->type == out;
}

int cpu_one_scale(const struct cpu_prepare *p, const struct tfl_tensor *t)
{
	if (t->nscales != 1 || !(t->scale[0] > 0))
		return cpu_refuse(p, -E_UNSUPPORTED, "tensor \"%.*s\" has %u scales, not one",
				  (int)(t->name.len > 60 ? 60 : t->name.len),
				  (const char *)t->name.at, t->nscales);
	if (t->zero[0] < INT8_MIN || t->zero[0] > INT8_MAX)
		return cpu_refuse(p, -E_INVALID, "zero point %lld is no int8",
				  (long long)t->zero[0]);
	return 0;
}

int cpu_shape4(const struct cpu_prepare *p, const struct tfl_tensor *t, struct shape4 *ret)
{
	if (t->rank != 4)
		return cpu_refuse(p, -E_UNSUPPORTED, "a tensor of %u dimensions where 4 are wanted",
				  t->rank);
	*ret = (struct shape4){ t->dim[0], t->dim[1], t->dim[2], t->dim[3] };
	return 0;
}

int cpu_activation(const struct cpu_prepare *p, uint8_t activation)
{
	struct cpu_step *s = p->step;
	float scale = s->out->scale[0];
	int32_t zero = (int32_t)s->out->zero[0];
	double one = round(1.0f / scale), six = round(6.0f / scale);
	s->least = INT8_MIN;
	s->most = INT8_MAX;
	switch (activation) {
	case TFL_ACT_NONE:
		break;
	case TFL_ACT_RELU:
		s->least = zero;
		break;
	case TFL_ACT_RELU6:
		s->least = zero;
		s->most = zero + six < INT8_MAX ? zero + (int32_t)six : INT8_MAX;
		break;
	case TFL_ACT_RELU_N1_TO_1:
		s->least = zero - one > INT8_MIN ? zero - (int32_t)one : INT8_MIN;
		s->most = zero + one < INT8_MAX ? zero + (int32_t)one : INT8_MAX;
		break;
	default:
		return cpu_refuse(p, -E_UNSUPPORTED, "activation %d is not offered", activation);
	}
	return 0;
}

/* ---- memory: every tensor that is not constant lives from its first use to its last ---- */

struct life {
	unsigned tensor, first, last;
	size_t bytes, at;
};

static int by_size(const void *a, const void *b)
{
	const struct life *x = a, *y = b;
	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return x->tensor < y->tensor ? -1 : x->tensor > y->tensor;
}

/* The lowest place that nobody has who lives at the same time; the large ones choose first. */
static size_t place(const struct life *placed, unsigned n, const struct life *l)
{
	size_t at = 0;
	for (bool moved = true; moved;) {
		moved = false;
		for (unsigned i = 0; i < n; i++) {
			const struct life *o = &placed[i];
			bool together = o->first <= l->last && l->first <= o->last;
			if (together && at < o->at + o->bytes && o->at < at + l->bytes) {
				at = o->at + o->bytes;
				moved = true;
			}
		}
	}
	return at;
}

static void lives_of(const struct cpu_model *c, struct life *lives)
{
	const struct tfl_model *m = c->model;
	for (unsigned i = 0; i < m->ntensors; i++)
		lives[i] = (struct life){ .tensor = i,
					  .first = UINT32_MAX,
					  .bytes = ((size_t)m->tensors[i].bytes + ALIGN - 1) &
						   ~(size_t)(ALIGN - 1) };
	for (unsigned i = 0; i < m->ninputs; i++)
		lives[m->input[i]].first = 0;
	for (unsigned s = 0; s < m->nops; s++) {
		for (unsigned i = 0; i < m->ops[s].ninputs; i++) {
			if (m->ops[s].input[i] >= 0)
				lives[m->ops[s].input[i]].last = s + 1;
		}
		struct life *out = &lives[m->ops[s].output[0]];
		out->first = out->first < s + 1 ? out->first : s + 1;
		out->last = s + 1;
	}
	for (unsigned i = 0; i < m->noutputs; i++)
		lives[m->output[i]].last = m->nops + 1;
}

static int plan(struct cpu_model *c, struct why *why)
{
	const struct tfl_model *m = c->model;
	struct life *lives = ARENA_NEW(&c->arena, struct life, m->ntensors);
	size_t all = 0, scratch = 0;
	unsigned n = 0;
	if (!lives)
		return why_set(why, -ENOMEM, "out of memory");
	lives_of(c, lives);
	qsort(lives, m->ntensors, sizeof(*lives), by_size);
	for (unsigned i = 0; i < m->ntensors; i++) {
		struct life l = lives[i];
		if (m->tensors[l.tensor].data.len > 0 || l.first == UINT32_MAX)
			continue;
		l.at = place(lives, n, &l);
		all = l.at + l.bytes > all ? l.at + l.bytes : all;
		lives[n++] = l;
	}
	for (unsigned s = 0; s < m->nops; s++)
		scratch = c->steps[s].scratch_bytes > scratch ? c->steps[s].scratch_bytes : scratch;
	if (all > CPU_MEMORY_MAX || scratch > CPU_MEMORY_MAX)
		return why_set(why, -E_LIMIT, "it needs %zu bytes for its tensors, more than %d",
			       all + scratch, CPU_MEMORY_MAX);
	c->memory_bytes = all;
	c->memory = aligned_alloc(ALIGN, all + ((scratch + ALIGN - 1) & ~(size_t)(ALIGN - 1)));
	if (!c->memory)
		return why_set(why, -ENOMEM, "out of memory");
	memset(c->memory, 0, all);
	for (unsigned i = 0; i < n; i++)
		c->at[lives[i].tensor] = c->memory + lives[i].at;
	for (unsigned s = 0; s < m->nops; s++)
		c->steps[s].scratch = c->memory + all;
	return 0;
}

/* ---- preparing ---- */

static int step_prepare(struct cpu_model *c, unsigned number, struct why *why)
{
	const struct tfl_model *m = c->model;
	struct cpu_step *s = &c->steps[number];
	const struct cpu_prepare p = { s, &c->arena, why, number };
	s->op = &m->ops[number];
	for (size_t i = 0; i < ARRAY_LEN(offered); i++) {
		if (offered[i].builtin != s->op->builtin)
			continue;
		if (s->op->ninputs < offered[i].least || s->op->ninputs > offered[i].most ||
		    s->op->noutputs != 1)
			return cpu_refuse(&p, -E_INVALID, "%u inputs and %u outputs",
					  s->op->ninputs, s->op->noutputs);
		for (unsigned k = 0; k < s->op->ninputs; k++) {
			int32_t t = s->op->input[k];
			s->in[k] = t < 0 ? NULL : &m->tensors[t];
			if (!s->in[k] && k < offered[i].least)
				return cpu_refuse(&p, -E_INVALID, "input %u is missing", k);
			if (s->in[k] && s->in[k]->elements == 0)
				return cpu_refuse(&p, -E_INVALID, "input %u is empty", k);
		}
		s->out = &m->tensors[s->op->output[0]];
		if (s->out->data.len > 0)
			return cpu_refuse(&p, -E_INVALID, "its output is a constant");
		if (s->out->elements == 0)
			return cpu_refuse(&p, -E_INVALID, "its output is empty");
		return offered[i].prepare(&p);
	}
	return cpu_refuse(&p, -E_UNSUPPORTED, "this operator is not offered");
}

/* Each tensor is written before it is read, and once. */
static int check_order(const struct cpu_model *c, struct why *why)
{
	const struct tfl_model *m = c->model;
	bool *known = ARENA_NEW((struct arena *)(uintptr_t)&c->arena, bool, m->ntensors);
	if (!known)
		return why_set(why, -ENOMEM, "out of memory");
	for (unsigned i = 0; i < m->ninputs; i++)
		known[m->input[i]] = true;
	for (unsigned s = 0; s < m->nops; s++) {
		for (unsigned i = 0; i < m->ops[s].ninputs; i++) {
			int32_t t = m->ops[s].input[i];
			if (t >= 0 && !known[t] && m->tensors[t].data.len == 0)
				return why_set(why, -E_INVALID,
					       "operator %u reads tensor %d, which nothing wrote",
					       s, t);
		}
		if (known[m->ops[s].output[0]])
			return why_set(why, -E_INVALID, "operator %u writes tensor %d again", s,
				       m->ops[s].output[0]);
		known[m->ops[s].output[0]] = true;
	}
	for (unsigned i = 0; i < m->noutputs; i++) {
		if (!known[m->output[i]])
			return why_set(why, -E_INVALID, "output %u is a tensor that nothing writes",
				       i);
	}
	return 0;
}

static uint8_t *where(const struct cpu_model *c, int32_t tensor)
{
	const struct tfl_tensor *t = &c->model->tensors[tensor];
	/* Constants are read only: no kernel writes to an input. */
	return t->data.len > 0 ? (uint8_t *)(uintptr_t)t->data.at : c->at[tensor];
}

static void connect(struct cpu_model *c)
{
	for (unsigned n = 0; n < c->model->nops; n++) {
		struct cpu_step *s = &c->steps[n];
		for (unsigned i = 0; i < s->op->ninputs; i++)
			s->in_at[i] = s->in[i] ? where(c, s->op->input[i]) : NULL;
		s->out_at = where(c, s->op->output[0]);
	}
}

static int prepare(struct cpu_model *c, struct why *why)
{
	const struct tfl_model *m = c->model;
	int err = 0;
	c->steps = ARENA_NEW(&c->arena, struct cpu_step, m->nops);
	c->at = ARENA_NEW(&c->arena, uint8_t *, m->ntensors);
	if (!c->steps || !c->at)
		return why_set(why, -ENOMEM, "out of memory");
	for (unsigned i = 0; err == 0 && i < m->nops; i++)
		err = step_prepare(c, i, why);
	for (unsigned i = 0; err == 0 && i < m->ninputs; i++) {
		if (m->tensors[m->input[i]].data.len > 0)
			err = why_set(why, -E_INVALID, "input %u is a constant", i);
	}
	if (err == 0)
		err = check_order(c, why);
	if (err == 0)
		err = plan(c, why);
	if (err == 0)
		connect(c);
	return err;
}

int cpu_prepare(const struct tfl_model *m, struct cpu_model **ret, struct why *why)
{
	struct cpu_model *c = calloc(1, sizeof(*c));
	if (!c)
		return why_set(why, -ENOMEM, "out of memory");
	c->model = m;
	arena_init(&c->arena, WORK_BYTES_MAX);
	int err = prepare(c, why);
	if (err < 0) {
		cpu_free(c);
		return err;
	}
	*ret = c;
	return 0;
}

void cpu_free(struct cpu_model *c)
{
	if (!c)
		return;
	free(c->memory);
	arena_fini(&c->arena);
	free(c);
}

uint8_t *cpu_input(struct cpu_model *c, unsigned i)
{
	return c->at[c->model->input[i]];
}

const uint8_t *cpu_output(struct cpu_model *c, unsigned i)
{
	return c->at[c->model->output[i]];
}

void cpu_run(struct cpu_model *c)
{
	for (unsigned i = 0; i < c->model->nops; i++)
		c->steps[i].run(&c->steps[i]);
}

uint64_t cpu_macs_of(const struct cpu_model *c, unsigned op)
{
	return c->steps[op].macs;
}

uint64_t cpu_macs(const struct cpu_model *c)
{
	uint64_t all = 0;
	for (unsigned i = 0; i < c->model->nops; i++)
		all += c->steps[i].macs;
	return all;
}

size_t cpu_memory(const struct cpu_model *c)
{
	return c->memory_bytes;
}
