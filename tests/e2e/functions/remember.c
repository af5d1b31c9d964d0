/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does with its state what the payload says, words separated by spaces, and emits what came of it:
 *	put KEY VALUE | ttl KEY VALUE | get KEY | delete KEY | cas KEY OLD NEW | new KEY VALUE
 * In the shared bucket "line" when the topic ends in /line, else in its own.
 */
#include <penstock.h>

static char payload[256], topic[256], out[512];

struct word {
	const char *at;
	uint32_t len;
};

static struct word next(const char **p, const char *end)
{
	struct word w = { *p, 0 };

	while (*p < end && **p != ' ')
		++*p;
	w.len = (uint32_t)(*p - w.at);
	if (*p < end)
		++*p;
	return w;
}

static int is(struct word w, const char *s)
{
	return w.len == __builtin_strlen(s) && __builtin_memcmp(w.at, s, w.len) == 0;
}

static int say(const char *s, int n)
{
	return penstock_emit("", s, (uint32_t)n);
}

static int say_code(int rc)
{
	char text[3] = { rc < 0 ? '-' : '+', (char)('0' + (rc < 0 ? -rc : rc) % 10), 0 };

	return say(text, 2);
}

PENSTOCK_ON_EVENT int on_event(void)
{
	int n = penstock_payload(payload, sizeof(payload));
	int t = penstock_attr("topic", topic, sizeof(topic));
	const char *p = payload, *end = payload + (n > 0 ? n : 0);
	int shared = t >= 5 && __builtin_memcmp(topic + t - 5, "/line", 5) == 0;
	const char *bucket = shared ? "line" : "";
	uint32_t bucket_len = shared ? 4 : 0;
	struct word verb = next(&p, end), key = next(&p, end), a = next(&p, end), b = next(&p, end);

	if (is(verb, "put") || is(verb, "ttl"))
		return say_code(penstock_state_put_n(bucket, bucket_len, key.at, key.len, a.at,
						     a.len, is(verb, "ttl") ? 1 : 0));
	if (is(verb, "delete"))
		return say_code(penstock_state_delete_n(bucket, bucket_len, key.at, key.len));
	if (is(verb, "cas"))
		return say_code(penstock_state_cas_n(bucket, bucket_len, key.at, key.len, a.at,
						     (int)a.len, b.at, b.len, 0));
	if (is(verb, "new"))
		return say_code(penstock_state_cas_n(bucket, bucket_len, key.at, key.len, "", -1,
						     a.at, a.len, 0));
	n = penstock_state_get_n(bucket, bucket_len, key.at, key.len, out, sizeof(out));
	return n < 0 ? say_code(n) : say(out, n);
}
