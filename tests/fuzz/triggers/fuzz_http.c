/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a connection, in pieces whose size the first byte gives: heads, and chunked bodies behind them. */
#include <errno.h>
#include <string.h>

#include "triggers/http_head.h"

static void chunks(const uint8_t *at, size_t len, size_t step)
{
	struct http_chunks c = { 0 };
	const char *reason = NULL;
	size_t content = 0, seen = 0;
	int status = -EAGAIN;
	while (seen < len && status == -EAGAIN) {
		size_t n = len - seen < step ? len - seen : step, used = 0;
		struct span body;
		status = http_chunks_read(&c, (struct span){ at + seen, n }, &used, &body, &reason);
		if (status > 0) {
			ENSURE(status >= 400 && reason);
			return;
		}
		ENSURE(used > 0 && used <= n && body.len <= used);
		content += body.len;
		seen += used;
	}
	ENSURE(content <= seen);
}

static void check(const struct http_head *h, const uint8_t *buf)
{
	ENSURE(!(h->has_length && h->is_chunked) && h->nfields <= HTTP_FIELDS_MAX);
	ENSURE(h->path.len > 0 && (h->path.at[0] == '/' || h->method == HTTP_OPTIONS));
	ENSURE(span_is_utf8(h->path) && !memchr(h->path.at, '\0', h->path.len));
	ENSURE(h->path.at >= buf && h->path.at + h->path.len <= buf + h->bytes);
	for (unsigned i = 0; i < h->nfields; i++)
		ENSURE(h->field[i].name.len > 0 &&
		       h->field[i].value.at + h->field[i].value.len <= buf + h->bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t buf[HTTP_HEAD_BYTES + 4096];
	struct http_head h;
	const char *reason = NULL;
	size_t step = size ? data[0] % 64 + 1 : 1, len = size ? size - 1 : 0, scanned = 0;
	int status = -EAGAIN;
	if (len > sizeof(buf))
		return 0;
	memcpy(buf, data + (size > 0), len);
	for (size_t n = 0; status == -EAGAIN && n < len;) {
		n = len - n < step ? len : n + step;
		status = http_head_read(buf, n, &scanned, &h, &reason);
	}
	ENSURE(status <= 0 || (status >= 400 && status < 600 && reason));
	if (status == 0)
		check(&h, buf);
	chunks(status == 0 ? buf + h.bytes : buf, status == 0 ? len - h.bytes : len, step);
	return 0;
}
