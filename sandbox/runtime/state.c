/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/state.h"

#include <stdlib.h>
#include <string.h>

#include "base/wr.h"

enum {
	KEEP_BYTES = 4 << 10,
	OP_HEAD_BYTES = 1 + 8 + 8 + 2 + 2 + 4, /* of one in the list */
	ENTRIES_FIRST = 8,
};

void state_reset(struct state *s)
{
	if (s->bytes_cap > KEEP_BYTES) {
		free(s->bytes);
		s->bytes = NULL;
		s->bytes_cap = 0;
	}
	if (s->cap > ENTRIES_FIRST) {
		free(s->entries);
		s->entries = NULL;
		s->cap = 0;
	}
	s->n = 0;
	s->len = s->leaving = 0;
	s->has_page = false;
}

void state_fini(struct state *s)
{
	free(s->bytes);
	free(s->entries);
	*s = (struct state){ 0 };
}

static bool same(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static int compare(struct span a, struct span b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int c = n ? memcmp(a.at, b.at, n) : 0;
	return c ? c : (a.len > b.len) - (a.len < b.len);
}

static bool begins_with(struct span s, struct span prefix)
{
	return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.at, prefix.at, prefix.len) == 0);
}

struct span state_span(const struct state *s, struct state_bytes b)
{
	return (struct span){ s->bytes + b.at, b.len };
}

/* ---- room ---- */

static bool has_room(struct state *s, size_t more)
{
	if (more > STATE_MEMORY_MAX - s->len)
		return false;
	size_t cap = s->bytes_cap ? s->bytes_cap : 1024;
	while (cap < s->len + more)
		cap *= 2;
	if (cap == s->bytes_cap)
		return true;
	uint8_t *grown = realloc(s->bytes, cap);
	if (!grown)
		return false;
	s->bytes = grown;
	s->bytes_cap = cap;
	return true;
}

static bool has_entry(struct state *s)
{
	if (s->n == IPC_STATE_OPS_MAX)
		return false;
	if (s->n < s->cap)
		return true;
	uint32_t cap = s->cap ? s->cap * 2 : ENTRIES_FIRST;
	struct state_entry *grown = realloc(s->entries, cap * sizeof(*grown));
	if (!grown)
		return false;
	s->entries = grown;
	s->cap = cap;
	return true;
}

/* After has_room(). */
static struct state_bytes keep(struct state *s, struct span from)
{
	struct state_bytes b = { (uint32_t)s->len, (uint32_t)from.len };
	if (from.len > 0)
		memcpy(s->bytes + s->len, from.at, from.len);
	s->len += from.len;
	return b;
}

static size_t leaving(size_t bucket, size_t key, size_t value)
{
	return OP_HEAD_BYTES + bucket + key + value;
}

/* A new entry without a value. */
static struct state_entry *add(struct state *s, struct span bucket, struct span key,
			       size_t more_bytes, size_t value_leaving)
{
	size_t out = leaving(bucket.len, key.len, value_leaving);
	if (s->leaving + out > IPC_STATE_BYTES || !has_entry(s) ||
	    !has_room(s, bucket.len + key.len + more_bytes))
		return NULL;
	struct state_entry *e = &s->entries[s->n++];
	*e = (struct state_entry){ .bucket = keep(s, bucket), .key = keep(s, key) };
	s->leaving += out;
	return e;
}

/* ---- reads and changes ---- */

struct state_entry *state_find(const struct state *s, struct span bucket, struct span key)
{
	for (uint32_t i = 0; i < s->n; i++) {
		struct state_entry *e = &s->entries[i];
		if (same(state_span(s, e->key), key) && same(state_span(s, e->bucket), bucket))
			return e;
	}
	return NULL;
}

struct state_entry *state_read(struct state *s, struct span bucket, struct span key,
			       uint64_t version, struct span value)
{
	struct state_entry *e = add(s, bucket, key, value.len, 0);
	if (!e)
		return NULL;
	e->what = IPC_STATE_READ;
	e->version = version;
	e->there = value.at != NULL;
	e->value = keep(s, value);
	return e;
}

bool state_change(struct state *s, struct span bucket, struct span key, enum ipc_state_what what,
		  struct span value, uint64_t ttl_ms)
{
	struct state_entry *e = state_find(s, bucket, key);
	if (!e) {
		e = add(s, bucket, key, value.len, value.len);
		if (!e)
			return false;
		e->version = IPC_STATE_ANY;
	} else {
		size_t before = e->what == IPC_STATE_PUT ? e->value.len : 0;
		if (s->leaving - before + value.len > IPC_STATE_BYTES || !has_room(s, value.len))
			return false;
		s->leaving += value.len - before;
	}
	e->what = (uint8_t)what;
	e->there = what == IPC_STATE_PUT;
	e->ttl_ms = ttl_ms;
	e->value = keep(s, value);
	return true;
}

/* ---- names ---- */

bool state_page(struct state *s, struct span bucket, struct span prefix, struct span after,
		uint64_t version, struct span names)
{
	const struct span none = { (const uint8_t *)"", 0 };
	struct state_entry *e = state_find(s, bucket, none);
	if (!e) {
		e = add(s, bucket, none, 0, 0);
		if (!e)
			return false;
		e->what = IPC_STATE_LISTED;
		e->version = version;
	} /* else, if the bucket has changed since: the first version will not do at the commit */
	s->page_more =
		names.len >= 2 && names.at[names.len - 2] == 0 && names.at[names.len - 1] == 0;
	if (s->page_more)
		names.len -= 2;
	if (!has_room(s, bucket.len + prefix.len + after.len + names.len))
		return false;
	s->page_bucket = keep(s, bucket);
	s->page_prefix = keep(s, prefix);
	s->page_after = keep(s, after);
	s->page = keep(s, names);
	s->has_page = true;
	return true;
}

/* The first name of the page behind `after`; at NULL: none. */
static struct span next_of_page(const struct state *s, struct span after)
{
	const struct span names = state_span(s, s->page);
	struct rd r = rd_from(names.at, names.len);
	while (r.left > 0) {
		struct span name = rd_span(&r, rd_u16(&r));
		if (!rd_ok(&r))
			break;
		if (compare(name, after) > 0)
			return name;
	}
	return (struct span){ 0 };
}

static struct span next_of_puts(const struct state *s, struct span bucket, struct span prefix,
				struct span after)
{
	struct span best = { 0 };
	for (uint32_t i = 0; i < s->n; i++) {
		const struct state_entry *e = &s->entries[i];
		const struct span key = state_span(s, e->key);
		if (e->what == IPC_STATE_PUT && same(state_span(s, e->bucket), bucket) &&
		    begins_with(key, prefix) && compare(key, after) > 0 &&
		    (!best.at || compare(key, best) < 0))
			best = key;
	}
	return best;
}

static bool page_is_of(const struct state *s, struct span bucket, struct span prefix,
		       struct span after)
{
	return s->has_page && same(state_span(s, s->page_bucket), bucket) &&
	       same(state_span(s, s->page_prefix), prefix) &&
	       compare(after, state_span(s, s->page_after)) >= 0;
}

static bool is_deleted(const struct state *s, struct span bucket, struct span key)
{
	const struct state_entry *e = state_find(s, bucket, key);
	return e && e->what == IPC_STATE_DELETE;
}

bool state_next(const struct state *s, struct span bucket, struct span prefix, struct span after,
		struct span *ret)
{
	struct span from = after;
	*ret = from;
	if (!page_is_of(s, bucket, prefix, after))
		return false;
	for (;;) {
		struct span there = next_of_page(s, from);
		struct span put = next_of_puts(s, bucket, prefix, from);
		if (!there.at && s->page_more) {
			*ret = from; /* all of the page lies before it */
			return false;
		}
		if (put.at && (!there.at || compare(put, there) < 0))
			there = put;
		*ret = there;
		if (!there.at || !is_deleted(s, bucket, there))
			return true;
		from = there;
	}
}

/* ---- out ---- */

void state_put(const struct state *s, struct wr *w)
{
	for (uint32_t i = 0; i < s->n; i++) {
		const struct state_entry *e = &s->entries[i];
		struct ipc_state_op o = { .what = e->what,
					  .version = e->version,
					  .bucket = state_span(s, e->bucket),
					  .key = state_span(s, e->key) };
		if (e->what == IPC_STATE_PUT) {
			o.ttl_ms = e->ttl_ms;
			o.value = state_span(s, e->value);
		}
		ipc_state_put(w, &o);
	}
}
