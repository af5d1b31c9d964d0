/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cursors.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "gateway/dedupe.h"

enum { BUCKETS = 256 };

struct cursor {
	struct cursor *next;
	char *source;
	size_t name_len, len;
	uint8_t name[EVENT_CURSOR_BYTES], value[EVENT_CURSOR_BYTES];
};

struct cursors {
	struct journal *journal;
	pthread_mutex_t lock;
	struct cursor *bucket[BUCKETS];
};

struct cursor_step {
	struct journal_cursor row;
	struct cursor *made; /* there was none of this name: it becomes this */
	uint8_t bytes[];     /* source, name, value */
};

static struct span text_span(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

static struct cursor **bucket_of(struct cursors *c, const char *source, struct span name)
{
	return &c->bucket[dedupe_digest(text_span(source), name) % BUCKETS];
}

/* lock held: where it is, or the end of its list */
static struct cursor **find(struct cursors *c, const char *source, struct span name)
{
	struct cursor **at = bucket_of(c, source, name);
	while (*at && (!span_same((struct span){ (*at)->name, (*at)->name_len }, name) ||
		       strcmp((*at)->source, source) != 0))
		at = &(*at)->next;
	return at;
}

static void cursor_free(struct cursor *k)
{
	if (k)
		free(k->source);
	free(k);
}

static struct cursor *cursor_make(const char *source, struct span name)
{
	struct cursor *k = calloc(1, sizeof(*k));
	if (!k || !(k->source = strdup(source))) {
		free(k);
		return NULL;
	}
	memcpy(k->name, name.at, name.len);
	k->name_len = name.len;
	return k;
}

static void set(struct cursor *k, struct span value)
{
	if (value.len)
		memcpy(k->value, value.at, value.len);
	k->len = value.len;
}

/* ---- in the journal ---- */

static void row_done(struct journal_op *op, int err)
{
	(void)err;
	free(CONTAINER_OF(op, struct cursor_step, row.op));
}

static struct cursor_step *step_make(const char *source, struct span name, struct span value)
{
	size_t n = strlen(source);
	struct cursor_step *s = calloc(1, sizeof(*s) + n + 1 + name.len + value.len);
	if (!s)
		return NULL;
	memcpy(s->bytes, source, n);
	memcpy(s->bytes + n + 1, name.at, name.len);
	if (value.len)
		memcpy(s->bytes + n + 1 + name.len, value.at, value.len);
	s->row = (struct journal_cursor){
		.source = { s->bytes, n },
		.name = { s->bytes + n + 1, name.len },
		.value = { s->bytes + n + 1 + name.len, value.len },
	};
	s->row.op.done = row_done;
	return s;
}

static int remember(void *arg, struct span source, struct span name, struct span value)
{
	struct cursors *c = arg;
	char text[128];
	if (source.len >= sizeof(text) || name.len == 0 || name.len > EVENT_CURSOR_BYTES ||
	    value.len > EVENT_CURSOR_BYTES)
		return 0; /* not by us */
	memcpy(text, source.at, source.len);
	text[source.len] = '\0';
	struct cursor *k = cursor_make(text, name);
	if (!k)
		return -ENOMEM;
	set(k, value);
	struct cursor **at = find(c, text, name);
	*at = k;
	return 0;
}

/* ---- in use ---- */

int cursors_begin(struct cursors *c, const char *source, struct span name, struct span value,
		  struct cursor_step **ret)
{
	if (name.len == 0 || name.len > EVENT_CURSOR_BYTES || value.len > EVENT_CURSOR_BYTES)
		return -E_LIMIT;
	struct cursor_step *s = step_make(source, name, value);
	if (!s)
		return -ENOMEM;
	(void)pthread_mutex_lock(&c->lock);
	bool known = *find(c, source, name) != NULL;
	(void)pthread_mutex_unlock(&c->lock);
	if (!known && !(s->made = cursor_make(source, name))) {
		free(s);
		return -ENOMEM;
	}
	if (c->journal)
		journal_hold(c->journal, true);
	*ret = s;
	return 0;
}

/* If it was forgotten since begin, nobody listens any more, and it stays forgotten. */
static void move_on(struct cursors *c, struct cursor_step *s)
{
	(void)pthread_mutex_lock(&c->lock);
	struct cursor **at = find(c, (const char *)s->row.source.at, s->row.name);
	if (!*at && s->made)
		*at = ptr_steal(&s->made);
	if (*at)
		set(*at, s->row.value);
	bool kept = *at && c->journal;
	(void)pthread_mutex_unlock(&c->lock);
	cursor_free(s->made);
	s->made = NULL;
	if (kept)
		journal_cursor_put(c->journal, &s->row);
	else
		free(s);
}

void cursors_end(struct cursors *c, struct cursor_step *s, bool happened)
{
	if (happened) {
		move_on(c, s);
	} else {
		cursor_free(s->made);
		free(s);
	}
	if (c->journal) {
		journal_hold(c->journal, false);
		journal_commit(c->journal);
	}
}

size_t cursors_get(struct cursors *c, const char *source, struct span name, void *ret, size_t cap)
{
	(void)pthread_mutex_lock(&c->lock);
	const struct cursor *k = *find(c, source, name);
	size_t n = k ? k->len : 0;
	if (n > 0 && cap > 0)
		memcpy(ret, k->value, n < cap ? n : cap);
	(void)pthread_mutex_unlock(&c->lock);
	return n;
}

void cursors_each(struct cursors *c, const char *source, cursors_fn *each, void *arg)
{
	(void)pthread_mutex_lock(&c->lock);
	for (unsigned i = 0; i < BUCKETS; i++) {
		for (const struct cursor *k = c->bucket[i]; k; k = k->next) {
			if (strcmp(k->source, source) == 0)
				each(arg, (struct span){ k->name, k->name_len },
				     (struct span){ k->value, k->len });
		}
	}
	(void)pthread_mutex_unlock(&c->lock);
}

/* Without memory for its row it comes back with the next run, and is then as old as it is. */
void cursors_forget(struct cursors *c, const char *source, struct span name)
{
	(void)pthread_mutex_lock(&c->lock);
	struct cursor **at = find(c, source, name), *k = *at;
	if (k)
		*at = k->next;
	(void)pthread_mutex_unlock(&c->lock);
	struct cursor_step *s =
		k && c->journal ? step_make(source, name, (struct span){ 0 }) : NULL;
	if (s) {
		s->row.drop = true;
		journal_cursor_put(c->journal, &s->row);
	}
	cursor_free(k);
}

/* ---- begin and end ---- */

int cursors_new(struct journal *j, struct cursors **ret, struct why *why)
{
	struct cursors *c = calloc(1, sizeof(*c));
	if (!c)
		return why_set(why, -ENOMEM, "out of memory");
	c->journal = j;
	(void)pthread_mutex_init(&c->lock, NULL);
	int err = j ? journal_cursors(j, remember, c, why) : 0;
	if (err < 0) {
		cursors_free(c);
		return why_set(why, err, "out of memory");
	}
	*ret = c;
	return 0;
}

void cursors_free(struct cursors *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < BUCKETS; i++) {
		for (struct cursor *k; (k = c->bucket[i]);) {
			c->bucket[i] = k->next;
			cursor_free(k);
		}
	}
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}
