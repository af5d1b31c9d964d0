/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a manifest; what is accepted keeps its promises. */
#include "proto/manifest.h"

#include <string.h>

#include "proto/topic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;
	struct manifest m;
	arena_init(&arena, 1 << 20);
	if (manifest_parse((struct span){ data, size }, &manifest_limits_most, &arena, &m, NULL) ==
	    0) {
		ENSURE(manifest_name_ok(m.name));
		ENSURE(m.limits.memory_bytes <= manifest_limits_most.memory_bytes);
		for (size_t i = 0; i < m.npublish; i++)
			ENSURE(topic_filter_ok((struct span){ (const uint8_t *)m.publish[i],
							      strlen(m.publish[i]) }));
	}
	arena_fini(&arena);
	return 0;
}
