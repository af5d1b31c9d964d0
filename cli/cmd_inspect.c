/* SPDX-License-Identifier: Apache-2.0 */
/* inspect: what a module is, needs and says of itself */
#include <sodium.h>
#include <string.h>

#include "base/own.h"
#include "cli/client.h"
#include "cli/inspect_stack.h"
#include "cli/sheet.h"
#include "cli/text.h"
#include "proto/envelope.h"
#include "proto/manifest_sheet.h"
#include "proto/signature.h"
#include "sandbox/wasm/features.h"
#include "sandbox/wasm/module.h"

#define GROUP "Modules, without a gateway"

#define ARENA_BYTES ((size_t)1 << 30)

enum { LABEL_COLUMN = 12 };

static const char *const extern_names[] = { "func", "table", "memory", "global" };

static const char *type_name(uint8_t code)
{
	static const struct {
		uint8_t code;
		const char *name;
	} names[] = { { AOT_I32, "i32" },
		      { AOT_I64, "i64" },
		      { AOT_F32, "f32" },
		      { AOT_F64, "f64" },
		      { AOT_V128, "v128" },
		      { AOT_FUNCREF, "funcref" },
		      { AOT_EXTERNREF, "externref" } };
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (names[i].code == code)
			return names[i].name;
	}
	return "?";
}

/* A name from the module as a JSON string: it was checked to be UTF-8, and may hold NUL. */
static json_t *name_json(struct span s)
{
	return json_stringn(s.len ? (const char *)s.at : "", s.len);
}

/* "(i32 i32) -> (i32)" */
static json_t *signature_json(const struct aot_functype *t)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	ENSURE(f);
	(void)fputc('(', f);
	for (uint32_t i = 0; i < t->nparams + t->nresults; i++) {
		if (i == t->nparams)
			(void)fputs(") -> (", f);
		else if (i > 0)
			(void)fputc(' ', f);
		(void)fputs(type_name(t->types[i]), f);
	}
	(void)fputc(')', f);
	ENSURE(fclose(f) == 0 && text);
	json_t *j = json_string(text);
	free(text);
	return j;
}

static json_t *imports_json(const struct wasm_module *m)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < m->nimports; i++) {
		const struct wasm_import *im = &m->imports[i];
		json_t *j = json_pack("{s:o, s:o, s:s}", "module", name_json(im->module), "name",
				      name_json(im->name), "kind", extern_names[im->kind]);
		if (im->kind == AOT_EXT_FUNC)
			(void)json_object_set_new(j, "type", signature_json(&m->types[im->type]));
		(void)json_array_append_new(list, j);
	}
	return list;
}

static json_t *exports_json(const struct wasm_module *m)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < m->nexports; i++) {
		const struct wasm_export *e = &m->exports[i];
		json_t *j = json_pack("{s:o, s:s}", "name", name_json(e->name), "kind",
				      extern_names[e->kind]);
		if (e->kind == AOT_EXT_FUNC)
			(void)json_object_set_new(
				j, "type", signature_json(&m->types[m->funcs[e->index].type]));
		(void)json_array_append_new(list, j);
	}
	return list;
}

static bool has_export(const struct wasm_module *m, const char *name)
{
	for (uint32_t i = 0; i < m->nexports; i++) {
		if (m->exports[i].kind == AOT_EXT_FUNC && span_eq(m->exports[i].name, name))
			return true;
	}
	return false;
}

static const char *shape_of(const struct wasm_module *m)
{
	if (has_export(m, "on_event"))
		return "reactor";
	return has_export(m, "_start") ? "command" : "library";
}

static json_t *customs_json(const struct wasm_module *m)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < m->ncustoms; i++)
		(void)json_array_append_new(list, json_pack("{s:o, s:I}", "name",
							    name_json(m->customs[i].name), "bytes",
							    (json_int_t)m->customs[i].payload.len));
	return list;
}

static json_t *features_json(const struct wasm_module *m)
{
	json_t *list = json_array();
	uint32_t uses = wasm_features(m);
	for (int i = 0; i < WASM_FEATURE_COUNT; i++) {
		if (uses & 1u << i)
			(void)json_array_append_new(list, json_string(wasm_feature_name(i)));
	}
	return list;
}

static json_t *memory_json(const struct wasm_module *m)
{
	if (m->nmemories == 0)
		return json_null();
	if (m->memory.max == UINT32_MAX)
		return json_pack("{s:I, s:n}", "min_pages", (json_int_t)m->memory.min, "max_pages");
	return json_pack("{s:I, s:I}", "min_pages", (json_int_t)m->memory.min, "max_pages",
			 (json_int_t)m->memory.max);
}

/* The key ids that the signatures name; not a check. "problem" where they make no sense. */
static void signatures_add(json_t *to, struct span module)
{
	struct sig_seen seen[SIG_SIGNATURES_MAX];
	struct why why = { 0 };
	size_t n = 0;
	json_t *list = json_array();
	int err = sig_list(module, seen, ARRAY_LEN(seen), &n, &why);
	for (size_t i = 0; i < n; i++) {
		OWN_FREE char *hex = malloc(seen[i].key_id.len * 2 + 1);
		ENSURE(hex);
		(void)sodium_bin2hex(hex, seen[i].key_id.len * 2 + 1, seen[i].key_id.at,
				     seen[i].key_id.len);
		(void)json_array_append_new(list, json_pack("{s:s, s:b}", "key_id", hex,
							    "covers_all", (int)seen[i].covers));
	}
	(void)json_object_set_new(to, "signatures", list);
	if (err < 0)
		(void)json_object_set_new(to, "signature_problem",
					  json_string(why_text(&why, err)));
}

static void manifest_add(json_t *to, struct span module, struct arena *arena)
{
	struct manifest m;
	struct span json;
	struct why why = { 0 };
	int err = manifest_from_module(module, &manifest_limits_any, arena, &m, &json, &why);
	if (err < 0)
		(void)json_object_set_new(to, "manifest_problem", json_string(why_text(&why, err)));
	else if (json.len > 0)
		(void)json_object_set_new(to, "manifest", manifest_sheet(&m));
}

static json_t *module_json(const struct wasm_module *m, struct arena *arena)
{
	json_t *j = json_pack("{s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}",
			      "bytes", (json_int_t)m->bytes.len, "shape", shape_of(m), "types",
			      (json_int_t)m->ntypes, "functions",
			      (json_int_t)(m->nfuncs - m->nimported_funcs), "imported_functions",
			      (json_int_t)m->nimported_funcs, "tables", (json_int_t)m->ntables,
			      "globals", (json_int_t)m->nglobals, "memory", memory_json(m),
			      "imports", imports_json(m), "exports", exports_json(m),
			      "custom_sections", customs_json(m), "features", features_json(m));
	ENSURE(j);
	signatures_add(j, m->bytes);
	manifest_add(j, m->bytes, arena);
	return j;
}

/* ---- for people ---- */

static void label(const char *s, FILE *out)
{
	(void)fprintf(out, "%-*s", LABEL_COLUMN, s);
}

static void string_put(const json_t *o, const char *key, FILE *out)
{
	const json_t *s = json_object_get(o, key);
	text_put_n(out, json_string_value(s), json_string_length(s));
}

static void externs_print(const char *heading, const json_t *list, FILE *out)
{
	size_t i;
	json_t *e;
	json_array_foreach(list, i, e)
	{
		label(i == 0 ? heading : "", out);
		if (json_object_get(e, "module")) {
			string_put(e, "module", out);
			(void)fputc('.', out);
		}
		string_put(e, "name", out);
		(void)fprintf(out, "  %s %s\n", json_text(e, "kind"), json_text(e, "type"));
	}
}

static void memory_print(const json_t *memory, FILE *out)
{
	char least[32], most[32];
	const json_t *max = json_object_get(memory, "max_pages");
	if (!json_is_object(memory))
		return;
	uint64_t min_bytes = (uint64_t)json_num(memory, "min_pages") * AOT_PAGE_BYTES;
	uint64_t max_bytes = (uint64_t)json_num(memory, "max_pages") * AOT_PAGE_BYTES;
	label("memory", out);
	(void)fprintf(out, "%s at start, %s\n", manifest_size_text(min_bytes, least, sizeof(least)),
		      json_is_null(max) ? "no bound of its own"
					: manifest_size_text(max_bytes, most, sizeof(most)));
}

static void signatures_print(const json_t *j, FILE *out)
{
	size_t i;
	json_t *s;
	const char *problem = json_text(j, "signature_problem");
	json_array_foreach(json_object_get(j, "signatures"), i, s)
	{
		bool covers = json_is_true(json_object_get(s, "covers_all"));
		label(i == 0 ? "signed" : "", out);
		(void)fprintf(out, "by key %s%s; penstock verify checks it\n",
			      json_text(s, "key_id")[0] ? json_text(s, "key_id") : "(not named)",
			      covers ? "" : ", but not over these bytes");
	}
	if (problem[0]) {
		label("signed", out);
		(void)fputs("no: ", out);
		text_put(out, problem);
		(void)fputc('\n', out);
	}
}

static void people_print(const json_t *j, FILE *out)
{
	size_t i;
	json_t *s;
	label("shape", out);
	(void)fprintf(out, "%s, %.0f bytes\n", json_text(j, "shape"), json_num(j, "bytes"));
	label("has", out);
	(void)fprintf(out, "%.0f functions, %.0f imported, %.0f types, %.0f tables, %.0f globals\n",
		      json_num(j, "functions"), json_num(j, "imported_functions"),
		      json_num(j, "types"), json_num(j, "tables"), json_num(j, "globals"));
	label("features", out);
	json_array_foreach(json_object_get(j, "features"), i, s)(void)
		fprintf(out, "%s%s", i > 0 ? ", " : "", json_string_value(s));
	(void)fputs(json_array_size(json_object_get(j, "features")) ? "\n" : "none beyond 1.0\n",
		    out);
	memory_print(json_object_get(j, "memory"), out);
	inspect_stack_print(json_object_get(j, "stack"), LABEL_COLUMN, out);
	externs_print("imports", json_object_get(j, "imports"), out);
	externs_print("exports", json_object_get(j, "exports"), out);
	json_array_foreach(json_object_get(j, "custom_sections"), i, s)
	{
		label(i == 0 ? "custom" : "", out);
		string_put(s, "name", out);
		(void)fprintf(out, "  %.0f bytes\n", json_num(s, "bytes"));
	}
	signatures_print(j, out);
	label("manifest", out);
	if (json_object_get(j, "manifest"))
		sheet_print(json_object_get(j, "manifest"), out);
	else if (json_text(j, "manifest_problem")[0])
		text_put(out, json_text(j, "manifest_problem"));
	else
		(void)fputs("none: default limits, no capabilities", out);
	if (!json_object_get(j, "manifest"))
		(void)fputc('\n', out);
}

static int inspect_run(struct cli *c)
{
	const char *path = cli_arg(c, 0);
	struct why why = { 0 };
	OWN_BYTES file = { 0 };
	const struct wasm_module *m;
	struct arena arena;
	if (sig_init() < 0)
		return cli_fail(c, CODE_FAILED, NULL, "the cryptography library cannot start");
	if (file_read(path, FILE_MODULE_MAX, &file, &why) < 0)
		return cli_fail(c, CODE_NOFILE, NULL, "%s", why.text);
	arena_init(&arena, ARENA_BYTES);
	int err = module_decode(file.at, file.len, &arena, &m, &why);
	int code = CODE_OK;
	if (err == 0) {
		OWN_JSON *j = module_json(m, &arena);
		if (!args_flag(&c->args, "quick"))
			(void)json_object_set_new(j, "stack", inspect_stack(m));
		if (cli_json(c))
			json_print(c, j);
		else
			people_print(j, c->out);
	} else {
		code = cli_fail(c, CODE_REFUSED, NULL, "%s: %s", path, why_text(&why, err));
	}
	arena_fini(&arena);
	return code;
}

static const struct option_row inspect_rows[] = {
	{ "quick", 0, OPT_FLAG, NULL, "without compiling it, so without its stack", 0, 0 },
};

const struct command command_inspect = {
	.name = "inspect",
	.group = GROUP,
	.summary = "Show what a module is, needs and asks for",
	.usage = "FILE.wasm",
	.more = "Decodes and validates it as a gateway would. Signatures are shown, not checked:\n"
		"penstock verify does that. The stack is what the code compiled for this machine\n"
		"takes: its largest frame, and where no function can call itself, a proven bound.",
	.options = inspect_rows,
	.noptions = ARRAY_LEN(inspect_rows),
	.needs = "FILE.wasm",
	.least_args = 1,
	.most_args = 1,
	.prints_data = true,
	.may = MAY_REFUSE | MAY_LACK_FILE,
	.run = inspect_run,
};
