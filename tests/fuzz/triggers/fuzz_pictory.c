/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as config.rsc: a reason, or names that lie in the image and are found. */
#include "triggers/pictory.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pictory *p;
	struct why why = { 0 };
	if (pictory_parse("fuzz.rsc", (struct span){ data, size }, &p, &why) < 0) {
		ENSURE(why.text[0] != '\0');
		return 0;
	}
	for (unsigned i = 0; i < pictory_count(p); i++) {
		const struct pictory_variable *v = pictory_at(p, i);
		ENSURE(v->offset * 8u + v->bit + v->bits <= PICTORY_IMAGE_BYTES * 8u);
		ENSURE(v ==
		       pictory_find(p, (struct span){ (const uint8_t *)v->name, strlen(v->name) }));
	}
	pictory_free(p);
	return 0;
}
