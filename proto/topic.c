/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/topic.h"

#include <string.h>

/* ---- levels ---- */

struct levels {
	struct span rest;
	bool over; /* the last level was given out */
};

static struct levels levels_of(struct span s)
{
	return (struct levels){ .rest = s, .over = s.len == 0 };
}

/* The next level, which may be empty ("a//b" has three). */
static bool level_next(struct levels *l, struct span *ret)
{
	if (l->over)
		return false;
	const uint8_t *slash = l->rest.len ? memchr(l->rest.at, '/', l->rest.len) : NULL;
	size_t len = slash ? (size_t)(slash - l->rest.at) : l->rest.len;
	*ret = (struct span){ l->rest.at, len };
	l->over = slash == NULL;
	if (slash)
		l->rest = (struct span){ slash + 1, l->rest.len - len - 1 };
	return true;
}

static bool is_char(struct span level, char c)
{
	return level.len == 1 && level.at[0] == (uint8_t)c;
}

static bool is_same(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static bool has_byte(struct span s, int byte)
{
	return s.len > 0 && memchr(s.at, byte, s.len) != NULL;
}

static bool is_text(struct span s)
{
	return s.len >= 1 && s.len <= TOPIC_BYTES_MAX && !has_byte(s, '\0') && span_is_utf8(s);
}

static bool begins_wild(struct span filter)
{
	return filter.len > 0 && (filter.at[0] == '+' || filter.at[0] == '#');
}

bool topic_name_ok(struct span name)
{
	return is_text(name) && !has_byte(name, '+') && !has_byte(name, '#');
}

static const char shared[] = "$share/";

struct span topic_unshared(struct span filter)
{
	const size_t head = sizeof(shared) - 1;
	if (filter.len < head || memcmp(filter.at, shared, head) != 0)
		return filter;
	const uint8_t *slash = memchr(filter.at + head, '/', filter.len - head);
	size_t skip = slash ? (size_t)(slash - filter.at) + 1 : filter.len;
	return (struct span){ filter.at + skip, filter.len - skip };
}

static bool share_ok(struct span filter)
{
	const struct span rest = topic_unshared(filter);
	if (rest.len == filter.len)
		return true;
	const struct span head = { filter.at, filter.len - rest.len };
	return rest.len > 0 && head.len > sizeof(shared) && !has_byte(head, '+') &&
	       !has_byte(head, '#');
}

bool topic_filter_ok(struct span filter)
{
	if (!is_text(filter) || !share_ok(filter))
		return false;
	struct levels l = levels_of(filter);
	struct span level;
	for (unsigned n = 0; level_next(&l, &level); n++) {
		if (n >= TOPIC_LEVELS_MAX)
			return false;
		if (is_char(level, '+') || (is_char(level, '#') && l.over))
			continue;
		if (has_byte(level, '+') || has_byte(level, '#'))
			return false;
	}
	return true;
}

bool topic_match(struct span filter, struct span name)
{
	if (name.len > 0 && name.at[0] == '$' && begins_wild(filter))
		return false;
	struct levels fl = levels_of(filter), nl = levels_of(name);
	struct span f, n;
	while (level_next(&fl, &f)) {
		if (is_char(f, '#')) /* the rest, and also no rest: "a/#" matches "a" */
			return true;
		if (!level_next(&nl, &n) || !(is_char(f, '+') || is_same(f, n)))
			return false;
	}
	return nl.over;
}

bool topic_covers(struct span a, struct span b)
{
	/* A topic has at least one level, so "#" says no more than "+/#". */
	static const uint8_t any[] = "+/#";
	if (is_char(b, '#'))
		b = (struct span){ any, sizeof(any) - 1 };
	if (b.len > 0 && b.at[0] == '$' && begins_wild(a))
		return false;
	struct levels al = levels_of(a), bl = levels_of(b);
	struct span x, y;
	while (level_next(&al, &x)) {
		if (is_char(x, '#'))
			return true;
		if (!level_next(&bl, &y) || is_char(y, '#'))
			return false;
		if (!is_char(x, '+') && !is_same(x, y))
			return false;
	}
	return bl.over;
}

/* ---- templates ---- */

enum part_kind {
	PART_TEXT,
	PART_WILDCARD,
	PART_TOPIC,
	PART_ID,
	PART_FUNCTION,
	PART_RESPONSE,
	PART_BAD
};

struct part {
	enum part_kind kind;
	struct span text;  /* TEXT: itself; else what stands between the braces */
	unsigned wildcard; /* WILDCARD: 1.. */
};

static const struct {
	const char *name;
	enum part_kind kind;
} variables[] = {
	{ "topic", PART_TOPIC },
	{ "id", PART_ID },
	{ "function", PART_FUNCTION },
	{ "response_topic", PART_RESPONSE },
};

/* 1..999 without leading zeros; 0 for anything else */
static unsigned number_of(struct span s)
{
	unsigned n = 0;
	if (s.len == 0 || s.len > 3 || s.at[0] == '0')
		return 0;
	for (size_t i = 0; i < s.len; i++) {
		if (s.at[i] < '0' || s.at[i] > '9')
			return 0;
		n = n * 10 + (s.at[i] - '0');
	}
	return n;
}

static struct part variable_part(struct span name)
{
	struct part p = { .kind = PART_BAD, .text = name, .wildcard = number_of(name) };
	if (p.wildcard > 0)
		p.kind = PART_WILDCARD;
	for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
		if (span_eq(name, variables[i].name))
			p.kind = variables[i].kind;
	}
	return p;
}

static struct span taken(struct span *from, size_t n)
{
	struct span s = { from->at, n };
	from->at += n;
	from->len -= n;
	return s;
}

/* The next piece of a template; false at its end. "{{" and "}}" are texts of one byte. */
static bool part_next(struct span *rest, struct part *ret)
{
	size_t n = 0;
	if (rest->len == 0)
		return false;
	while (n < rest->len && rest->at[n] != '{' && rest->at[n] != '}')
		n++;
	if (n > 0) {
		*ret = (struct part){ .kind = PART_TEXT, .text = taken(rest, n) };
		return true;
	}
	uint8_t brace = rest->at[0];
	if (rest->len >= 2 && rest->at[1] == brace) {
		*ret = (struct part){ .kind = PART_TEXT, .text = { rest->at, 1 } };
		(void)taken(rest, 2);
		return true;
	}
	const uint8_t *close = brace == '{' ? memchr(rest->at, '}', rest->len) : NULL;
	if (!close) {
		*ret = (struct part){ .kind = PART_BAD, .text = taken(rest, rest->len) };
		return true;
	}
	struct span whole = taken(rest, (size_t)(close - rest->at) + 1);
	*ret = variable_part((struct span){ whole.at + 1, whole.len - 2 });
	return true;
}

static unsigned wildcards_of(struct span filter)
{
	struct levels l = levels_of(filter);
	struct span level;
	unsigned n = 0;
	while (level_next(&l, &level))
		n += is_char(level, '+') || is_char(level, '#');
	return n;
}

#define SHOW(s) (int)((s).len > 100 ? 100 : (s).len), (const char *)(s).at

static int part_check(const struct part *p, struct span filter, struct why *why)
{
	unsigned have = wildcards_of(filter);
	if (p->kind == PART_WILDCARD && p->wildcard > have)
		return why_set(why, -E_INVALID, "{%u}: the filter %.*s has %u wildcard%s",
			       p->wildcard, SHOW(filter), have, have == 1 ? "" : "s");
	if (p->kind == PART_BAD && p->text.len > 0 && p->text.at[0] == '}')
		return why_set(why, -E_INVALID, "a } without its {; write }} for the character");
	if (p->kind == PART_BAD && p->text.len > 0 && p->text.at[0] == '{')
		return why_set(why, -E_INVALID, "a { without its }; write {{ for the character");
	if (p->kind == PART_BAD)
		return why_set(why, -E_INVALID,
			       "{%.*s} is unknown; there are {1}.. for the filter's wildcards, "
			       "{topic}, {id}, {function} and {response_topic}",
			       SHOW(p->text));
	return 0;
}

int topic_template_check(struct span tmpl, struct span filter, struct why *why)
{
	filter = topic_unshared(filter);
	if (!topic_name_ok(tmpl))
		return why_set(why, -E_INVALID,
			       "a topic to publish to is 1 to %d bytes of UTF-8 without + and #",
			       TOPIC_BYTES_MAX);
	struct part p;
	while (part_next(&tmpl, &p)) {
		int err = part_check(&p, filter, why);
		if (err < 0)
			return err;
	}
	return 0;
}

/* ---- does a template come back to its filter? ---- */

/* A level of what a template makes: known, any one, or one or more of any. */
struct made {
	enum { MADE_TEXT, MADE_ANY, MADE_MORE } kind;
	struct span text;
};

enum { MADE_MAX = 4 * TOPIC_LEVELS_MAX };

static struct made made_of_filter(struct span level)
{
	return (struct made){ is_char(level, '#')   ? MADE_MORE
			      : is_char(level, '+') ? MADE_ANY
						    : MADE_TEXT,
			      level };
}

static struct made made_of_template(struct span level, struct span filter)
{
	const bool has_rest = filter.len > 0 && filter.at[filter.len - 1] == '#';
	const bool is_escaped = has_byte(level, '{') || has_byte(level, '}');
	struct made m = { MADE_TEXT, level };
	struct part p;
	while (part_next(&level, &p)) {
		if (p.kind == PART_TOPIC || p.kind == PART_RESPONSE ||
		    (p.kind == PART_WILDCARD && has_rest && p.wildcard == wildcards_of(filter)))
			m.kind = MADE_MORE;
		else if ((p.kind != PART_TEXT || is_escaped) && m.kind == MADE_TEXT)
			m.kind = MADE_ANY;
	}
	return m;
}

/* False: more than can be looked at. */
static bool made_list(struct span tmpl, struct span filter, struct made list[MADE_MAX], size_t *ret)
{
	struct levels tl = levels_of(tmpl), fl;
	struct span t, f;
	size_t n = 0;
	while (level_next(&tl, &t)) {
		bool is_topic = span_eq(t, "{topic}");
		fl = levels_of(filter);
		for (bool more = true; more && level_next(&fl, &f); more = is_topic) {
			if (n == MADE_MAX)
				return false;
			list[n++] = is_topic ? made_of_filter(f) : made_of_template(t, filter);
		}
	}
	*ret = n;
	return true;
}

bool topic_template_loops(struct span tmpl, struct span filter)
{
	struct made made[MADE_MAX];
	struct span want[TOPIC_LEVELS_MAX];
	bool here[TOPIC_LEVELS_MAX + 1] = { true }; /* the levels of the filter matched so far */
	size_t nmade, nwant = 0;
	filter = topic_unshared(filter);
	struct levels l = levels_of(filter);
	if (tmpl.len > 0 && tmpl.at[0] == '$' && begins_wild(filter))
		return false;
	while (nwant < TOPIC_LEVELS_MAX && level_next(&l, &want[nwant]))
		nwant++;
	if (!made_list(tmpl, filter, made, &nmade))
		return true;
	const bool has_rest = is_char(want[nwant - 1], '#');
	for (size_t i = 0; i < nmade && !(has_rest && here[nwant - 1]); i++) {
		bool next[TOPIC_LEVELS_MAX + 1] = { false };
		bool before = false; /* MORE: from any position before this one */
		for (size_t k = 0; k < nwant; k++) {
			before |= here[k];
			bool fits = made[i].kind != MADE_TEXT || is_char(want[k], '+') ||
				    is_char(want[k], '#') || is_same(want[k], made[i].text);
			next[k + 1] = made[i].kind == MADE_MORE ? before : here[k] && fits;
		}
		memcpy(here, next, sizeof(here));
	}
	return here[nwant] || (has_rest && here[nwant - 1]);
}

/* ---- templates at work ---- */

/* What the n-th wildcard (from 1) of the filter stands for in this topic. */
static struct span wildcard_value(struct span filter, struct span topic, unsigned n)
{
	struct levels fl = levels_of(filter), tl = levels_of(topic);
	struct span f, t;
	while (level_next(&fl, &f)) {
		bool is_rest = is_char(f, '#');
		if (is_rest && n == 1)
			return tl.over ? (struct span){ 0 } : tl.rest;
		if (is_rest || !level_next(&tl, &t))
			break;
		if (is_char(f, '+') && --n == 0)
			return t;
	}
	return (struct span){ 0 };
}

static struct span part_value(const struct part *p, const struct topic_vars *v)
{
	switch (p->kind) {
	case PART_TEXT:
		return p->text;
	case PART_WILDCARD:
		return wildcard_value(topic_unshared(v->filter), v->topic, p->wildcard);
	case PART_TOPIC:
		return v->topic;
	case PART_ID:
		return v->id;
	case PART_FUNCTION:
		return v->function;
	case PART_RESPONSE:
		return v->response;
	case PART_BAD:
		break;
	}
	return (struct span){ 0 };
}

bool topic_template_answers(struct span tmpl)
{
	struct part p;
	while (part_next(&tmpl, &p)) {
		if (p.kind == PART_RESPONSE)
			return true;
	}
	return false;
}

bool topic_template_expand(struct span tmpl, const struct topic_vars *v, struct wr *w)
{
	size_t start = w->len;
	const bool special = tmpl.len > 0 && tmpl.at[0] == '$';
	struct part p;
	while (part_next(&tmpl, &p)) {
		if (p.kind == PART_BAD)
			return false;
		struct span s = part_value(&p, v);
		wr_bytes(w, s.at, s.len);
	}
	return wr_ok(w) && topic_name_ok((struct span){ w->buf + start, w->len - start }) &&
	       (special || w->buf[start] != '$');
}
