/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/event_file.h"

#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT = 1 };

void event_file_fini(struct event_file *f)
{
	bytes_fini(&f->packed);
}

/* A member in base64, malloc'd. */
static int part_read(const json_t *o, const char *name, struct bytes *ret, struct why *why)
{
	const json_t *member = json_object_get(o, name);
	const char *text = json_string_value(member);
	if (!text)
		return why_set(why, -E_INVALID, "\"%s\" is missing", name);
	size_t len = json_string_length(member), cap = len / 4 * 3 + 3;
	ret->at = malloc(cap);
	if (!ret->at)
		return why_set(why, -ENOMEM, "out of memory");
	if (sodium_base642bin(ret->at, cap, text, len, NULL, &ret->len, NULL,
			      sodium_base64_VARIANT_ORIGINAL) != 0)
		return why_set(why, -E_INVALID, "\"%s\" is no base64", name);
	return 0;
}

static int status_read(const json_t *o, struct outcome *ret, struct why *why)
{
	const char *status = json_string_value(json_object_get(o, "status"));
	const json_t *code = json_object_get(o, "code");
	if (!json_is_integer(code) || json_integer_value(code) < INT32_MIN ||
	    json_integer_value(code) > INT32_MAX)
		return why_set(why, -E_INVALID, "\"code\" is no number of 32 bits");
	ret->code = (int32_t)json_integer_value(code);
	for (ret->status = 0; status && ret->status < IPC_STATUS_COUNT; ret->status++) {
		if (strcmp(status, ipc_status_name(ret->status)) == 0)
			return 0;
	}
	return why_set(why, -E_INVALID, "\"status\" is none of ok, failed, trapped, refused");
}

static int pack(const struct kept_event *e, struct event_file *ret, struct why *why)
{
	struct kept_event checked;
	size_t all = kept_event_bytes(e);
	if (all > KEPT_EVENT_BYTES_MAX)
		return why_set(why, -E_INVALID, "the event has more than %d bytes",
			       KEPT_EVENT_BYTES_MAX);
	ret->packed.at = malloc(all);
	if (!ret->packed.at)
		return why_set(why, -ENOMEM, "out of memory");
	struct wr w = wr_into(ret->packed.at, all);
	kept_event_put(&w, e);
	ENSURE(wr_ok(&w));
	ret->packed.len = w.len;
	return kept_event_parse(bytes_span(&ret->packed), &checked, why);
}

static int read_all(const json_t *o, struct event_file *ret, struct why *why)
{
	static const char *const names[] = { "attributes_base64", "payload_base64", "trace_base64",
					     "output_base64" };
	struct bytes part[ARRAY_LEN(names)] = { 0 };
	struct kept_event e = { 0 };
	const char *function = json_string_value(json_object_get(o, "function"));
	const json_t *format = json_object_get(o, "penstock_event");
	int err = 0;
	if (!json_is_integer(format))
		return why_set(why, -E_INVALID, "it was not made by penstock events export");
	if (json_integer_value(format) != FORMAT)
		return why_set(why, -E_INVALID, "it has format %lld, this program knows %d",
			       (long long)json_integer_value(format), FORMAT);
	if (!function || !manifest_name_ok(function))
		return why_set(why, -E_INVALID, "\"function\" is no name of a function");
	(void)snprintf(ret->function, sizeof(ret->function), "%s", function);
	err = status_read(o, &e.outcome, why);
	for (size_t i = 0; err == 0 && i < ARRAY_LEN(names); i++)
		err = part_read(o, names[i], &part[i], why);
	e.attrs = bytes_span(&part[0]);
	e.payload = bytes_span(&part[1]);
	e.trace = bytes_span(&part[2]);
	e.output = bytes_span(&part[3]);
	if (err == 0)
		err = pack(&e, ret, why);
	for (size_t i = 0; i < ARRAY_LEN(part); i++)
		bytes_fini(&part[i]);
	return err;
}

int event_file_parse(struct span json, struct event_file *ret, struct why *why)
{
	json_error_t e;
	*ret = (struct event_file){ 0 };
	json_t *o = json_loadb((const char *)json.at, json.len, JSON_REJECT_DUPLICATES, &e);
	if (!o)
		return why_set(why, -E_INVALID, "line %d, column %d: %s", e.line, e.column, e.text);
	int err = read_all(o, ret, why);
	json_decref(o);
	return err;
}
