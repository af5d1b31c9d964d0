/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 requests, as RFC 9110 and RFC 9112 have them, read strictly: what two readers could understand in two
 * ways is refused, because one of them may be a proxy in front of us. So: lines end with CR LF and nothing else,
 * names of fields are tokens right before their colon, no line goes on in the next one, one Content-Length or one
 * "Transfer-Encoding: chunked" and never both, one Host, no dot segment and no encoded slash in a path.
 * No I/O, no allocation.
 */
#ifndef TRIGGERS_HTTP_HEAD_H
#define TRIGGERS_HTTP_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rd.h"

enum { HTTP_HEAD_BYTES = 16384, HTTP_FIELDS_MAX = 64, HTTP_CHUNK_LINE_BYTES = 256 };

enum http_method {
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_DELETE,
	HTTP_OPTIONS,
	HTTP_OTHER, /* also "any" of a binding */
	HTTP_METHODS
};
extern const char *const http_methods[HTTP_METHODS]; /* "GET" ..., OTHER: "" */
enum http_method http_method_of(struct span s);

struct http_field {
	struct span name; /* in lower case */
	struct span value;
};

struct http_head {    /* its spans point into the buffer that was read */
	size_t bytes; /* of the head, with the empty line */
	enum http_method method;
	bool is_1_0;
	struct span path;  /* decoded; begins with '/', UTF-8, no control characters */
	struct span query; /* as it came, without '?' */
	unsigned nfields;
	struct http_field field[HTTP_FIELDS_MAX];
	bool has_length, is_chunked; /* at most one of them */
	uint64_t length;
	bool keeps;   /* the connection may bring another request */
	bool expects; /* 100 Continue before the body */
};

/* The head that begins at buf, of which there are len bytes; changes them (decoded path, lower-case names).
 * *scanned: 0 at first, then what the last call left, so that no byte is looked at twice. 0; -EAGAIN: it has no end
 * yet; above 0: the status to refuse it with, and *ret_reason. */
int http_head_read(uint8_t *buf, size_t len, size_t *scanned, struct http_head *ret,
		   const char **ret_reason);
/* The value of the first field of this name (lower case); empty: there is none. */
struct span http_field(const struct http_head *h, const char *name);
/* Does a list (Connection) have this word, in any case? */
bool http_list_has(struct span list, const char *word);

/* A chunked body. All zero at first. */
struct http_chunks {
	enum {
		CHUNK_SIZE,
		CHUNK_EXTENSION,
		CHUNK_DATA,
		CHUNK_DATA_END,
		CHUNK_TRAILER,
		CHUNK_DONE
	} state;
	uint64_t left;   /* of this chunk's data */
	unsigned digits; /* of its size */
	unsigned line;   /* bytes of this line, or of all trailers */
	bool is_last, has_cr, in_field;
};
/* Takes from data: *ret_used bytes of it, of which body (inside of data, possibly empty) is content. 0: that was the end of
 * the body; -EAGAIN: more is to come, call again with what follows ret_used; above 0: the status to
 * refuse it with. */
int http_chunks_read(struct http_chunks *c, struct span data, size_t *ret_used,
		     struct span *ret_body, const char **ret_reason);

#endif
