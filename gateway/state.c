/* SPDX-License-Identifier: Apache-2.0 */
/* Reads, and what is on its way to be written. state_write.c writes. */
#include "gateway/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gateway/state_impl.h"
#include "gateway/wall.h"
#include "proto/manifest.h"

static const char *const statements[S_COUNT] = {
#define SQL(name, text) [S_##name] = (text),
#include "sql_state.h"
#undef SQL
};

int state_prepare(sqlite3 *db, sqlite3_stmt **stmts)
{
	int code = SQLITE_OK;
	for (size_t i = 0; i < S_COUNT && code == SQLITE_OK; i++)
		code = stmts[i] ? SQLITE_OK
				: sqlite3_prepare_v3(db, statements[i], -1,
						     SQLITE_PREPARE_PERSISTENT, &stmts[i], NULL);
	return code;
}

void state_finalize(sqlite3_stmt **stmts)
{
	for (size_t i = 0; i < S_COUNT; i++)
		(void)sqlite3_finalize(stmts[i]);
}

bool state_same(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

/* ---- begin and end ---- */

int state_open(struct journal *j, const struct state_limits *l, struct state_store **ret,
	       struct why *why)
{
	struct state_store *s = calloc(1, sizeof(*s));
	if (!s)
		return why_set(why, -ENOMEM, "out of memory");
	s->journal = j;
	s->limits = *l;
	(void)pthread_mutex_init(&s->lock, NULL);
	const char *path = sqlite3_db_filename(journal_reader(j), "main");
	int code = sqlite3_open_v2(
		path, &s->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
		NULL);
	if (code == SQLITE_OK)
		code = state_prepare(s->db, s->stmt);
	if (code == SQLITE_OK) {
		STATE_STMT highest = s->stmt[S_highest];
		code = sqlite3_step(highest);
		if (code == SQLITE_ROW)
			s->version = (uint64_t)sqlite3_column_int64(highest, 0);
	}
	if (code != SQLITE_ROW) {
		int err = why_set(why, -EIO, "%s: %s", path ? path : "journal.db",
				  s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(code));
		state_stop(s);
		state_free(s);
		return err;
	}
	*ret = s;
	return 0;
}

void state_stop(struct state_store *s)
{
	if (!s)
		return;
	state_finalize(s->stmt);
	(void)sqlite3_close(s->db);
	s->db = NULL;
}

void state_free(struct state_store *s)
{
	if (!s)
		return;
	state_finalize(s->writer);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

bool state_bucket_name(struct span bucket, const char *function, char *ret, size_t cap)
{
	if (bucket.len == 0)
		return (size_t)snprintf(ret, cap, "=%s", function) < cap;
	if (bucket.at[0] == '=' || memchr(bucket.at, '\0', bucket.len))
		return false;
	return (size_t)snprintf(ret, cap, "%.*s", (int)bucket.len, (const char *)bucket.at) < cap;
}

/* ---- what is pending ---- */

/* FNV-1a over bucket and key. */
static unsigned chain_of(struct span bucket, struct span key)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < bucket.len; i++)
		h = (h ^ bucket.at[i]) * 16777619u;
	for (size_t i = 0; i < key.len; i++)
		h = (h ^ key.at[i]) * 16777619u;
	return h % STATE_CHAINS;
}

/* The newest change of this key on its way; NULL. lock held. */
static const struct state_change *pending(const struct state_store *s, struct span bucket,
					  struct span key)
{
	const struct state_change *c = s->chain[chain_of(bucket, key)];
	while (c && !(state_same(c->key, key) && state_same(text(c->bucket), bucket)))
		c = c->next;
	return c;
}

static void pend(struct state_store *s, struct state_change *c)
{
	struct state_change **at = &s->chain[chain_of(text(c->bucket), c->key)];
	c->next = *at;
	*at = c;
}

uint64_t state_version_new(struct state_store *s)
{
	(void)pthread_mutex_lock(&s->lock);
	uint64_t version = ++s->version;
	(void)pthread_mutex_unlock(&s->lock);
	return version;
}

static void unpend(struct state_store *s, struct state_change *c)
{
	struct state_change **at = &s->chain[chain_of(text(c->bucket), c->key)];
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
}

/* ---- answers ---- */

/* lock held */
static void read_value(struct state_store *s, struct span bucket, struct span key,
		       struct wr *packet, struct ipc_state_tell *t)
{
	const struct state_change *c = pending(s, bucket, key);
	uint64_t now = wall_ms();
	if (c) {
		bool there = c->what == IPC_STATE_PUT && (c->expires == 0 || c->expires > now);
		t->err = there ? 0 : -E_UNKNOWN;
		t->version = there ? c->version : 0;
		if (there)
			t->value = c->value;
		ENSURE(ipc_put_state_tell(packet, t));
		return;
	}
	STATE_STMT get = s->stmt[S_get];
	journal_bind(get, "tbu", bucket, key, now);
	int code = sqlite3_step(get);
	if (code == SQLITE_ROW) {
		t->version = (uint64_t)sqlite3_column_int64(get, 0);
		t->value.at = sqlite3_column_blob(get, 1);
		t->value.len = (size_t)sqlite3_column_bytes(get, 1);
	} else {
		t->err = code == SQLITE_DONE ? -E_UNKNOWN : -EIO;
	}
	ENSURE(ipc_put_state_tell(packet, t)); /* while the row is there */
}

static bool begins_with(struct span s, struct span prefix)
{
	return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.at, prefix.at, prefix.len) == 0);
}

static struct span column_span(sqlite3_stmt *s, int i)
{
	const void *at = sqlite3_column_blob(s, i);
	return (struct span){ at ? at : "", (size_t)sqlite3_column_bytes(s, i) };
}

/* lock held. Names as proto/ipc.h wants them; an empty one at the end: there are more. */
static void read_names(struct state_store *s, struct span bucket, const struct ipc_state_ask *q,
		       struct wr *packet, struct ipc_state_tell *t)
{
	uint8_t names[IPC_STATE_VALUE_MAX];
	struct wr w = wr_into(names, q->most < sizeof(names) ? q->most : sizeof(names));
	STATE_STMT version = s->stmt[S_bucket_get];
	journal_bind(version, "t", bucket);
	if (sqlite3_step(version) == SQLITE_ROW)
		t->version = (uint64_t)sqlite3_column_int64(version, 0);
	STATE_STMT list = s->stmt[S_names];
	journal_bind(list, "tbbu", bucket, q->key, q->after, wall_ms());
	int code;
	while ((code = sqlite3_step(list)) == SQLITE_ROW) {
		const struct span name = column_span(list, 0);
		if (!begins_with(name, q->key)) {
			code = SQLITE_DONE;
			break;
		}
		if (2 + name.len + 2 > w.cap - w.len)
			break;
		wr_u16(&w, (uint16_t)name.len);
		wr_bytes(&w, name.at, name.len);
	}
	if (code == SQLITE_ROW && w.cap - w.len >= 2)
		wr_u16(&w, 0);
	if (code != SQLITE_ROW && code != SQLITE_DONE)
		t->err = -EIO;
	else
		t->value = (struct span){ names, w.len };
	ENSURE(ipc_put_state_tell(packet, t));
}

void state_answer(struct state_store *s, const char *function, const struct ipc_state_ask *q,
		  bool granted, struct wr *packet)
{
	struct ipc_state_tell t = { .ticket = q->ticket };
	char bucket[MANIFEST_NAME_MAX + IPC_STATE_BUCKET_MAX + 2];
	if (!granted || !state_bucket_name(q->bucket, function, bucket, sizeof(bucket))) {
		t.err = -E_TRUST;
		ENSURE(ipc_put_state_tell(packet, &t));
		return;
	}
	(void)pthread_mutex_lock(&s->lock);
	if (q->list)
		read_names(s, text(bucket), q, packet, &t);
	else
		read_value(s, text(bucket), q->key, packet, &t);
	(void)pthread_mutex_unlock(&s->lock);
}

/* ---- what an event changes ---- */

static int copy_one(struct state_write *w, const struct ipc_state_op *o, const char *function,
		    uint8_t **at, uint64_t now)
{
	struct state_change *c = &w->changes[w->n];
	char name[sizeof(w->bucket)];
	if (!state_bucket_name(o->bucket, function, name, sizeof(name)))
		return -E_TRUST;
	size_t len = strlen(name) + 1;
	*c = (struct state_change){ .what = o->what, .expected = o->version };
	c->bucket = memcpy(*at, name, len);
	*at += len;
	c->key = (struct span){ *at, o->key.len };
	if (o->key.len > 0)
		memcpy(*at, o->key.at, o->key.len);
	*at += o->key.len;
	c->value = (struct span){ *at, o->value.len };
	if (o->value.len > 0)
		memcpy(*at, o->value.at, o->value.len);
	*at += o->value.len;
	c->expires = o->ttl_ms ? now + o->ttl_ms : 0;
	w->n++;
	return 0;
}

static unsigned buckets_of(const struct state_write *w)
{
	unsigned n = 0;
	for (uint32_t i = 0; i < w->n; i++) {
		uint32_t k = 0;
		while (k < i && strcmp(w->changes[k].bucket, w->changes[i].bucket) != 0)
			k++;
		n += k == i;
	}
	return n;
}

/* False: two changes of one key, which no guest can make; they would be counted twice. */
static bool pend_all(struct state_store *s, struct state_write *w)
{
	bool once = true;
	(void)pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; i < w->n && once; i++) {
		struct state_change *c = &w->changes[i];
		if (c->what != IPC_STATE_PUT && c->what != IPC_STATE_DELETE)
			continue;
		const struct state_change *before = pending(s, text(c->bucket), c->key);
		once = !before || before < w->changes || before >= w->changes + w->n;
		if (!once)
			break;
		c->version = ++s->version;
		pend(s, c);
	}
	(void)pthread_mutex_unlock(&s->lock);
	return once;
}

int state_plan(struct state_store *s, const char *function, struct span ops, uint32_t n,
	       struct state_write **ret, struct why *why)
{
	struct rd list = rd_from(ops.at, ops.len);
	struct ipc_state_op o;
	*ret = NULL;
	if (n == 0)
		return 0;
	struct state_write *w = calloc(1, sizeof(*w));
	size_t names = n * (strlen(function) + IPC_STATE_BUCKET_MAX + 2);
	if (!w || !(w->changes = calloc(n, sizeof(*w->changes))) ||
	    !(w->bytes = malloc(ops.len + names))) {
		state_done(w);
		return why_set(why, -ENOMEM, "out of memory");
	}
	w->store = s;
	w->extra.write = state_write_all;
	uint8_t *at = w->bytes;
	uint64_t now = wall_ms();
	int err = 0;
	while (err == 0 && w->n < n && ipc_state_next(&list, &o))
		err = copy_one(w, &o, function, &at, now);
	if (err < 0)
		err = why_set(why, err, "%s used a bucket that cannot be", function);
	else if (buckets_of(w) > STATE_BUCKETS_MAX)
		err = why_set(why, -E_LIMIT, "%s used more than %d buckets in one event", function,
			      STATE_BUCKETS_MAX);
	if (err < 0) {
		w->n = 0; /* nothing is pending */
		state_done(w);
		return err;
	}
	if (!pend_all(s, w)) {
		state_done(w);
		return why_set(why, -E_INVALID, "%s changed a key twice in one event", function);
	}
	*ret = w;
	return 0;
}

void state_done(struct state_write *w)
{
	if (!w)
		return;
	if (w->n > 0)
		(void)pthread_mutex_lock(&w->store->lock);
	for (uint32_t i = 0; i < w->n; i++) {
		if (w->changes[i].version)
			unpend(w->store, &w->changes[i]);
	}
	if (w->n > 0)
		(void)pthread_mutex_unlock(&w->store->lock);
	free(w->changes);
	free(w->bytes);
	free(w);
}

/* ---- for people ---- */

static int read_failed(struct state_store *s, struct why *why)
{
	return why_set(why, -EIO, "the state cannot be read: %s", sqlite3_errmsg(s->db));
}

int state_list(struct state_store *s, const char *bucket, struct span prefix, struct span after,
	       unsigned limit, state_row_fn *each, void *arg, struct why *why)
{
	uint64_t now = wall_ms();
	int code = SQLITE_DONE, err = 0;
	(void)pthread_mutex_lock(&s->lock);
	sqlite3_stmt *list = s->stmt[S_names], *get = s->stmt[S_get];
	journal_bind(list, "tbbu", text(bucket), prefix, after, now);
	for (; err == 0 && limit > 0 && (code = sqlite3_step(list)) == SQLITE_ROW; limit--) {
		const struct span key = column_span(list, 0);
		if (!begins_with(key, prefix))
			break;
		journal_bind(get, "tbu", text(bucket), key, now);
		if (sqlite3_step(get) == SQLITE_ROW)
			err = each(arg, key, column_span(get, 1));
		(void)sqlite3_reset(get);
	}
	if (code != SQLITE_ROW && code != SQLITE_DONE)
		err = read_failed(s, why);
	(void)sqlite3_reset(list);
	(void)pthread_mutex_unlock(&s->lock);
	return err;
}

bool state_is_there(struct state_store *s, const char *bucket, struct span key)
{
	(void)pthread_mutex_lock(&s->lock);
	sqlite3_stmt *get = s->stmt[key.at ? S_size : S_bucket_get];
	journal_bind(get, "t", text(bucket));
	if (key.at)
		journal_bind(get, "tb", text(bucket), key);
	bool there =
		sqlite3_step(get) == SQLITE_ROW && (key.at || sqlite3_column_int64(get, 1) > 0);
	(void)sqlite3_reset(get);
	(void)pthread_mutex_unlock(&s->lock);
	return there;
}

int state_buckets(struct state_store *s, state_bucket_fn *each, void *arg, struct why *why)
{
	int code, err = 0;
	(void)pthread_mutex_lock(&s->lock);
	sqlite3_stmt *list = s->stmt[S_bucket_list];
	while (err == 0 && (code = sqlite3_step(list)) == SQLITE_ROW)
		err = each(arg, (const char *)sqlite3_column_text(list, 0),
			   (uint64_t)sqlite3_column_int64(list, 1),
			   (uint64_t)sqlite3_column_int64(list, 2));
	if (err == 0 && code != SQLITE_DONE)
		err = read_failed(s, why);
	(void)sqlite3_reset(list);
	(void)pthread_mutex_unlock(&s->lock);
	return err;
}
