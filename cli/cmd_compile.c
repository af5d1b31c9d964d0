/* SPDX-License-Identifier: Apache-2.0 */
/* compile: a module to a shared object, and what the compiler has to say of it */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "cli/client.h"
#include "cli/compile.h"
#include "cli/text.h"

#define GROUP "Modules, without a gateway"

static const struct option_row compile_rows[] = {
	{ "output", 'o', OPT_TEXT, "FILE.so", "where the shared object goes", 0, 0 },
	{ "target", 0, OPT_TEXT, "TRIPLE", "for another machine (default: this one)", 0, 0 },
	{ "cpu", 0, OPT_TEXT, "NAME", "for this CPU (default: this one's)", 0, 0 },
	COMPILE_OPTION_ROWS,
	{ "details", 0, OPT_FLAG, NULL, "time by phase, code by function, loops not vectorised", 0,
	  0 },
};

/* The finished object as bytes; it lies in a sealed memfd. */
static int so_write(struct cli *c, int so, const char *path, size_t *ret_bytes)
{
	OWN_BYTES all = { 0 };
	struct why why = { 0 };
	if (lseek(so, 0, SEEK_SET) < 0)
		return cli_fail(c, CODE_FAILED, NULL, "the compiler's output: %s",
				strerrordesc_np(errno));
	if (file_read_fd(so, "the compiler's output", SIZE_MAX / 4, &all, &why) < 0 ||
	    file_write(path, bytes_span(&all), FILE_REPLACE, 0755, &why) < 0)
		return cli_fail(c, CODE_FAILED, NULL, "%s", why.text);
	*ret_bytes = all.len;
	return CODE_OK;
}

static void notes_print(struct cli *c, const json_t *report)
{
	size_t i;
	json_t *note;
	json_array_foreach(json_object_get(report, "notes"), i, note)
	{
		(void)fprintf(c->err, "note: ");
		text_put(c->err, json_string_value(note));
		(void)fputc('\n', c->err);
	}
}

static void phases_print(struct cli *c, const json_t *report)
{
	static const char *const heads[] = { "PHASE", "CPU" };
	struct table t;
	size_t i;
	json_t *p;
	table_init(&t, heads, ARRAY_LEN(heads), 1u << 1);
	json_array_foreach(json_object_get(report, "phases"), i, p)
	{
		table_cell(&t, json_text(p, "name"));
		table_cell_fmt(&t, "%.1f ms", json_num(p, "cpu_us") / 1000);
	}
	table_print(&t, c->out);
	table_fini(&t);
}

static int larger_code(const void *a, const void *b)
{
	double x = json_num(*(json_t *const *)a, "code_bytes"),
	       y = json_num(*(json_t *const *)b, "code_bytes");
	return x > y ? -1 : x < y;
}

static void functions_print(struct cli *c, const json_t *functions)
{
	static const char *const heads[] = { "FUNCTION", "WASM", "CODE", "FRAME" };
	size_t n = json_array_size(functions), i;
	const json_t **sorted = calloc(n + 1, sizeof(*sorted));
	struct table t;
	json_t *f;
	ENSURE(sorted);
	json_array_foreach(functions, i, f) sorted[i] = f;
	qsort(sorted, n, sizeof(*sorted), larger_code);
	table_init(&t, heads, ARRAY_LEN(heads), 7u << 1);
	for (i = 0; i < n; i++) {
		const char *name = json_text(sorted[i], "name");
		if (name[0])
			table_cell(&t, name);
		else
			table_cell_fmt(&t, "f%.0f", json_num(sorted[i], "index"));
		table_cell_fmt(&t, "%.0f", json_num(sorted[i], "wasm_bytes"));
		table_cell_fmt(&t, "%.0f", json_num(sorted[i], "code_bytes"));
		table_cell_fmt(&t, "%.0f", json_num(sorted[i], "frame_bytes"));
	}
	table_print(&t, c->out);
	table_fini(&t);
	free(sorted);
}

static void details_print(struct cli *c, const json_t *report)
{
	const json_t *d = json_object_get(report, "details");
	size_t i;
	json_t *remark;
	(void)fputc('\n', c->out);
	phases_print(c, report);
	if (!json_is_object(d)) {
		(void)fputs("\ntoo many functions for a table of them\n", c->out);
		return;
	}
	(void)fputc('\n', c->out);
	functions_print(c, json_object_get(d, "functions"));
	(void)fputc('\n', c->out);
	json_array_foreach(json_object_get(d, "remarks"), i, remark)
	{
		text_put(c->out, json_string_value(remark));
		(void)fputc('\n', c->out);
	}
}

static int compile_run(struct cli *c)
{
	const struct args *a = &c->args;
	const char *out = args_text(a, "output");
	struct aot_job_options o = compile_options_of(a);
	o.target = args_text(a, "target");
	o.cpu = args_text(a, "cpu");
	o.details = args_flag(a, "details");
	OWN_FD so = -1;
	OWN_FREE char *text = NULL;
	size_t bytes;
	if (!out)
		return cli_fail(c, CODE_USAGE, "penstock compile FILE.wasm -o FILE.so",
				"-o is missing");
	int code = compile_file(c, &o, &so, &text);
	if (code == CODE_OK)
		code = so_write(c, so, out, &bytes);
	if (code != CODE_OK)
		return code;
	OWN_JSON *report = json_loads(text, JSON_ALLOW_NUL, NULL);
	if (cli_json(c)) {
		json_print(c, report);
		return CODE_OK;
	}
	(void)fprintf(c->out, "compiled ");
	text_put(c->out, out);
	(void)fprintf(c->out, "  %zu bytes, %.0f functions, in %.0f ms, for ", bytes,
		      json_num(report, "functions"), json_num(report, "wall_ms"));
	text_put(c->out, json_text(report, "cpu"));
	(void)fputc('\n', c->out);
	notes_print(c, report);
	if (o.details)
		details_print(c, report);
	return CODE_OK;
}

const struct command command_compile = {
	.name = "compile",
	.group = GROUP,
	.summary = "Compile a module to a shared object",
	.usage = "FILE.wasm -o FILE.so [options]",
	.more = "To look at the code (objdump -d, gdb); gateways compile for themselves, from the\n"
		"signed module. --details says where the time went, how large each function became "
		"and\n"
		"which loops were vectorised or why not; build the module with -g for file and "
		"line.",
	.options = compile_rows,
	.noptions = ARRAY_LEN(compile_rows),
	.needs = "FILE.wasm",
	.least_args = 1,
	.most_args = 1,
	.prints_data = true,
	.may = MAY_REFUSE | MAY_LACK_FILE,
	.run = compile_run,
};
