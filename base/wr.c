/* SPDX-License-Identifier: Apache-2.0 */
#include "base/wr.h"

#include <stdarg.h>

void wr_bytes(struct wr *w, const void *p, size_t n)
{
	if (w->overflow || n > w->cap - w->len) {
		w->overflow = true;
		return;
	}
	if (n > 0)
		memcpy(w->buf + w->len, p, n);
	w->len += n;
}

static void fixed(struct wr *w, uint64_t v, unsigned bytes)
{
	uint8_t b[8];
	for (unsigned i = 0; i < bytes; i++)
		b[i] = (uint8_t)(v >> (8 * i));
	wr_bytes(w, b, bytes);
}

void wr_u8(struct wr *w, uint8_t v)
{
	fixed(w, v, 1);
}

void wr_u16(struct wr *w, uint16_t v)
{
	fixed(w, v, 2);
}

void wr_u32(struct wr *w, uint32_t v)
{
	fixed(w, v, 4);
}

void wr_u64(struct wr *w, uint64_t v)
{
	fixed(w, v, 8);
}

void wr_leb_u32(struct wr *w, uint32_t v)
{
	uint8_t b[5];
	size_t n = 0;
	do {
		b[n] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
		n++;
		v >>= 7;
	} while (v != 0);
	wr_bytes(w, b, n);
}

void wr_str(struct wr *w, const char *s)
{
	wr_bytes(w, s, strlen(s));
}

void wr_fmt(struct wr *w, const char *fmt, ...)
{
	if (w->overflow)
		return;
	size_t room = w->cap - w->len;
	va_list ap;
	va_start(ap, fmt);
	/* vsnprintf wants a place for its NUL: text that fills the buffer to the last byte is
	 * refused, which costs one byte and saves a copy. */
	int n = vsnprintf((char *)w->buf + w->len, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room)
		w->overflow = true;
	else
		w->len += (size_t)n;
}
