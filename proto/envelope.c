/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/envelope.h"

#include <string.h>

static const uint8_t magic[4] = { 0x00, 'a', 's', 'm' };

int envelope_open(struct envelope *e, const void *bytes, size_t len, struct why *why)
{
	struct rd r = rd_from(bytes, len);
	struct span start = rd_span(&r, sizeof(magic));
	uint16_t version = rd_u16(&r);
	uint16_t layer = rd_u16(&r);
	if (start.len != sizeof(magic) || memcmp(start.at, magic, sizeof(magic)) != 0)
		return why_set(why, -E_INVALID,
			       "not a WebAssembly module: it does not start with \\0asm");
	if (!rd_ok(&r))
		return why_set(
			why, -E_INVALID,
			"not a WebAssembly module: it ends inside its header, after %zu bytes",
			len);
	if (layer == 1)
		return why_set(
			why, -E_INVALID,
			"this is a WebAssembly component; a core module (version 1) is needed");
	if (version != 1 || layer != 0)
		return why_set(why, -E_INVALID, "WebAssembly version %u is unknown; it must be 1",
			       (unsigned)version | (unsigned)layer << 16);
	*e = (struct envelope){ .module = { bytes, len }, .rest = r };
	return 0;
}

static int custom_name(struct section *s, struct why *why)
{
	struct rd r = rd_from(s->payload.at, s->payload.len);
	s->name = rd_span(&r, rd_leb_u32(&r));
	if (!rd_ok(&r))
		return why_set(why, -E_INVALID,
			       "at offset 0x%zx: the name of the custom section does not fit in it",
			       s->offset);
	if (!span_is_utf8(s->name))
		return why_set(why, -E_INVALID,
			       "at offset 0x%zx: the name of the custom section is not UTF-8",
			       s->offset);
	s->payload = (struct span){ r.at, r.left };
	return 0;
}

int envelope_next(struct envelope *e, struct section *ret, struct why *why)
{
	if (rd_done(&e->rest))
		return 0;
	struct section s = { .offset = e->module.len - e->rest.left };
	s.id = rd_u8(&e->rest);
	uint32_t size = rd_leb_u32(&e->rest);
	if (!rd_ok(&e->rest))
		return why_set(why, -E_INVALID,
			       "at offset 0x%zx: the size of section %u is malformed", s.offset,
			       s.id);
	size_t left = e->rest.left;
	s.payload = rd_span(&e->rest, size);
	if (!rd_ok(&e->rest))
		return why_set(
			why, -E_INVALID,
			"at offset 0x%zx: section %u says it has %u bytes, but only %zu are left",
			s.offset, s.id, size, left);
	if (s.id == 0 && custom_name(&s, why) < 0) {
		rd_fail(&e->rest, -E_INVALID);
		return -E_INVALID;
	}
	*ret = s;
	return 1;
}
