/* SPDX-License-Identifier: Apache-2.0 */
/* A manifest as the operator sees it. */
#include <string.h>

#include "gateway/deploy.h"

static json_t *strings(const char *const *list, size_t n)
{
	json_t *a = json_array();
	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(a, json_string(list[i]));
	return a;
}

static json_t *bindings(const struct manifest *m)
{
	json_t *a = json_array();
	for (size_t i = 0; i < m->nbindings; i++) {
		const struct manifest_binding *b = &m->bindings[i];
		(void)json_array_append_new(a,
					    json_pack("{s:s, s:s?, s:i}", "mqtt", b->mqtt,
						      "publish", b->publish, "qos", (int)b->qos));
	}
	return a;
}

json_t *deploy_sheet(const struct manifest *m)
{
	const struct manifest_limits *l = &m->limits;
	json_t *limits =
		json_pack("{s:I, s:I, s:I, s:I, s:I}", "memory_bytes", (json_int_t)l->memory_bytes,
			  "stack_bytes", (json_int_t)l->stack_bytes, "output_bytes",
			  (json_int_t)l->output_bytes, "cpu_ms", (json_int_t)l->cpu_ms,
			  "deadline_ms", (json_int_t)l->deadline_ms);
	json_t *capabilities =
		json_pack("{s:o, s:b, s:o, s:o, s:o}", "publish", strings(m->publish, m->npublish),
			  "state", (int)m->state, "io", strings(m->io, m->nio), "models",
			  strings(m->models, m->nmodels), "http", strings(m->http, m->nhttp));
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "name", m->name ? m->name : "",
			 "version", m->version ? m->version : "0.0.0", "description",
			 m->description ? m->description : "", "limits", limits, "capabilities",
			 capabilities, "bindings", bindings(m));
}

json_t *deploy_sheet_of(const char *manifest_json)
{
	struct arena arena;
	struct manifest m = { .limits = manifest_limits_default };
	/* It was within this gateway's limits when it was deployed; those may be lower now. */
	const struct manifest_limits any = { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT32_MAX,
					     UINT32_MAX };
	const struct span text = { (const uint8_t *)manifest_json, strlen(manifest_json) };
	json_t *sheet = NULL;
	arena_init(&arena, 16 * MANIFEST_BYTES_MAX);
	if (text.len == 0 || manifest_parse(text, &any, &arena, &m, NULL) == 0)
		sheet = deploy_sheet(&m);
	arena_fini(&arena);
	return sheet;
}
