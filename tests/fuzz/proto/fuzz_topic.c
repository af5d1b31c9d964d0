/* SPDX-License-Identifier: Apache-2.0 */
/* Three lines: filter, topic, template. What covers matches; what expands is a topic, and
 * what comes back was foreseen. */
#include "proto/topic.h"

#include <string.h>

static struct span line(struct span *rest)
{
	const uint8_t *end = rest->len ? memchr(rest->at, '\n', rest->len) : NULL;
	struct span s = { rest->at, end ? (size_t)(end - rest->at) : rest->len };
	size_t used = s.len + (end != NULL);
	*rest = (struct span){ rest->at ? rest->at + used : NULL, rest->len - used };
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t out[4096];
	struct span rest = { data, size };
	struct span a = line(&rest), b = line(&rest), tmpl = line(&rest);
	struct wr w = wr_into(out, sizeof(out));
	const struct topic_vars v = {
		.filter = a, .topic = b, .id = { data, 0 }, .function = { data, 0 }
	};
	bool both = topic_filter_ok(a) && topic_name_ok(b);
	if (topic_name_ok(b) && topic_filter_ok(b)) /* a topic is a filter of itself */
		ENSURE(topic_match(b, b) && topic_covers(b, b));
	if (both)
		ENSURE(topic_covers(a, b) == topic_match(a, b));
	if (topic_template_check(tmpl, a, NULL) == 0 && both && topic_match(a, b) &&
	    topic_template_expand(tmpl, &v, &w)) {
		const struct span made = { out, w.len };
		ENSURE(topic_name_ok(made));
		ENSURE(!topic_match(a, made) || topic_template_loops(tmpl, a));
	}
	return 0;
}
