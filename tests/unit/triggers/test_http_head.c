/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "triggers/http_head.h"

#define H "Host: a\r\n"

static uint8_t text[HTTP_HEAD_BYTES + 64];

static int read_all(const char *s, struct http_head *h)
{
	const char *reason = "";
	size_t scanned = 0;
	memcpy(text, s, strlen(s));
	return http_head_read(text, strlen(s), &scanned, h, &reason);
}

static const struct {
	const char *text;
	int want;
} requests[] = {
	{ "GET / HTTP/1.1\r\n" H "\r\n", 0 },
	{ "GET / HTTP/1.0\r\n\r\n", 0 },
	{ "GET / HTTP/1.1\r\n" H, -EAGAIN },
	{ "GET / HTTP/1.1\r\n\r\n", 400 },        /* no Host */
	{ "GET / HTTP/1.1\r\n" H H "\r\n", 400 }, /* two */
	{ "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400 },
	{ "GET / HTTP/2.0\r\n" H "\r\n", 505 },
	{ "GET / HTTP/1.2\r\n" H "\r\n", 505 },
	{ "GET / http/1.1\r\n" H "\r\n", 400 },
	{ "GET /\r\n" H "\r\n", 400 }, /* 0.9 */
	{ "GET  / HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET /  HTTP/1.1\r\n" H "\r\n", 400 },
	{ " GET / HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET / HTTP/1.1\n" H "\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: a\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" H "\n", 400 },
	{ "GET / HTTP/1.1\r\n" H " b: c\r\n\r\n", 400 }, /* a line that goes on */
	{ "GET / HTTP/1.1\r\n" H "b : c\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" H "b\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" H ": c\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" H "b: c\x01\r\n\r\n", 400 },
	{ "G\xc3\xa4T / HTTP/1.1\r\n" H "\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\n", 0 },
	{ "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" H "Content-Length: 3, 3\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" H "Content-Length: +3\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" H "Content-Length: -3\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" H "Content-Length: 0x3\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" H "Content-Length: \r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n", 0 },
	{ "POST / HTTP/1.1\r\n" H "Transfer-Encoding: CHUNKED\r\n\r\n", 0 },
	{ "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n", 501 },
	{ "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n", 501 },
	{ "POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n", 501 },
	{ "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n", 501 },
	{ "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\x0b chunked\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" H
	  "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
	  400 },
	{ "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
	{ "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\n\r\n", 0 },
	{ "POST / HTTP/1.1\r\n" H "Expect: 200-ok\r\n\r\n", 417 },
	{ "OPTIONS * HTTP/1.1\r\n" H "\r\n", 0 },
	{ "GET * HTTP/1.1\r\n" H "\r\n", 400 },
	{ "CONNECT a:80 HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET a HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET http:///a HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET http://a HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET ftp://a/b HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET /a#b HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET /a\tb HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET /. HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET /a/../b HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET /a/%2e%2E HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET /a/.b HTTP/1.1\r\n" H "\r\n", 0 },
	{ "GET /a%2fb HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET /a%5cb HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET /a%00 HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET /a% HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET /a%2 HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET /a%zz HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET /a%c3%28 HTTP/1.1\r\n" H "\r\n", 400 },
	{ "\x16\x03\x01\x02 TLS? HTTP/1.1\r\n\r\n", 400 },
};

static void test_requests_have_one_meaning_or_none(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		struct http_head h = { 0 };
		int got = read_all(requests[i].text, &h);
		if (got != requests[i].want)
			print_error("%s", requests[i].text);
		assert_int_equal(got, requests[i].want);
	}
}

static void test_what_a_head_says(void **state)
{
	struct http_head h = { 0 };
	(void)state;
	assert_int_equal(
		read_all(
			"PUT http://b:80/a%20%C3%A4/?x=%20&y HTTP/1.1\r\nHOST: b\r\nX-Y:\t v w \r\n"
			"Content-Length: 007\r\n\r\nrest",
			&h),
		0);
	assert_int_equal(h.method, HTTP_PUT);
	assert_true(span_eq(h.path, "/a \xc3\xa4/"));
	assert_true(span_eq(h.query, "x=%20&y"));
	assert_true(span_eq(http_field(&h, "x-y"), "v w"));
	assert_true(h.has_length && h.length == 7 && h.keeps && !h.is_chunked && !h.expects);
	assert_memory_equal(text + h.bytes, "rest", 4);
	assert_int_equal(read_all("GET / HTTP/1.1\r\n" H "Connection: x, Close\r\n\r\n", &h), 0);
	assert_false(h.keeps);
	assert_int_equal(read_all("GET / HTTP/1.0\r\n\r\n", &h), 0);
	assert_false(h.keeps);
	assert_int_equal(read_all("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", &h), 0);
	assert_true(h.keeps);
	assert_int_equal(read_all("PATCH / HTTP/1.1\r\n" H "\r\n", &h), 0);
	assert_int_equal(h.method, HTTP_OTHER);
}

/* A head that comes byte by byte is the same one. */
static void test_a_head_can_come_in_pieces(void **state)
{
	static const char all[] = "POST /a HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\n";
	struct http_head h = { 0 };
	const char *reason = "";
	size_t scanned = 0;
	(void)state;
	memcpy(text, all, sizeof(all));
	for (size_t n = 0; n < sizeof(all) - 2; n++)
		assert_int_equal(http_head_read(text, n, &scanned, &h, &reason), -EAGAIN);
	assert_int_equal(http_head_read(text, sizeof(all) - 1, &scanned, &h, &reason), 0);
	assert_int_equal(h.bytes, sizeof(all) - 1);
	assert_true(span_eq(h.path, "/a"));
}

static void test_heads_are_bounded(void **state)
{
	struct http_head h = { 0 };
	const char *reason = "";
	size_t scanned = 0, n = 0;
	(void)state;
	n = (size_t)sprintf((char *)text, "GET / HTTP/1.1\r\n" H);
	for (int i = 0; i < HTTP_FIELDS_MAX; i++)
		n += (size_t)sprintf((char *)text + n, "a: b\r\n");
	n += (size_t)sprintf((char *)text + n, "\r\n");
	assert_int_equal(http_head_read(text, n, &scanned, &h, &reason), 431);
	memset(text, 'a', sizeof(text));
	scanned = 0;
	assert_int_equal(http_head_read(text, HTTP_HEAD_BYTES - 1, &scanned, &h, &reason), -EAGAIN);
	assert_int_equal(http_head_read(text, HTTP_HEAD_BYTES, &scanned, &h, &reason), 431);
}

/* Decodes s, given in pieces of `step` bytes; the status, and what was content. */
static int dechunk(const char *s, size_t step, char *ret, size_t *ret_len)
{
	struct http_chunks c = { 0 };
	const char *reason = "";
	int status = -EAGAIN;
	*ret_len = 0;
	for (size_t at = 0; at < strlen(s) && status == -EAGAIN;) {
		size_t n = strlen(s) - at < step ? strlen(s) - at : step, used = 0;
		struct span body;
		status = http_chunks_read(&c, (struct span){ (const uint8_t *)s + at, n }, &used,
					  &body, &reason);
		if (status > 0)
			break;
		memcpy(ret + *ret_len, body.at, body.len);
		*ret_len += body.len;
		at += used;
	}
	return status;
}

static void test_chunked_bodies(void **state)
{
	static const struct {
		const char *text;
		int want;
		const char *body;
	} row[] = {
		{ "3\r\nabc\r\n0\r\n\r\n", 0, "abc" },
		{ "3\r\nabc\r\n2;x=\"y\"\r\nde\r\n000\r\n\r\n", 0, "abcde" },
		{ "0\r\n\r\n", 0, "" },
		{ "A\r\n0123456789\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n", 0, "0123456789" },
		{ "3\r\nabc\r\n0\r\n", -EAGAIN, "abc" },
		{ "3\r\nabcd\r\n0\r\n\r\n", 400, "" },
		{ "3\nabc\r\n0\r\n\r\n", 400, "" },
		{ "3\r\nabc\n0\r\n\r\n", 400, "" },
		{ "3 \r\nabc\r\n0\r\n\r\n", 400, "" },
		{ "+3\r\nabc\r\n0\r\n\r\n", 400, "" },
		{ "0x3\r\nabc\r\n0\r\n\r\n", 400, "" },
		{ "\r\nabc\r\n0\r\n\r\n", 400, "" },
		{ ";x\r\nabc\r\n0\r\n\r\n", 400, "" },
		{ "3;\nx\r\nabc\r\n0\r\n\r\n", 400, "" },
		{ "-1\r\n\r\n", 400, "" },
		{ "fffffffffffffffff\r\n", 413, "" },
		{ "0\r\n: x\r\n\r\n", 400, "" },
		{ "0\r\nx\n\r\n", 400, "" },
	};
	char body[64];
	size_t len;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		for (size_t step = 1; step < 40; step += 6) {
			int got = dechunk(row[i].text, step, body, &len);
			if (got != row[i].want)
				print_error("%s", row[i].text);
			assert_int_equal(got, row[i].want);
			if (got > 0)
				continue;
			assert_int_equal(len, strlen(row[i].body));
			assert_memory_equal(body, row[i].body, len);
		}
	}
}

/* What follows the body is the next request. */
static void test_a_chunked_body_ends_where_it_ends(void **state)
{
	static const char all[] = "0\r\n\r\nGET / HTTP/1.1\r\n";
	struct http_chunks c = { 0 };
	struct span body;
	const char *reason = "";
	size_t used;
	(void)state;
	assert_int_equal(http_chunks_read(&c,
					  (struct span){ (const uint8_t *)all, sizeof(all) - 1 },
					  &used, &body, &reason),
			 0);
	assert_int_equal(used, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_have_one_meaning_or_none),
		cmocka_unit_test(test_what_a_head_says),
		cmocka_unit_test(test_a_head_can_come_in_pieces),
		cmocka_unit_test(test_heads_are_bounded),
		cmocka_unit_test(test_chunked_bodies),
		cmocka_unit_test(test_a_chunked_body_ends_where_it_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
