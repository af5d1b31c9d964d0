/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/types.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1024, END = UINT32_MAX };

struct entry {
	uint32_t refs, next; /* next in its bucket, or in the list of free ids */
	uint32_t nparams, nresults;
	uint8_t *types; /* owned; NULL = the id is free */
};

struct types {
	pthread_mutex_t lock;
	struct entry *entries;
	uint32_t n, cap, free_ids;
	uint32_t buckets[BUCKETS];
};

struct types *types_new(void)
{
	struct types *ts = calloc(1, sizeof(*ts));
	if (!ts)
		return NULL;
	(void)pthread_mutex_init(&ts->lock, NULL);
	ts->free_ids = END;
	for (size_t i = 0; i < BUCKETS; i++)
		ts->buckets[i] = END;
	return ts;
}

void types_free(struct types *ts)
{
	if (!ts)
		return;
	for (uint32_t i = 0; i < ts->n; i++)
		free(ts->entries[i].types);
	free(ts->entries);
	(void)pthread_mutex_destroy(&ts->lock);
	free(ts);
}

static uint32_t bucket_of(const struct aot_functype *ft)
{
	uint32_t h = 2166136261u ^ ft->nparams * 16777619u;
	for (uint32_t i = 0; i < ft->nparams + ft->nresults; i++)
		h = (h ^ ft->types[i]) * 16777619u;
	return (h ^ h >> 15) % BUCKETS;
}

static bool same(const struct entry *e, const struct aot_functype *ft)
{
	return e->nparams == ft->nparams && e->nresults == ft->nresults &&
	       (ft->nparams + ft->nresults == 0 ||
		memcmp(e->types, ft->types, ft->nparams + ft->nresults) == 0);
}

/* An unused id, or END when there is no memory for one more. */
static uint32_t id_take(struct types *ts)
{
	uint32_t id = ts->free_ids;
	if (id != END) {
		ts->free_ids = ts->entries[id].next;
		return id;
	}
	if (ts->n == ts->cap) {
		uint32_t cap = ts->cap ? 2 * ts->cap : 64;
		struct entry *grown = realloc(ts->entries, cap * sizeof(*grown));
		if (!grown)
			return END;
		ts->entries = grown;
		ts->cap = cap;
	}
	return ts->n++;
}

static int add(struct types *ts, const struct aot_functype *ft, uint32_t bucket, uint32_t *ret_id)
{
	if (ts->n >= TYPES_MAX && ts->free_ids == END)
		return -E_LIMIT;
	size_t bytes = (size_t)ft->nparams + ft->nresults;
	uint8_t *copy = malloc(bytes + 1);
	uint32_t id = copy ? id_take(ts) : END;
	if (id == END) {
		free(copy);
		return -ENOMEM;
	}
	if (bytes > 0)
		memcpy(copy, ft->types, bytes);
	ts->entries[id] = (struct entry){ .refs = 1,
					  .next = ts->buckets[bucket],
					  .nparams = ft->nparams,
					  .nresults = ft->nresults,
					  .types = copy };
	ts->buckets[bucket] = id;
	*ret_id = id;
	return 0;
}

int types_ref(struct types *ts, const struct aot_functype *ft, uint32_t *ret_id)
{
	int err = 0;
	uint32_t bucket = bucket_of(ft);
	(void)pthread_mutex_lock(&ts->lock);
	uint32_t id = ts->buckets[bucket];
	while (id != END && !same(&ts->entries[id], ft))
		id = ts->entries[id].next;
	if (id == END) {
		err = add(ts, ft, bucket, ret_id);
	} else {
		ts->entries[id].refs++;
		*ret_id = id;
	}
	(void)pthread_mutex_unlock(&ts->lock);
	return err;
}

static struct aot_functype type_of(const struct entry *e)
{
	return (struct aot_functype){ e->types, e->nparams, e->nresults };
}

void types_unref(struct types *ts, uint32_t id)
{
	(void)pthread_mutex_lock(&ts->lock);
	ENSURE(id < ts->n && ts->entries[id].refs > 0);
	struct entry *e = &ts->entries[id];
	if (--e->refs == 0) {
		struct aot_functype ft = type_of(e);
		uint32_t *link = &ts->buckets[bucket_of(&ft)];
		while (*link != id)
			link = &ts->entries[*link].next;
		*link = e->next;
		free(e->types);
		*e = (struct entry){ .next = ts->free_ids };
		ts->free_ids = id;
	}
	(void)pthread_mutex_unlock(&ts->lock);
}

const char *types_value_name(uint8_t type)
{
	switch (type) {
	case AOT_I32:
		return "i32";
	case AOT_I64:
		return "i64";
	case AOT_F32:
		return "f32";
	case AOT_F64:
		return "f64";
	case AOT_V128:
		return "v128";
	case AOT_FUNCREF:
		return "funcref";
	case AOT_EXTERNREF:
		return "externref";
	default:
		return "?";
	}
}

static void list_text(const uint8_t *types, uint32_t n, struct wr *w)
{
	wr_str(w, "(");
	for (uint32_t i = 0; i < n; i++) {
		wr_str(w, i > 0 ? ", " : "");
		wr_str(w, types_value_name(types[i]));
	}
	wr_str(w, ")");
}

void types_text(const struct aot_functype *ft, struct wr *w)
{
	list_text(ft->types, ft->nparams, w);
	wr_str(w, " -> ");
	list_text(ft->types + ft->nparams, ft->nresults, w);
}

void types_text_of_id(struct types *ts, uint32_t id, struct wr *w)
{
	(void)pthread_mutex_lock(&ts->lock);
	ENSURE(id < ts->n && ts->entries[id].refs > 0);
	struct aot_functype ft = type_of(&ts->entries[id]);
	types_text(&ft, w);
	(void)pthread_mutex_unlock(&ts->lock);
}
