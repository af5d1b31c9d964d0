/* SPDX-License-Identifier: Apache-2.0 */
/* The changes of an event in its transaction: everything is compared before anything is written. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/state_impl.h"
#include "gateway/wall.h"

struct tally { /* of a bucket */
	const char *name;
	uint64_t version; /* that it has */
	uint64_t newest;  /* that it gets; 0: nothing changes */
	int64_t keys, bytes;
};

struct tallies {
	struct tally list[STATE_BUCKETS_MAX];
	unsigned n;
};

static struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

/* A statement with one row at most. */
static int step(sqlite3_stmt *s, bool *ret_row)
{
	int code = sqlite3_step(s);
	*ret_row = code == SQLITE_ROW;
	return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int tally_of(struct state_store *s, struct tallies *all, const char *name,
		    struct tally **ret)
{
	for (unsigned i = 0; i < all->n; i++) {
		if (strcmp(all->list[i].name, name) == 0) {
			*ret = &all->list[i];
			return SQLITE_OK;
		}
	}
	ENSURE(all->n < STATE_BUCKETS_MAX); /* state_plan() saw to it */
	struct tally *t = *ret = &all->list[all->n++];
	bool row;
	*t = (struct tally){ .name = name };
	STATE_STMT get = s->writer[S_bucket_get];
	journal_bind(get, "t", text(name));
	int code = step(get, &row);
	if (row) {
		t->version = (uint64_t)sqlite3_column_int64(get, 0);
		t->keys = sqlite3_column_int64(get, 1);
		t->bytes = sqlite3_column_int64(get, 2);
	}
	return code;
}

/* The version that a reader would see now. */
static int version_now(struct state_store *s, const struct state_change *c, uint64_t now,
		       uint64_t *ret)
{
	bool row;
	STATE_STMT get = s->writer[S_get];
	journal_bind(get, "tbu", text(c->bucket), c->key, now);
	int code = step(get, &row);
	*ret = row ? (uint64_t)sqlite3_column_int64(get, 0) : 0;
	return code;
}

/* What the key holds in the table, expired or not. */
static int size_now(struct state_store *s, const struct state_change *c, bool *ret_there,
		    int64_t *ret_bytes)
{
	STATE_STMT size = s->writer[S_size];
	journal_bind(size, "tb", text(c->bucket), c->key);
	int code = step(size, ret_there);
	*ret_bytes = *ret_there ? sqlite3_column_int64(size, 0) : 0;
	return code;
}

static int count_change(struct state_store *s, const struct state_change *c, struct tally *t)
{
	bool there;
	int64_t before;
	int code = size_now(s, c, &there, &before);
	bool put = c->what == IPC_STATE_PUT;
	t->keys += (int)put - (int)there;
	t->bytes += (put ? (int64_t)(c->key.len + c->value.len) : 0) - before;
	t->newest = c->version;
	return code;
}

static int check_one(struct state_write *w, const struct state_change *c, struct tallies *all,
		     uint64_t now)
{
	struct state_store *s = w->store;
	struct tally *t;
	uint64_t version = c->expected;
	int code = tally_of(s, all, c->bucket, &t);
	if (code == SQLITE_OK && c->what == IPC_STATE_LISTED)
		version = t->version;
	else if (code == SQLITE_OK && c->expected != IPC_STATE_ANY)
		code = version_now(s, c, now, &version);
	if (code != SQLITE_OK)
		return code;
	if (version != c->expected) {
		w->conflict = true;
		return SQLITE_CONSTRAINT;
	}
	return c->what == IPC_STATE_PUT || c->what == IPC_STATE_DELETE ? count_change(s, c, t)
								       : SQLITE_OK;
}

static int check_quota(struct state_write *w, const struct tallies *all)
{
	const struct state_limits *l = &w->store->limits;
	for (unsigned i = 0; i < all->n; i++) {
		const struct tally *t = &all->list[i];
		if (!t->newest || (t->keys <= (int64_t)l->keys && t->bytes <= (int64_t)l->bytes))
			continue;
		w->full = true;
		(void)snprintf(w->bucket, sizeof(w->bucket), "%s", t->name);
		return SQLITE_CONSTRAINT;
	}
	return SQLITE_OK;
}

static int write_one(struct state_store *s, const struct state_change *c)
{
	if (c->what == IPC_STATE_PUT) {
		STATE_STMT put = s->writer[S_put];
		journal_bind(put, "tbbuu", text(c->bucket), c->key, c->value, c->version,
			     c->expires);
		return journal_step(put);
	}
	if (c->what != IPC_STATE_DELETE)
		return SQLITE_OK;
	STATE_STMT drop = s->writer[S_drop];
	journal_bind(drop, "tb", text(c->bucket), c->key);
	return journal_step(drop);
}

static int write_tally(struct state_store *s, const struct tally *t)
{
	STATE_STMT put = s->writer[S_bucket_put];
	journal_bind(put, "tuuu", text(t->name), t->newest, (uint64_t)t->keys, (uint64_t)t->bytes);
	return journal_step(put);
}

static int write_tallies(struct state_store *s, const struct tallies *all)
{
	int code = SQLITE_OK;
	for (unsigned i = 0; i < all->n && code == SQLITE_OK; i++) {
		if (all->list[i].newest)
			code = write_tally(s, &all->list[i]);
	}
	return code;
}

static int prepared(struct state_store *s, sqlite3 *db)
{
	return s->writer[S_COUNT - 1] ? SQLITE_OK : state_prepare(db, s->writer);
}

int state_write_all(sqlite3 *db, struct journal_extra *x)
{
	struct state_write *w = CONTAINER_OF(x, struct state_write, extra);
	struct tallies all = { .n = 0 };
	uint64_t now = wall_ms();
	w->conflict = w->full = false; /* it may be the second try, after a full disk */
	int code = prepared(w->store, db);
	for (uint32_t i = 0; i < w->n && code == SQLITE_OK; i++)
		code = check_one(w, &w->changes[i], &all, now);
	if (code == SQLITE_OK)
		code = check_quota(w, &all);
	for (uint32_t i = 0; i < w->n && code == SQLITE_OK; i++)
		code = write_one(w->store, &w->changes[i]);
	return code == SQLITE_OK ? write_tallies(w->store, &all) : code;
}

/* ---- what expires ---- */

/* version 0: it has expired. */
static int remove_one(struct state_store *s, struct state_change *c, struct tallies *all)
{
	struct tally *t;
	int code = tally_of(s, all, c->bucket, &t);
	if (code != SQLITE_OK)
		return code;
	if (c->version == 0)
		c->version = t->version ? t->version : 1; /* readers saw it go when its time came */
	code = count_change(s, c, t);
	return code == SQLITE_OK ? write_one(s, c) : code;
}

static int write_expired(struct journal *j, struct journal_op *op)
{
	struct state_store *s = CONTAINER_OF(op, struct state_store, expire);
	uint64_t now = wall_ms();
	int code = prepared(s, j->db);
	for (int i = 0; i < STATE_EXPIRE_ROWS && code == SQLITE_OK; i++) {
		struct tallies all = { .n = 0 };
		char bucket[256];
		uint8_t key[IPC_STATE_KEY_MAX];
		bool row;
		STATE_STMT next = s->writer[S_expired];
		journal_bind(next, "ui", now, 1);
		code = step(next, &row);
		if (!row)
			break;
		struct state_change c = { .what = IPC_STATE_DELETE, .bucket = bucket };
		(void)snprintf(bucket, sizeof(bucket), "%s", sqlite3_column_text(next, 0));
		c.key.len = (size_t)sqlite3_column_bytes(next, 1);
		if (c.key.len > sizeof(key))
			break; /* nobody can have put that */
		if (c.key.len > 0)
			memcpy(key, sqlite3_column_blob(next, 1), c.key.len);
		c.key.at = key;
		state_stmt_back(&next);
		code = remove_one(s, &c, &all);
		if (code == SQLITE_OK)
			code = write_tallies(s, &all);
	}
	return code;
}

static void expired(struct journal_op *op, int err)
{
	(void)err;
	atomic_store(&CONTAINER_OF(op, struct state_store, expire)->expiring, false);
}

void state_tick(struct state_store *s)
{
	if (atomic_exchange(&s->expiring, true))
		return;
	s->expire = (struct journal_op){ .write = write_expired, .done = expired, .lazy = true };
	journal_put(s->journal, &s->expire);
}

/* ---- the operator's ---- */

struct drop {
	struct journal_op op;
	struct state_store *store;
	bool is_key; /* else the whole bucket */
	struct span key;
	char *bucket;
	uint8_t text[];
};

static int drop_key(struct drop *d)
{
	struct tallies all = { .n = 0 };
	struct state_change c = { .what = IPC_STATE_DELETE,
				  .version = state_version_new(d->store),
				  .bucket = d->bucket,
				  .key = d->key };
	int code = remove_one(d->store, &c, &all);
	return code == SQLITE_OK ? write_tallies(d->store, &all) : code;
}

static int drop_all(struct drop *d)
{
	struct tallies all = { .n = 0 };
	struct tally *t;
	int code = tally_of(d->store, &all, d->bucket, &t);
	if (code != SQLITE_OK)
		return code;
	STATE_STMT drop = d->store->writer[S_bucket_drop];
	journal_bind(drop, "t", text(d->bucket));
	code = journal_step(drop);
	*t = (struct tally){ .name = d->bucket, .newest = state_version_new(d->store) };
	return code == SQLITE_OK ? write_tallies(d->store, &all) : code;
}

static int write_drop(struct journal *j, struct journal_op *op)
{
	struct drop *d = CONTAINER_OF(op, struct drop, op);
	int code = prepared(d->store, j->db);
	if (code == SQLITE_OK)
		code = d->is_key ? drop_key(d) : drop_all(d);
	return code;
}

static void dropped(struct journal_op *op, int err)
{
	(void)err;
	free(CONTAINER_OF(op, struct drop, op));
}

int state_drop(struct state_store *s, const char *bucket, struct span key, struct why *why)
{
	size_t len = strlen(bucket) + 1;
	if (!state_is_there(s, bucket, key))
		return why_set(why, -E_UNKNOWN, "there is no such key, or nothing in that bucket");
	struct drop *d = calloc(1, sizeof(*d) + len + key.len);
	if (!d)
		return why_set(why, -ENOMEM, "out of memory");
	d->op.write = write_drop;
	d->op.done = dropped;
	d->store = s;
	d->bucket = memcpy(d->text, bucket, len);
	d->is_key = key.at != NULL;
	if (key.len > 0)
		d->key = (struct span){ memcpy(d->text + len, key.at, key.len), key.len };
	journal_put(s->journal, &d->op);
	journal_commit(s->journal);
	return 0;
}
