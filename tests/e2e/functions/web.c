/* SPDX-License-Identifier: Apache-2.0 */
/* Answers requests; the last level of the path says how. */
#include <penstock.h>
#include <stdio.h>
#include <string.h>

static char body[1 << 20];

static int is(const char *path, const char *end)
{
	size_t n = strlen(path), m = strlen(end);
	return n >= m && strcmp(path + n - m, end) == 0;
}

static void attr(const char *name, char *buf, int cap)
{
	int n = penstock_attr(name, buf, (uint32_t)cap - 1);
	buf[n < 0 ? 0 : n < cap ? n : cap - 1] = '\0';
}

static int count(void)
{
	unsigned n = 0;
	char text[16];
	penstock_state_get("count", &n, sizeof(n));
	n++;
	penstock_state_put("count", &n, sizeof(n));
	return penstock_emit("", text, (uint32_t)snprintf(text, sizeof(text), "%u", n));
}

static int show(const char *path)
{
	char text[1024], method[16], query[256], type[64], from[64], trace[80];
	int n = penstock_payload(body, sizeof(body));
	attr("method", method, sizeof(method));
	attr("query", query, sizeof(query));
	attr("datacontenttype", type, sizeof(type));
	attr("remoteaddress", from, sizeof(from));
	attr("traceparent", trace, sizeof(trace));
	n = snprintf(text, sizeof(text),
		     "{\"path\":\"%s\",\"method\":\"%s\",\"query\":\"%s\",\"type\":\"%s\",\"from\":"
		     "\"%s\","
		     "\"trace\":\"%s\",\"bytes\":%d}",
		     path, method, query, type, from, trace, n);
	return penstock_emit("", text, (uint32_t)n);
}

PENSTOCK_ON_EVENT int on_event(void)
{
	char path[256];
	attr("path", path, sizeof(path));
	if (is(path, "/fail"))
		return 3;
	if (is(path, "/trap"))
		__builtin_trap();
	for (volatile int i = 0; is(path, "/slow"); i++)
		;
	if (is(path, "/count"))
		return count();
	if (is(path, "/publish")) {
		penstock_emit("web/out", "on", 2);
		return penstock_emit("", "published", 9);
	}
	if (is(path, "/secret"))
		return penstock_emit("not/granted", "x", 1);
	if (is(path, "/gone")) {
		penstock_emit("$reply/status", "410", 3);
		penstock_emit("$reply/content-type", "text/csv", 8);
		return penstock_emit("", "a,b\n", 4);
	}
	if (is(path, "/nothing"))
		return 0;
	if (is(path, "/echo"))
		return penstock_emit("", body, (uint32_t)penstock_payload(body, sizeof(body)));
	return show(path);
}
