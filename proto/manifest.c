/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/manifest.h"

#include <errno.h>
#include <jansson.h>
#include <stddef.h>
#include <string.h>

#include "proto/kinds.h"
#include "proto/semver.h"
#include "proto/topic.h"

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)

enum {
	TEXT_MAX = 255,         /* of an entry in a list */
	DESCRIPTION_MAX = 4096, /* bytes */
	EVENTS_PER_S_MAX = 1000000,
};

const struct manifest_limits manifest_limits_default = {
	.memory_bytes = 16 * MIB,
	.stack_bytes = 256 * KIB,
	.output_bytes = 1 * MIB,
	.cpu_ms = 100,
	.deadline_ms = 10000,
	.events_per_s = EVENTS_PER_S_MAX,
	.concurrency = 128,
	.host_calls = 1000000,
	.log_lines_per_s = 200,
};

const struct manifest_limits manifest_limits_most = {
	.memory_bytes = 256 * MIB,
	.stack_bytes = 8 * MIB,
	.output_bytes = 16 * MIB,
	.cpu_ms = 10000,
	.deadline_ms = 600000,
	.events_per_s = EVENTS_PER_S_MAX,
	.concurrency = 1024,
	.host_calls = UINT32_MAX,
	.log_lines_per_s = 10000,
};

const struct manifest_limits manifest_limits_any = {
	.memory_bytes = UINT64_C(4) << 30,
	.stack_bytes = UINT32_MAX,
	.output_bytes = UINT32_MAX,
	.cpu_ms = UINT32_MAX,
	.deadline_ms = UINT32_MAX,
	.events_per_s = UINT32_MAX,
	.concurrency = UINT32_MAX,
	.host_calls = UINT32_MAX,
	.log_lines_per_s = UINT32_MAX,
};

/* What is being read: so that every error can name the place. */
struct reading {
	const struct manifest_limits *most;
	struct arena *arena;
	struct manifest *m;
	struct why *why;
};

/* ---- values ---- */

static int wrong_type(struct reading *r, const char *field, const char *wanted)
{
	return why_set(r->why, -E_INVALID, "manifest: %s must be %s", field, wanted);
}

static int out_of_memory(struct reading *r)
{
	return why_set(r->why, -ENOMEM, "manifest: no memory left for it");
}

/* A copy of a JSON string in the arena: 0..max bytes. jansson has checked that it is UTF-8 and
 * without NUL; control characters have no place in a manifest. */
static int text_read(struct reading *r, const char *field, const json_t *v, size_t max,
		     const char **ret)
{
	if (!json_is_string(v))
		return wrong_type(r, field, "a string");
	const char *s = json_string_value(v);
	size_t len = json_string_length(v);
	if (len > max)
		return why_set(r->why, -E_INVALID,
			       "manifest: %s has %zu bytes, at most %zu are allowed", field, len,
			       max);
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
			return why_set(r->why, -E_INVALID,
				       "manifest: %s has a control character at byte %zu", field,
				       i);
	}
	*ret = arena_strndup(r->arena, s, len);
	return *ret ? 0 : out_of_memory(r);
}

/* ---- limits ---- */

#define LIMIT_ROW(name, member, unit, least)                                                       \
	{                                                                                          \
		name, offsetof(struct manifest_limits, member),                                    \
			sizeof(((struct manifest_limits *)0)->member), unit, least                 \
	}

static const struct limit {
	const char *name;
	size_t offset, bytes;
	const char *unit; /* NULL: "2MiB" or a number of bytes; else a number of these */
	uint64_t least;
} limit_rows[] = {
	LIMIT_ROW("memory", memory_bytes, NULL, 0),
	LIMIT_ROW("stack", stack_bytes, NULL, 16 * KIB),
	LIMIT_ROW("output", output_bytes, NULL, 0),
	LIMIT_ROW("cpu_ms", cpu_ms, " ms", 1),
	LIMIT_ROW("deadline_ms", deadline_ms, " ms", 1),
	LIMIT_ROW("events_per_s", events_per_s, "", 1),
	LIMIT_ROW("concurrency", concurrency, "", 1),
	LIMIT_ROW("host_calls", host_calls, "", 0),
	LIMIT_ROW("log_lines_per_s", log_lines_per_s, "", 0),
};

static uint64_t limit_get(const struct manifest_limits *l, const struct limit *row)
{
	const char *at = (const char *)l + row->offset;
	uint32_t small;
	uint64_t large;
	memcpy(&small, at, sizeof(small));
	if (row->bytes == sizeof(small))
		return small;
	memcpy(&large, at, sizeof(large));
	return large;
}

/* After the check against `most`, which is of the same width. */
static void limit_set(struct manifest_limits *l, const struct limit *row, uint64_t v)
{
	char *at = (char *)l + row->offset;
	uint32_t small = (uint32_t)v;
	if (row->bytes == sizeof(small))
		memcpy(at, &small, sizeof(small));
	else
		memcpy(at, &v, sizeof(v));
}

static int limit_read(struct reading *r, const struct limit *row, const json_t *v)
{
	uint64_t value;
	char wish[32], bound[32];
	if (json_is_integer(v) && json_integer_value(v) >= 0)
		value = (uint64_t)json_integer_value(v);
	else if (row->unit || !json_is_string(v) ||
		 !manifest_size_parse(json_string_value(v), &value))
		return why_set(r->why, -E_INVALID, "manifest: limits.%s must be %s", row->name,
			       !row->unit     ? "a size such as \"2MiB\" or a number of bytes"
			       : row->unit[0] ? "a whole number of milliseconds"
					      : "a whole number");
	uint64_t most = limit_get(r->most, row);
	if (value < row->least)
		return why_set(r->why, -E_INVALID,
			       "manifest: limits.%s is %s, it must be at least %s", row->name,
			       manifest_size_text(value, wish, sizeof(wish)),
			       manifest_size_text(row->least, bound, sizeof(bound)));
	const char *who = r->most == &manifest_limits_any ? "no gateway grants more than"
							  : "this gateway grants at most";
	if (value > most && !row->unit)
		return why_set(r->why, -E_LIMIT, "manifest: limits.%s asks for %s, %s %s",
			       row->name, manifest_size_text(value, wish, sizeof(wish)), who,
			       manifest_size_text(most, bound, sizeof(bound)));
	if (value > most)
		return why_set(r->why, -E_LIMIT, "manifest: limits.%s asks for %llu%s, %s %llu%s",
			       row->name, (unsigned long long)value, row->unit, who,
			       (unsigned long long)most, row->unit);
	limit_set(&r->m->limits, row, value);
	return 0;
}

/* ---- objects: every key has a row, a key without one is an error ---- */

struct key {
	const char *name;
	int (*read)(struct reading *r, const char *field, const json_t *v, void *into);
	bool required;
};

#define SHOWN 40 /* bytes of a foreign key in a message */

static int object_read(struct reading *r, const char *where, const json_t *v,
		       const struct key *keys, size_t nkeys, void *into)
{
	char field[128];
	const char *name;
	const char *dot = where[0] ? "." : "";
	json_t *child;
	if (!json_is_object(v))
		return wrong_type(r, where[0] ? where : "the whole", "an object { ... }");
	/* jansson's iteration macro wants an object that is not const; it does not change it. */
	json_object_foreach((json_t *)v, name, child)
	{
		const struct key *k = keys;
		while (k < keys + nkeys && strcmp(k->name, name) != 0)
			k++;
		if (k == keys + nkeys)
			return why_set(r->why, -E_INVALID,
				       "manifest: %s%s%.*s is not a key that is known", where, dot,
				       SHOWN, name);
		(void)snprintf(field, sizeof(field), "%s%s%s", where, dot, k->name);
		int err = k->read(r, field, child, into);
		if (err < 0)
			return err;
	}
	for (size_t i = 0; i < nkeys; i++) {
		if (keys[i].required && !json_object_get(v, keys[i].name))
			return why_set(r->why, -E_INVALID, "manifest: %s%s%s is missing", where,
				       dot, keys[i].name);
	}
	return 0;
}

static int limits_read(struct reading *r, const char *field, const json_t *v, void *into)
{
	const char *name;
	json_t *child;
	(void)into;
	if (!json_is_object(v))
		return wrong_type(r, field, "an object { ... }");
	json_object_foreach((json_t *)v, name, child)
	{
		const struct limit *row = limit_rows;
		while (row < limit_rows + ARRAY_LEN(limit_rows) && strcmp(row->name, name) != 0)
			row++;
		if (row == limit_rows + ARRAY_LEN(limit_rows))
			return why_set(r->why, -E_INVALID,
				       "manifest: limits.%.*s is not a key that is known", SHOWN,
				       name);
		int err = limit_read(r, row, child);
		if (err < 0)
			return err;
	}
	return 0;
}

/* ---- capabilities ---- */

static bool filter_entry_ok(const char *s)
{
	return topic_filter_ok((struct span){ (const uint8_t *)s, strlen(s) });
}

static bool output_entry_ok(const char *s)
{
	return output_name_ok((struct span){ (const uint8_t *)s, strlen(s) });
}

static bool text_entry_ok(const char *s)
{
	return s[0] != '\0';
}

struct list_kind {
	size_t list, count; /* offsets in struct manifest */
	size_t entry_max;
	bool (*ok)(const char *s);
	const char *wanted;
};

#define LIST_KIND(member, max, check, text)                                                        \
	{                                                                                          \
		offsetof(struct manifest, member), offsetof(struct manifest, n##member), max,      \
			check, text                                                                \
	}

static int list_read(struct reading *r, const char *field, const json_t *v,
		     const struct list_kind *kind)
{
	size_t n = json_array_size(v);
	if (!json_is_array(v))
		return wrong_type(r, field, "a list [ ... ]");
	if (n > MANIFEST_LIST_MAX)
		return why_set(r->why, -E_INVALID,
			       "manifest: %s has %zu entries, at most %d are allowed", field, n,
			       MANIFEST_LIST_MAX);
	const char **list = ARENA_NEW(r->arena, const char *, n);
	if (!list)
		return out_of_memory(r);
	for (size_t i = 0; i < n; i++) {
		int err = text_read(r, field, json_array_get(v, i), kind->entry_max, &list[i]);
		if (err < 0)
			return err;
		if (!kind->ok(list[i]))
			return why_set(r->why, -E_INVALID, "manifest: %s[%zu], \"%.*s\": %s", field,
				       i, SHOWN, list[i], kind->wanted);
	}
	memcpy((char *)r->m + kind->list, &list, sizeof(list));
	memcpy((char *)r->m + kind->count, &n, sizeof(n));
	return 0;
}

static int publish_read(struct reading *r, const char *field, const json_t *v, void *into)
{
	static const struct list_kind kind =
		LIST_KIND(publish, TOPIC_BYTES_MAX, filter_entry_ok,
			  "not an MQTT topic filter (+ and # stand for whole levels, # only last)");
	(void)into;
	return list_read(r, field, v, &kind);
}

#define NAMES_READ(member)                                                                         \
	static int member##_read(struct reading *r, const char *field, const json_t *v,            \
				 void *into)                                                       \
	{                                                                                          \
		static const struct list_kind kind =                                               \
			LIST_KIND(member, TEXT_MAX, text_entry_ok, "a name must not be empty");    \
		(void)into;                                                                        \
		return list_read(r, field, v, &kind);                                              \
	}

NAMES_READ(models)
NAMES_READ(http)

static int io_read(struct reading *r, const char *field, const json_t *v, void *into)
{
	static const struct list_kind kind =
		LIST_KIND(io, TEXT_MAX, output_entry_ok,
			  "an output's name has 1 to 63 of a-z, 0-9, - and _, as in [output.NAME] "
			  "of the gateway");
	(void)into;
	return list_read(r, field, v, &kind);
}

/* "=NAME" is a function's own. */
static bool bucket_entry_ok(const char *s)
{
	return *s != '\0' && *s != '=' && strlen(s) <= MANIFEST_BUCKET_MAX;
}

static int buckets_read(struct reading *r, const char *field, const json_t *v, void *into)
{
	static const struct list_kind kind =
		LIST_KIND(buckets, TEXT_MAX, bucket_entry_ok,
			  "a bucket's name has 1 to 64 bytes, = is not first");
	(void)into;
	return list_read(r, field, v, &kind);
}

static int state_read(struct reading *r, const char *field, const json_t *v, void *into)
{
	(void)into;
	if (!json_is_boolean(v))
		return wrong_type(r, field, "true or false");
	r->m->state = json_is_true(v);
	return 0;
}

static int capabilities_read(struct reading *r, const char *field, const json_t *v, void *into)
{
	static const struct key keys[] = {
		{ "publish", publish_read, false }, { "state", state_read, false },
		{ "io", io_read, false },           { "models", models_read, false },
		{ "http", http_read, false },       { "buckets", buckets_read, false },
	};
	return object_read(r, field, v, keys, ARRAY_LEN(keys), into);
}

/* ---- suggested bindings ---- */

static int mqtt_read(struct reading *r, const char *field, const json_t *v, void *into)
{
	struct manifest_binding *b = into;
	int err = text_read(r, field, v, TOPIC_BYTES_MAX, &b->mqtt);
	if (err < 0)
		return err;
	if (!filter_entry_ok(b->mqtt))
		return why_set(r->why, -E_INVALID,
			       "manifest: %s, \"%.*s\", is not an MQTT topic filter", field, SHOWN,
			       b->mqtt);
	return 0;
}

static int template_read(struct reading *r, const char *field, const json_t *v, void *into)
{
	struct manifest_binding *b = into;
	return text_read(r, field, v, TOPIC_BYTES_MAX, &b->publish);
}

static int qos_read(struct reading *r, const char *field, const json_t *v, void *into)
{
	struct manifest_binding *b = into;
	if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > 2)
		return wrong_type(r, field, "0, 1 or 2");
	b->qos = (uint8_t)json_integer_value(v);
	return 0;
}

static int binding_read(struct reading *r, const char *field, const json_t *v,
			struct manifest_binding *b)
{
	static const struct key keys[] = {
		{ "mqtt", mqtt_read, true },
		{ "publish", template_read, false },
		{ "qos", qos_read, false },
	};
	*b = (struct manifest_binding){ .qos = 1 };
	int err = object_read(r, field, v, keys, ARRAY_LEN(keys), b);
	if (err < 0 || !b->publish)
		return err;
	struct why reason = { 0 };
	err = topic_template_check((struct span){ (const uint8_t *)b->publish, strlen(b->publish) },
				   (struct span){ (const uint8_t *)b->mqtt, strlen(b->mqtt) },
				   &reason);
	if (err < 0)
		return why_set(r->why, err, "manifest: %s.publish: %s", field, reason.text);
	return 0;
}

static int bindings_read(struct reading *r, const char *field, const json_t *v, void *into)
{
	size_t n = json_array_size(v);
	(void)into;
	if (!json_is_array(v))
		return wrong_type(r, field, "a list [ ... ]");
	if (n > MANIFEST_LIST_MAX)
		return why_set(r->why, -E_INVALID,
			       "manifest: %s has %zu entries, at most %d are allowed", field, n,
			       MANIFEST_LIST_MAX);
	struct manifest_binding *list = ARENA_NEW(r->arena, struct manifest_binding, n);
	if (!list)
		return out_of_memory(r);
	for (size_t i = 0; i < n; i++) {
		char name[32];
		(void)snprintf(name, sizeof(name), "bindings[%zu]", i);
		int err = binding_read(r, name, json_array_get(v, i), &list[i]);
		if (err < 0)
			return err;
	}
	r->m->bindings = list;
	r->m->nbindings = n;
	return 0;
}

/* ---- name, version, abi, description ---- */

bool manifest_name_ok(const char *name)
{
	size_t len = strlen(name);
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";
	return len >= 1 && len <= MANIFEST_NAME_MAX && strspn(name, allowed) == len &&
	       name[0] != '-' && name[0] != '_';
}

static int name_read(struct reading *r, const char *field, const json_t *v, void *into)
{
	(void)into;
	int err = text_read(r, field, v, MANIFEST_NAME_MAX, &r->m->name);
	if (err < 0)
		return err;
	if (!manifest_name_ok(r->m->name))
		return why_set(
			r->why, -E_INVALID,
			"manifest: name \"%s\": a-z, 0-9, - and _ are allowed, and it begins "
			"with a letter or digit",
			r->m->name);
	return 0;
}

static int version_read(struct reading *r, const char *field, const json_t *v, void *into)
{
	(void)into;
	int err = text_read(r, field, v, MANIFEST_VERSION_MAX, &r->m->version);
	if (err < 0)
		return err;
	if (!semver_ok(r->m->version))
		return why_set(r->why, -E_INVALID,
			       "manifest: version \"%s\" is not a semantic version such as 1.0.0",
			       r->m->version);
	return 0;
}

static int abi_read(struct reading *r, const char *field, const json_t *v, void *into)
{
	(void)into;
	if (!json_is_integer(v))
		return wrong_type(r, field, "a number");
	if (json_integer_value(v) != MANIFEST_ABI)
		return why_set(r->why, -E_INVALID,
			       "manifest: abi %lld is not offered; it must be %d",
			       (long long)json_integer_value(v), MANIFEST_ABI);
	return 0;
}

static int criticality_read(struct reading *r, const char *field, const json_t *v, void *into)
{
	(void)into;
	if (!json_is_string(v) ||
	    !criticality_parse(json_string_value(v), &r->m->limits.criticality))
		return wrong_type(r, field, "\"low\", \"normal\" or \"high\"");
	return 0;
}

static int description_read(struct reading *r, const char *field, const json_t *v, void *into)
{
	(void)into;
	return text_read(r, field, v, DESCRIPTION_MAX, &r->m->description);
}

/* ---- the whole ---- */

void manifest_default(const struct manifest_limits *most, struct manifest *ret)
{
	*ret = (struct manifest){
		.name = "",
		.version = "0.0.0",
		.description = "",
		.limits = manifest_limits_default,
	};
	for (size_t i = 0; i < ARRAY_LEN(limit_rows); i++) {
		uint64_t cap = limit_get(most, &limit_rows[i]);
		if (limit_get(&ret->limits, &limit_rows[i]) > cap)
			limit_set(&ret->limits, &limit_rows[i], cap);
	}
}

static void own_json(json_t **j)
{
	json_decref(*j);
}

/* jansson quotes the source: that may hold anything. */
static int not_json(const json_error_t *e, struct why *why)
{
	struct why text = { 0 };
	(void)why_set(&text, 0, "%s", e->text);
	for (char *c = text.text; *c; c++) {
		if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
			*c = '?';
	}
	return why_set(why, -E_INVALID, "manifest: no JSON: line %d, column %d: %s", e->line,
		       e->column, text.text);
}

int manifest_parse(struct span json, const struct manifest_limits *most, struct arena *arena,
		   struct manifest *ret, struct why *why)
{
	static const struct key keys[] = {
		{ "name", name_read, true },          { "version", version_read, false },
		{ "abi", abi_read, false },           { "description", description_read, false },
		{ "limits", limits_read, false },     { "capabilities", capabilities_read, false },
		{ "bindings", bindings_read, false }, { "criticality", criticality_read, false },
	};
	if (json.len > MANIFEST_BYTES_MAX)
		return why_set(why, -E_INVALID, "manifest: %zu bytes, at most %d are allowed",
			       json.len, MANIFEST_BYTES_MAX);
	if (json.len == 0)
		return why_set(why, -E_INVALID, "manifest: it is empty");
	json_error_t e;
	__attribute__((cleanup(own_json))) json_t *root =
		json_loadb((const char *)json.at, json.len, JSON_REJECT_DUPLICATES, &e);
	if (!root)
		return not_json(&e, why);
	struct manifest m;
	manifest_default(most, &m);
	struct reading r = { .most = most, .arena = arena, .m = &m, .why = why };
	int err = object_read(&r, "", root, keys, ARRAY_LEN(keys), &m);
	if (err < 0)
		return err;
	*ret = m;
	return 0;
}
