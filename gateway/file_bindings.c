/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/file_bindings.h"

#include <string.h>

#include "base/log.h"
#include "gateway/binding_read.h"

const struct config *file_config(const struct gateway *g)
{
	return g->has_reloaded ? &g->reloaded : &g->config;
}

static bool put(struct gateway *g, const struct config_binding *b)
{
	struct why why = { 0 };
	const struct path_binding p = path_binding_of(&b->row);
	int err = path_binding_put(g->path, &p, &why);
	if (err < 0)
		LOG(LOG_ERR, "binding of a file makes no sense", F_STR("place", b->place),
		    F_STR("binding", b->name), F_STR("reason", why_text(&why, err)), F_ERR(err));
	return err == 0;
}

void file_bindings_start(struct gateway *g)
{
	const struct config *c = file_config(g);
	for (unsigned i = 0; i < c->nbindings; i++)
		(void)put(g, &c->bindings[i]);
}

static const struct config_binding *find(const struct config *c, uint64_t id)
{
	for (unsigned i = 0; i < c->nbindings; i++) {
		if (c->bindings[i].row.id == id)
			return &c->bindings[i];
	}
	return NULL;
}

static bool same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool is_same(const struct registry_binding *a, const struct registry_binding *b)
{
	return same_text(a->function, b->function) && same_text(a->kind, b->kind) &&
	       same_text(a->broker, b->broker) && same_text(a->filter, b->filter) &&
	       same_text(a->options, b->options) && same_text(a->publish, b->publish) &&
	       same_text(a->publish_broker, b->publish_broker) &&
	       same_text(a->criticality, b->criticality) &&
	       same_text(a->durability, b->durability) && a->qos == b->qos &&
	       a->publish_qos == b->publish_qos && a->retain == b->retain &&
	       a->deadline_ms == b->deadline_ms && a->retry_max == b->retry_max &&
	       a->retry_ms == b->retry_ms && a->ordered == b->ordered;
}

/* Or was it refused the last time? Then what was in its way may be gone. */
static bool stands(const struct gateway *g, const struct config_binding *b)
{
	json_t *counts = path_binding_counts(g->path, b->row.id);
	json_decref(counts);
	return counts != NULL;
}

static void later(void *arg, const char *section, const char *key)
{
	struct file_reload *r = arg;
	r->later++;
	LOG(LOG_NOTE, "this change takes effect at the next start", F_STR("section", section),
	    F_STR("key", key));
}

int file_reload(struct gateway *g, struct file_reload *ret, struct why *why)
{
	struct config fresh;
	const struct config *old = file_config(g);
	*ret = (struct file_reload){ 0 };
	int err = config_load(g->config_file, &fresh, why);
	if (err < 0)
		return err;
	for (unsigned i = 0; i < old->nbindings; i++) {
		const struct config_binding *was = &old->bindings[i];
		const struct config_binding *is = find(&fresh, was->row.id);
		ret->removed += !is;
		if (!is || !is_same(&was->row, &is->row))
			(void)path_binding_remove(g->path, was->row.id);
	}
	for (unsigned i = 0; i < fresh.nbindings; i++) {
		const struct config_binding *is = &fresh.bindings[i];
		const struct config_binding *was = find(old, is->row.id);
		if (was && is_same(&was->row, &is->row) && stands(g, is))
			continue;
		if (!put(g, is))
			ret->refused++;
		else if (was)
			ret->changed++;
		else
			ret->added++;
	}
	config_changes(&g->config, &fresh, later, ret);
	if (g->has_reloaded)
		config_fini(&g->reloaded);
	g->reloaded = fresh;
	g->has_reloaded = true;
	LOG(LOG_NOTE, "configuration read again", F_U64("bindings_added", ret->added),
	    F_U64("bindings_removed", ret->removed), F_U64("bindings_changed", ret->changed),
	    F_U64("bindings_refused", ret->refused), F_U64("keys_for_the_next_start", ret->later));
	return 0;
}

void file_bindings_free(struct gateway *g)
{
	if (g->has_reloaded)
		config_fini(&g->reloaded);
	g->has_reloaded = false;
}
