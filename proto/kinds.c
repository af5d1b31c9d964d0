/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/kinds.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/wr.h"
#include "proto/own_json.h"

enum { VALUE_BYTES = 4096, LEVEL_BYTES = 64, OUTPUT_NAME_BYTES = 63 };

#define IN(kind)  KIND_INPUT, #kind
#define OUT(kind) KIND_OUTPUT, #kind

const struct kind kinds[] = {
#define INPUT(kind, argument, help)  { IN(kind), argument, help },
#define OUTPUT(kind, argument, help) { OUT(kind), argument, help },
#define KEY(...)
#define OUTPUT_KEY(...)
#include "proto/kinds.def"
#undef INPUT
#undef OUTPUT
#undef KEY
#undef OUTPUT_KEY
};
const unsigned kinds_count = ARRAY_LEN(kinds);

struct row {
	enum kind_side side;
	struct kind_key key;
};

static const struct row rows[] = {
#define INPUT(...)
#define OUTPUT(...)
#define KEY(kind, name, type, def, least, most, choices, help)                                     \
	{ KIND_INPUT, { #kind, #name, KEY_##type, def, least, most, choices, help } },
#define OUTPUT_KEY(kind, name, type, def, least, most, choices, help)                              \
	{ KIND_OUTPUT, { #kind, #name, KEY_##type, def, least, most, choices, help } },
#include "proto/kinds.def"
#undef INPUT
#undef OUTPUT
#undef KEY
#undef OUTPUT_KEY
};

const struct kind *kind_find(enum kind_side side, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (kinds[i].side == side && strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	}
	return NULL;
}

const struct kind_key *kind_key_at(const struct kind *k, unsigned i)
{
	for (size_t at = 0; at < ARRAY_LEN(rows); at++) {
		if (rows[at].side == k->side && strcmp(rows[at].key.kind, k->name) == 0 && i-- == 0)
			return &rows[at].key;
	}
	return NULL;
}

static const struct kind_key *key_find(const struct kind *k, const char *name)
{
	const struct kind_key *key;
	for (unsigned i = 0; (key = kind_key_at(k, i)); i++) {
		if (strcmp(key->name, name) == 0)
			return key;
	}
	return NULL;
}

const char *kind_names(enum kind_side side, char *buf, size_t cap)
{
	struct wr w = wr_into(buf, cap - 1);
	bool first = true;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (kinds[i].side != side)
			continue;
		wr_fmt(&w, "%s%s", first ? "" : ", ", kinds[i].name);
		first = false;
	}
	buf[wr_ok(&w) ? w.len : 0] = '\0';
	return buf;
}

static const char *key_names(const struct kind *k, char *buf, size_t cap)
{
	const struct kind_key *key;
	struct wr w = wr_into(buf, cap - 1);
	for (unsigned i = 0; (key = kind_key_at(k, i)); i++)
		wr_fmt(&w, "%s%s", i ? ", " : "", key->name);
	buf[wr_ok(&w) ? w.len : 0] = '\0';
	return buf;
}

/* ---- one value ---- */

bool kind_time_parse(const char *s, uint64_t *ret_ms)
{
	static const struct {
		const char *name;
		double ms;
	} unit[] = { { "", 1 },        { "ms", 1 },      { "s", 1000 },
		     { "min", 60000 }, { "h", 3600000 }, { "d", 86400000 } };
	char *end;
	if (!isdigit((unsigned char)s[0]))
		return false;
	double n = strtod(s, &end);
	for (size_t i = 0; i < ARRAY_LEN(unit); i++) {
		double ms = n * unit[i].ms;
		if (strcmp(end, unit[i].name) != 0)
			continue;
		*ret_ms = (uint64_t)ms;
		return ms >= 0 && ms < 1e15 && (double)*ret_ms == ms;
	}
	return false;
}

static bool flag_parse(const char *s, bool *ret)
{
	static const char *const word[] = { "no", "yes", "false", "true", "off", "on", "0", "1" };
	for (size_t i = 0; i < ARRAY_LEN(word); i++) {
		if (strcasecmp(s, word[i]) == 0) {
			*ret = i % 2;
			return true;
		}
	}
	return false;
}

static bool number_parse(const char *s, double *ret)
{
	char *end;
	if (strspn(s, "+-.0123456789eE") != strlen(s))
		return false; /* not strtod's "0x1p3", "nan" */
	*ret = strtod(s, &end);
	return end != s && *end == '\0' && isfinite(*ret);
}

static bool choice_ok(const char *choices, const char *s)
{
	size_t n = strlen(s);
	for (const char *at = choices; *at; at += strspn(at, " ")) {
		size_t len = strcspn(at, " ");
		if (len == n && memcmp(at, s, n) == 0)
			return true;
		at += len;
	}
	return false;
}

static int expected(const struct kind_key *k, const char *given, struct why *why)
{
	static const char *const what[] = {
		[KEY_FLAG] = "yes or no",
		[KEY_NUMBER] = "a number",
		[KEY_TIME] = "a time such as 20ms, 5s, 2min or 1h",
	};
	if (k->type == KEY_CHOICE)
		return why_set(why, -E_INVALID, "option %s of %s is \"%.80s\": expected one of %s",
			       k->name, k->kind, given, k->choices);
	if (k->type == KEY_WORDS)
		return why_set(why, -E_INVALID, "option %s of %s: expected a text up to %.0f bytes",
			       k->name, k->kind, k->most);
	return why_set(why, -E_INVALID, "option %s of %s is \"%.80s\": expected %s", k->name,
		       k->kind, given, what[k->type]);
}

static int in_range(const struct kind_key *k, double n, struct why *why)
{
	const char *unit = k->type == KEY_TIME ? " ms" : "";
	if (n >= k->least && n <= k->most)
		return 0;
	return why_set(why, -E_INVALID, "option %s of %s is %g%s: must be from %g to %g%s", k->name,
		       k->kind, n, unit, k->least, k->most, unit);
}

/* From what people write. *ret: JSON's own. */
static int value_parse(const struct kind_key *k, const char *s, json_t **ret, struct why *why)
{
	bool flag;
	double n;
	uint64_t ms;
	int err = 0;
	switch (k->type) {
	case KEY_FLAG:
		if (!flag_parse(s, &flag))
			return expected(k, s, why);
		*ret = json_boolean(flag);
		return 0;
	case KEY_NUMBER:
		if (!number_parse(s, &n))
			return expected(k, s, why);
		if ((err = in_range(k, n, why)) == 0)
			*ret = n == floor(n) && fabs(n) < 1e15 ? json_integer((json_int_t)n)
							       : json_real(n);
		break;
	case KEY_TIME:
		if (!kind_time_parse(s, &ms))
			return expected(k, s, why);
		if ((err = in_range(k, (double)ms, why)) == 0)
			*ret = json_integer((json_int_t)ms);
		break;
	case KEY_CHOICE:
	case KEY_WORDS:
		if (k->type == KEY_CHOICE ? !choice_ok(k->choices, s) : strlen(s) > k->most)
			return expected(k, s, why);
		*ret = json_string(s);
		break;
	}
	return err < 0 ? err : *ret ? 0 : -ENOMEM;
}

static int value_of(const struct kind_key *k, const json_t *given, json_t **ret, struct why *why)
{
	char text[VALUE_BYTES];
	if (json_is_string(given)) {
		if (json_string_length(given) != strlen(json_string_value(given)))
			return why_set(why, -E_INVALID, "option %s of %s holds a NUL", k->name,
				       k->kind);
		return value_parse(k, json_string_value(given), ret, why);
	}
	if (json_is_boolean(given))
		(void)snprintf(text, sizeof(text), "%s", json_is_true(given) ? "yes" : "no");
	else if (json_is_integer(given))
		(void)snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(given));
	else if (json_is_real(given))
		(void)snprintf(text, sizeof(text), "%.17g", json_real_value(given));
	else
		return why_set(why, -E_INVALID,
			       "option %s of %s: expected a text, a number, true or false", k->name,
			       k->kind);
	return value_parse(k, text, ret, why);
}

/* ---- all options of a binding ---- */

static int names_known(const struct kind *k, const json_t *given, struct why *why)
{
	char names[256];
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)given, name, value)
	{
		if (key_find(k, name))
			continue;
		(void)key_names(k, names, sizeof(names));
		return why_set(why, -E_INVALID, "%s has no option \"%.40s\"; it has: %s", k->name,
			       name, names[0] ? names : "none");
	}
	return 0;
}

int kind_options(const struct kind *k, const json_t *given, char ret[KIND_OPTIONS_BYTES],
		 struct why *why)
{
	OWN_JSON *all = json_object();
	const struct kind_key *key;
	if (given && !json_is_object(given))
		return why_set(why, -E_INVALID, "`options` must be an object");
	int err = given ? names_known(k, given, why) : 0;
	for (unsigned i = 0; err == 0 && given && (key = kind_key_at(k, i)); i++) {
		OWN_JSON *value = NULL, *def = NULL;
		const json_t *one = json_object_get(given, key->name);
		if (!one)
			continue;
		err = value_of(key, one, &value, why);
		if (err == 0)
			err = value_parse(key, key->def, &def, NULL);
		if (err == 0 && !json_equal(value, def))
			err = json_object_set(all, key->name, value) < 0 ? -ENOMEM : 0;
	}
	if (err < 0)
		return err;
	size_t n = json_dumpb(all, ret, KIND_OPTIONS_BYTES - 1, JSON_COMPACT);
	if (n == 0 || n >= KIND_OPTIONS_BYTES)
		return why_set(why, -E_INVALID, "the options of %s are longer than %d bytes",
			       k->name, KIND_OPTIONS_BYTES - 1);
	ret[n] = '\0';
	return 0;
}

int kind_values_read(enum kind_side side, const char *kind, struct span options,
		     struct kind_values *ret, struct why *why)
{
	char canonical[KIND_OPTIONS_BYTES];
	json_error_t e;
	*ret = (struct kind_values){ .kind = kind_find(side, kind) };
	if (!ret->kind)
		return why_set(why, -E_INVALID, "there is no kind \"%s\"", kind);
	ret->object = options.len ? json_loadb((const char *)options.at, options.len,
					       JSON_REJECT_DUPLICATES, &e)
				  : json_object();
	if (!ret->object)
		return why_set(why, -E_INVALID, "the options of %s are no JSON object: %s", kind,
			       e.text);
	int err = kind_options(ret->kind, ret->object, canonical, why);
	json_decref(ret->object);
	ret->object = err == 0 ? json_loads(canonical, 0, &e) : NULL;
	return err < 0 ? err : ret->object ? 0 : -ENOMEM;
}

void kind_values_free(struct kind_values *v)
{
	json_decref(v->object);
	v->object = NULL;
}

/* NULL: the default, which is read from key's text. */
static const json_t *value_at(const struct kind_values *v, const char *name, enum key_type type,
			      const struct kind_key **ret_key)
{
	*ret_key = key_find(v->kind, name);
	ENSURE(*ret_key && (*ret_key)->type == type);
	return json_object_get(v->object, name);
}

bool kind_flag(const struct kind_values *v, const char *name)
{
	const struct kind_key *k;
	const json_t *j = value_at(v, name, KEY_FLAG, &k);
	bool def = false;
	(void)flag_parse(k->def, &def);
	return j ? json_is_true(j) : def;
}

double kind_number(const struct kind_values *v, const char *name)
{
	const struct kind_key *k;
	const json_t *j = value_at(v, name, KEY_NUMBER, &k);
	return j ? json_number_value(j) : strtod(k->def, NULL);
}

uint64_t kind_ms(const struct kind_values *v, const char *name)
{
	const struct kind_key *k;
	const json_t *j = value_at(v, name, KEY_TIME, &k);
	uint64_t ms = 0;
	(void)kind_time_parse(k->def, &ms);
	return j ? (uint64_t)json_integer_value(j) : ms;
}

const char *kind_text(const struct kind_values *v, const char *name)
{
	const struct kind_key *k = key_find(v->kind, name);
	ENSURE(k && (k->type == KEY_CHOICE || k->type == KEY_WORDS));
	const json_t *j = json_object_get(v->object, name);
	return j ? json_string_value(j) : k->def;
}

/* ---- outputs ---- */

bool kind_level_parse(struct span s, double *ret)
{
	static const struct {
		const char *word;
		double level;
	} words[] = { { "on", 1 }, { "true", 1 }, { "off", 0 }, { "false", 0 } };
	char text[LEVEL_BYTES];
	while (s.len && isspace(s.at[0]))
		s = (struct span){ s.at + 1, s.len - 1 };
	while (s.len && isspace(s.at[s.len - 1]))
		s.len--;
	if (s.len == 0 || s.len >= sizeof(text) || memchr(s.at, '\0', s.len))
		return false;
	memcpy(text, s.at, s.len);
	text[s.len] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcasecmp(text, words[i].word) == 0) {
			*ret = words[i].level;
			return true;
		}
	}
	return number_parse(text, ret);
}

bool output_name_ok(struct span name)
{
	if (name.len == 0 || name.len > OUTPUT_NAME_BYTES || name.at[0] == '_' || name.at[0] == '-')
		return false;
	for (size_t i = 0; i < name.len; i++) {
		if (!islower(name.at[i]) && !isdigit(name.at[i]) && name.at[i] != '_' &&
		    name.at[i] != '-')
			return false;
	}
	return true;
}

bool output_of_topic(struct span topic, struct span *ret_name)
{
	const size_t n = sizeof(OUTPUT_TOPIC) - 1;
	if (topic.len < n || memcmp(topic.at, OUTPUT_TOPIC, n) != 0)
		return false;
	*ret_name = (struct span){ topic.at + n, topic.len - n };
	return true;
}
