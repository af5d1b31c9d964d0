/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/text.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/own.h"
#include "base/wr.h"

bool text_is_clean(struct span s)
{
	return s.len == 0 || (!memchr(s.at, '\0', s.len) && span_is_utf8(s));
}

/* How many bytes at the front are one good character; 0: none. */
static size_t character(struct span s)
{
	for (size_t n = 1; n <= 4 && n <= s.len; n++)
		if (text_is_clean((struct span){ s.at, n }))
			return n;
	return 0;
}

json_t *text_json(struct span s)
{
	static const char replacement[] = "\xef\xbf\xbd";
	if (text_is_clean(s))
		return json_stringn(s.len > 0 ? (const char *)s.at : "", s.len);
	const size_t cap = s.len * (sizeof(replacement) - 1);
	OWN_FREE char *safe = malloc(cap);
	if (!safe)
		return NULL;
	struct wr w = wr_into(safe, cap);
	while (s.len > 0) {
		size_t n = character(s);
		if (n > 0)
			wr_bytes(&w, s.at, n);
		else
			wr_str(&w, replacement);
		n = n > 0 ? n : 1;
		s.at += n;
		s.len -= n;
	}
	return json_stringn(safe, w.len);
}

void text_put_json(json_t *o, const char *name, struct span bytes)
{
	char with[64];
	size_t cap = sodium_base64_ENCODED_LEN(bytes.len, sodium_base64_VARIANT_ORIGINAL);
	OWN_FREE char *text = malloc(cap);
	if (!text)
		return;
	(void)snprintf(with, sizeof(with), "%s_base64", name);
	sodium_bin2base64(text, cap, bytes.at, bytes.len, sodium_base64_VARIANT_ORIGINAL);
	(void)json_object_set_new(o, with, json_string(text));
	if (text_is_clean(bytes))
		(void)json_object_set_new(o, name, text_json(bytes));
}
