/* SPDX-License-Identifier: Apache-2.0 */
/* The manifest as a custom section: taken out of a module, and put in. */
#include <errno.h>

#include "base/own.h"
#include "base/wr.h"
#include "proto/envelope.h"
#include "proto/manifest.h"

#define SECTION_SIGNATURE "signature"

enum {
	SECTION_HEAD_MAX = 1 + 5 + 1 + sizeof(MANIFEST_SECTION),
	CHECK_ARENA_BYTES = 1 << 20,
};

static bool is_custom(const struct section *s, const char *name)
{
	return s->id == 0 && span_eq(s->name, name);
}

int manifest_from_module(struct span module, const struct manifest_limits *most,
			 struct arena *arena, struct manifest *ret, struct span *ret_json,
			 struct why *why)
{
	struct envelope e;
	struct section s;
	struct span json = { 0 };
	bool found = false;
	int more = envelope_open(&e, module.at, module.len, why);
	if (more < 0)
		return more;
	while ((more = envelope_next(&e, &s, why)) > 0) {
		if (!is_custom(&s, MANIFEST_SECTION))
			continue;
		if (found)
			return why_set(
				why, -E_INVALID,
				"at offset 0x%zx: a second manifest; a module has at most one",
				s.offset);
		found = true;
		json = s.payload;
	}
	if (more < 0)
		return more;
	if (ret_json)
		*ret_json = json;
	if (found)
		return manifest_parse(json, most, arena, ret, why);
	manifest_default(most, ret);
	return 0;
}

int manifest_embed(struct span module, struct span json, uint8_t **ret_bytes, size_t *ret_len,
		   struct why *why)
{
	struct arena arena;
	struct manifest checked;
	arena_init(&arena, CHECK_ARENA_BYTES);
	int err = manifest_parse(json, &manifest_limits_any, &arena, &checked, why);
	arena_fini(&arena);
	if (err < 0)
		return err;
	struct envelope e;
	struct section s;
	int more = envelope_open(&e, module.at, module.len, why);
	if (more < 0)
		return more;
	size_t room = module.len + SECTION_HEAD_MAX + json.len;
	OWN_FREE uint8_t *bytes = malloc(room);
	if (!bytes)
		return why_set(why, -ENOMEM, "out of memory for %zu bytes", room);
	struct wr w = wr_into(bytes, room);
	wr_bytes(&w, module.at, ENVELOPE_HEADER_BYTES);
	while ((more = envelope_next(&e, &s, why)) > 0) {
		size_t end = module.len - e.rest.left;
		if (!is_custom(&s, MANIFEST_SECTION) && !is_custom(&s, SECTION_SIGNATURE))
			wr_bytes(&w, module.at + s.offset, end - s.offset);
	}
	if (more < 0)
		return more;
	const uint32_t name = sizeof(MANIFEST_SECTION) - 1;
	wr_u8(&w, 0);
	wr_leb_u32(&w, 1 + name + (uint32_t)json.len);
	wr_leb_u32(&w, name);
	wr_str(&w, MANIFEST_SECTION);
	wr_bytes(&w, json.at, json.len);
	ENSURE(wr_ok(&w));
	*ret_len = w.len;
	*ret_bytes = ptr_steal(&bytes);
	return 0;
}
