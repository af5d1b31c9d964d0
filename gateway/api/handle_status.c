/* SPDX-License-Identifier: Apache-2.0 */
/* GET /status, and GET /logs. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "gateway/api/request.h"
#include "gateway/doctor.h"
#include "gateway/wall.h"
#include "triggers/outputs.h"

enum { DOCTOR_TICK_MS = 5, DOCTOR_MS = 5000 };

/* "Rss:    1234 kB" -> 1234 */
static bool kilobytes(const char *line, const char *key, long *ret)
{
	size_t len = strlen(key);
	if (strncmp(line, key, len) != 0)
		return false;
	*ret = strtol(line + len, NULL, 10);
	return true;
}

static json_t *memory_of(const char *process, long pid)
{
	char path[64], line[256];
	long rss = 0, pss = 0;
	(void)snprintf(path, sizeof(path), "/proc/%ld/smaps_rollup", pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return NULL;
	while (fgets(line, sizeof(line), f))
		if (!kilobytes(line, "Rss:", &rss))
			(void)kilobytes(line, "Pss:", &pss);
	(void)fclose(f);
	return json_pack("{s:s, s:I, s:I, s:I}", "process", process, "pid", (json_int_t)pid,
			 "rss_kb", (json_int_t)rss, "pss_kb", (json_int_t)pss);
}

static json_t *memory(const json_t *sandbox)
{
	json_t *list = json_array();
	long pid = (long)json_integer_value(json_object_get(sandbox, "pid"));
	json_t *sandbox_memory = pid > 0 ? memory_of("penstock-sandbox", pid) : NULL;
	(void)json_array_append_new(list, memory_of("penstockd", getpid()));
	if (sandbox_memory)
		(void)json_array_append_new(list, sandbox_memory);
	return list;
}

/* Every broker is connected and has confirmed every subscription: what happens from now on is seen. */
static bool is_ready(const json_t *brokers)
{
	size_t i;
	json_t *b;
	json_array_foreach((json_t *)brokers, i, b)
	{
		const char *url = json_string_value(json_object_get(b, "url"));
		const char *state = json_string_value(json_object_get(b, "state"));
		json_int_t pending = json_integer_value(json_object_get(b, "pending"));
		if (url && *url && (!state || strcmp(state, "connected") != 0 || pending > 0))
			return false;
	}
	return true;
}

void api_status(struct api_request *q)
{
	struct gateway *g = q->g;
	char at[WALL_TEXT];
	struct registry_counts counts = { 0 };
	struct why why = { 0 };
	int err = registry_counts(g->registry, &counts, &why);
	if (err < 0) {
		request_fail(q, err, &why);
		return;
	}
	json_t *status = json_pack(
		"{s:s, s:I, s:s, s:I, s:I, s:I}", "version", PENSTOCK_VERSION, "pid",
		(json_int_t)getpid(), "started_at", wall_text(g->started_wall_ms, at), "uptime_s",
		(json_int_t)((uv_hrtime() - g->started_ns) / 1000000000), "functions",
		(json_int_t)counts.functions, "bindings", (json_int_t)counts.bindings);
	json_t *path = path_status(g->path);
	(void)json_object_update_missing(status, path);
	json_decref(path);
	bool ready = is_ready(json_object_get(status, "brokers"));
	(void)json_object_set_new(status, "ready", json_boolean(ready));
	(void)json_object_set_new(status, "memory", memory(json_object_get(status, "sandbox")));
	request_reply(q, 200, status);
}

/* ---- logs ---- */

static int logs_filter_read(const struct query *query, struct logs_filter *f, uint64_t *ret_wait_ms,
			    struct why *why)
{
	const char *level = query_get(query, "level");
	uint64_t limit = 100;
	*f = (struct logs_filter){
		.function = query_get(query, "function"),
		.most_verbose = LOG_DEBUG,
	};
	int err = query_u64(query, "after", 0, INT64_MAX, &f->after, why);
	if (err == 0)
		err = query_u64(query, "limit", 1, LOGS_READ_MAX, &limit, why);
	if (err == 0)
		err = query_u64(query, "wait_ms", 0, API_WAIT_MS_MAX, ret_wait_ms, why);
	if (err == 0 && level && !log_level_parse(level, &f->most_verbose))
		err = why_set(why, -EINVAL,
			      "level=%.40s is none of error, warning, notice, info, debug", level);
	f->limit = (unsigned)limit;
	return err;
}

static json_t *read_on(struct api_request *q, struct logs_filter *f)
{
	if (q->seen > f->after)
		f->after = q->seen;
	json_t *found = logs_read(q->g->logs, f);
	q->seen = (uint64_t)json_integer_value(json_object_get(found, "next"));
	return found;
}

static json_t *logs_now(struct api_request *q)
{
	struct logs_filter f;
	uint64_t wait_ms = 0;
	/* It was read without an error when the request came. */
	ENSURE(logs_filter_read(&q->query, &f, &wait_ms, NULL) == 0);
	return read_on(q, &f);
}

static void logs_answer(struct api_request *q)
{
	request_reply(q, 200, logs_now(q));
}

static void logs_on_line(struct api_request *q)
{
	json_t *found = logs_now(q);
	if (json_array_size(json_object_get(found, "items")) > 0)
		request_reply(q, 200, found);
	else
		json_decref(found);
}

void api_logs(struct api_request *q)
{
	struct why why = { 0 };
	struct logs_filter f;
	uint64_t wait_ms = 0;
	int err = logs_filter_read(&q->query, &f, &wait_ms, &why);
	if (err < 0) {
		request_fail(q, err, &why);
		return;
	}
	json_t *found = read_on(q, &f);
	if (wait_ms == 0 || json_array_size(json_object_get(found, "items")) > 0) {
		request_reply(q, 200, found);
		return;
	}
	json_decref(found);
	if (!request_wait(q, logs_on_line))
		request_error(q, -EAGAIN, "too many clients wait for log lines", NULL, NULL);
	else
		request_timer(q, wait_ms, logs_answer);
}

static bool is_looked_at(struct api_request *q)
{
	struct trigger *outputs = path_outputs(q->g->path);
	struct why why;
	unsigned i = 0;
	int err;
	while (outputs && i < outputs_count(outputs) &&
	       outputs_looked(outputs, i, q->seen, &err, &why))
		i++;
	return !outputs || i == outputs_count(outputs);
}

static void doctor_answer(struct api_request *q)
{
	if (!is_looked_at(q) && uv_now(&q->g->loop) < q->by_ms)
		request_timer(q, DOCTOR_TICK_MS, doctor_answer);
	else
		request_reply(q, 200, json_pack("{s:o}", "items", doctor_look(q->g, q->seen)));
}

static void on_line(struct api_request *q)
{
	(void)q; /* nothing to a doctor */
}

/* Devices may take their time; the loop is not to wait for them. */
void api_doctor(struct api_request *q)
{
	struct trigger *outputs = path_outputs(q->g->path);
	q->seen = outputs ? outputs_look(outputs) : 0;
	q->by_ms = uv_now(&q->g->loop) + (request_wait(q, on_line) ? DOCTOR_MS : 0);
	doctor_answer(q);
}
