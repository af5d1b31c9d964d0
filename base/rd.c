/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rd.h"

#include <string.h>

#include "base/why.h"

void rd_fail(struct rd *r, int err)
{
	if (r->err == 0)
		r->err = err;
}

static const uint8_t *take(struct rd *r, size_t n)
{
	if (r->err != 0 || n > r->left) {
		rd_fail(r, -E_PROTO);
		return NULL;
	}
	const uint8_t *p = r->at;
	if (n > 0)
		r->at += n;
	r->left -= n;
	return p;
}

static uint64_t fixed(struct rd *r, unsigned bytes)
{
	const uint8_t *p = take(r, bytes);
	uint64_t v = 0;
	for (unsigned i = bytes; p && i-- > 0;)
		v = v << 8 | p[i];
	return v;
}

uint8_t rd_u8(struct rd *r)
{
	return (uint8_t)fixed(r, 1);
}

uint16_t rd_u16(struct rd *r)
{
	return (uint16_t)fixed(r, 2);
}

uint32_t rd_u32(struct rd *r)
{
	return (uint32_t)fixed(r, 4);
}

uint64_t rd_u64(struct rd *r)
{
	return fixed(r, 8);
}

/* The bits of a LEB128 number of at most `bits` bits. The last byte of the longest form carries
 * fewer than seven; the rest of it must be zero, or for signed numbers copies of the sign. */
static uint64_t leb(struct rd *r, unsigned bits, bool is_signed)
{
	uint64_t v = 0;
	for (unsigned shift = 0;; shift += 7) {
		const uint8_t *p = take(r, 1);
		if (!p)
			return 0;
		unsigned room = bits - shift;
		uint8_t low = *p & 0x7f;
		if (room < 7) {
			uint8_t extra = (uint8_t)(low >> (is_signed ? room - 1 : room));
			uint8_t ones = (uint8_t)(0x7f >> (is_signed ? room - 1 : room));
			if (extra != 0 && !(is_signed && extra == ones)) {
				rd_fail(r, -E_PROTO);
				return 0;
			}
		}
		v |= (uint64_t)low << shift;
		if (*p & 0x80) {
			if (room <= 7) {
				rd_fail(r, -E_PROTO);
				return 0;
			}
			continue;
		}
		if (is_signed && (low & 0x40) && shift + 7 < 64)
			v |= ~(uint64_t)0 << (shift + 7);
		return v;
	}
}

uint32_t rd_leb_u32(struct rd *r)
{
	return (uint32_t)leb(r, 32, false);
}

int32_t rd_leb_s32(struct rd *r)
{
	return (int32_t)(uint32_t)leb(r, 32, true);
}

int64_t rd_leb_s33(struct rd *r)
{
	return (int64_t)leb(r, 33, true);
}

int64_t rd_leb_s64(struct rd *r)
{
	return (int64_t)leb(r, 64, true);
}

struct span rd_span(struct rd *r, size_t len)
{
	const uint8_t *p = take(r, len);
	return (struct span){ .at = p, .len = p ? len : 0 };
}

static uint32_t count_proven(struct rd *r, uint32_t n, size_t min_elem_bytes)
{
	if (n > r->left / min_elem_bytes) {
		rd_fail(r, -E_PROTO);
		return 0;
	}
	return n;
}

uint32_t rd_leb_count(struct rd *r, size_t min_elem_bytes)
{
	return count_proven(r, rd_leb_u32(r), min_elem_bytes);
}

uint32_t rd_u32_count(struct rd *r, size_t min_elem_bytes)
{
	return count_proven(r, rd_u32(r), min_elem_bytes);
}

bool span_same(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool span_eq(struct span s, const char *literal)
{
	size_t n = strlen(literal);
	return s.len == n && (n == 0 || memcmp(s.at, literal, n) == 0);
}

/* How many continuation bytes follow, and the least code point that needs so many. */
static bool utf8_lead(uint8_t c, unsigned *ret_more, uint32_t *ret_bits, uint32_t *ret_least)
{
	static const struct {
		uint8_t mask, lead, more;
		uint32_t least;
	} form[] = {
		{ 0x80, 0x00, 0, 0 },
		{ 0xe0, 0xc0, 1, 0x80 },
		{ 0xf0, 0xe0, 2, 0x800 },
		{ 0xf8, 0xf0, 3, 0x10000 },
	};
	for (size_t i = 0; i < ARRAY_LEN(form); i++) {
		if ((c & form[i].mask) != form[i].lead)
			continue;
		*ret_more = form[i].more;
		*ret_bits = c & (uint8_t)~form[i].mask;
		*ret_least = form[i].least;
		return true;
	}
	return false;
}

bool span_is_utf8(struct span s)
{
	for (size_t i = 0; i < s.len;) {
		unsigned more;
		uint32_t code, least;
		if (!utf8_lead(s.at[i++], &more, &code, &least) || more > s.len - i)
			return false;
		for (; more > 0; more--, i++) {
			if ((s.at[i] & 0xc0) != 0x80)
				return false;
			code = code << 6 | (s.at[i] & 0x3f);
		}
		if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
			return false;
	}
	return true;
}
