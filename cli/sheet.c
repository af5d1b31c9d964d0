/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/sheet.h"

#include <stdbool.h>
#include <string.h>

#include "cli/client.h"
#include "cli/text.h"
#include "proto/manifest.h"

/* ---- what there is to say, one row each ---- */

/* is_offered: by this version. What is not is granted to nobody, whatever a manifest asks for. */
static const struct {
	const char *key, *label;
	bool is_offered;
	const char *none;
} lists[] = {
	{ "publish", "publish to", true, "only its bindings' topics" },
	{ "buckets", "share state in", true, "no bucket" },
	{ "io", "set output", true, "none" },
	{ "models", "use models", false, NULL },
	{ "http", "call hosts", false, NULL },
};

static const struct {
	const char *key, *label;
	const char *unit;      /* NULL: a size */
	const uint32_t *usual; /* not worth a line when it is that; NULL: always */
} limits[] = {
	{ "memory_bytes", "memory", NULL, NULL },
	{ "stack_bytes", "stack", NULL, NULL },
	{ "output_bytes", "output", NULL, NULL },
	{ "cpu_ms", "CPU per event", " ms", NULL },
	{ "deadline_ms", "time per event", " ms", NULL },
	{ "events_per_s", "events", " per s", &manifest_limits_default.events_per_s },
	{ "concurrency", "at a time", " events", &manifest_limits_default.concurrency },
	{ "host_calls", "calls per event", "", &manifest_limits_default.host_calls },
	{ "log_lines_per_s", "log", " lines per s", &manifest_limits_default.log_lines_per_s },
};

enum { LABEL_COLUMN = 16 };

/* ---- printing ---- */

static void label_put(const char *label, FILE *out)
{
	(void)fprintf(out, "  %-*s", LABEL_COLUMN, label);
}

static void list_put(const json_t *list, const char *none, FILE *out)
{
	size_t i;
	json_t *v;
	json_array_foreach(list, i, v)
	{
		const char *s = json_string_value(v);
		if (i > 0)
			(void)fputs(", ", out);
		text_put(out, s ? s : "?");
	}
	if (json_array_size(list) == 0)
		(void)fputs(none, out);
}

static void limit_put(double v, const char *unit, FILE *out)
{
	char buf[32];
	if (!unit)
		(void)fputs(manifest_size_text((uint64_t)v, buf, sizeof(buf)), out);
	else
		(void)fprintf(out, "%.0f%s", v, unit);
}

static void bindings_put(const json_t *list, FILE *out)
{
	size_t i;
	json_t *b;
	json_array_foreach(list, i, b)
	{
		label_put(i == 0 ? "suggests" : "", out);
		text_put(out, json_text(b, "mqtt"));
		if (json_text(b, "publish")[0]) {
			(void)fputs(" -> ", out);
			text_put(out, json_text(b, "publish"));
		}
		(void)fputc('\n', out);
	}
}

/* "not offered yet: io, models" */
static void not_offered_put(const json_t *capabilities, FILE *out)
{
	const char *before = "  not offered yet: ";
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		if (lists[i].is_offered ||
		    json_array_size(json_object_get(capabilities, lists[i].key)) == 0)
			continue;
		(void)fprintf(out, "%s%s", before, lists[i].key);
		before = ", ";
	}
	if (before[0] == ',')
		(void)fputc('\n', out);
}

void sheet_print(const json_t *sheet, FILE *out)
{
	const json_t *capabilities = json_object_get(sheet, "capabilities");
	const json_t *bounds = json_object_get(sheet, "limits");
	const char *name = json_text(sheet, "name");
	text_put(out, name[0] ? name : "(no name)");
	(void)fputc(' ', out);
	text_put(out, json_text(sheet, "version"));
	if (json_text(sheet, "description")[0]) {
		(void)fputs("  ", out);
		text_put(out, json_text(sheet, "description"));
	}
	(void)fputs("\nmay\n", out);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		if (!lists[i].is_offered)
			continue;
		label_put(lists[i].label, out);
		list_put(json_object_get(capabilities, lists[i].key), lists[i].none, out);
		(void)fputc('\n', out);
	}
	label_put("remember", out);
	bool remembers = json_is_true(json_object_get(capabilities, "state"));
	(void)fputs(remembers ? "what it wants, in its own bucket\n" : "nothing\n", out);
	not_offered_put(capabilities, out);
	(void)fputs("uses at most\n", out);
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		double v = json_num(bounds, limits[i].key);
		if (limits[i].usual && v == *limits[i].usual)
			continue;
		label_put(limits[i].label, out);
		limit_put(v, limits[i].unit, out);
		(void)fputc('\n', out);
	}
	if (strcmp(json_text(sheet, "criticality"), "high") == 0)
		(void)fputs("goes before others under overload (criticality high)\n", out);
	bindings_put(json_object_get(sheet, "bindings"), out);
}

/* ---- differences ---- */

static bool list_has(const json_t *list, const json_t *v)
{
	size_t i;
	json_t *have;
	json_array_foreach(list, i, have)
	{
		if (json_equal(have, v))
			return true;
	}
	return false;
}

/* What stands in a and not in b. */
static unsigned list_diff(const json_t *a, const json_t *b, char sign, size_t which, FILE *out)
{
	size_t i;
	unsigned n = 0;
	json_t *v;
	json_array_foreach(a, i, v)
	{
		if (list_has(b, v))
			continue;
		const char *s = json_string_value(v);
		(void)fprintf(out, "  %c %s ", sign, lists[which].label);
		text_put(out, s ? s : "?");
		(void)fputs(lists[which].is_offered ? "\n" : " (not offered yet)\n", out);
		n++;
	}
	return n;
}

static unsigned limits_diff(const json_t *before, const json_t *after, FILE *out)
{
	unsigned n = 0;
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		double was = json_num(before, limits[i].key), is = json_num(after, limits[i].key);
		if (was == is)
			continue;
		(void)fprintf(out, "  %c %s ", is > was ? '+' : '-', limits[i].label);
		limit_put(was, limits[i].unit, out);
		(void)fputs(" -> ", out);
		limit_put(is, limits[i].unit, out);
		(void)fputc('\n', out);
		n++;
	}
	return n;
}

void sheet_diff_print(const json_t *before, const json_t *after, FILE *out)
{
	const json_t *old = json_object_get(before, "capabilities");
	const json_t *new = json_object_get(after, "capabilities");
	unsigned n = 0;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		const json_t *a = json_object_get(old, lists[i].key);
		const json_t *b = json_object_get(new, lists[i].key);
		n += list_diff(b, a, '+', i, out);
		n += list_diff(a, b, '-', i, out);
	}
	bool had = json_is_true(json_object_get(old, "state"));
	bool has = json_is_true(json_object_get(new, "state"));
	if (had != has)
		(void)fprintf(out, "  %c remember from event to event\n", has ? '+' : '-');
	n += had != has;
	n += limits_diff(json_object_get(before, "limits"), json_object_get(after, "limits"), out);
	if (strcmp(json_text(before, "criticality"), json_text(after, "criticality")) != 0)
		n += fprintf(out, "  %c criticality %s\n",
			     strcmp(json_text(after, "criticality"), "high") == 0 ? '+' : '-',
			     json_text(after, "criticality")) > 0;
	if (n == 0)
		(void)fputs("  nothing that it may or uses\n", out);
}
