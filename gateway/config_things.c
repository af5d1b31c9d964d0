/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/config_things.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/binding_read.h"
#include "proto/own_json.h"

enum { THINGS_MAX = OUTPUTS_MAX + CONFIG_BINDINGS_MAX };

struct config_thing {
	struct config_thing *next; /* in the order of the files */
	enum kind_side side;
	char *name, *place;
	json_t *keys; /* name -> text */
};

/* What a binding has beside its kind and that kind's options; the names of the REST API. */
static const struct binding_key {
	const char *name;
	enum { TEXT, NUMBER, FLAG } type;
	const char *help;
} binding_keys[] = {
	{ "function", TEXT, "which function; it need not be deployed yet" },
	{ "publish", TEXT, "where its answers go: alerts/{1}, {topic}, $output/NAME" },
	{ "publish_broker", TEXT,
	  "that its messages go to; default: that of its events, or default" },
	{ "broker", TEXT, "which it listens to, or the NAME of [modbus.NAME]" },
	{ "qos", NUMBER, "of the subscription; default 1" },
	{ "publish_qos", NUMBER, "of what is published; default: that of qos" },
	{ "retain", FLAG, "what is published is kept by the broker; default no" },
	{ "deadline_ms", NUMBER, "until when an event has to end; default 0: the function's" },
	{ "criticality", TEXT, "low, normal or high; default: the function's" },
	{ "durability", TEXT, "process, power or off; default: journal.durability" },
	{ "retry", NUMBER, "how often an event that failed is tried again; default 3" },
	{ "backoff_ms", NUMBER, "pause before that, doubled each time; default 1000" },
	{ "ordered", FLAG, "events of a topic run one after the other; default no" },
};

static const char *const section_of[] = { [KIND_OUTPUT] = "output", [KIND_INPUT] = "binding" };

/* "output.NAME" or "binding.NAME": NAME, or NULL. */
static const char *thing_name(const char *section, enum kind_side *ret_side)
{
	for (unsigned i = 0; i < ARRAY_LEN(section_of); i++) {
		size_t n = strlen(section_of[i]);
		if (strncmp(section, section_of[i], n) == 0 && section[n] == '.') {
			*ret_side = (enum kind_side)i;
			return section + n + 1;
		}
	}
	return NULL;
}

bool config_is_thing(const char *section)
{
	enum kind_side side;
	return thing_name(section, &side) != NULL;
}

static void thing_free(struct config_thing *t)
{
	json_decref(t->keys);
	free(t->name);
	free(t->place);
	free(t);
}

static struct config_thing *thing_new(enum kind_side side, const char *name, const char *place)
{
	struct config_thing *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->side = side;
	t->name = strdup(name);
	t->place = strdup(place);
	t->keys = json_object();
	if (t->name && t->place && t->keys)
		return t;
	thing_free(t);
	return NULL;
}

int config_thing_key(struct config *c, const char *section, const char *name, const char *value,
		     const char *place, struct why *why)
{
	enum kind_side side;
	const char *thing = thing_name(section, &side);
	struct config_thing **at = &c->things;
	unsigned n = 0;
	if (!output_name_ok((struct span){ (const uint8_t *)thing, strlen(thing) }))
		return why_set(why, -E_CONFIG, "[%s]: the name is 1 to 63 of a-z 0-9 _ -", section);
	for (; *at && ((*at)->side != side || strcmp((*at)->name, thing) != 0); n++)
		at = &(*at)->next;
	if (!*at && n == THINGS_MAX)
		return why_set(why, -E_CONFIG, "more than %d outputs and bindings", THINGS_MAX);
	if (!*at)
		*at = thing_new(side, thing, place);
	if (!*at)
		return why_set(why, -ENOMEM, "out of memory");
	if (json_object_get((*at)->keys, name))
		return why_set(why, -E_CONFIG, "%s has a value already (%s)", name, (*at)->place);
	json_t *text = json_string(value);
	if (!text)
		return why_set(why, -E_CONFIG, "%s: not UTF-8", name);
	return json_object_set_new((*at)->keys, name, text) < 0 ? -ENOMEM : 0;
}

/* ---- what they mean ---- */

static bool has_key(const struct kind *k, const char *name)
{
	const struct kind_key *key;
	for (unsigned i = 0; (key = kind_key_at(k, i)); i++) {
		if (strcmp(key->name, name) == 0)
			return true;
	}
	return false;
}

/* Its kind: the one that is named, where a further name can be an option of it (sensor = ..., every = 5s). */
static const struct kind *kind_of(const struct config_thing *t, struct why *why)
{
	char names[160];
	const struct kind *found = NULL;
	for (unsigned i = 0; i < kinds_count; i++) {
		const struct kind *k = &kinds[i];
		if (k->side != t->side || !json_object_get(t->keys, k->name) ||
		    (found && has_key(found, k->name)))
			continue;
		if (found && !has_key(k, found->name)) {
			(void)why_set(why, -E_CONFIG,
				      "%s: [%s.%s] has %s and %s, it is one of them", t->place,
				      section_of[t->side], t->name, found->name, k->name);
			return NULL;
		}
		found = k;
	}
	if (!found)
		(void)why_set(why, -E_CONFIG, "%s: [%s.%s] says not what it is: it needs one of %s",
			      t->place, section_of[t->side], t->name,
			      kind_names(t->side, names, sizeof(names)));
	return found;
}

static int unknown(const struct config_thing *t, const struct kind *k, const char *name,
		   struct why *why)
{
	return why_set(
		why, -E_CONFIG,
		"%s: unknown key \"%s\" in [%s.%s]; penstockd --help-config lists those of %s",
		t->place, name, section_of[t->side], t->name, k->name);
}

static int misread(const struct config_thing *t, const struct why *reason, struct why *why)
{
	return why_set(why, -E_CONFIG, "%s: [%s.%s]: %s", t->place, section_of[t->side], t->name,
		       reason->text);
}

static int output_finish(struct config *c, const struct config_thing *t, struct why *why)
{
	char options[KIND_OPTIONS_BYTES];
	struct why reason = { 0 };
	const char *name;
	json_t *value;
	const struct kind *k = kind_of(t, why);
	OWN_JSON *given = json_object();
	if (!k)
		return -E_CONFIG;
	json_object_foreach(t->keys, name, value)
	{
		if (strcmp(name, k->name) == 0)
			continue;
		if (!has_key(k, name))
			return unknown(t, k, name, why);
		(void)json_object_set(given, name, value);
	}
	if (kind_options(k, given, options, &reason) < 0)
		return misread(t, &reason, why);
	if (c->noutputs == OUTPUTS_MAX)
		return why_set(why, -E_CONFIG, "%s: more than %d outputs", t->place, OUTPUTS_MAX);
	const char *target = json_string_value(json_object_get(t->keys, k->name));
	c->outputs[c->noutputs++] = (struct output_config){
		.name = arena_strndup(&c->arena, t->name, strlen(t->name)),
		.kind = k->name,
		.target = arena_strndup(&c->arena, target, strlen(target)),
		.options = arena_strndup(&c->arena, options, strlen(options)),
	};
	return 0;
}

/* As POST /bindings takes it: numbers and flags are JSON's. */
static int binding_value(const struct binding_key *k, json_t *text, json_t **ret, struct why *why)
{
	static const char *const flags[] = { "no", "yes", "false", "true", "off", "on" };
	const char *s = json_string_value(text);
	char *end;
	if (k->type == TEXT) {
		*ret = json_incref(text);
		return 0;
	}
	errno = 0;
	long long n = strtoll(s, &end, 10);
	if (k->type == NUMBER && (errno || end == s || *end != '\0'))
		return why_set(why, -E_CONFIG, "%s = \"%s\": expected a whole number", k->name, s);
	*ret = k->type == NUMBER ? json_integer(n) : NULL;
	for (unsigned i = 0; k->type == FLAG && i < ARRAY_LEN(flags); i++) {
		if (strcasecmp(flags[i], s) == 0)
			*ret = json_boolean(i % 2);
	}
	return *ret ? 0 : why_set(why, -E_CONFIG, "%s = \"%s\": expected yes or no", k->name, s);
}

static const struct binding_key *binding_key_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(binding_keys); i++) {
		if (strcmp(binding_keys[i].name, name) == 0)
			return &binding_keys[i];
	}
	return NULL;
}

static int binding_json(const struct config_thing *t, const struct kind *k, json_t *j,
			struct why *why)
{
	const char *name;
	json_t *value, *options = json_object();
	int err = json_object_set_new(j, "options", options) < 0 ? -ENOMEM : 0;
	if (err == 0 && !json_object_get(t->keys, "function"))
		err = why_set(why, -E_CONFIG, "function is missing");
	json_object_foreach(t->keys, name, value)
	{
		const struct binding_key *key = binding_key_find(name);
		json_t *typed = NULL;
		if (err < 0)
			break;
		if (strcmp(name, k->name) == 0) {
			err = json_object_set(j, "filter", value);
		} else if (has_key(k, name)) {
			err = json_object_set(options, name, value);
		} else if (!key) {
			err = why_set(why, -E_CONFIG, "%s is no key of a binding to %s", name,
				      k->name);
		} else {
			err = binding_value(key, value, &typed, why);
			if (err == 0)
				err = json_object_set_new(j, name, typed);
		}
	}
	return err;
}

/* 38 bits of FNV-1a, so that neither its place nor other sections matter. */
static uint64_t id_of(const char *name)
{
	uint64_t h = UINT64_C(14695981039346656037);
	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * UINT64_C(1099511628211);
	return CONFIG_BINDING_IDS + (h & ((UINT64_C(1) << 38) - 1));
}

static int kept(struct config *c, const char **s)
{
	if (*s)
		*s = arena_strndup(&c->arena, *s, strlen(*s));
	return *s ? 0 : -ENOMEM;
}

static int binding_finish(struct config *c, const struct config_thing *t, struct why *why)
{
	char options[KIND_OPTIONS_BYTES];
	struct why reason = { 0 };
	const struct kind *k = kind_of(t, why);
	OWN_JSON *j = k ? json_pack("{s:s}", "kind", k->name) : NULL;
	if (!k)
		return -E_CONFIG;
	struct config_binding *b = &c->bindings[c->nbindings];
	int err = binding_json(t, k, j, &reason);
	if (err == 0)
		err = binding_read(j, &b->row, options, &reason);
	if (err < 0)
		return misread(t, &reason, why);
	b->name = t->name;
	b->place = t->place;
	b->row.id = id_of(t->name);
	b->row.kind = k->name;
	const char **const strings[] = { &b->name,
					 &b->place,
					 &b->row.function,
					 &b->row.broker,
					 &b->row.filter,
					 &b->row.options,
					 &b->row.publish,
					 &b->row.publish_broker,
					 &b->row.criticality,
					 &b->row.durability };
	for (size_t i = 0; err == 0 && i < ARRAY_LEN(strings); i++)
		err = kept(c, strings[i]);
	for (unsigned i = 0; err == 0 && i < c->nbindings; i++) {
		if (c->bindings[i].row.id == b->row.id)
			err = why_set(why, -E_CONFIG,
				      "%s: the names %s and %s have the same number: rename one",
				      t->place, c->bindings[i].name, t->name);
	}
	c->nbindings++;
	return err;
}

int config_things_finish(struct config *c, struct why *why)
{
	unsigned n[2] = { 0 };
	int err = 0;
	for (const struct config_thing *t = c->things; t; t = t->next)
		n[t->side]++;
	if (n[KIND_INPUT] > CONFIG_BINDINGS_MAX)
		return why_set(why, -E_CONFIG, "more than %d bindings", CONFIG_BINDINGS_MAX);
	c->outputs = ARENA_NEW(&c->arena, struct output_config, n[KIND_OUTPUT] + 1);
	c->bindings = ARENA_NEW(&c->arena, struct config_binding, n[KIND_INPUT] + 1);
	if (!c->outputs || !c->bindings)
		err = why_set(why, -ENOMEM, "out of memory");
	for (const struct config_thing *t = c->things; err == 0 && t; t = t->next)
		err = t->side == KIND_OUTPUT ? output_finish(c, t, why) : binding_finish(c, t, why);
	config_things_free(c);
	return err;
}

void config_things_free(struct config *c)
{
	for (struct config_thing *t; (t = c->things);) {
		c->things = t->next;
		thing_free(t);
	}
}

static void kinds_help(enum kind_side side)
{
	const struct kind_key *key;
	for (unsigned i = 0; i < kinds_count; i++) {
		if (kinds[i].side != side)
			continue;
		printf("; %s = %s   %s\n", kinds[i].name, kinds[i].argument, kinds[i].help);
		for (unsigned k = 0; (key = kind_key_at(&kinds[i], k)); k++)
			printf(";     %s = %s   %s\n", key->name, key->def, key->help);
	}
}

void config_things_help(void)
{
	printf("\n; [output.NAME]   ; what functions set by a message to $output/NAME: one of\n");
	kinds_help(KIND_OUTPUT);
	printf("\n; [binding.NAME]  ; what starts a function, beside `penstock bind`\n");
	for (size_t i = 0; i < ARRAY_LEN(binding_keys); i++)
		printf("; %s =   %s\n", binding_keys[i].name, binding_keys[i].help);
	printf("; and one of\n");
	kinds_help(KIND_INPUT);
}
