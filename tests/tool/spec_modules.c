/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec_modules FILE.json...: decodes every module of the WebAssembly test suite, as wast2json wrote
 * it, SIMD included. Modules must be accepted, assert_invalid and binary assert_malformed must be
 * refused. Prints one line a file: ok NAME - counts, or not ok NAME - the first difference.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "sandbox/wasm/module.h"

enum { ARENA_BYTES = 256 << 20 };

struct tally {
	unsigned modules, invalid, malformed, wrong;
	char first[700];
};

/* malloc'd bytes of dir/name; NULL if it cannot be read. */
static uint8_t *slurp(const char *dir, int dir_len, const char *name, size_t *ret_len)
{
	char path[4096];
	(void)snprintf(path, sizeof(path), "%.*s%s", dir_len, dir, name);
	FILE *f = fopen(path, "rb");
	if (!f)
		return NULL;
	(void)fseek(f, 0, SEEK_END);
	long size = ftell(f);
	rewind(f);
	uint8_t *bytes = size >= 0 ? malloc((size_t)size + 1) : NULL;
	if (bytes)
		*ret_len = fread(bytes, 1, (size_t)size, f);
	(void)fclose(f);
	return bytes;
}

static void wrong(struct tally *t, long line, const char *what, const char *detail)
{
	if (t->wrong++ == 0)
		(void)snprintf(t->first, sizeof(t->first), "line %ld: %s: %s", line, what, detail);
}

static void command(struct tally *t, const char *json, const json_t *c)
{
	const char *type = json_string_value(json_object_get(c, "type"));
	const char *file = json_string_value(json_object_get(c, "filename"));
	const char *form = json_string_value(json_object_get(c, "module_type"));
	const char *text = json_string_value(json_object_get(c, "text"));
	long line = (long)json_integer_value(json_object_get(c, "line"));
	bool invalid = strcmp(type, "assert_invalid") == 0;
	bool malformed = strcmp(type, "assert_malformed") == 0;
	if (!file || (form && strcmp(form, "binary") != 0))
		return; /* the text format is the text parser's */
	size_t len = 0;
	const char *slash = strrchr(json, '/');
	OWN_FREE uint8_t *bytes = slurp(json, slash ? (int)(slash + 1 - json) : 0, file, &len);
	if (!bytes) {
		wrong(t, line, "cannot read", file);
		return;
	}
	struct arena a;
	struct why why = { 0 };
	const struct wasm_module *m;
	arena_init(&a, ARENA_BYTES);
	int err = module_decode(bytes, len, &a, &m, &why);
	t->modules += !invalid && !malformed;
	t->invalid += invalid;
	t->malformed += malformed;
	if (!invalid && !malformed && err < 0)
		wrong(t, line, "refused", why_text(&why, err));
	else if ((invalid || malformed) && err == 0)
		wrong(t, line, "accepted, though", text);
	else if (invalid && err != -E_INVALID &&
		 err != -E_UNSUPPORTED) /* valid in later versions */
		wrong(t, line, why_name(err), why_text(&why, err));
	if (getenv("VERBOSE") && err < 0)
		printf("# line %ld: %s\n#\t%s\n", line, text ? text : type, why_text(&why, err));
	arena_fini(&a);
}

static bool file(const char *json)
{
	const char *slash = strrchr(json, '/');
	const char *name = slash ? slash + 1 : json;
	int name_len = (int)strcspn(name, ".");
	json_error_t e;
	json_t *root = json_load_file(json, JSON_ALLOW_NUL, &e);
	if (!root) {
		printf("not ok spec_modules/%.*s - %s\n", name_len, name, e.text);
		return false;
	}
	struct tally t = { 0 };
	size_t i;
	json_t *c;
	json_array_foreach(json_object_get(root, "commands"), i, c) command(&t, json, c);
	json_decref(root);
	if (t.wrong)
		printf("not ok spec_modules/%.*s - %u wrong, first %s\n", name_len, name, t.wrong,
		       t.first);
	else
		printf("ok spec_modules/%.*s - %u modules, %u invalid, %u malformed\n", name_len,
		       name, t.modules, t.invalid, t.malformed);
	return t.wrong == 0;
}

int main(int argc, char **argv)
{
	bool ok = argc > 1;
	for (int i = 1; i < argc; i++)
		ok = file(argv[i]) && ok;
	return ok ? 0 : 1;
}
