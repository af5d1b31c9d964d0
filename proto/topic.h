/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MQTT topic names, filters and our templates (MQTT 5.0 specification, section 4.7).
 * Template: "alerts/{1}": {1}.. what the filter's wildcards matched, in order ('#' gives the rest,
 * with its slashes), {topic} the whole topic, {id} the event's id, {function} its name, {response_topic} where the
 * sender wants its answer (MQTT 5); "{{" is "{".
 */
#ifndef PROTO_TOPIC_H
#define PROTO_TOPIC_H

#include <stdbool.h>

#include "base/rd.h"
#include "base/why.h"
#include "base/wr.h"

enum { TOPIC_BYTES_MAX = 65535, TOPIC_LEVELS_MAX = 128 };

/* Valid UTF-8, no U+0000, 1..65535 bytes, no wildcards. */
bool topic_name_ok(struct span name);
/* + and # only as whole levels, # only last. $share/GROUP/FILTER (MQTT 5.0, 4.8.2): GROUP without them. */
bool topic_filter_ok(struct span filter);
/* What a filter matches by: FILTER of $share/GROUP/FILTER, else itself. */
struct span topic_unshared(struct span filter);
/* Does the filter match? Topics that begin with $ are not matched by a wildcard at the front. */
bool topic_match(struct span filter, struct span name);
/* Is every topic that b matches also matched by a? (for grants) */
bool topic_covers(struct span a, struct span b);

struct topic_vars {
	struct span filter, topic, id, function, response;
};

/* Checks a template against a filter: balanced braces, known names, {N} within the wildcards. */
int topic_template_check(struct span tmpl, struct span filter, struct why *why) MUST_USE;
/* Can what the template makes of a message that matched the filter match the filter again? May say
 * yes where a closer look would say no. */
bool topic_template_loops(struct span tmpl, struct span filter);
/* Does it name {response_topic}? */
bool topic_template_answers(struct span tmpl);
/* Writes the topic; false when it does not fit or the result is not a valid topic name. One that begins with $ is
 * made by a template that does: $output/NAME is not for every sender to choose. */
bool topic_template_expand(struct span tmpl, const struct topic_vars *v, struct wr *w);

#endif
