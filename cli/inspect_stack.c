/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/inspect_stack.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "cli/client.h"
#include "cli/text.h"
#include "proto/aot_job.h"
#include "proto/ipc.h"
#include "sandbox/wasm/callgraph.h"

/* A leaf function may use so much below its frame. */
enum { RED_ZONE_BYTES = 128 };

static json_t *unknown(const char *why)
{
	return json_pack("{s:s}", "unknown", why);
}

/* The report with details, or NULL and the reason. */
static json_t *compile(const struct wasm_module *m, struct why *why)
{
	const struct aot_job_options o = { .opt = -1, .details = true };
	OWN_FD so = -1;
	OWN_FREE char *text = NULL;
	OWN_FD wasm = ipc_memfd("penstock-module", &m->bytes, 1);
	if (wasm < 0 || aot_job_run(wasm, &o, &so, &text, why) < 0)
		return NULL;
	return json_loads(text, JSON_ALLOW_NUL, NULL);
}

static json_t *func_name(const struct wasm_module *m, uint32_t func)
{
	struct span s = m->funcs[func].name;
	return s.len > 0 ? json_stringn((const char *)s.at, s.len) : json_sprintf("f%u", func);
}

/* Frames by function index, and the function that has the largest. */
static uint64_t *frames_of(const struct wasm_module *m, const json_t *functions, uint32_t *ret_most)
{
	uint64_t *frames = calloc(m->nfuncs + 1u, sizeof(*frames));
	size_t i;
	json_t *f;
	ENSURE(frames);
	*ret_most = m->nimported_funcs;
	json_array_foreach(functions, i, f)
	{
		double index = json_num(f, "index");
		if (index < 0 || index >= m->nfuncs)
			continue;
		uint32_t func = (uint32_t)index;
		frames[func] = (uint64_t)json_num(f, "frame_bytes");
		if (frames[func] > frames[*ret_most])
			*ret_most = func;
	}
	return frames;
}

static void bound_add(json_t *to, const struct wasm_module *m, const uint64_t *frames)
{
	static const char *const reasons[] = {
		[CALLGRAPH_RECURSION] = "a function can call itself, perhaps through others",
		[CALLGRAPH_IMPORTED_TABLE] = "calls go through an imported table",
	};
	struct callgraph_bound b;
	if (callgraph_bound(m, frames, &b) < 0) {
		(void)json_object_set_new(to, "bound_bytes", json_null());
		(void)json_object_set_new(to, "unbounded", json_string("out of memory"));
	} else if (b.result == CALLGRAPH_BOUNDED) {
		uint64_t bytes = b.bytes ? b.bytes + RED_ZONE_BYTES : 0;
		(void)json_object_set_new(to, "bound_bytes", json_integer((json_int_t)bytes));
		if (b.bytes > 0)
			(void)json_object_set_new(to, "entry", func_name(m, b.func));
	} else {
		(void)json_object_set_new(to, "bound_bytes", json_null());
		(void)json_object_set_new(to, "unbounded", json_string(reasons[b.result]));
		(void)json_object_set_new(to, "function", func_name(m, b.func));
	}
}

json_t *inspect_stack(const struct wasm_module *m)
{
	struct why why = { 0 };
	uint32_t most;
	if (m->nfuncs == m->nimported_funcs)
		return json_null();
	OWN_JSON *report = compile(m, &why);
	if (!report)
		return unknown(why.text[0] ? why.text : "the compiler gave no report");
	const json_t *functions = json_object_get(json_object_get(report, "details"), "functions");
	if (!functions)
		return unknown("the module has too many functions");
	OWN_FREE uint64_t *frames = frames_of(m, functions, &most);
	json_t *j =
		json_pack("{s:{s:o, s:I}, s:O}", "largest_frame", "function", func_name(m, most),
			  "bytes", (json_int_t)frames[most], "cpu", json_object_get(report, "cpu"));
	ENSURE(j);
	bound_add(j, m, frames);
	return j;
}

static void name_put(const json_t *o, const char *key, FILE *out)
{
	const json_t *s = json_object_get(o, key);
	text_put_n(out, json_string_value(s), json_string_length(s));
}

void inspect_stack_print(const json_t *stack, int label_column, FILE *out)
{
	const json_t *largest = json_object_get(stack, "largest_frame");
	const json_t *bound = json_object_get(stack, "bound_bytes");
	if (!json_is_object(stack))
		return;
	(void)fprintf(out, "%-*s", label_column, "stack");
	if (!largest) {
		(void)fputs("unknown: ", out);
		text_put(out, json_text(stack, "unknown"));
		(void)fputc('\n', out);
		return;
	}
	if (json_is_integer(bound)) {
		(void)fprintf(out, "at most %lld bytes", (long long)json_integer_value(bound));
		if (json_object_get(stack, "entry")) {
			(void)fputs(", in ", out);
			name_put(stack, "entry", out);
		}
	} else {
		(void)fputs("no bound: ", out);
		text_put(out, json_text(stack, "unbounded"));
		(void)fputs(", as ", out);
		name_put(stack, "function", out);
	}
	(void)fprintf(out, "\n%-*slargest frame %.0f bytes, of ", label_column, "",
		      json_num(largest, "bytes"));
	name_put(largest, "function", out);
	(void)fputs("; compiled for ", out);
	text_put(out, json_text(stack, "cpu"));
	(void)fputc('\n', out);
}
