/* SPDX-License-Identifier: Apache-2.0 */
/* /state: what functions remember, for people. */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "gateway/api/request.h"
#include "gateway/state.h"
#include "gateway/text.h"
#include "proto/manifest.h"

enum {
	ROWS_USUAL = 100,
	ROWS_MOST = 1000,
	BUCKET_NAME = MANIFEST_NAME_MAX + MANIFEST_BUCKET_MAX + 2
};

static struct span text_span(const char *s)
{
	return (struct span){ (const uint8_t *)s, s ? strlen(s) : 0 };
}

static int bucket_append(void *arg, const char *bucket, uint64_t keys, uint64_t bytes)
{
	bool own = bucket[0] == '=';
	return json_array_append_new(arg, json_pack("{s:s, s:I, s:I}", own ? "function" : "bucket",
						    bucket + own, "keys", (json_int_t)keys, "bytes",
						    (json_int_t)bytes));
}

void api_state_list(struct api_request *q)
{
	struct why why = { 0 };
	json_t *items = json_array();
	int err = state_buckets(path_state(q->g->path), bucket_append, items, &why);
	if (err == 0) {
		request_reply(q, 200, json_pack("{s:o}", "items", items));
		return;
	}
	json_decref(items);
	request_fail(q, err, &why);
}

/* function=NAME: its own; bucket=NAME: a shared one. */
static int bucket_of(const struct query *q, char ret[BUCKET_NAME], struct why *why)
{
	const char *function = query_get(q, "function"), *bucket = query_get(q, "bucket");
	if (!function == !bucket)
		return why_set(why, -EINVAL, "give function=NAME or bucket=NAME");
	if (bucket && *bucket == '\0')
		return why_set(why, -EINVAL, "a bucket has a name");
	if (!state_bucket_name(text_span(bucket), function ? function : "", ret, BUCKET_NAME))
		return why_set(why, -EINVAL, "there can be no bucket \"%.40s\"",
			       bucket ? bucket : function);
	return 0;
}

static int row_append(void *arg, struct span key, struct span value)
{
	json_t *item = json_object();
	text_put_json(item, "key", key);
	text_put_json(item, "value", value);
	return json_array_append_new(arg, item);
}

void api_state_get(struct api_request *q)
{
	struct why why = { 0 };
	char bucket[BUCKET_NAME];
	uint64_t limit = ROWS_USUAL;
	json_t *items = json_array();
	int err = bucket_of(&q->query, bucket, &why);
	if (err == 0)
		err = query_u64(&q->query, "limit", 1, ROWS_MOST, &limit, &why);
	if (err == 0)
		err = state_list(path_state(q->g->path), bucket,
				 text_span(query_get(&q->query, "prefix")),
				 text_span(query_get(&q->query, "after")), (unsigned)limit,
				 row_append, items, &why);
	if (err == 0) {
		request_reply(q, 200, json_pack("{s:o}", "items", items));
		return;
	}
	json_decref(items);
	request_fail(q, err, &why);
}

void api_state_remove(struct api_request *q)
{
	struct why why = { 0 };
	char bucket[BUCKET_NAME];
	const char *key = query_get(&q->query, "key");
	int err = bucket_of(&q->query, bucket, &why);
	if (err == 0)
		err = state_drop(path_state(q->g->path), bucket,
				 key ? text_span(key) : (struct span){ 0 }, &why);
	if (err < 0) {
		request_fail(q, err, &why);
		return;
	}
	LOG(LOG_NOTE, "state removed by the operator", F_STR("bucket", bucket),
	    F_STR("key", key ? key : "(all)"));
	request_reply(q, 204, NULL);
}
