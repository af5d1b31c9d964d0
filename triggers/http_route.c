/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/http_route.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/own.h"
#include "proto/kinds.h"

enum { FILTER_BYTES_MAX = 1024, LOOK_NS = 1000 * 1000 * 1000 };

struct http_route {
	struct http_route *next;
	uint32_t id;
	enum http_method method; /* HTTP_OTHER: any */
	bool waits;
	double rate, left; /* per second; of a bucket of one second */
	uint64_t filled_ns;
	struct http_token token;
	size_t len;
	char filter[];
};

/* ---- tokens ---- */

int http_token_init(struct http_token *t, const char *path)
{
	*t = (struct http_token){ .closed = *path != '\0' };
	t->path = *path ? strdup(path) : NULL;
	return *path && !t->path ? -ENOMEM : 0;
}

void http_token_fini(struct http_token *t)
{
	free(t->path);
	t->path = NULL;
}

static void digest_of(struct span s, const uint8_t *key, uint8_t ret[HTTP_DIGEST_BYTES])
{
	(void)crypto_generichash(ret, HTTP_DIGEST_BYTES, s.at, s.len, key, HTTP_KEY_BYTES);
}

static int close_it(struct http_token *t, const char *reason)
{
	t->why.text[0] = '\0';
	t->closed = true;
	return why_set(&t->why, -E_INVALID, "token_file %s: %s; until then nobody gets in here",
		       t->path, reason);
}

static int read_token(struct http_token *t, int fd, const uint8_t *key)
{
	uint8_t text[HTTP_TOKEN_BYTES + 1];
	ssize_t n = read(fd, text, sizeof(text));
	if (n < 0)
		return close_it(t, strerror(errno));
	const uint8_t *nl = memchr(text, '\n', (size_t)n);
	struct span line = { text, nl ? (size_t)(nl - text) : (size_t)n };
	while (line.len > 0 && (line.at[line.len - 1] == '\r' || line.at[line.len - 1] == ' '))
		line.len--;
	if (line.len == 0)
		return close_it(t, "its first line is empty: write the token there");
	if (line.len > HTTP_TOKEN_BYTES)
		return close_it(t, "its first line is longer than 4096 bytes");
	digest_of(line, key, t->digest);
	sodium_memzero(text, sizeof(text));
	t->closed = false;
	return 0;
}

/* At most once a second. */
static void look(struct http_token *t, const uint8_t *key, uint64_t now_ns)
{
	struct stat st;
	if (now_ns < t->look_ns)
		return;
	t->look_ns = now_ns + LOOK_NS;
	OWN_FD fd = open(t->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		(void)close_it(t, fd < 0 ? strerror(errno) : "it is no file");
		memset(&t->seen, 0, sizeof(t->seen));
		return;
	}
	if (!t->closed && t->seen.s == st.st_mtim.tv_sec && t->seen.ns == st.st_mtim.tv_nsec &&
	    t->seen.inode == st.st_ino && t->seen.bytes == st.st_size)
		return;
	t->seen.s = st.st_mtim.tv_sec;
	t->seen.ns = st.st_mtim.tv_nsec;
	t->seen.inode = st.st_ino;
	t->seen.bytes = st.st_size;
	(void)read_token(t, fd, key);
}

bool http_token_ok(struct http_token *t, const uint8_t key[HTTP_KEY_BYTES],
		   const struct http_head *h, uint64_t now_ns)
{
	uint8_t digest[HTTP_DIGEST_BYTES];
	if (!t->path)
		return true;
	look(t, key, now_ns);
	struct span given = http_field(h, "authorization");
	bool is_bearer = given.len > 7 && strncasecmp((const char *)given.at, "Bearer ", 7) == 0;
	if (is_bearer)
		given = (struct span){ given.at + 7, given.len - 7 };
	/* Digests have one length, and a key that nobody knows: how long this takes says nothing. */
	digest_of(given, key, digest);
	bool same = sodium_memcmp(digest, t->digest, sizeof(digest)) == 0;
	return same && is_bearer && !t->closed;
}

/* ---- filters ---- */

static int filter_check(struct span f, struct why *why)
{
	size_t level = 0;
	bool ok = f.len > 0 && f.len <= FILTER_BYTES_MAX && f.at[0] == '/' && span_is_utf8(f);
	for (size_t i = 1; ok && i <= f.len; i++) {
		uint8_t c = i < f.len ? f.at[i] : '/';
		if (c != '/') {
			ok = c > 0x20 && c != 0x7f && !strchr("?#%\\", c);
			level++;
			continue;
		}
		const char *at = (const char *)f.at + i - level;
		ok = !memchr(at, '+', level) || level == 1;
		ok = ok && !(level <= 2 && level > 0 && strncmp(at, "..", level) == 0);
		level = 0;
	}
	if (ok)
		return 0;
	return why_set(
		why, -E_INVALID,
		"\"%.*s\" is no path of a request: it begins with /, is written as it is meant "
		"(no %%, ?, #, blanks, . or ..), and + stands for a whole level",
		(int)(f.len > 200 ? 200 : f.len), (const char *)f.at);
}

/* Which goes first: + lies behind every literal byte. */
static int more_specific(const struct http_route *a, const struct http_route *b)
{
	for (size_t i = 0; i < a->len && i < b->len; i++) {
		int x = a->filter[i] == '+' ? 256 : (uint8_t)a->filter[i];
		int y = b->filter[i] == '+' ? 256 : (uint8_t)b->filter[i];
		if (x != y)
			return x - y;
	}
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	if ((a->method == HTTP_OTHER) != (b->method == HTTP_OTHER))
		return a->method == HTTP_OTHER ? 1 : -1;
	return a->id < b->id ? -1 : 1;
}

static bool matches(const struct http_route *r, struct span path)
{
	size_t i = 0, p = 0;
	while (i < r->len && p <= path.len) {
		if (r->filter[i] == '+') {
			const uint8_t *slash =
				p < path.len ? memchr(path.at + p, '/', path.len - p) : NULL;
			size_t end = slash ? (size_t)(slash - path.at) : path.len;
			if (end == p)
				return false; /* a level that is empty is none */
			p = end;
			i++;
		} else if (p == path.len || (uint8_t)r->filter[i++] != path.at[p++]) {
			return false;
		}
	}
	return i == r->len && p == path.len;
}

/* ---- the table ---- */

int http_routes_init(struct http_routes *t)
{
	*t = (struct http_routes){ 0 };
	if (sodium_init() < 0)
		return -EIO;
	randombytes_buf(t->key, sizeof(t->key));
	return -pthread_mutex_init(&t->lock, NULL);
}

static void route_free(struct http_route *r)
{
	if (r)
		http_token_fini(&r->token);
	free(r);
}

void http_routes_fini(struct http_routes *t)
{
	for (struct http_route *r; (r = t->first) != NULL;) {
		t->first = r->next;
		route_free(r);
	}
	(void)pthread_mutex_destroy(&t->lock);
}

static struct http_route *route_new(const struct trigger_route *r, const struct kind_values *v)
{
	const char *method = kind_text(v, "method");
	struct http_route *n = calloc(1, sizeof(*n) + r->filter.len + 1);
	if (!n || http_token_init(&n->token, kind_text(v, "token_file")) < 0) {
		free(n);
		return NULL;
	}
	n->id = r->id;
	n->method = http_method_of((struct span){ (const uint8_t *)method, strlen(method) });
	n->waits = strcmp(kind_text(v, "reply"), "wait") == 0;
	n->rate = kind_number(v, "rate");
	n->left = n->rate < 1 ? 1 : n->rate;
	n->len = r->filter.len;
	memcpy(n->filter, r->filter.at, r->filter.len);
	return n;
}

int http_routes_add(struct http_routes *t, const struct trigger_route *r, struct why *why)
{
	struct kind_values v;
	int err = filter_check(r->filter, why);
	if (err == 0)
		err = kind_values_read(KIND_INPUT, "http", r->options, &v, why);
	if (err < 0)
		return err;
	struct http_route *n = NULL;
	const char *file = kind_text(&v, "token_file");
	if (*file && *file != '/')
		err = why_set(why, -E_INVALID, "token_file = \"%.200s\": expected an absolute path",
			      file);
	else if (!(n = route_new(r, &v)))
		err = why_set(why, -ENOMEM, "out of memory");
	kind_values_free(&v);
	if (err < 0)
		return err;
	http_routes_remove(t, r->id);
	(void)pthread_mutex_lock(&t->lock);
	struct http_route **at = &t->first;
	while (*at && more_specific(*at, n) < 0)
		at = &(*at)->next;
	n->next = *at;
	*at = n;
	t->n++;
	(void)pthread_mutex_unlock(&t->lock);
	return 0;
}

void http_routes_remove(struct http_routes *t, uint32_t id)
{
	(void)pthread_mutex_lock(&t->lock);
	struct http_route **at = &t->first, *gone;
	while (*at && (*at)->id != id)
		at = &(*at)->next;
	gone = *at;
	if (gone) {
		*at = gone->next;
		t->n--;
	}
	(void)pthread_mutex_unlock(&t->lock);
	route_free(gone);
}

bool http_routes_well(struct http_routes *t, uint32_t id, struct why *ret)
{
	struct timespec now;
	bool well = true;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	(void)pthread_mutex_lock(&t->lock);
	for (struct http_route *r = t->first; r; r = r->next) {
		if (r->id != id || !r->token.path)
			continue;
		look(&r->token, t->key, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
		well = !r->token.closed;
		if (!well)
			*ret = r->token.why;
	}
	(void)pthread_mutex_unlock(&t->lock);
	return well;
}

static bool takes(const struct http_route *r, enum http_method m)
{
	return r->method == HTTP_OTHER || r->method == m;
}

static bool has_left(struct http_route *r, uint64_t now_ns)
{
	if (r->rate <= 0)
		return true;
	double most = r->rate < 1 ? 1 : r->rate;
	if (r->filled_ns > 0)
		r->left += (double)(now_ns - r->filled_ns) * 1e-9 * r->rate;
	r->filled_ns = now_ns;
	r->left = r->left > most ? most : r->left;
	if (r->left < 1)
		return false;
	r->left -= 1;
	return true;
}

/* Of the most specific filter that matches, and others like it. */
static void allowed(const struct http_route *first, char ret[48])
{
	bool seen[HTTP_METHODS] = { false };
	size_t n = 0;
	for (const struct http_route *r = first; r && strcmp(r->filter, first->filter) == 0;
	     r = r->next)
		seen[r->method] = true;
	for (unsigned m = 0; m < HTTP_OTHER; m++)
		if (seen[m] || (seen[HTTP_OTHER] && m != HTTP_HEAD && m != HTTP_OPTIONS))
			n += (size_t)snprintf(ret + n, 48 - n, "%s%s", n ? ", " : "",
					      http_methods[m]);
}

int http_routes_find(struct http_routes *t, const struct http_head *h, uint64_t now_ns,
		     struct http_found *ret)
{
	int status = 0;
	ret->allow[0] = '\0';
	(void)pthread_mutex_lock(&t->lock);
	struct http_route *first = t->first;
	while (first && !matches(first, h->path))
		first = first->next;
	struct http_route *r = first;
	while (r && !takes(r, h->method)) {
		r = r->next;
		if (r && strcmp(r->filter, first->filter) != 0)
			r = NULL;
	}
	if (!first)
		status = 404;
	else if (!r || h->method == HTTP_OPTIONS || h->method == HTTP_HEAD)
		status = 405;
	else if (!http_token_ok(&r->token, t->key, h, now_ns))
		status = 401;
	else if (!has_left(r, now_ns))
		status = 429;
	if (status == 405)
		allowed(first, ret->allow);
	else if (status == 0)
		*ret = (struct http_found){ .id = r->id, .waits = r->waits };
	(void)pthread_mutex_unlock(&t->lock);
	return status;
}
