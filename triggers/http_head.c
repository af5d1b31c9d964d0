/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/http_head.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

const char *const http_methods[HTTP_METHODS] = {
	[HTTP_GET] = "GET", [HTTP_HEAD] = "HEAD",     [HTTP_POST] = "POST",
	[HTTP_PUT] = "PUT", [HTTP_DELETE] = "DELETE", [HTTP_OPTIONS] = "OPTIONS",
	[HTTP_OTHER] = "",
};

enum http_method http_method_of(struct span s)
{
	unsigned m = 0;
	while (m < HTTP_OTHER && !span_eq(s, http_methods[m]))
		m++;
	return (enum http_method)m;
}

/* ---- characters (RFC 9110, 5.5 and 5.6.2) ---- */

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool is_token(uint8_t c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_text(uint8_t c)
{
	return c >= 0x20 ? c != 0x7f : c == '\t';
}

static int hex(uint8_t c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool span_is(struct span s, const char *word)
{
	return s.len == strlen(word) && strncasecmp((const char *)s.at, word, s.len) == 0;
}

static struct span trim(struct span s)
{
	while (s.len > 0 && (s.at[0] == ' ' || s.at[0] == '\t'))
		s = (struct span){ s.at + 1, s.len - 1 };
	while (s.len > 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
		s.len--;
	return s;
}

bool http_list_has(struct span list, const char *word)
{
	while (list.len > 0) {
		const uint8_t *comma = memchr(list.at, ',', list.len);
		size_t n = comma ? (size_t)(comma - list.at) : list.len;
		if (span_is(trim((struct span){ list.at, n }), word))
			return true;
		n += comma != NULL;
		list = (struct span){ list.at + n, list.len - n };
	}
	return false;
}

struct span http_field(const struct http_head *h, const char *name)
{
	for (unsigned i = 0; i < h->nfields; i++)
		if (span_eq(h->field[i].name, name))
			return h->field[i].value;
	return (struct span){ 0 };
}

static int refuse(const char **ret_reason, int status, const char *reason)
{
	*ret_reason = reason;
	return status;
}

/* ---- the target ---- */

/* Decodes in place. A path has one meaning for everybody, or none. */
static int path_read(uint8_t *at, size_t len, struct http_head *ret, const char **why)
{
	size_t n = 0, segment = 0;
	for (size_t i = 0; i <= len; i++) {
		int c = i < len ? at[i] : '/';
		if (c == '/') {
			size_t s = n - segment;
			if ((s == 1 && at[segment] == '.') ||
			    (s == 2 && at[segment] == '.' && at[segment + 1] == '.'))
				return refuse(why, 400, "a path with . or .. is not taken");
			segment = n + 1;
		}
		if (i == len)
			break;
		if (c == '%') {
			int high = len - i > 2 ? hex(at[i + 1]) : -1;
			int low = len - i > 2 ? hex(at[i + 2]) : -1;
			if (high < 0 || low < 0)
				return refuse(why, 400, "a % in the path begins no byte");
			c = high << 4 | low;
			i += 2;
			if (c < 0x20 || c == 0x7f || c == '/' || c == '\\')
				return refuse(why, 400,
					      "the path has an encoded slash or control character");
		}
		at[n++] = (uint8_t)c;
	}
	ret->path = (struct span){ at, n };
	return span_is_utf8(ret->path) ? 0 : refuse(why, 400, "the path is not UTF-8");
}

/* http://HOST/PATH, as proxies are asked (RFC 9112, 3.2.2): a server takes it, too. */
static bool skip_authority(uint8_t **at, size_t *len)
{
	size_t scheme = *len >= 8 && strncasecmp((char *)*at, "https://", 8) == 0 ? 8 : 7;
	if (*len < 8 || (scheme == 7 && strncasecmp((char *)*at, "http://", 7) != 0))
		return false;
	uint8_t *slash = memchr(*at + scheme, '/', *len - scheme);
	if (!slash || slash == *at + scheme ||
	    memchr(*at + scheme, '?', (size_t)(slash - *at) - scheme))
		return false;
	*len -= (size_t)(slash - *at);
	*at = slash;
	return true;
}

static int target_read(uint8_t *at, size_t len, struct http_head *ret, const char **why)
{
	for (size_t i = 0; i < len; i++)
		if (at[i] <= 0x20 || at[i] >= 0x7f || at[i] == '#')
			return refuse(why, 400, "the request line has a byte that belongs encoded");
	if (len == 1 && at[0] == '*' && ret->method == HTTP_OPTIONS) {
		ret->path = (struct span){ at, 1 };
		return 0;
	}
	if ((len == 0 || at[0] != '/') && !skip_authority(&at, &len))
		return refuse(why, 400, "the request's target is no path");
	uint8_t *mark = memchr(at, '?', len);
	size_t n = mark ? (size_t)(mark - at) : len;
	if (mark)
		ret->query = (struct span){ mark + 1, len - n - 1 };
	return path_read(at, n, ret, why);
}

/* ---- lines ---- */

/* METHOD SP TARGET SP HTTP/1.x */
static int request_line(uint8_t *at, size_t len, struct http_head *ret, const char **why)
{
	size_t m = 0;
	while (m < len && is_token(at[m]))
		m++;
	if (m == 0 || m == len || at[m] != ' ' || len < m + 10)
		return refuse(why, 400, "this is no HTTP request");
	const uint8_t *version = at + len - 9; /* " HTTP/1.1" */
	if (memcmp(version, " HTTP/", 6) != 0 || !is_digit(version[6]) || version[7] != '.' ||
	    !is_digit(version[8]))
		return refuse(why, 400, "this is no HTTP request");
	if (version[6] != '1' || version[8] > '1')
		return refuse(why, 505, "HTTP/1.1 is spoken here");
	ret->is_1_0 = version[8] == '0';
	ret->method = http_method_of((struct span){ at, m });
	return target_read(at + m + 1, (size_t)(version - at) - m - 1, ret, why);
}

static int field_line(uint8_t *at, size_t len, struct http_head *ret, const char **why)
{
	size_t n = 0;
	while (n < len && is_token(at[n])) {
		at[n] |= at[n] >= 'A' && at[n] <= 'Z' ? 0x20 : 0;
		n++;
	}
	if (n == 0 || n == len || at[n] != ':')
		return refuse(why, 400, "a header is no \"name: value\"");
	for (size_t i = n + 1; i < len; i++)
		if (!is_text(at[i]))
			return refuse(why, 400, "a header has a control character");
	if (ret->nfields == HTTP_FIELDS_MAX)
		return refuse(why, 431, "there are more than 64 headers");
	ret->field[ret->nfields++] =
		(struct http_field){ { at, n }, trim((struct span){ at + n + 1, len - n - 1 }) };
	return 0;
}

/* ---- what the fields mean ---- */

static int on_length(struct http_head *h, struct span v, const char **why)
{
	if (h->has_length)
		return refuse(why, 400, "there is more than one Content-Length");
	if (v.len == 0 || v.len > 18)
		return refuse(why, 400, "the Content-Length makes no sense");
	for (size_t i = 0; i < v.len; i++) {
		if (!is_digit(v.at[i]))
			return refuse(why, 400, "the Content-Length makes no sense");
		h->length = h->length * 10 + (v.at[i] - '0');
	}
	h->has_length = true;
	return 0;
}

static int on_encoding(struct http_head *h, struct span v, const char **why)
{
	if (h->is_chunked || h->is_1_0)
		return refuse(why, 400, "the Transfer-Encoding makes no sense");
	if (!span_is(v, "chunked"))
		return refuse(why, 501, "Transfer-Encoding: chunked, or none");
	h->is_chunked = true;
	return 0;
}

static int on_connection(struct http_head *h, struct span v, const char **why)
{
	(void)why;
	if (http_list_has(v, "close"))
		h->keeps = false;
	else if (h->is_1_0 && http_list_has(v, "keep-alive"))
		h->keeps = true;
	return 0;
}

static int on_expect(struct http_head *h, struct span v, const char **why)
{
	if (!span_is(v, "100-continue"))
		return refuse(why, 417, "Expect: 100-continue, or none");
	h->expects = !h->is_1_0;
	return 0;
}

static int on_host(struct http_head *h, struct span v, const char **why)
{
	(void)h;
	for (size_t i = 0; i < v.len; i++)
		if (v.at[i] <= 0x20 || v.at[i] >= 0x7f || strchr("/?#@\\,", v.at[i]))
			return refuse(why, 400, "the Host makes no sense");
	return 0;
}

static const struct {
	const char *name;
	int (*read)(struct http_head *h, struct span v, const char **why);
} meanings[] = {
	{ "content-length", on_length },
	{ "transfer-encoding", on_encoding },
	{ "connection", on_connection },
	{ "expect", on_expect },
	{ "host", on_host },
};

static int fields_read(struct http_head *h, const char **why)
{
	unsigned hosts = 0;
	h->keeps = !h->is_1_0;
	for (unsigned i = 0; i < h->nfields; i++) {
		const struct http_field *f = &h->field[i];
		hosts += span_eq(f->name, "host");
		for (size_t m = 0; m < ARRAY_LEN(meanings); m++) {
			int status = span_eq(f->name, meanings[m].name)
					     ? meanings[m].read(h, f->value, why)
					     : 0;
			if (status != 0)
				return status;
		}
	}
	if (hosts > 1 || (hosts == 0 && !h->is_1_0))
		return refuse(why, 400, "a request has one Host");
	if (h->has_length && h->is_chunked)
		return refuse(why, 400, "Content-Length and Transfer-Encoding exclude each other");
	return 0;
}

/* Where the head ends, 0: not yet; or a status. */
static int find_end(const uint8_t *buf, size_t len, size_t *scanned, size_t *ret_end,
		    const char **why)
{
	*ret_end = 0;
	for (;;) {
		const size_t left = len - *scanned;
		const uint8_t *nl = left ? memchr(buf + *scanned, '\n', left) : NULL;
		if (!nl)
			break;
		size_t n = (size_t)(nl - buf) - *scanned;
		if (n == 0 || nl[-1] != '\r')
			return refuse(why, 400, "a line ends without CR LF");
		*scanned += n + 1;
		if (n == 1) {
			*ret_end = *scanned;
			break;
		}
	}
	size_t seen = *ret_end ? *ret_end : len;
	return seen > HTTP_HEAD_BYTES ? refuse(why, 431, "the headers are larger than 16 KiB") : 0;
}

int http_head_read(uint8_t *buf, size_t len, size_t *scanned, struct http_head *ret,
		   const char **ret_reason)
{
	size_t end;
	int status = find_end(buf, len, scanned, &end, ret_reason);
	if (status == 0 && end == 0)
		return len >= HTTP_HEAD_BYTES
			       ? refuse(ret_reason, 431, "the headers are larger than 16 KiB")
			       : -EAGAIN;
	ret->bytes = end;
	ret->path = ret->query = (struct span){ 0 };
	ret->nfields = 0;
	ret->length = 0;
	ret->has_length = ret->is_chunked = ret->expects = ret->keeps = ret->is_1_0 = false;
	bool first = true;
	for (size_t at = 0; status == 0 && at + 2 < end; first = false) {
		uint8_t *nl = memchr(buf + at, '\n', end - at); /* find_end has seen it */
		size_t n = (size_t)(nl - buf) - at - 1;
		status = first ? request_line(buf + at, n, ret, ret_reason)
			       : field_line(buf + at, n, ret, ret_reason);
		at += n + 2;
	}
	if (status == 0 && first)
		status = refuse(ret_reason, 400, "this is no HTTP request");
	return status == 0 ? fields_read(ret, ret_reason) : status;
}

/* ---- chunked bodies (RFC 9112, 7.1) ---- */

/* A byte of the line with the size; extensions mean nothing to us, and are text. */
static int size_byte(struct http_chunks *c, uint8_t b, const char **why)
{
	int digit = c->state == CHUNK_SIZE ? hex(b) : -1;
	if (++c->line > HTTP_CHUNK_LINE_BYTES)
		return refuse(why, 400, "a line of the chunked body is too long");
	if (c->has_cr) {
		if (b != '\n' || c->digits == 0)
			return refuse(why, 400, "the chunked body makes no sense");
		c->is_last = c->left == 0;
		c->state = c->is_last ? CHUNK_TRAILER : CHUNK_DATA;
		c->line = c->digits = 0;
		c->has_cr = false;
	} else if (digit >= 0) {
		if (++c->digits > 12)
			return refuse(why, 413, "a chunk of the body is too large");
		c->left = c->left << 4 | (unsigned)digit;
	} else if (b == '\r') {
		c->has_cr = true;
	} else if (c->state == CHUNK_SIZE && b == ';' && c->digits > 0) {
		c->state = CHUNK_EXTENSION;
	} else if (c->state == CHUNK_SIZE || !is_text(b)) {
		return refuse(why, 400, "the chunked body makes no sense");
	}
	return 0;
}

/* Trailers are read over: nothing asks for them. */
static int trailer_byte(struct http_chunks *c, uint8_t b, const char **why)
{
	if (++c->line > HTTP_HEAD_BYTES)
		return refuse(why, 431, "the trailers are larger than 16 KiB");
	if (c->has_cr) {
		if (b != '\n')
			return refuse(why, 400, "a line ends without CR LF");
		c->state = c->in_field ? CHUNK_TRAILER : CHUNK_DONE;
		c->in_field = c->has_cr = false;
	} else if (b == '\r') {
		c->has_cr = true;
	} else if (!is_text(b) || (!c->in_field && !is_token(b))) {
		return refuse(why, 400, "a trailer is no \"name: value\"");
	} else {
		c->in_field = true;
	}
	return 0;
}

static int data_end_byte(struct http_chunks *c, uint8_t b, const char **why)
{
	if (b != (c->has_cr ? '\n' : '\r'))
		return refuse(why, 400, "a chunk is longer than it says");
	if (c->has_cr)
		c->state = CHUNK_SIZE;
	c->has_cr = !c->has_cr;
	return 0;
}

int http_chunks_read(struct http_chunks *c, struct span data, size_t *ret_used,
		     struct span *ret_body, const char **ret_reason)
{
	size_t i = 0;
	*ret_body = (struct span){ data.at, 0 };
	for (int status = 0; i < data.len && c->state != CHUNK_DONE;) {
		if (c->state == CHUNK_DATA) {
			size_t n = data.len - i < c->left ? data.len - i : (size_t)c->left;
			*ret_body = (struct span){ data.at + i, n };
			c->left -= n;
			c->state = c->left == 0 ? CHUNK_DATA_END : CHUNK_DATA;
			i += n;
			break; /* one piece at a time */
		}
		uint8_t b = data.at[i++];
		if (c->state == CHUNK_DATA_END)
			status = data_end_byte(c, b, ret_reason);
		else if (c->state == CHUNK_TRAILER)
			status = trailer_byte(c, b, ret_reason);
		else
			status = size_byte(c, b, ret_reason);
		if (status != 0)
			return status;
	}
	*ret_used = i;
	return c->state == CHUNK_DONE ? 0 : -EAGAIN;
}
