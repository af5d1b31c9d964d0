/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/manifest_sheet.h"

static json_t *strings(const char *const *list, size_t n)
{
	json_t *a = json_array();
	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(a, json_string(list[i]));
	return a;
}

json_t *manifest_sheet(const struct manifest *m)
{
	const struct manifest_limits *l = &m->limits;
	json_t *bindings = json_array();
	for (size_t i = 0; i < m->nbindings; i++) {
		const struct manifest_binding *b = &m->bindings[i];
		(void)json_array_append_new(bindings,
					    json_pack("{s:s, s:s?, s:i}", "mqtt", b->mqtt,
						      "publish", b->publish, "qos", (int)b->qos));
	}
	json_t *all =
		json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "memory_bytes",
			  (json_int_t)l->memory_bytes, "stack_bytes", (json_int_t)l->stack_bytes,
			  "output_bytes", (json_int_t)l->output_bytes, "cpu_ms",
			  (json_int_t)l->cpu_ms, "deadline_ms", (json_int_t)l->deadline_ms,
			  "events_per_s", (json_int_t)l->events_per_s, "concurrency",
			  (json_int_t)l->concurrency, "host_calls", (json_int_t)l->host_calls,
			  "log_lines_per_s", (json_int_t)l->log_lines_per_s);
	json_t *capabilities =
		json_pack("{s:o, s:b, s:o, s:o, s:o, s:o}", "publish",
			  strings(m->publish, m->npublish), "state", (int)m->state, "buckets",
			  strings(m->buckets, m->nbuckets), "io", strings(m->io, m->nio), "models",
			  strings(m->models, m->nmodels), "http", strings(m->http, m->nhttp));
	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "name", m->name ? m->name : "",
			 "version", m->version ? m->version : "0.0.0", "description",
			 m->description ? m->description : "", "criticality",
			 criticality_name(l->criticality), "limits", all, "capabilities",
			 capabilities, "bindings", bindings);
}
