/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include <errno.h>
#include <string.h>

#include "proto/manifest.h"

enum { NAME_COLUMN = 26, WORD_MAX = 32, DISTANCE_MAX = 2 };

void options_add(struct options *o, const struct option_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		ENSURE(o->n < OPTIONS_MAX);
		o->rows[o->n++] = &rows[i];
	}
}

/* ---- what was meant ---- */

/* Levenshtein's distance, two rows at a time. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[2][WORD_MAX + 1];
	size_t na = strnlen(a, WORD_MAX), nb = strnlen(b, WORD_MAX);
	for (size_t j = 0; j <= nb; j++)
		row[0][j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		const unsigned *above = row[(i - 1) % 2];
		unsigned *here = row[i % 2];
		here[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned replace = above[j - 1] + (a[i - 1] != b[j - 1]);
			unsigned least = above[j] < here[j - 1] ? above[j] + 1 : here[j - 1] + 1;
			here[j] = replace < least ? replace : least;
		}
	}
	return row[na % 2][nb];
}

const char *nearest_name(const char *word, const char *const *names, size_t n)
{
	const char *best = NULL;
	unsigned best_distance = DISTANCE_MAX + 1;
	for (size_t i = 0; i < n; i++) {
		unsigned d = distance(word, names[i]);
		/* A short word is near to everything. */
		if (d < best_distance && d < strlen(names[i])) {
			best = names[i];
			best_distance = d;
		}
	}
	return best;
}

/* ---- parsing ---- */

struct parse {
	const struct options *o;
	const char *const *argv;
	struct args *args;
	struct why *why;
};

static const struct option_row *row_by_name(const struct options *o, const char *name, size_t len)
{
	for (size_t i = 0; i < o->n; i++) {
		const char *have = o->rows[i]->name;
		if (strlen(have) == len && memcmp(have, name, len) == 0)
			return o->rows[i];
	}
	return NULL;
}

static const struct option_row *row_by_letter(const struct options *o, char letter)
{
	for (size_t i = 0; i < o->n; i++) {
		if (o->rows[i]->letter == letter)
			return o->rows[i];
	}
	return NULL;
}

static bool number_parse(const char *s, uint64_t *ret)
{
	uint64_t v = 0;
	if (*s == '\0')
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9' || __builtin_mul_overflow(v, UINT64_C(10), &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return false;
	}
	*ret = v;
	return true;
}

static bool is_choice(const char *choices, const char *s)
{
	size_t len = strlen(s);
	for (const char *c = choices; c; c = strchr(c, '|'), c = c ? c + 1 : NULL) {
		if (strcspn(c, "|") == len && memcmp(c, s, len) == 0)
			return true;
	}
	return false;
}

static int number_check(const struct option_row *row, struct option_given *g, struct why *why)
{
	char least[32], most[32];
	bool is_size = row->kind == OPT_SIZE;
	bool ok = is_size ? manifest_size_parse(g->text, &g->number)
			  : number_parse(g->text, &g->number);
	if (!ok)
		return why_set(why, -E_CONFIG, "--%s %s: %s is needed", row->name, g->text,
			       is_size ? "a size such as 64MiB" : "a whole number");
	if (g->number >= row->least && g->number <= row->most)
		return 0;
	if (!is_size)
		return why_set(why, -E_CONFIG, "--%s %s: it must be %llu to %llu", row->name,
			       g->text, (unsigned long long)row->least,
			       (unsigned long long)row->most);
	return why_set(why, -E_CONFIG, "--%s %s: it must be %s to %s", row->name, g->text,
		       manifest_size_text(row->least, least, sizeof(least)),
		       manifest_size_text(row->most, most, sizeof(most)));
}

static int value_take(struct parse *p, const struct option_row *row, const char *text)
{
	struct option_given g = { .row = row, .text = text };
	int err = 0;
	if (row->kind != OPT_FLAG && text[0] == '\0')
		return why_set(p->why, -E_CONFIG, "--%s: its %s is empty", row->name, row->arg);
	if (row->kind == OPT_NUMBER || row->kind == OPT_SIZE)
		err = number_check(row, &g, p->why);
	if (row->kind == OPT_CHOICE && !is_choice(row->arg, text))
		return why_set(p->why, -E_CONFIG, "--%s %s: it is one of %s", row->name, text,
			       row->arg);
	if (err < 0)
		return err;
	if (p->args->ngiven >= OPTIONS_GIVEN_MAX)
		return why_set(p->why, -E_CONFIG, "more than %d options", OPTIONS_GIVEN_MAX);
	p->args->given[p->args->ngiven++] = g;
	return 0;
}

/* The value in the next word. */
static int next_take(struct parse *p, const struct option_row *row)
{
	if (!*p->argv)
		return why_set(p->why, -E_CONFIG, "--%s needs a value: --%s %s", row->name,
			       row->name, row->arg);
	return value_take(p, row, *p->argv++);
}

static int unknown(struct parse *p, const char *word, size_t len)
{
	const char *names[OPTIONS_MAX];
	char name[WORD_MAX + 1];
	(void)snprintf(name, sizeof(name), "%.*s", (int)(len < WORD_MAX ? len : WORD_MAX), word);
	for (size_t i = 0; i < p->o->n; i++)
		names[i] = p->o->rows[i]->name;
	const char *meant = nearest_name(name, names, p->o->n);
	if (meant)
		return why_set(p->why, -E_CONFIG, "there is no option --%s; did you mean --%s?",
			       name, meant);
	return why_set(p->why, -E_CONFIG, "there is no option --%s", name);
}

static int long_take(struct parse *p, const char *word)
{
	size_t len = strcspn(word, "=");
	const struct option_row *row = row_by_name(p->o, word, len);
	if (!row)
		return unknown(p, word, len);
	if (row->kind == OPT_FLAG && word[len] == '=')
		return why_set(p->why, -E_CONFIG, "--%s takes no value", row->name);
	if (row->kind == OPT_FLAG)
		return value_take(p, row, "");
	return word[len] == '=' ? value_take(p, row, word + len + 1) : next_take(p, row);
}

/* "-f", "-n5", "-n 5", "-fn5" */
static int short_take(struct parse *p, const char *letters)
{
	for (; *letters; letters++) {
		const struct option_row *row = row_by_letter(p->o, *letters);
		if (!row)
			return why_set(p->why, -E_CONFIG, "there is no option -%c", *letters);
		if (row->kind != OPT_FLAG)
			return letters[1] ? value_take(p, row, letters + 1) : next_take(p, row);
		int err = value_take(p, row, "");
		if (err < 0)
			return err;
	}
	return 0;
}

static bool is_option(const char *word)
{
	return word[0] == '-' && word[1] != '\0'; /* "-" alone is an argument */
}

static bool is_ours(const struct options *o, const char *word)
{
	return strncmp(word, "--", 2) == 0 && row_by_name(o, word + 2, strcspn(word + 2, "=")) &&
	       strcmp(word, "--help") != 0;
}

int options_parse(const struct options *o, const char *const *argv, struct args *ret,
		  struct why *why)
{
	struct parse p = { .o = o, .argv = argv, .args = ret, .why = why };
	size_t n = 0;
	while (argv[n])
		n++;
	*ret = (struct args){ .rest = calloc(n + 1, sizeof(*ret->rest)) };
	if (!ret->rest)
		return why_set(why, -ENOMEM, "out of memory");
	bool options_over = false;
	while (*p.argv) {
		const char *word = *p.argv++;
		int err = 0;
		if (!options_over && o->rest_is_foreign && ret->nrest > 0)
			options_over = strcmp(word, "--") != 0 && !is_ours(o, word);
		if (options_over || !is_option(word))
			ret->rest[ret->nrest++] = word;
		else if (strcmp(word, "--") == 0)
			options_over = true;
		else
			err = word[1] == '-' ? long_take(&p, word + 2) : short_take(&p, word + 1);
		if (err < 0)
			return err;
	}
	return 0;
}

void args_fini(struct args *a)
{
	free(a->rest);
	*a = (struct args){ 0 };
}

static const struct option_given *last_given(const struct args *a, const char *name)
{
	for (size_t i = a->ngiven; i-- > 0;) {
		if (strcmp(a->given[i].row->name, name) == 0)
			return &a->given[i];
	}
	return NULL;
}

bool args_flag(const struct args *a, const char *name)
{
	return last_given(a, name) != NULL;
}

const char *args_text(const struct args *a, const char *name)
{
	const struct option_given *g = last_given(a, name);
	return g ? g->text : NULL;
}

uint64_t args_number(const struct args *a, const char *name, uint64_t otherwise)
{
	const struct option_given *g = last_given(a, name);
	return g ? g->number : otherwise;
}

const char *args_each(const struct args *a, const char *name, size_t i)
{
	for (size_t k = 0; k < a->ngiven; k++) {
		if (strcmp(a->given[k].row->name, name) == 0 && i-- == 0)
			return a->given[k].text;
	}
	return NULL;
}

void options_help(const struct options *o, FILE *out)
{
	for (size_t i = 0; i < o->n; i++) {
		const struct option_row *r = o->rows[i];
		char left[64], letter[8] = "    ";
		if (r->letter)
			(void)snprintf(letter, sizeof(letter), "-%c, ", r->letter);
		(void)snprintf(left, sizeof(left), "  %s--%s%s%s", letter, r->name,
			       r->arg ? " " : "", r->arg ? r->arg : "");
		(void)fprintf(out, "%-*s  %s\n", NAME_COLUMN, left, r->help);
	}
}
