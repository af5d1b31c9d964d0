/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/binding.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "proto/topic.h"

struct route {
	struct route *next; /* at the same place in the trie: of another share */
	uint32_t id;
	uint8_t qos;
	struct binding *bindings; /* newest first; the first one's filter is the route's */
};

struct node {
	struct node *parent;
	struct node **child; /* literal levels, sorted by their bytes */
	unsigned nchild, cap;
	struct node *plus;
	struct route *here; /* filters that end here: one, and one for each $share/GROUP of it */
	struct route *rest; /* those that go on with '#' */
	size_t len;
	uint8_t level[];
};

struct binding_table {
	pthread_mutex_t lock;
	bool topics;
	struct node *root;
	uint32_t *ids; /* of the routes, in no order */
	unsigned nids, cap;
};

/* ---- one binding ---- */

int binding_new(uint64_t id, const struct binding_text *t, struct binding **ret, struct why *why)
{
	const struct span none = { 0 };
	if (t->topics && !topic_filter_ok(t->filter))
		return why_set(why, -E_INVALID,
			       "\"%.*s\" is not a topic filter: + and # stand for whole levels, # "
			       "only last, at most %d levels",
			       (int)(t->filter.len > 200 ? 200 : t->filter.len),
			       (const char *)t->filter.at, TOPIC_LEVELS_MAX);
	if (!t->topics && (t->filter.len == 0 || t->filter.len > TOPIC_BYTES_MAX))
		return why_set(why, -E_INVALID, "a binding needs something to listen to");
	if (t->publish.len > 0 &&
	    topic_template_check(t->publish, t->topics ? t->filter : none, why) < 0)
		return -E_INVALID;
	struct binding *b = calloc(1, sizeof(*b) + t->function.len + 1 + t->filter.len +
					      t->options.len + t->publish.len);
	if (!b)
		return -ENOMEM;
	uint8_t *text = (uint8_t *)(b + 1);
	b->id = id;
	atomic_init(&b->refs, 1);
	struct {
		struct span *to, from;
	} part[] = { { &b->function, t->function },
		     { &b->filter, t->filter }, /* options right behind it: route_key */
		     { &b->options, t->options },
		     { &b->publish, t->publish } };
	for (size_t i = 0; i < ARRAY_LEN(part); i++) {
		*part[i].to = (struct span){ text, part[i].from.len };
		if (part[i].from.len)
			memcpy(text, part[i].from.at, part[i].from.len);
		text += part[i].from.len + (i == 0);
	}
	*ret = b;
	return 0;
}

struct binding *binding_ref(struct binding *b)
{
	atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
	return b;
}

void binding_unref(struct binding *b)
{
	if (b && atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1)
		free(b);
}

/* ---- the trie ---- */

static struct node *node_new(struct node *parent, struct span level)
{
	struct node *n = calloc(1, sizeof(*n) + level.len);
	if (!n)
		return NULL;
	n->parent = parent;
	n->len = level.len;
	if (level.len)
		memcpy(n->level, level.at, level.len);
	return n;
}

static int level_cmp(struct span a, const struct node *b)
{
	size_t n = a.len < b->len ? a.len : b->len;
	int c = n ? memcmp(a.at, b->level, n) : 0;
	return c ? c : (a.len > b->len) - (a.len < b->len);
}

/* Index of the child with this level, or where it would stand. */
static unsigned child_at(const struct node *n, struct span level, bool *ret_found)
{
	unsigned lo = 0, hi = n->nchild;
	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;
		int c = level_cmp(level, n->child[mid]);
		if (c == 0) {
			*ret_found = true;
			return mid;
		}
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	*ret_found = false;
	return lo;
}

static struct node *child_make(struct node *n, struct span level)
{
	bool found;
	unsigned at = child_at(n, level, &found);
	if (found)
		return n->child[at];
	if (n->nchild == n->cap) {
		unsigned cap = n->cap ? 2 * n->cap : 4;
		struct node **grown = realloc(n->child, cap * sizeof(*grown));
		if (!grown)
			return NULL;
		n->child = grown;
		n->cap = cap;
	}
	struct node *made = node_new(n, level);
	if (!made)
		return NULL;
	memmove(n->child + at + 1, n->child + at, (n->nchild - at) * sizeof(*n->child));
	n->child[at] = made;
	n->nchild++;
	return made;
}

/* The level that begins at *at; *at moves behind its slash, or to len + 1 after the last. */
static struct span level_at(struct span s, size_t *at)
{
	const uint8_t *from = s.at + *at;
	const uint8_t *slash = memchr(from, '/', s.len - *at);
	size_t n = slash ? (size_t)(slash - from) : s.len - *at;
	*at += n + 1;
	return (struct span){ from, n };
}

/* Frees nodes that hold nothing, from n upwards. */
static void prune(struct binding_table *t, struct node *n)
{
	while (n != t->root && !n->here && !n->rest && !n->plus && n->nchild == 0) {
		struct node *up = n->parent;
		if (up->plus == n) {
			up->plus = NULL;
		} else {
			bool found;
			unsigned at = child_at(up, (struct span){ n->level, n->len }, &found);
			ENSURE(found && up->child[at] == n);
			up->nchild--;
			memmove(up->child + at, up->child + at + 1,
				(up->nchild - at) * sizeof(*up->child));
		}
		free(n->child);
		free(n);
		n = up;
	}
}

/* Of things by name: their options are one JSON object, so this is one filter and one options only. */
static struct span route_key(const struct binding_table *t, const struct binding *b)
{
	return (struct span){ b->filter.at, b->filter.len + (t->topics ? 0 : b->options.len) };
}

/* In a list of routes that match alike: the one with this very filter, or the end. */
static struct route **of_filter(const struct binding_table *t, struct route **at,
				const struct binding *b)
{
	while (t->topics && *at && !span_same((*at)->bindings->filter, b->filter))
		at = &(*at)->next;
	return at;
}

/* Where a route hangs. make: nodes that are missing are made; NULL = out of memory. */
static struct route **route_slot(struct binding_table *t, const struct binding *b, bool make,
				 struct node **ret_node)
{
	struct node *n = t->root;
	const struct span key = t->topics ? topic_unshared(b->filter) : route_key(t, b);
	for (size_t at = 0; n && at <= key.len;) {
		*ret_node = n;
		struct span level = key;
		if (t->topics)
			level = level_at(key, &at);
		else
			at = key.len + 1; /* all of it is one level */
		if (t->topics && span_eq(level, "#"))
			return of_filter(t, &n->rest, b);
		bool found;
		if (t->topics && span_eq(level, "+")) {
			if (!n->plus && make)
				n->plus = node_new(n, level);
			n = n->plus;
		} else if (make) {
			n = child_make(n, level);
		} else {
			unsigned i = child_at(n, level, &found);
			n = found ? n->child[i] : NULL;
		}
	}
	if (n)
		*ret_node = n;
	return n ? of_filter(t, &n->here, b) : NULL;
}

static uint8_t highest_qos(const struct route *r)
{
	uint8_t qos = 0;
	for (const struct binding *b = r->bindings; b; b = b->next)
		qos = b->qos > qos ? b->qos : qos;
	return qos;
}

/* ---- the numbers of routes ---- */

static bool id_taken(const struct binding_table *t, uint32_t id)
{
	for (unsigned i = 0; i < t->nids; i++) {
		if (t->ids[i] == id)
			return true;
	}
	return false;
}

/* Made from the filter, not counted up: a broker that kept our session over a restart of ours goes on
 * naming subscriptions by the numbers of then. 28 bits, not 0 (MQTT 5.0, 3.8.2.1.2). 0 = no memory. */
static uint32_t id_new(struct binding_table *t, struct span filter)
{
	uint32_t h = 2166136261u; /* FNV-1a */
	for (size_t i = 0; i < filter.len; i++)
		h = (h ^ filter.at[i]) * 16777619u;
	uint32_t id = (h ^ h >> 28) & 0xfffffff;
	while (id == 0 || id_taken(t, id))
		id = (id + 1) & 0xfffffff;
	if (t->nids == t->cap) {
		unsigned cap = t->cap ? 2 * t->cap : 16;
		uint32_t *grown = realloc(t->ids, cap * sizeof(*grown));
		if (!grown)
			return 0;
		t->ids = grown;
		t->cap = cap;
	}
	t->ids[t->nids++] = id;
	return id;
}

static void id_drop(struct binding_table *t, uint32_t id)
{
	for (unsigned i = 0; i < t->nids; i++) {
		if (t->ids[i] == id) {
			t->ids[i] = t->ids[--t->nids];
			return;
		}
	}
}

/* ---- the table ---- */

struct binding_table *binding_table_new(bool topics)
{
	struct binding_table *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	(void)pthread_mutex_init(&t->lock, NULL);
	t->topics = topics;
	t->root = node_new(NULL, (struct span){ 0 });
	if (!t->root) {
		binding_table_free(t);
		return NULL;
	}
	return t;
}

static void routes_free(struct route *r)
{
	while (r) {
		struct route *next = r->next;
		for (struct binding *b; (b = r->bindings);) {
			r->bindings = b->next;
			binding_unref(b);
		}
		free(r);
		r = next;
	}
}

void binding_table_free(struct binding_table *t)
{
	if (!t)
		return;
	for (struct node *n = t->root; n;) { /* down to a leaf, free it, go on above it */
		struct node *down = n->plus;
		n->plus = NULL;
		if (!down && n->nchild > 0)
			down = n->child[--n->nchild];
		if (down) {
			n = down;
			continue;
		}
		struct node *up = n->parent;
		routes_free(n->here);
		routes_free(n->rest);
		free(n->child);
		free(n);
		n = up;
	}
	(void)pthread_mutex_destroy(&t->lock);
	free(t->ids);
	free(t);
}

int binding_table_add(struct binding_table *t, struct binding *b, struct binding_route *ret_route)
{
	struct node *n = t->root;
	(void)pthread_mutex_lock(&t->lock);
	struct route **slot = route_slot(t, b, true, &n);
	if (slot && !*slot) {
		struct route *made = calloc(1, sizeof(*made));
		if (made && (made->id = id_new(t, route_key(t, b))) == 0) {
			free(made);
			made = NULL;
		}
		*slot = made;
	}
	if (!slot || !*slot) {
		prune(t, n);
		(void)pthread_mutex_unlock(&t->lock);
		return -ENOMEM;
	}
	struct route *r = *slot;
	bool first = r->bindings == NULL;
	if (!first && !span_same(r->bindings->options, b->options)) {
		(void)pthread_mutex_unlock(&t->lock);
		return -E_EXISTS;
	}
	/* Behind the first, so that the filter that was given out as the route's stays. */
	struct binding **at = first ? &r->bindings : &r->bindings->next;
	b->next = *at;
	*at = binding_ref(b);
	uint8_t qos = highest_qos(r);
	*ret_route = (struct binding_route){ .id = r->id,
					     .filter = r->bindings->filter,
					     .options = r->bindings->options,
					     .qos = qos,
					     .changed = first || qos != r->qos };
	r->qos = qos;
	(void)pthread_mutex_unlock(&t->lock);
	return 0;
}

void binding_table_remove(struct binding_table *t, struct binding *b,
			  struct binding_route *ret_route)
{
	struct node *n = t->root;
	*ret_route = (struct binding_route){ 0 };
	(void)pthread_mutex_lock(&t->lock);
	struct route **slot = route_slot(t, b, false, &n);
	struct binding **at = slot && *slot ? &(*slot)->bindings : NULL;
	while (at && *at && *at != b)
		at = &(*at)->next;
	if (at && *at) {
		struct route *r = *slot;
		*at = b->next;
		uint8_t qos = highest_qos(r);
		*ret_route = (struct binding_route){ .id = r->id,
						     .qos = qos,
						     .changed = r->bindings && qos != r->qos,
						     .gone = !r->bindings };
		r->qos = qos;
		if (r->bindings) {
			ret_route->filter = r->bindings->filter;
			ret_route->options = r->bindings->options;
		} else {
			*slot = r->next;
			id_drop(t, r->id);
			free(r);
			prune(t, n);
		}
		binding_unref(b);
	}
	(void)pthread_mutex_unlock(&t->lock);
}

struct matching {
	const uint32_t *routes;
	unsigned nroutes;
	struct binding **ret;
	unsigned n, cap;
};

static void visit(struct matching *m, const struct route *r)
{
	for (; r; r = r->next) {
		bool wanted = m->nroutes == 0;
		for (unsigned i = 0; !wanted && i < m->nroutes; i++)
			wanted = m->routes[i] == r->id;
		for (struct binding *b = wanted ? r->bindings : NULL; b; b = b->next) {
			if (m->n < m->cap)
				m->ret[m->n] = binding_ref(b);
			m->n++;
		}
	}
}

unsigned binding_table_match(struct binding_table *t, struct span topic, const uint32_t *routes,
			     unsigned nroutes, struct binding **ret, unsigned cap)
{
	/* What is still to be looked at. Each step takes one and adds at most two that lie one level
	 * deeper, and no node lies deeper than a filter has levels. */
	struct place {
		const struct node *node;
		size_t at; /* of the next level; len + 1: none is left */
	} todo[TOPIC_LEVELS_MAX + 2];
	struct matching m = { routes, nroutes, ret, 0, cap };
	bool reserved = topic.len > 0 && topic.at[0] == '$';
	unsigned n = 0;
	(void)pthread_mutex_lock(&t->lock);
	for (unsigned i = 0; !t->topics && nroutes > 0 && i < t->root->nchild; i++)
		visit(&m, t->root->child[i]->here);
	if (t->topics)
		todo[n++] = (struct place){ .node = t->root };
	while (n > 0) {
		const struct node *node = todo[--n].node;
		size_t at = todo[n].at;
		bool wild = !(reserved && node == t->root);
		if (wild)
			visit(&m, node->rest); /* "a/#" matches "a" too */
		if (at > topic.len) {
			visit(&m, node->here);
			continue;
		}
		struct span level = level_at(topic, &at);
		bool found;
		unsigned i = child_at(node, level, &found);
		ENSURE(n + 2 <= ARRAY_LEN(todo));
		if (found) {
			todo[n].node = node->child[i];
			todo[n++].at = at;
		}
		if (wild && node->plus) {
			todo[n].node = node->plus;
			todo[n++].at = at;
		}
	}
	(void)pthread_mutex_unlock(&t->lock);
	return m.n;
}
