/* SPDX-License-Identifier: Apache-2.0 */
/* model: what a TensorFlow Lite model is, and what it answers */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/own.h"
#include "cli/client.h"
#include "cli/file.h"
#include "cli/text.h"
#include "ethosu_bridge/cpu.h"
#include "proto/own_json.h"

enum { MODEL_ARENA_BYTES = 64 << 20, REPEAT_MAX = 1000000 };

static const struct option_row model_rows[] = {
	{ "input", 'i', OPT_TEXT, "FILE", "run: bytes of all input tensors, one after the other", 0,
	  0 },
	{ "output", 'o', OPT_TEXT, "FILE",
	  "run: where the bytes of all output tensors go (default: shown)", 0, 0 },
	{ "repeat", 'n', OPT_NUMBER, "N", "run: so many times, and say how long one takes", 1,
	  REPEAT_MAX },
};

/* A model from a file, with what it lives on. */
struct loaded {
	struct bytes file;
	struct arena arena;
	struct tfl_model m;
	struct cpu_model *cpu; /* NULL: the processor's back end has not all of its operators */
	struct why cpu_why;
};

static void loaded_fini(struct loaded *l)
{
	cpu_free(l->cpu);
	arena_fini(&l->arena);
	bytes_fini(&l->file);
}

static int load(struct cli *c, const char *path, struct loaded *ret)
{
	struct why why = { 0 };
	arena_init(&ret->arena, MODEL_ARENA_BYTES);
	int err = file_read(path, TFL_BYTES_MAX, &ret->file, &why);
	if (err == 0)
		err = tfl_read(bytes_span(&ret->file), &ret->arena, &ret->m, &why);
	if (err < 0)
		return cli_fail(c, CODE_FAILED, NULL, "%s: %s", path, why_text(&why, err));
	if (cpu_prepare(&ret->m, &ret->cpu, &ret->cpu_why) < 0)
		ret->cpu = NULL;
	return CODE_OK;
}

/* ---- inspect ---- */

static json_t *tensor_json(const struct tfl_tensor *t)
{
	char shape[80];
	json_t *j =
		json_pack("{s:s%, s:s, s:s, s:i, s:b, s:i}", "name",
			  span_is_utf8(t->name) && t->name.len ? (const char *)t->name.at : "",
			  span_is_utf8(t->name) ? t->name.len : 0, "type", tfl_type_name(t->type),
			  "shape", tfl_shape_text(t, shape, sizeof(shape)), "bytes", (int)t->bytes,
			  "constant", t->data.len > 0, "scales", (int)t->nscales);
	if (t->nscales > 0) {
		(void)json_object_set_new(j, "scale", json_real((double)t->scale[0]));
		(void)json_object_set_new(j, "zero_point", json_integer(t->zero[0]));
	}
	return j;
}

static json_t *ends_json(const struct tfl_model *m, const uint32_t *ends, unsigned n)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < n; i++)
		(void)json_array_append_new(list, tensor_json(&m->tensors[ends[i]]));
	return list;
}

static json_t *op_json(const struct loaded *l, unsigned i)
{
	const struct tfl_op *op = &l->m.ops[i];
	const char *name = tfl_builtin_name(op->builtin);
	char number[32], shape[80];
	(void)snprintf(number, sizeof(number), "operator %u", op->builtin);
	json_t *j = json_pack(
		"{s:s, s:s, s:I}", "operator", name ? name : number, "output",
		op->noutputs ? tfl_shape_text(&l->m.tensors[op->output[0]], shape, sizeof(shape))
			     : "",
		"macs", l->cpu ? (json_int_t)cpu_macs_of(l->cpu, i) : (json_int_t)0);
	if (op->custom.len > 0 && span_is_utf8(op->custom))
		(void)json_object_set_new(
			j, "custom", json_stringn((const char *)op->custom.at, op->custom.len));
	return j;
}

static json_t *inspect_json(const struct loaded *l)
{
	json_t *ops = json_array();
	for (unsigned i = 0; i < l->m.nops; i++)
		(void)json_array_append_new(ops, op_json(l, i));
	json_t *j = json_pack("{s:I, s:i, s:o, s:o, s:o, s:b, s:s}", "bytes",
			      (json_int_t)l->file.len, "tensors", (int)l->m.ntensors, "inputs",
			      ends_json(&l->m, l->m.input, l->m.ninputs), "outputs",
			      ends_json(&l->m, l->m.output, l->m.noutputs), "operators", ops,
			      "runs_on_cpu", l->cpu != NULL, "why_not", l->cpu_why.text);
	if (l->cpu) {
		(void)json_object_set_new(j, "macs", json_integer((json_int_t)cpu_macs(l->cpu)));
		(void)json_object_set_new(j, "arena_bytes",
					  json_integer((json_int_t)cpu_memory(l->cpu)));
	}
	return j;
}

static void ends_print(FILE *out, const char *label, const json_t *list)
{
	size_t i;
	json_t *t;
	json_array_foreach(list, i, t)
	{
		(void)fprintf(out, "%-10s %s %s, %.0f bytes", label,
			      json_string_value(json_object_get(t, "type")),
			      json_string_value(json_object_get(t, "shape")),
			      json_number_value(json_object_get(t, "bytes")));
		if (json_object_get(t, "scale"))
			(void)fprintf(out, ", scale %g, zero point %.0f",
				      json_number_value(json_object_get(t, "scale")),
				      json_number_value(json_object_get(t, "zero_point")));
		(void)fputs("  ", out);
		text_put(out, json_string_value(json_object_get(t, "name")));
		(void)fputc('\n', out);
	}
}

static void inspect_print(struct cli *c, const struct loaded *l, const json_t *j)
{
	static const char *const heads[] = { "#", "OPERATOR", "OUTPUT", "MACS" };
	size_t i;
	json_t *op;
	struct table t;
	ends_print(c->out, "input", json_object_get(j, "inputs"));
	ends_print(c->out, "output", json_object_get(j, "outputs"));
	if (l->cpu)
		(void)fprintf(c->out,
			      "%-10s %" PRIu64 " multiply-accumulates, %zu bytes of memory\n",
			      "needs", cpu_macs(l->cpu), cpu_memory(l->cpu));
	else
		(void)fprintf(c->out, "%-10s not on the processor: %s\n", "runs", l->cpu_why.text);
	(void)fputc('\n', c->out);
	table_init(&t, heads, ARRAY_LEN(heads), 1 | 1 << 3);
	json_array_foreach(json_object_get(j, "operators"), i, op)
	{
		const char *custom = json_string_value(json_object_get(op, "custom"));
		table_cell_fmt(&t, "%zu", i);
		table_cell(&t,
			   custom ? custom : json_string_value(json_object_get(op, "operator")));
		table_cell(&t, json_string_value(json_object_get(op, "output")));
		table_cell_fmt(&t, "%.0f", json_number_value(json_object_get(op, "macs")));
	}
	table_print(&t, c->out);
	table_fini(&t);
}

static int inspect(struct cli *c, const struct loaded *l)
{
	OWN_JSON *j = inspect_json(l);
	if (cli_json(c))
		json_print(c, j);
	else
		inspect_print(c, l, j);
	return CODE_OK;
}

/* ---- run ---- */

static size_t ends_bytes(const struct tfl_model *m, const uint32_t *ends, unsigned n)
{
	size_t all = 0;
	for (unsigned i = 0; i < n; i++)
		all += m->tensors[ends[i]].bytes;
	return all;
}

static void inputs_put(const struct loaded *l, const uint8_t *from)
{
	for (unsigned i = 0; i < l->m.ninputs; i++) {
		size_t n = l->m.tensors[l->m.input[i]].bytes;
		memcpy(cpu_input(l->cpu, i), from, n);
		from += n;
	}
}

static double seconds_now(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void values_print(struct cli *c, const struct loaded *l)
{
	for (unsigned i = 0; i < l->m.noutputs; i++) {
		const struct tfl_tensor *t = &l->m.tensors[l->m.output[i]];
		const uint8_t *at = cpu_output(l->cpu, i);
		for (uint32_t k = 0; k < t->elements; k++) {
			double v = t->type == TFL_I8 ? (int8_t)at[k] : at[k];
			if (t->type == TFL_I8 && t->nscales == 1)
				(void)fprintf(c->out, "%u  %.0f  %g\n", k, v,
					      (double)t->scale[0] * (v - (double)t->zero[0]));
			else if (t->type == TFL_I8 || t->type == TFL_U8)
				(void)fprintf(c->out, "%u  %.0f\n", k, v);
		}
	}
}

static int outputs_write(struct cli *c, const struct loaded *l, const char *path)
{
	struct why why = { 0 };
	size_t n = ends_bytes(&l->m, l->m.output, l->m.noutputs), at = 0;
	OWN_FREE uint8_t *all = malloc(n + 1);
	for (unsigned i = 0; all && i < l->m.noutputs; i++) {
		size_t bytes = l->m.tensors[l->m.output[i]].bytes;
		memcpy(all + at, cpu_output(l->cpu, i), bytes);
		at += bytes;
	}
	int err =
		all ? file_write(path, (struct span){ all, n }, FILE_REPLACE, 0644, &why) : -ENOMEM;
	return err < 0 ? cli_fail(c, CODE_FAILED, NULL, "%s: %s", path, why_text(&why, err))
		       : CODE_OK;
}

static int run(struct cli *c, const struct loaded *l)
{
	struct why why = { 0 };
	const char *input = args_text(&c->args, "input"), *output = args_text(&c->args, "output");
	unsigned n = (unsigned)args_number(&c->args, "repeat", 1);
	size_t want = ends_bytes(&l->m, l->m.input, l->m.ninputs);
	OWN_BYTES in = { 0 };
	if (!l->cpu)
		return cli_fail(c, CODE_FAILED, "penstock model inspect shows its operators",
				"it does not run on the processor: %s", l->cpu_why.text);
	if (!input)
		return cli_fail(c, CODE_USAGE, NULL, "--input FILE is missing: %zu bytes", want);
	int err = file_read(input, TFL_BYTES_MAX, &in, &why);
	if (err < 0)
		return cli_fail(c, CODE_FAILED, NULL, "%s: %s", input, why_text(&why, err));
	if (in.len != want)
		return cli_fail(c, CODE_FAILED, NULL,
				"%s has %zu bytes, the inputs of the model have %zu", input, in.len,
				want);
	double begun = seconds_now();
	for (unsigned i = 0; i < n; i++) {
		inputs_put(l, in.at);
		cpu_run(l->cpu);
	}
	double one = (seconds_now() - begun) / n;
	if (n > 1)
		(void)fprintf(c->err, "%u inferences, %.1f us each, %.2f GMAC/s\n", n, one * 1e6,
			      (double)cpu_macs(l->cpu) / one / 1e9);
	if (output)
		return outputs_write(c, l, output);
	values_print(c, l);
	return CODE_OK;
}

static int model_run(struct cli *c)
{
	static const struct {
		const char *verb;
		int (*then)(struct cli *c, const struct loaded *l);
	} verbs[] = { { "inspect", inspect }, { "run", run } };
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		struct loaded l = { 0 };
		if (strcmp(cli_arg(c, 0), verbs[i].verb) != 0)
			continue;
		int code = load(c, cli_arg(c, 1), &l);
		if (code == CODE_OK)
			code = verbs[i].then(c, &l);
		loaded_fini(&l);
		return code;
	}
	return cli_fail(c, CODE_USAGE, "penstock model inspect FILE, penstock model run FILE",
			"\"%s\" is neither inspect nor run", cli_arg(c, 0));
}

const struct command command_model = {
	.name = "model",
	.group = "Modules, without a gateway",
	.summary = "Look into a TensorFlow Lite model, or run it here",
	.usage = "inspect FILE.tflite | run FILE.tflite -i INPUT [-o OUTPUT] [-n N]",
	.more = "Runs int8 models on the processor, bit for bit as TensorFlow Lite Micro's "
		"reference kernels\n"
		"do. Without --output each value of the output is shown: its number, the byte, the "
		"real\n"
		"number that it stands for.",
	.options = model_rows,
	.noptions = ARRAY_LEN(model_rows),
	.needs = "inspect or run, and FILE",
	.least_args = 2,
	.most_args = 2,
	.prints_data = true,
	.run = model_run,
};
