/* SPDX-License-Identifier: Apache-2.0 */
/* /functions: deploying, listing, removing. */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "gateway/api/request.h"
#include "gateway/text.h"
#include "gateway/wall.h"

/* What the registry knows of a function, then what the path counted. */
static json_t *function_json(struct gateway *g, const struct registry_function *f)
{
	char at[WALL_TEXT];
	json_t *sheet = deploy_sheet_of(f->manifest);
	json_t *item = json_pack(
		"{s:s, s:s, s:i, s:s, s:s, s:s, s:o, s:s, s:O*, s:O*, s:s}", "name", f->name,
		"version", f->version, "revision", (int)f->revision, "hash", f->hash, "key_id",
		f->key_id, "state", f->state, "reason",
		text_json((struct span){ (const uint8_t *)f->reason, strlen(f->reason) }), "kind",
		f->is_reactor ? "reactor" : "command", "limits", json_object_get(sheet, "limits"),
		"capabilities", json_object_get(sheet, "capabilities"), "deployed_at",
		wall_text(f->deployed_wall_ms, at));
	json_t *counts = path_function_counts(g->path, f->name);
	/* A function that failed to load stays failed, whatever an older revision does. */
	if (counts && strcmp(f->state, "active") != 0) {
		(void)json_object_del(counts, "state");
		(void)json_object_del(counts, "reason");
	}
	if (!counts) /* it failed, or is being compiled again after a start */
		counts = json_pack("{s:{s:i, s:i, s:i, s:i, s:i}, s:i, s:n}", "counts", "invoked",
				   0, "ok", 0, "failed", 0, "trapped", 0, "refused", 0,
				   "cpu_us_mean", 0, "last_error");
	(void)json_object_update(item, counts);
	json_decref(counts);
	json_decref(sheet);
	return item;
}

struct list {
	struct gateway *g;
	json_t *items;
};

static int function_append(void *arg, const struct registry_function *f)
{
	struct list *l = arg;
	return json_array_append_new(l->items, function_json(l->g, f));
}

void api_functions_list(struct api_request *q)
{
	struct why why = { 0 };
	struct list l = { q->g, json_array() };
	int err = registry_functions(q->g->registry, NULL, function_append, &l, &why);
	if (err == 0) {
		request_reply(q, 200, json_pack("{s:o}", "items", l.items));
		return;
	}
	json_decref(l.items);
	request_fail(q, err, &why);
}

static int version_append(void *arg, const struct registry_function *f)
{
	char at[WALL_TEXT];
	return json_array_append_new(arg, json_pack("{s:i, s:s, s:s, s:s, s:b}", "revision",
						    (int)f->revision, "version", f->version, "hash",
						    f->hash, "deployed_at",
						    wall_text(f->deployed_wall_ms, at), "active",
						    strcmp(f->state, "active") == 0));
}

void api_functions_get(struct api_request *q)
{
	struct why why = { 0 };
	struct list l = { q->g, json_array() };
	json_t *versions = json_array();
	int err = registry_functions(q->g->registry, q->arg, function_append, &l, &why);
	if (err == 0)
		err = registry_versions(q->g->registry, q->arg, version_append, versions, &why);
	if (err == 0) {
		json_t *item = json_incref(json_array_get(l.items, 0));
		(void)json_object_set(item, "versions", versions);
		(void)json_object_set_new(item, "rollout", api_rollout_json(q->g, q->arg));
		request_reply(q, 200, item);
	} else {
		request_fail(q, err, &why);
	}
	json_decref(versions);
	json_decref(l.items);
}

/* ---- deploying ---- */

void api_on_deployed(void *arg, const struct deploy_outcome *o)
{
	struct api_request *q = arg;
	if (o->err == -EPERM) {
		request_error(q, o->err, o->why, NULL,
			      json_pack("{s:s, s:O?, s:O?}", "name", o->name, "manifest",
					o->manifest, "previous", o->previous));
	} else if (o->err < 0) {
		const char *look =
			o->err == -E_INVALID ? "penstock inspect FILE.wasm shows what it is" : NULL;
		request_error(q, o->err, o->why, o->hint ? o->hint : look, NULL);
	} else {
		request_reply(
			q, o->unchanged ? 200 : 201,
			json_pack("{s:s, s:s?, s:i, s:s, s:s, s:s, s:O?, s:O?, s:I, s:O?, s:b}",
				  "name", o->name, "version", o->version, "revision",
				  (int)o->revision, "hash", o->hash, "key_id", o->key_id, "state",
				  o->state, "manifest", o->manifest, "report", o->report,
				  "compile_ms", (json_int_t)o->compile_ms, "previous", o->previous,
				  "unchanged", (int)o->unchanged));
	}
}

/* canary=PERCENT or shadow=PERCENT: a candidate beside the active version. */
static int role_take(const struct query *q, struct deploy_request *r, struct why *why)
{
	const char *canary = query_get(q, "canary"), *shadow = query_get(q, "shadow");
	if (!canary && !shadow)
		return 0;
	if (canary && shadow)
		return why_set(why, -EINVAL, "a candidate is a canary or a shadow, not both");
	uint64_t percent = 0;
	int err = query_u64(q, canary ? "canary" : "shadow", 1, 100, &percent, why);
	r->role = canary ? PATH_CANARY : PATH_SHADOW;
	r->percent = (unsigned)percent;
	return err;
}

void api_functions_add(struct api_request *q)
{
	struct why why = { 0 };
	struct deploy_request r = {
		.len = q->body.len,
		.name = query_get(&q->query, "name"),
	};
	int err = query_bool(&q->query, "granted", &r.granted, &why);
	if (err == 0)
		err = query_bool(&q->query, "older", &r.older, &why);
	if (err == 0)
		err = role_take(&q->query, &r, &why);
	if (err == 0 && r.len == 0)
		err = why_set(&why, -EINVAL, "the body is empty, a Wasm module is expected");
	if (err == 0) {
		r.wasm = request_body_steal(q);
		err = deploy_start(q->g->deployer, &r, api_on_deployed, q, &why);
	}
	if (err == -E_LIMIT)
		err = -EAGAIN;
	if (err < 0)
		request_fail(q, err, &why);
}

/* ---- removing ---- */

enum { HASHES_MAX = REGISTRY_VERSIONS_MAX };

struct remains {
	size_t n;
	char hash[HASHES_MAX][REGISTRY_HASH_TEXT];
};

static int remains_take(void *arg, const struct registry_function *f)
{
	struct remains *r = arg;
	if (r->n < HASHES_MAX)
		(void)snprintf(r->hash[r->n++], REGISTRY_HASH_TEXT, "%s", f->hash);
	return 0;
}

static int id_append(void *arg, const struct registry_binding *b)
{
	return json_array_append_new(arg, json_integer((json_int_t)b->id));
}

static void path_forget(struct gateway *g, const char *name, const json_t *binding_ids)
{
	for (size_t i = 0; i < json_array_size(binding_ids); i++)
		(void)path_binding_remove(
			g->path, (uint64_t)json_integer_value(json_array_get(binding_ids, i)));
	(void)path_function_remove(g->path, name); /* -E_UNKNOWN: it never loaded */
}

void api_functions_remove(struct api_request *q)
{
	struct gateway *g = q->g;
	struct why why = { 0 };
	struct remains remains = { 0 };
	json_t *ids = json_array();
	bool with_bindings = false;
	int err = query_bool(&q->query, "bindings", &with_bindings, &why);
	if (err == 0)
		err = registry_versions(g->registry, q->arg, remains_take, &remains, &why);
	if (err == 0)
		err = registry_bindings(g->registry, q->arg, id_append, ids, &why);
	if (err == 0)
		err = registry_function_remove(g->registry, q->arg, with_bindings, &why);
	if (err == 0) {
		path_forget(g, q->arg, ids);
		for (size_t i = 0; i < remains.n; i++)
			deployer_forget(g->deployer, remains.hash[i]);
		LOG(LOG_NOTE, "function removed", F_STR("function", q->arg),
		    F_U64("bindings", json_array_size(ids)));
		request_reply(q, 204, NULL);
	} else {
		request_fail(q, err, &why);
	}
	json_decref(ids);
}
