/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "base/wr.h"
#include "gateway/config_things.h"
#include "proto/ipc.h"
#include "proto/manifest.h"

enum { NAME_BYTES_MAX = 63, SERVERS_MAX = 8 };

enum kind { TEXT, ABSOLUTE, LEVEL, URL, CHOICE, BOOL, NUMBER, COUNT, SIZE };

static const char *const choices[][4] = {
	[CONFIG_DURABILITY] = { "off", "process", "power" },
	[CONFIG_CHECK] = { "boot", "always", "never" },
	[CONFIG_FULL] = { "refuse", "drop_oldest" },
	[CONFIG_CLOUDEVENTS] = { "no", "binary", "structured" },
};

struct key {
	const char *section, *name;
	enum kind kind;
	size_t offset; /* in struct config; of named sections in their own */
	uint64_t least, most;
	const char *def; /* read like a value from a file; NULL = zero or set in defaults() */
	const char *help;
};

#define G(f) offsetof(struct config, f)
#define B(f) offsetof(struct config_broker, f)
#define M(f) offsetof(struct modbus_config, f)
#define MIB  (UINT64_C(1) << 20)

static const struct key keys[] = {
#include "gateway/config_keys.def"
};

struct reading {
	struct config *config;
	struct why *why;
	const char *file;
	const char *text; /* rest of the file, for the line reader */
	size_t left;
	int line;
	char section[NAME_BYTES_MAX + 8]; /* the one being read, and which of its keys came */
	bool seen[ARRAY_LEN(keys)];
	int err;
};

static int bad(struct reading *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

static int bad(struct reading *r, const char *fmt, ...)
{
	char text[400];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (r->err == 0)
		r->err = why_set(r->why, -E_CONFIG, "%s:%d: %s", r->file, r->line, text);
	return r->err;
}

/* "64MiB", "1024", "16k": *ret_unit is the power of two. */
static bool unit_parse(const char *s, unsigned *ret_shift)
{
	static const struct {
		const char *name;
		unsigned shift;
	} unit[] = { { "", 0 },   { "B", 0 },    { "K", 10 }, { "KiB", 10 },
		     { "M", 20 }, { "MiB", 20 }, { "G", 30 }, { "GiB", 30 } };
	while (*s == ' ')
		s++;
	for (size_t i = 0; i < ARRAY_LEN(unit); i++) {
		if (strcasecmp(s, unit[i].name) == 0) {
			*ret_shift = unit[i].shift;
			return true;
		}
	}
	return false;
}

static int number(struct reading *r, const struct key *k, const char *value, uint64_t *ret)
{
	char *end;
	unsigned shift = 0;
	errno = 0;
	unsigned long long n = strtoull(value, &end, 10);
	bool ok = isdigit((unsigned char)value[0]) && errno == 0;
	if (ok && k->kind == SIZE)
		ok = unit_parse(end, &shift) && n <= UINT64_MAX >> shift;
	else if (ok)
		ok = *end == '\0';
	if (!ok)
		return bad(r, "%s = \"%s\": expected a %s", k->name, value,
			   k->kind == SIZE ? "size such as 512KiB or 64MiB" : "whole number");
	*ret = (uint64_t)n << shift;
	if (*ret < k->least || *ret > k->most)
		return bad(r, "%s = %s: must be from %" PRIu64 " to %" PRIu64, k->name, value,
			   k->least, k->most);
	return 0;
}

static int boolean(struct reading *r, const struct key *k, const char *value, bool *ret)
{
	static const char *const word[] = { "no", "yes", "false", "true", "off", "on", "0", "1" };
	for (size_t i = 0; i < ARRAY_LEN(word); i++) {
		if (strcasecmp(value, word[i]) == 0) {
			*ret = i % 2;
			return 0;
		}
	}
	return bad(r, "%s = \"%s\": expected yes or no", k->name, value);
}

/* tcp://host[:port], ssl://host[:port]; [v6]:port too. *ret_end: behind it. */
static bool url_at(const char *url, const char **ret_end)
{
	if (strncmp(url, "tcp://", 6) != 0 && strncmp(url, "ssl://", 6) != 0)
		return false;
	const char *host = url + 6, *end = host;
	if (*host == '[') {
		end = host + 1 + strspn(host + 1, "0123456789abcdefABCDEF:.%");
		if (*end != ']' || end == host + 1)
			return false;
		end++;
	} else {
		while (isalnum((unsigned char)*end) || *end == '-' || *end == '.' || *end == '_')
			end++;
		if (end == host)
			return false;
	}
	*ret_end = end;
	if (*end != ':')
		return true;
	if (!isdigit((unsigned char)end[1]))
		return false;
	unsigned long port = strtoul(end + 1, (char **)ret_end, 10);
	return port >= 1 && port <= 65535;
}

/* Up to SERVERS_MAX, separated by blanks, and TLS for all of them or for none. */
static bool urls_ok(const char *urls)
{
	const char *at = urls, *end;
	for (unsigned n = 0; *at != '\0'; n++) {
		if (n == SERVERS_MAX || strncmp(at, urls, 3) != 0 || !url_at(at, &end) ||
		    (*end != '\0' && *end != ' '))
			return false;
		at = end + strspn(end, " ");
	}
	return true;
}

int config_choice(enum config_choices which, const char *word)
{
	for (int i = 0; i < 4 && choices[which][i]; i++) {
		if (strcmp(choices[which][i], word) == 0)
			return i;
	}
	return -1;
}

static int text(struct reading *r, const struct key *k, const char *value, const char **ret)
{
	enum log_level level;
	if (k->kind == ABSOLUTE && *value != '\0' && *value != '/')
		return bad(r, "%s = \"%s\": expected an absolute path", k->name, value);
	if (k->kind == ABSOLUTE && *value == '\0' && strcmp(k->section, "gateway") == 0)
		return bad(r, "%s must not be empty", k->name);
	if (k->kind == LEVEL && !log_level_parse(value, &level))
		return bad(r, "%s = \"%s\": expected error, warning, notice, info or debug",
			   k->name, value);
	if (k->kind == CHOICE && config_choice((enum config_choices)k->least, value) < 0)
		return bad(r, "%s = \"%s\": expected %s, %s%s%s", k->name, value,
			   choices[k->least][0], choices[k->least][1],
			   choices[k->least][2] ? " or " : "",
			   choices[k->least][2] ? choices[k->least][2] : "");
	if (k->kind == URL && !urls_ok(value))
		return bad(
			r,
			"%s = \"%s\": expected tcp://HOST:PORT or ssl://HOST:PORT, or up to %d of "
			"one kind, separated by blanks",
			k->name, value, SERVERS_MAX);
	struct span s = { (const uint8_t *)value, strlen(value) };
	if (!span_is_utf8(s))
		return bad(r, "%s: not UTF-8", k->name);
	*ret = arena_strndup(&r->config->arena, value, s.len);
	return *ret ? 0 : bad(r, "too much text in the configuration");
}

static int assign(struct reading *r, const struct key *k, void *base, const char *value)
{
	void *at = (char *)base + k->offset;
	uint64_t n = 0;
	switch (k->kind) {
	case TEXT:
	case ABSOLUTE:
	case LEVEL:
	case URL:
	case CHOICE:
		return text(r, k, value, at);
	case BOOL:
		return boolean(r, k, value, at);
	case NUMBER:
		if (number(r, k, value, &n) == 0)
			*(unsigned *)at = (unsigned)n;
		return r->err;
	case COUNT:
	case SIZE:
		if (number(r, k, value, &n) == 0)
			*(uint64_t *)at = n;
		return r->err;
	}
	return r->err;
}

/* Sections of which there may be several, [SECTION.NAME]: where the keys of one live. */
typedef void *section_named(struct reading *r, const char *name);
static section_named broker_named, modbus_named;

static const struct named {
	const char *section;
	section_named *find;
	const char *unnamed; /* the name that [SECTION] stands for; NULL: a name must be given */
} named[] = {
	{ "mqtt", broker_named, "default" },
	{ "modbus", modbus_named, NULL },
};

static const struct named *named_find(const char *section, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(named); i++) {
		if (strlen(named[i].section) == len && memcmp(named[i].section, section, len) == 0)
			return &named[i];
	}
	return NULL;
}

/* section NULL: of all that are there once. */
static int defaults(struct reading *r, const char *section, void *base)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		bool mine = section ? strcmp(keys[i].section, section) == 0
				    : !named_find(keys[i].section, strlen(keys[i].section));
		if (mine && keys[i].def && assign(r, &keys[i], base, keys[i].def) < 0)
			return r->err;
	}
	return 0;
}

static bool name_ok(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-");
	return n > 0 && n <= NAME_BYTES_MAX && s[n] == '\0';
}

static void *broker_named(struct reading *r, const char *name)
{
	struct config *c = r->config;
	for (unsigned i = 0; i < c->nbrokers; i++) {
		if (strcmp(c->brokers[i].name, name) == 0)
			return &c->brokers[i];
	}
	if (!name_ok(name)) {
		(void)bad(r, "[mqtt.%s]: a broker's name is 1 to 63 of a-z 0-9 _ -", name);
		return NULL;
	}
	if (c->nbrokers == CONFIG_BROKERS_MAX) {
		(void)bad(r, "[mqtt.%s]: at most %d brokers", name, CONFIG_BROKERS_MAX);
		return NULL;
	}
	struct config_broker *b = &c->brokers[c->nbrokers];
	*b = (struct config_broker){ .name = arena_strndup(&c->arena, name, strlen(name)) };
	if (!b->name || defaults(r, "mqtt", b) < 0)
		return NULL;
	c->nbrokers++;
	return b;
}

static void *modbus_named(struct reading *r, const char *name)
{
	struct config *c = r->config;
	for (unsigned i = 0; i < c->nmodbus; i++) {
		if (strcmp(c->modbus[i].name, name) == 0)
			return &c->modbus[i];
	}
	if (!name_ok(name) || c->nmodbus == MODBUS_LINKS_MAX) {
		(void)bad(r,
			  "[modbus.%s]: a name is 1 to 63 of a-z 0-9 _ -, and there are at most %d",
			  name, MODBUS_LINKS_MAX);
		return NULL;
	}
	struct modbus_config *m = &c->modbus[c->nmodbus];
	*m = (struct modbus_config){ .name = arena_strndup(&c->arena, name, strlen(name)) };
	if (!m->name || defaults(r, "modbus", m) < 0)
		return NULL;
	c->nmodbus++;
	return m;
}

/* "[gateway], [mqtt.NAME] ...", for who wrote another one. */
static const char *section_names(char *buf, size_t cap)
{
	struct wr w = wr_into(buf, cap - 1);
	const char *last = "";
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (strcmp(keys[i].section, last) == 0)
			continue;
		last = keys[i].section;
		const struct named *n = named_find(last, strlen(last));
		if (!n || n->unnamed)
			wr_fmt(&w, "[%s], ", last);
		if (n)
			wr_fmt(&w, "[%s.NAME], ", last);
	}
	wr_str(&w, "[output.NAME] and [binding.NAME]");
	buf[wr_ok(&w) ? w.len : 0] = '\0';
	return buf;
}

/* Where the keys of a section live; NULL with the reason. *ret_table: its name in the table. */
static void *section_base(struct reading *r, const char *section, const char **ret_table)
{
	char names[400];
	size_t len = strcspn(section, ".");
	const struct named *n = named_find(section, len);
	*ret_table = section;
	if (n && (section[len] == '.' || n->unnamed)) {
		*ret_table = n->section;
		return n->find(r, section[len] == '.' ? section + len + 1 : n->unnamed);
	}
	for (size_t i = 0; i < ARRAY_LEN(keys) && !n; i++) {
		if (strcmp(keys[i].section, section) == 0)
			return r->config;
	}
	(void)bad(r, "unknown section [%s]: there are %s", section,
		  section_names(names, sizeof(names)));
	return NULL;
}

static int thing_key(struct reading *r, const char *section, const char *name, const char *value)
{
	char place[PATH_MAX + 16];
	struct why reason = { 0 };
	(void)snprintf(place, sizeof(place), "%s:%d", r->file, r->line);
	int err = config_thing_key(r->config, section, name, value, place, &reason);
	return err < 0 ? bad(r, "%s", why_text(&reason, err)) : 0;
}

/* A handler of libinih: 1 = go on. r->line is kept by next_line(). */
static int one_key(void *user, const char *section, const char *name, const char *value)
{
	struct reading *r = user;
	const char *table;
	if (r->err != 0)
		return 0;
	if (*section == '\0')
		return bad(r, "%s stands before the first [section]", name), 0;
	if (config_is_thing(section))
		return thing_key(r, section, name, value) == 0;
	void *base = section_base(r, section, &table);
	if (!base)
		return 0;
	if (strcmp(r->section, section) != 0) {
		(void)snprintf(r->section, sizeof(r->section), "%s", section);
		memset(r->seen, 0, sizeof(r->seen));
	}
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (strcmp(keys[i].section, table) != 0 || strcmp(keys[i].name, name) != 0)
			continue;
		if (r->seen[i]) /* or a value went on in the next line, which comes the same way */
			return bad(r, "%s has a value already", name), 0;
		r->seen[i] = true;
		return assign(r, &keys[i], base, value) == 0;
	}
	return bad(r, "unknown key \"%s\" in [%s]; penstockd --help-config lists them", name,
		   section),
	       0;
}

/* For libinih: one line of the text in memory. Lines that do not fit its buffer would be cut in two
 * and read as two, so they are refused here. */
static char *next_line(char *buf, int cap, void *stream)
{
	struct reading *r = stream;
	if (r->left == 0 || r->err != 0)
		return NULL;
	const char *nl = memchr(r->text, '\n', r->left);
	size_t n = nl ? (size_t)(nl - r->text) + 1 : r->left;
	r->line++;
	if (n >= (size_t)cap || memchr(r->text, '\0', n)) {
		(void)bad(r,
			  n >= (size_t)cap ? "the line is longer than %d bytes"
					   : "a NUL byte in the line",
			  cap - 2);
		return NULL;
	}
	memcpy(buf, r->text, n);
	buf[n] = '\0';
	r->text += n;
	r->left -= n;
	return buf;
}

int config_read(const char *file, struct span bytes, struct config *c, struct why *why)
{
	struct reading r = { .config = c,
			     .why = why,
			     .file = file,
			     .text = (const char *)bytes.at,
			     .left = bytes.len };
	int line = ini_parse_stream(next_line, &r, one_key, &r);
	if (r.err == 0 && line > 0) {
		r.line = line;
		(void)bad(&r, "expected [section], key = value, or a ; comment");
	}
	return r.err;
}

int config_defaults(struct config *c, struct why *why)
{
	struct reading r = { .config = c, .why = why, .file = "built-in defaults" };
	return defaults(&r, NULL, c);
}

static bool key_same(const struct key *k, const void *a, const void *b)
{
	const void *pa = (const char *)a + k->offset, *pb = (const char *)b + k->offset;
	switch (k->kind) {
	case BOOL:
		return *(const bool *)pa == *(const bool *)pb;
	case NUMBER:
		return *(const unsigned *)pa == *(const unsigned *)pb;
	case COUNT:
	case SIZE:
		return *(const uint64_t *)pa == *(const uint64_t *)pb;
	default:
		break;
	}
	const char *x = *(const char *const *)pa, *y = *(const char *const *)pb;
	return strcmp(x ? x : "", y ? y : "") == 0;
}

/* All keys of two sections of one kind. */
static bool section_same(const char *section, const void *a, const void *b)
{
	bool same = true;
	for (size_t i = 0; same && i < ARRAY_LEN(keys); i++)
		same = strcmp(keys[i].section, section) != 0 || key_same(&keys[i], a, b);
	return same;
}

void config_changes(const struct config *a, const struct config *b, config_differs *differs,
		    void *arg)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const char *section = keys[i].section;
		if (!named_find(section, strlen(section)) && !key_same(&keys[i], a, b))
			differs(arg, section, keys[i].name);
	}
	for (unsigned i = 0; i < a->nbrokers || i < b->nbrokers; i++) {
		const struct config_broker *x = &a->brokers[i], *y = &b->brokers[i];
		if (i >= a->nbrokers || i >= b->nbrokers || strcmp(x->name, y->name) != 0 ||
		    !section_same("mqtt", x, y))
			differs(arg, "mqtt", i < b->nbrokers ? y->name : x->name);
	}
	for (unsigned i = 0; i < a->nmodbus || i < b->nmodbus; i++) {
		const struct modbus_config *x = &a->modbus[i], *y = &b->modbus[i];
		if (i >= a->nmodbus || i >= b->nmodbus || strcmp(x->name, y->name) != 0 ||
		    !section_same("modbus", x, y))
			differs(arg, "modbus", i < b->nmodbus ? y->name : x->name);
	}
	for (unsigned i = 0; i < a->noutputs || i < b->noutputs; i++) {
		const struct output_config *x = &a->outputs[i], *y = &b->outputs[i];
		if (i >= a->noutputs || i >= b->noutputs || strcmp(x->name, y->name) != 0 ||
		    strcmp(x->kind, y->kind) != 0 || strcmp(x->target, y->target) != 0 ||
		    strcmp(x->options, y->options) != 0)
			differs(arg, "output", i < b->noutputs ? y->name : x->name);
	}
}

void config_print_help(void)
{
	const char *section = "";
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const struct key *k = &keys[i];
		const struct named *n = named_find(k->section, strlen(k->section));
		if (strcmp(section, k->section) != 0) {
			section = k->section;
			printf("%s%s[%s%s]%s\n", i ? "\n" : "", n && !n->unnamed ? "; " : "",
			       section, n && !n->unnamed ? ".NAME" : "",
			       n && n->unnamed
				       ? "          ; the broker \"default\"; more as [mqtt.NAME]"
				       : "");
		}
		printf("; %s\n", k->help);
		if (k->kind == NUMBER)
			printf(";   from %" PRIu64 " to %" PRIu64 "\n", k->least, k->most);
		printf(";%s%s = %s\n", n && !n->unnamed ? " " : "", k->name, k->def ? k->def : "");
	}
	config_things_help();
}
