/* SPDX-License-Identifier: Apache-2.0 */
/* /keys: whose functions this gateway runs. */
#include <sodium.h>
#include <string.h>

#include "base/log.h"
#include "gateway/api/request.h"
#include "gateway/wall.h"

enum {
	COMMENT_BYTES_MAX = 256,
	PUBLIC_TEXT = sodium_base64_ENCODED_LEN(SIG_PUBLIC_BYTES, sodium_base64_VARIANT_ORIGINAL),
};

static json_t *key_json(const struct registry_key *k)
{
	char public[PUBLIC_TEXT], at[WALL_TEXT];
	sodium_bin2base64(public, sizeof(public), k->public.key, SIG_PUBLIC_BYTES,
			  sodium_base64_VARIANT_ORIGINAL);
	return json_pack("{s:s, s:s, s:s, s:s}", "id", k->id, "public", public, "comment",
			 k->comment, "trusted_at", wall_text(k->trusted_wall_ms, at));
}

static int key_append(void *arg, const struct registry_key *k)
{
	return json_array_append_new(arg, key_json(k));
}

static int key_take(void *arg, const struct registry_key *k)
{
	*(json_t **)arg = key_json(k);
	return 0;
}

void api_keys_list(struct api_request *q)
{
	struct why why = { 0 };
	json_t *items = json_array();
	int err = registry_keys(q->g->registry, NULL, key_append, items, &why);
	if (err == 0) {
		request_reply(q, 200, json_pack("{s:o}", "items", items));
		return;
	}
	json_decref(items);
	request_fail(q, err, &why);
}

static int public_read(const char *text, struct sig_public *ret, struct why *why)
{
	size_t len = 0;
	if (sodium_base642bin(ret->key, SIG_PUBLIC_BYTES, text, strlen(text), NULL, &len, NULL,
			      sodium_base64_VARIANT_ORIGINAL) != 0 ||
	    len != SIG_PUBLIC_BYTES)
		return why_set(why, -EINVAL, "`public` is not the base64 of %d bytes",
			       SIG_PUBLIC_BYTES);
	/* A point of small order would make some signatures valid for any message. */
	if (!crypto_core_ed25519_is_valid_point(ret->key))
		return why_set(why, -EINVAL, "`public` is no Ed25519 public key");
	return 0;
}

static int key_add(struct api_request *q, json_t **ret, struct why *why)
{
	const char *public = NULL, *comment = "";
	char id[SIG_KEY_ID_TEXT];
	json_t *body = NULL;
	struct registry_key k = { .id = id, .trusted_wall_ms = wall_ms() };
	int err = body_json(q->body, &body, why, "{s:s, s?s}", "public", &public, "comment",
			    &comment);
	if (err < 0)
		return err;
	err = public_read(public, &k.public, why);
	if (err == 0 && strlen(comment) > COMMENT_BYTES_MAX)
		err = why_set(why, -EINVAL, "`comment` has more than %d bytes", COMMENT_BYTES_MAX);
	if (err == 0) {
		sig_key_id(&k.public, id);
		k.comment = comment;
		err = registry_key_put(q->g->registry, &k, why);
	}
	if (err == 0)
		LOG(LOG_NOTE, "key trusted", F_STR("key", id), F_STR("comment", comment));
	json_decref(body);
	if (err < 0)
		return err;
	int read_err = registry_keys(q->g->registry, id, key_take, ret, why);
	return read_err < 0 ? read_err : err;
}

void api_keys_add(struct api_request *q)
{
	struct why why = { 0 };
	json_t *item = NULL;
	int err = key_add(q, &item, &why);
	if (err < 0)
		request_fail(q, err, &why);
	else
		request_reply(q, err == 1 ? 200 : 201, item);
}

void api_keys_remove(struct api_request *q)
{
	struct why why = { 0 };
	int err = registry_key_remove(q->g->registry, q->arg, &why);
	if (err < 0) {
		request_fail(q, err, &why);
		return;
	}
	LOG(LOG_NOTE, "key no longer trusted", F_STR("key", q->arg));
	request_reply(q, 204, NULL);
}
