/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/function.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/kinds.h"
#include "proto/topic.h"

/* FNV-1a */
static unsigned bucket_of(struct span name)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < name.len; i++)
		h = (h ^ name.at[i]) * 16777619u;
	return h % FUNCTION_BUCKETS;
}

static struct span span_of(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

struct function *function_find(const struct function_table *t, struct span name)
{
	for (struct function *f = t->bucket[bucket_of(name)]; f; f = f->next) {
		if (span_eq(name, f->name))
			return f;
	}
	return NULL;
}

struct function *function_next(const struct function_table *t, const struct function *f)
{
	if (f && f->next)
		return f->next;
	unsigned b = f ? bucket_of(span_of(f->name)) + 1 : 0;
	while (b < FUNCTION_BUCKETS && !t->bucket[b])
		b++;
	return b < FUNCTION_BUCKETS ? t->bucket[b] : NULL;
}

struct version *version_find(const struct function_table *t, uint32_t handle)
{
	for (struct function *f = function_next(t, NULL); f; f = function_next(t, f)) {
		for (struct version *v = f->versions; v; v = v->next) {
			if (v->handle == handle)
				return v;
		}
	}
	return NULL;
}

/* One allocation with the text. NULL: out of memory. */
static struct span *copy_list(const char *const *list, size_t n)
{
	size_t bytes = n * sizeof(struct span) + 1;
	for (size_t i = 0; i < n; i++)
		bytes += strlen(list[i]);
	struct span *copy = malloc(bytes);
	uint8_t *text = (uint8_t *)(copy + n);
	for (size_t i = 0; copy && i < n; i++) {
		size_t len = strlen(list[i]);
		copy[i] = (struct span){ memcpy(text, list[i], len), len };
		text += len;
	}
	return copy;
}

static int copy_grants(struct version *v, const struct path_function *f)
{
	v->publish = copy_list(f->publish, f->npublish);
	v->buckets = copy_list(f->buckets, f->nbuckets);
	v->outputs = copy_list(f->outputs, f->noutputs);
	v->npublish = f->npublish;
	v->noutputs = f->noutputs;
	v->nbuckets = f->nbuckets;
	v->remembers = f->state;
	return v->publish && v->buckets && v->outputs ? 0 : -ENOMEM;
}

static struct function *function_make(struct function_table *t, const char *name)
{
	struct function *fn = calloc(1, sizeof(*fn));
	if (!fn)
		return NULL;
	(void)snprintf(fn->name, sizeof(fn->name), "%s", name);
	struct function **at = &t->bucket[bucket_of(span_of(name))];
	fn->next = *at;
	*at = fn;
	t->functions++;
	return fn;
}

int function_add_version(struct function_table *t, const struct path_function *f,
			 struct version **ret, struct why *why)
{
	if (!f->name || !*f->name || strlen(f->name) > MANIFEST_NAME_MAX)
		return why_set(why, -E_INVALID, "a function's name has 1 to %d characters",
			       MANIFEST_NAME_MAX);
	for (size_t i = 0; i < f->npublish; i++) {
		if (!topic_filter_ok(span_of(f->publish[i])))
			return why_set(why, -E_INVALID, "\"%s\" is not a topic filter",
				       f->publish[i]);
	}
	struct version *v = calloc(1, sizeof(*v));
	if (!v)
		return why_set(why, -ENOMEM, "out of memory");
	flight_queue_init(&v->waiting);
	v->revision = f->revision;
	v->limits = f->limits;
	v->is_reactor = f->is_reactor;
	v->role = f->role;
	v->percent = f->percent;
	v->so_fd = fcntl(f->so_fd, F_DUPFD_CLOEXEC, 0);
	int err = v->so_fd < 0 ? why_set(why, -errno, "the shared object's descriptor: %s",
					 strerrordesc_np(errno))
			       : copy_grants(v, f);
	struct function *fn = NULL;
	if (err == 0) {
		fn = function_find(t, span_of(f->name));
		if (!fn && !(fn = function_make(t, f->name)))
			err = -ENOMEM;
	}
	if (err < 0) {
		if (v->so_fd >= 0)
			(void)close(v->so_fd);
		free(v->publish);
		free(v->buckets);
		free(v->outputs);
		free(v);
		return err;
	}
	v->handle = ++t->last_handle;
	v->function = fn;
	v->next = fn->versions;
	fn->versions = v;
	*ret = v;
	return 0;
}

static void function_unlink(struct function_table *t, struct function *fn)
{
	struct function **at = &t->bucket[bucket_of(span_of(fn->name))];
	while (*at && *at != fn)
		at = &(*at)->next;
	if (*at) {
		*at = fn->next;
		t->functions--;
	}
}

void version_free(struct function_table *t, struct version *v)
{
	struct function *fn = v->function;
	ENSURE(v->refs == 0);
	struct version **at = &fn->versions;
	while (*at != v)
		at = &(*at)->next;
	*at = v->next;
	if (fn->active == v)
		fn->active = NULL;
	if (fn->candidate == v)
		fn->candidate = NULL;
	(void)close(v->so_fd);
	free(v->publish);
	free(v->buckets);
	free(v->outputs);
	free(v);
	if (!fn->versions) {
		function_unlink(t, fn);
		free(fn);
	}
}

void function_table_fini(struct function_table *t)
{
	struct function *fn;
	while ((fn = function_next(t, NULL))) {
		for (struct version *v = fn->versions; v; v = v->next)
			v->refs = 0; /* the flights are gone already */
		bool last;
		do {
			last = !fn->versions->next;
			version_free(t, fn->versions);
		} while (!last);
	}
}

struct version *function_choose(const struct function *f, uint64_t event)
{
	struct version *c = f->candidate;
	if (c && c->role == PATH_CANARY && c->state == VERSION_LOADED &&
	    rollout_picks(event, c->percent))
		return c;
	return f->active;
}

static bool has_name(const struct span *list, size_t n, struct span name)
{
	for (size_t i = 0; i < n; i++) {
		if (span_same(list[i], name))
			return true;
	}
	return false;
}

bool version_may_publish(const struct version *v, struct span topic)
{
	struct span output;
	if (output_of_topic(topic, &output))
		return has_name(v->outputs, v->noutputs, output);
	for (size_t i = 0; i < v->npublish; i++) {
		if (topic_match(v->publish[i], topic))
			return true;
	}
	return false;
}

bool version_may_remember(const struct version *v, struct span bucket)
{
	if (bucket.len == 0)
		return v->remembers;
	return has_name(v->buckets, v->nbuckets, bucket);
}

void function_failed(struct function *f, uint64_t wall_ms, const char *reason)
{
	f->last_error_wall_ms = wall_ms;
	(void)snprintf(f->last_error, sizeof(f->last_error), "%s", reason);
}
