/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/api/route.h"

#include <errno.h>
#include <string.h>

#include "gateway/api/request.h"

static const char *const prefix = "/api/v1";

static const struct route routes[] = {
#define ROUTE(method, pattern, handle, body, query)                                                \
	{ API_##method, pattern, handle, API_BODY_##body, query },
#include "gateway/api/api.def"
#undef ROUTE
};

static const char *const method_names[] = {
	[API_GET] = "GET", [API_POST] = "POST", [API_DELETE] = "DELETE"
};

/* Takes "/segment" off the front; false at the end. */
static bool segment_next(struct span *path, struct span *ret)
{
	if (path->len == 0 || path->at[0] != '/')
		return false;
	const uint8_t *from = path->at + 1;
	const uint8_t *slash = memchr(from, '/', path->len - 1);
	*ret = (struct span){ from, slash ? (size_t)(slash - from) : path->len - 1 };
	path->at += 1 + ret->len;
	path->len -= 1 + ret->len;
	return true;
}

static bool matches(const char *pattern, struct span path, struct span *ret_arg)
{
	struct span want = { (const uint8_t *)pattern, strlen(pattern) };
	struct span want_one, one;
	*ret_arg = (struct span){ 0 };
	while (segment_next(&want, &want_one)) {
		if (!segment_next(&path, &one) || one.len == 0)
			return false;
		if (span_eq(want_one, "*"))
			*ret_arg = one;
		else if (one.len != want_one.len || memcmp(one.at, want_one.at, one.len) != 0)
			return false;
	}
	return path.len == 0;
}

void route_find(enum api_method method, struct span path, struct route_found *ret)
{
	const size_t skip = strlen(prefix);
	*ret = (struct route_found){ 0 };
	bool is_scrape = span_eq(path, "/metrics"); /* where Prometheus looks */
	if (!is_scrape && (path.len < skip || memcmp(path.at, prefix, skip) != 0))
		return;
	const struct span rest =
		is_scrape ? path : (struct span){ path.at + skip, path.len - skip };
	struct wr allow = wr_into(ret->allow, sizeof(ret->allow) - 1);
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		struct span arg;
		if (!matches(routes[i].pattern, rest, &arg))
			continue;
		wr_str(&allow, allow.len > 0 ? ", " : "");
		wr_str(&allow, method_names[routes[i].method]);
		if (routes[i].method == method) {
			ret->route = &routes[i];
			ret->arg = arg;
		}
	}
}

/* Is the name in the route's list of words? */
static bool is_known(const struct route *route, struct span name)
{
	for (const char *word = route->query; *word != '\0';) {
		size_t len = strcspn(word, " ");
		bool is_prefix = word[len - 1] == '.';
		if ((is_prefix ? name.len > len : name.len == len) &&
		    memcmp(word, name.at, len) == 0)
			return true;
		word += len + strspn(word + len, " ");
	}
	return false;
}

static uint16_t keep(struct query *q, struct span s)
{
	uint16_t at = (uint16_t)q->used;
	if (s.len > 0)
		memcpy(q->bytes + at, s.at, s.len);
	q->bytes[at + s.len] = '\0';
	q->used += s.len + 1;
	return at;
}

int query_add(struct query *q, const struct route *route, struct span pair, struct why *why)
{
	const uint8_t *eq = pair.len > 0 ? memchr(pair.at, '=', pair.len) : NULL;
	const struct span name = { pair.at, eq ? (size_t)(eq - pair.at) : pair.len };
	const struct span value = { eq ? eq + 1 : pair.at, eq ? pair.len - name.len - 1 : 0 };
	if (!span_is_utf8(pair) || (pair.len > 0 && memchr(pair.at, '\0', pair.len)))
		return why_set(why, -EINVAL, "the query is not valid UTF-8");
	if (q->n == API_QUERY_MAX || pair.len + 2 > sizeof(q->bytes) - q->used)
		return why_set(why, -E_LIMIT, "the query is too long: %d parameters, %d bytes",
			       API_QUERY_MAX, API_QUERY_BYTES_MAX);
	if (!is_known(route, name))
		return why_set(why, -EINVAL, "unknown query parameter \"%.*s\"%s%s",
			       (int)(name.len > 64 ? 64 : name.len), (const char *)name.at,
			       *route->query ? "; known: " : "; none is known here", route->query);
	q->name[q->n] = keep(q, name);
	if (query_get(q, q->bytes + q->name[q->n]))
		return why_set(why, -EINVAL, "query parameter \"%s\" is given twice",
			       q->bytes + q->name[q->n]);
	q->value[q->n++] = keep(q, value);
	return 0;
}

const char *query_get(const struct query *q, const char *name)
{
	for (unsigned i = 0; i < q->n; i++)
		if (strcmp(q->bytes + q->name[i], name) == 0)
			return q->bytes + q->value[i];
	return NULL;
}

int query_u64(const struct query *q, const char *name, uint64_t least, uint64_t most, uint64_t *ret,
	      struct why *why)
{
	const char *text = query_get(q, name);
	if (!text)
		return 0;
	size_t digits = strspn(text, "0123456789");
	errno = 0;
	unsigned long long v = strtoull(text, NULL, 10);
	if (digits == 0 || text[digits] != '\0' || errno != 0 || v < least || v > most)
		return why_set(why, -EINVAL, "%s=%.40s is no number from %llu to %llu", name, text,
			       (unsigned long long)least, (unsigned long long)most);
	*ret = v;
	return 0;
}

int query_bool(const struct query *q, const char *name, bool *ret, struct why *why)
{
	static const char *const words[][2] = {
		{ "0", "1" }, { "false", "true" }, { "no", "yes" }, { "no", "" }
	};
	const char *text = query_get(q, name);
	if (!text)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		for (int truth = 0; truth < 2; truth++)
			if (strcmp(text, words[i][truth]) == 0) {
				*ret = truth;
				return 0;
			}
	return why_set(why, -EINVAL, "%s=%.40s is neither true nor false", name, text);
}
