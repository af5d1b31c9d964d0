/* SPDX-License-Identifier: Apache-2.0 */
/* A manifest as the operator sees it. */
#include <string.h>

#include "gateway/deploy.h"
#include "proto/manifest_sheet.h"

json_t *deploy_sheet_of(const char *manifest_json)
{
	struct arena arena;
	struct manifest m = { .limits = manifest_limits_default };
	/* It was within this gateway's limits when it was deployed; those may be lower now. */
	const struct manifest_limits any = { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT32_MAX,
					     UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX,
					     UINT32_MAX, 0 };
	const struct span text = { (const uint8_t *)manifest_json, strlen(manifest_json) };
	json_t *sheet = NULL;
	arena_init(&arena, 16 * MANIFEST_BYTES_MAX);
	if (text.len == 0 || manifest_parse(text, &any, &arena, &m, NULL) == 0)
		sheet = manifest_sheet(&m);
	arena_fini(&arena);
	return sheet;
}
