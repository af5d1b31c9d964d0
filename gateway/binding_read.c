/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/binding_read.h"

#include <errno.h>
#include <string.h>

#include "gateway/wall.h"

enum { RETRY_MAX = 3, RETRY_MS = 1000, RETRY_MOST = 1000 };

static int qos_read(const char *name, json_int_t given, unsigned *ret, struct why *why)
{
	if (given < 0 || given > 2)
		return why_set(why, -EINVAL, "`%s` is %lld, it must be 0, 1 or 2", name,
			       (long long)given);
	*ret = (unsigned)given;
	return 0;
}

static int time_read(const char *name, json_int_t given, unsigned *ret, struct why *why)
{
	if (given < 0 || given > INT32_MAX)
		return why_set(why, -EINVAL, "`%s` is %lld, it must be a time in milliseconds",
			       name, (long long)given);
	*ret = (unsigned)given;
	return 0;
}

static int words_read(const struct registry_binding *b, struct why *why)
{
	uint32_t criticality;
	if (b->criticality[0] != '\0' && !criticality_parse(b->criticality, &criticality))
		return why_set(why, -EINVAL,
			       "`criticality` is \"%.40s\", it must be low, normal or high",
			       b->criticality);
	if (b->durability[0] != '\0' && config_choice(CONFIG_DURABILITY, b->durability) < 0)
		return why_set(why, -EINVAL,
			       "`durability` is \"%.40s\", it must be process, power or off",
			       b->durability);
	return 0;
}

/* The instance of its kind where none is named: brokers have one called "default", most others are one. */
static int kind_read(const json_t *options, struct registry_binding *b,
		     char canonical[KIND_OPTIONS_BYTES], struct why *why)
{
	char names[160];
	const struct kind *k = kind_find(KIND_INPUT, b->kind);
	if (!k)
		return why_set(why, -E_UNSUPPORTED, "`kind` is \"%.40s\", it must be one of %s",
			       b->kind, kind_names(KIND_INPUT, names, sizeof(names)));
	if (!b->broker)
		b->broker = strcmp(b->kind, "mqtt") == 0 ? "default" : "";
	b->options = canonical;
	return kind_options(k, options, canonical, why);
}

int binding_read(json_t *j, struct registry_binding *b, char options[KIND_OPTIONS_BYTES],
		 struct why *why)
{
	const json_int_t not_given = INT64_MIN;
	json_int_t qos = 1, publish_qos = not_given, deadline_ms = 0;
	json_int_t retry = RETRY_MAX, backoff_ms = RETRY_MS;
	int retain = 0, ordered = 0;
	const json_t *given = NULL;
	json_error_t e;
	*b = (struct registry_binding){ .kind = "mqtt",
					.publish = "",
					.publish_broker = "",
					.criticality = "",
					.durability = "",
					.created_wall_ms = wall_ms() };
	int err = json_unpack_ex(
		j, &e, JSON_STRICT,
		"{s:s, s?s, s:s, s?o, s?s, s?I, s?s, s?s, s?I, s?b, s?I, s?s, s?s, s?I, s?I, s?b}",
		"function", &b->function, "kind", &b->kind, "filter", &b->filter, "options", &given,
		"broker", &b->broker, "qos", &qos, "publish", &b->publish, "publish_broker",
		&b->publish_broker, "publish_qos", &publish_qos, "retain", &retain, "deadline_ms",
		&deadline_ms, "criticality", &b->criticality, "durability", &b->durability, "retry",
		&retry, "backoff_ms", &backoff_ms, "ordered", &ordered);
	if (err < 0)
		return why_set(why, -EINVAL, "the body does not fit: %s", e.text);
	err = kind_read(given, b, options, why);
	if (err == 0)
		err = qos_read("qos", qos, &b->qos, why);
	if (err == 0)
		err = qos_read("publish_qos", publish_qos == not_given ? qos : publish_qos,
			       &b->publish_qos, why);
	if (err == 0)
		err = time_read("deadline_ms", deadline_ms, &b->deadline_ms, why);
	if (err == 0)
		err = time_read("backoff_ms", backoff_ms, &b->retry_ms, why);
	if (err == 0 && (retry < 0 || retry > RETRY_MOST))
		err = why_set(why, -EINVAL, "`retry` is %lld, it must be from 0 to %d",
			      (long long)retry, RETRY_MOST);
	if (err == 0)
		err = words_read(b, why);
	b->retry_max = (unsigned)retry;
	b->ordered = ordered != 0;
	b->retain = retain != 0;
	return err;
}
