/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/pictory.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <string.h>

#include "base/arena.h"
#include "base/own.h"
#include "proto/own_json.h"

enum { ENTRY_MEMBERS = 8, ARENA_BYTES = 16 << 20 };
enum { AT_NAME = 0, AT_BITS = 2, AT_OFFSET = 3, AT_BIT = 7 }; /* in an entry */

struct pictory {
	struct pictory_variable *variables; /* by name */
	unsigned n;
	struct arena arena; /* owns the texts */
};

struct reading {
	struct pictory *p;
	const char *file;
	unsigned cap;
	struct why *why;
	/* the device that is being read */
	unsigned device;
	const char *label;
	unsigned long offset;
};

/* Where in the file: a device, and perhaps one entry of it. */
struct place {
	const char *area, *key; /* NULL: the device itself */
};

static int bad(const struct reading *r, struct place at, const char *fmt, ...) PRINTF_LIKE(3, 4);

static int bad(const struct reading *r, struct place at, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (at.area)
		return why_set(r->why, -E_CONFIG, "%.160s: Devices[%u].%s[\"%.20s\"]: %s", r->file,
			       r->device, at.area, at.key, text);
	return why_set(r->why, -E_CONFIG, "%.160s: Devices[%u]: %s", r->file, r->device, text);
}

/* A number, or the digits of one. */
static bool number_of(const json_t *j, unsigned long most, unsigned long *ret)
{
	if (json_is_integer(j) && json_integer_value(j) >= 0) {
		*ret = (unsigned long)json_integer_value(j);
		return (unsigned long long)json_integer_value(j) <= most;
	}
	const char *s = json_string_value(j);
	if (!s || !isdigit((unsigned char)*s) || strlen(s) > 10)
		return false;
	char *end;
	*ret = strtoul(s, &end, 10);
	return *end == '\0' && *ret <= most;
}

/* One line of visible UTF-8 without NUL, as a name in a file for people. */
static bool name_ok(const json_t *j)
{
	const char *s = json_string_value(j);
	size_t n = json_string_length(j);
	if (!s || n == 0 || n > PICTORY_NAME_BYTES)
		return false;
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return false;
	}
	return true;
}

static int entry_numbers(struct reading *r, struct place at, const json_t *e,
			 struct pictory_variable *v)
{
	const unsigned long image_bits = PICTORY_IMAGE_BYTES * 8ul;
	unsigned long bits, offset, bit = 0;
	if (!number_of(json_array_get(e, AT_BITS), image_bits, &bits) || bits == 0 ||
	    (bits != 1 && bits % 8 != 0))
		return bad(r, at, "\"%.40s\": its length must be 1, or whole bytes, in bits",
			   v->name);
	if (!number_of(json_array_get(e, AT_OFFSET), PICTORY_IMAGE_BYTES - 1, &offset))
		return bad(r, at, "\"%.40s\": its offset must be a number below %d", v->name,
			   PICTORY_IMAGE_BYTES);
	if (bits == 1 && !number_of(json_array_get(e, AT_BIT), image_bits, &bit))
		return bad(r, at, "\"%.40s\": its bit must be a number", v->name);
	offset += r->offset + bit / 8; /* the 16 inputs of a module share one offset */
	bit %= 8;
	if (offset * 8 + bit + bits > image_bits)
		return bad(r, at, "\"%.40s\" reaches beyond the %d bytes of the process image",
			   v->name, PICTORY_IMAGE_BYTES);
	v->offset = (uint16_t)offset;
	v->bit = (uint8_t)bit;
	v->bits = (uint16_t)bits;
	return 0;
}

static int read_entry(struct reading *r, struct place at, enum pictory_area area, const json_t *e)
{
	struct pictory *p = r->p;
	if (!json_is_array(e) || json_array_size(e) < ENTRY_MEMBERS)
		return bad(r, at,
			   "expected a list of %d: name, default, bits, offset, exported, "
			   "order, comment, bit",
			   ENTRY_MEMBERS);
	const json_t *name = json_array_get(e, AT_NAME);
	if (!name_ok(name))
		return bad(r, at, "its name must be a text of 1 to %d bytes", PICTORY_NAME_BYTES);
	if (p->n == r->cap)
		return bad(r, at, "more than %d names", PICTORY_VARIABLES_MAX);
	struct pictory_variable *v = &p->variables[p->n];
	*v = (struct pictory_variable){
		.name = arena_strndup(&p->arena, json_string_value(name), json_string_length(name)),
		.device = r->label,
		.area = area,
	};
	if (!v->name)
		return -ENOMEM;
	int err = area == PICTORY_MEMORY ? 0 : entry_numbers(r, at, e, v);
	if (err == 0)
		p->n++;
	return err;
}

static int read_device(struct reading *r, const json_t *d)
{
	static const char *const member[] = {
		[PICTORY_INPUT] = "inp", [PICTORY_OUTPUT] = "out", [PICTORY_MEMORY] = "mem"
	};
	const struct place whole = { 0 };
	unsigned long position;
	char label[PICTORY_DEVICE_BYTES + 1];
	if (!json_is_object(d))
		return bad(r, whole, "expected an object");
	if (!number_of(json_object_get(d, "offset"), PICTORY_IMAGE_BYTES - 1, &r->offset))
		return bad(r, whole, "`offset` must be a number below %d", PICTORY_IMAGE_BYTES);
	if (!number_of(json_object_get(d, "position"), 255, &position))
		return bad(r, whole, "`position` must be a number from 0 to 255");
	const json_t *name = json_object_get(d, "bmk");
	if (!name_ok(name))
		name = json_object_get(d, "name");
	(void)snprintf(label, sizeof(label), "%.64s, position %lu",
		       name_ok(name) ? json_string_value(name) : "device", position);
	r->label = arena_strndup(&r->p->arena, label, strlen(label));
	if (!r->label)
		return -ENOMEM;
	for (int area = PICTORY_INPUT; area <= PICTORY_MEMORY; area++) {
		json_t *all = json_object_get(d, member[area]), *e;
		const char *key;
		int err = 0;
		if (!all || json_is_null(all) ||
		    (json_is_array(all) && json_array_size(all) == 0)) /* PHP's empty object */
			continue;
		if (!json_is_object(all))
			return bad(r, whole, "`%s` must be an object", member[area]);
		json_object_foreach(all, key, e)
		{
			if (err == 0)
				err = read_entry(r, (struct place){ member[area], key },
						 (enum pictory_area)area, e);
		}
		if (err < 0)
			return err;
	}
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct pictory_variable *)a)->name,
		      ((const struct pictory_variable *)b)->name);
}

static int names_differ(const struct reading *r)
{
	const struct pictory_variable *v = r->p->variables;
	for (unsigned i = 1; i < r->p->n; i++) {
		if (strcmp(v[i - 1].name, v[i].name) == 0)
			return why_set(r->why, -E_CONFIG,
				       "%.160s: \"%.60s\" is the name of two things: of %s %s and "
				       "of %s %s; "
				       "give one of them another name in PiCtory",
				       r->file, v[i].name, pictory_area_name(v[i - 1].area),
				       v[i - 1].device, pictory_area_name(v[i].area), v[i].device);
	}
	return 0;
}

/* An upper bound, so that one allocation is enough. */
static unsigned count_entries(const json_t *devices)
{
	size_t n = 0;
	for (size_t i = 0; i < json_array_size(devices); i++) {
		const json_t *d = json_array_get(devices, i);
		n += json_object_size(json_object_get(d, "inp")) +
		     json_object_size(json_object_get(d, "out")) +
		     json_object_size(json_object_get(d, "mem"));
	}
	return n < PICTORY_VARIABLES_MAX ? (unsigned)n : PICTORY_VARIABLES_MAX;
}

static int read_devices(struct reading *r, const json_t *devices)
{
	int err = 0;
	r->cap = count_entries(devices);
	r->p->variables = calloc(r->cap ? r->cap : 1, sizeof(*r->p->variables));
	if (!r->p->variables)
		return -ENOMEM;
	for (size_t i = 0; err == 0 && i < json_array_size(devices); i++) {
		r->device = (unsigned)i;
		err = read_device(r, json_array_get(devices, i));
	}
	if (err < 0)
		return err;
	qsort(r->p->variables, r->p->n, sizeof(*r->p->variables), by_name);
	return names_differ(r);
}

int pictory_parse(const char *file, struct span bytes, struct pictory **ret, struct why *why)
{
	json_error_t e;
	if (bytes.len > PICTORY_FILE_BYTES)
		return why_set(why, -E_CONFIG, "%.160s: larger than %d MiB", file,
			       PICTORY_FILE_BYTES >> 20);
	OWN_JSON *root = json_loadb((const char *)bytes.at, bytes.len, JSON_REJECT_DUPLICATES, &e);
	if (!root)
		return why_set(why, -E_CONFIG,
			       "%.160s:%d:%d: %.120s; save the configuration again in PiCtory",
			       file, e.line, e.column, e.text);
	const json_t *devices = json_object_get(root, "Devices");
	if (!json_is_array(devices))
		return why_set(
			why, -E_CONFIG,
			"%.160s: there is no list `Devices` in it, so PiCtory did not write it",
			file);
	struct pictory *p = calloc(1, sizeof(*p));
	if (!p)
		return why_set(why, -ENOMEM, "out of memory");
	arena_init(&p->arena, ARENA_BYTES);
	struct reading r = { .p = p, .file = file, .why = why };
	int err = read_devices(&r, devices);
	if (err < 0) {
		pictory_free(p);
		return why_set(why, err, "%.160s: out of memory", file);
	}
	*ret = p;
	return 0;
}

int pictory_load(const char *file, struct pictory **ret, struct why *why)
{
	FILE *f = fopen(file, "re");
	if (!f)
		return why_set(why, -errno, "%.160s: %s%s", file, strerrordesc_np(errno),
			       errno == ENOENT ? "; configure the modules in PiCtory and save"
					       : "");
	OWN_FREE uint8_t *bytes = malloc(PICTORY_FILE_BYTES + 1);
	size_t n = bytes ? fread(bytes, 1, PICTORY_FILE_BYTES + 1, f) : 0;
	int err = !bytes ? -ENOMEM : ferror(f) ? -EIO : 0;
	(void)fclose(f);
	if (err < 0)
		return why_set(why, err, "%.160s: %s", file, strerrordesc_np(-err));
	return pictory_parse(file, (struct span){ bytes, n }, ret, why);
}

void pictory_free(struct pictory *p)
{
	if (!p)
		return;
	arena_fini(&p->arena);
	free(p->variables);
	free(p);
}

const struct pictory_variable *pictory_find(const struct pictory *p, struct span name)
{
	char text[PICTORY_NAME_BYTES + 1];
	if (name.len == 0 || name.len > PICTORY_NAME_BYTES || memchr(name.at, '\0', name.len))
		return NULL;
	memcpy(text, name.at, name.len);
	text[name.len] = '\0';
	return bsearch(&(struct pictory_variable){ .name = text }, p->variables, p->n,
		       sizeof(*p->variables), by_name);
}

unsigned pictory_count(const struct pictory *p)
{
	return p->n;
}

const struct pictory_variable *pictory_at(const struct pictory *p, unsigned i)
{
	ENSURE(i < p->n);
	return &p->variables[i];
}

const char *pictory_area_name(enum pictory_area area)
{
	static const char *const name[] = {
		[PICTORY_INPUT] = "input", [PICTORY_OUTPUT] = "output", [PICTORY_MEMORY] = "setting"
	};
	return name[area];
}
