/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What functions can be bound to, and what they can set: a table (kinds.def) that the command line, the REST
 * API, the files in conf.d and the triggers read alike. A binding names a kind, what to listen to (its
 * filter), and options. Options travel as canonical text: a JSON object without blanks, in the table's
 * order, with what is not the default; "{}" is none. So equal texts are equal options.
 */
#ifndef PROTO_KINDS_H
#define PROTO_KINDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/rd.h"
#include "base/why.h"

enum { KIND_OPTIONS_BYTES = 4608 }; /* of canonical text, with its NUL */

enum key_type { KEY_FLAG, KEY_NUMBER, KEY_TIME, KEY_CHOICE, KEY_WORDS };

struct kind_key {
	const char *kind, *name;
	enum key_type type;
	const char *def; /* as people write it */
	double least, most;
	const char *choices; /* separated by blanks */
	const char *help;
};

enum kind_side { KIND_INPUT, KIND_OUTPUT };

struct kind {
	enum kind_side side;
	const char *name, *argument, *help;
};

extern const struct kind kinds[];
extern const unsigned kinds_count;
/* NULL: there is none. */
const struct kind *kind_find(enum kind_side side, const char *name);
/* The i-th key of a kind, NULL behind the last. */
const struct kind_key *kind_key_at(const struct kind *k, unsigned i);
/* "mqtt, gpio, io ..." for messages about a kind that is not there. */
const char *kind_names(enum kind_side side, char *buf, size_t cap);

/* given: an object whose values are JSON's own (true, 5, "rising") or as people write them ("yes", "5s");
 * NULL = {}. -E_INVALID names key, value and what is expected; no key twice, none that is not in the table. */
int kind_options(const struct kind *k, const json_t *given, char ret[KIND_OPTIONS_BYTES],
		 struct why *why) MUST_USE;

/* From canonical text, or the default. The name must be in the table. Times in milliseconds. */
struct kind_values {
	const struct kind *kind;
	json_t *object;
};
/* -E_INVALID: not such a text; -ENOMEM */
int kind_values_read(enum kind_side side, const char *kind, struct span options,
		     struct kind_values *ret, struct why *why) MUST_USE;
void kind_values_free(struct kind_values *v);
bool kind_flag(const struct kind_values *v, const char *name);
double kind_number(const struct kind_values *v, const char *name);
uint64_t kind_ms(const struct kind_values *v, const char *name);
const char *kind_text(const struct kind_values *v, const char *name); /* lives as long as v */

/* "20ms", "5s", "2min", "1h", "1d", "20" (ms): whole milliseconds. */
bool kind_time_parse(const char *s, uint64_t *ret_ms);

/* What a function wants an output to be: "1", "0", "on", "off", "true", "false", a number. */
bool kind_level_parse(struct span s, double *ret);

/* Messages to $output/NAME set an output; the dollar keeps them apart from a broker's topics. */
#define OUTPUT_TOPIC "$output/"
bool output_name_ok(struct span name);                          /* [a-z0-9][a-z0-9_-]*, 1 to 63 */
bool output_of_topic(struct span topic, struct span *ret_name); /* false: it is another's topic */

#endif
