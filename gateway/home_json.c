/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/home_json.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <strings.h>

#include "proto/kinds.h"

static const struct sensor {
	const char *object, *name, *state_class;
} sensors[HOME_SENSORS] = {
	{ "ok", "Events ok", "total_increasing" },
	{ "failed", "Events failed", "total_increasing" },
	{ "dead", "Dead letters", "measurement" },
	{ "queue", "Queue", "measurement" },
};

/* ---- topics ---- */

/* Two ids that differ only in what is replaced, or behind the bound, must not become one. */
static void id_of(const char *s, char ret[HOME_ID_BYTES])
{
	enum { HASH_BYTES = 10 };
	uint32_t hash = 2166136261u; /* FNV-1a */
	bool same = true;
	size_t n = 0;
	for (; *s; s++) {
		bool good = isalnum((unsigned char)*s) || *s == '_' || *s == '-';
		same &= good && n < HOME_ID_BYTES - HASH_BYTES - 1;
		hash = (hash ^ (uint8_t)*s) * 16777619u;
		if (n < HOME_ID_BYTES - HASH_BYTES - 1)
			ret[n++] = good ? *s : '_';
	}
	ret[n] = '\0';
	if (!same)
		(void)snprintf(ret + n, HOME_ID_BYTES - n, "_%08x", hash);
}

void home_device_init(struct home_device *d, const struct config_broker *broker)
{
	static const char ours[] = "penstock-";
	const size_t n = sizeof(ours) - 1;
	char id[HOME_ID_BYTES];
	id_of(broker->client_id, id);
	d->broker = broker;
	(void)snprintf(d->topics, sizeof(d->topics), "penstock/%s", id);
	if (strncmp(id, ours, n) == 0 && id[n] != '\0')
		memmove(id, id + n, strlen(id + n) + 1);
	(void)snprintf(d->node, sizeof(d->node), "penstock_%s", id);
}

void home_output_topic(const struct home_device *d, const char *output, const char *leaf,
		       char ret[HOME_TOPIC_BYTES])
{
	(void)snprintf(ret, HOME_TOPIC_BYTES, "%s/output/%s/%s", d->topics, output, leaf);
}

bool home_output_of_topic(const struct home_device *d, struct span topic, struct span *ret_name)
{
	char head[HOME_TOPIC_BYTES];
	static const char tail[] = "/set";
	const size_t n = (size_t)snprintf(head, sizeof(head), "%s/output/", d->topics);
	const size_t m = sizeof(tail) - 1;
	if (topic.len <= n + m || memcmp(topic.at, head, n) != 0 ||
	    memcmp(topic.at + topic.len - m, tail, m) != 0)
		return false;
	*ret_name = (struct span){ topic.at + n, topic.len - n - m };
	return true;
}

void home_counters_topic(const struct home_device *d, char ret[HOME_TOPIC_BYTES])
{
	(void)snprintf(ret, HOME_TOPIC_BYTES, "%s/counters", d->topics);
}

static void config_topic(const struct home_device *d, const char *component, const char *what,
			 const char *name, char ret[HOME_TOPIC_BYTES])
{
	(void)snprintf(ret, HOME_TOPIC_BYTES, "%s/%s/%s/%s_%s/config", d->broker->home_assistant,
		       component, d->node, what, name);
}

void home_config_topic(const struct home_device *d, const char *component, const char *output,
		       char ret[HOME_TOPIC_BYTES])
{
	config_topic(d, component, "output", output, ret);
}

void home_sensor_topic(const struct home_device *d, unsigned i, char ret[HOME_TOPIC_BYTES])
{
	config_topic(d, "sensor", "events", sensors[i].object, ret);
}

/* ---- values ---- */

static bool is_bit(const struct output_range *r)
{
	return r->whole && r->least == 0 && r->most == 1;
}

const char *home_component(const struct output_status *s)
{
	if (s->range.most <= s->range.least)
		return NULL;
	return is_bit(&s->range) ? "switch" : "number";
}

bool home_state(const struct output_status *s, char ret[HOME_STATE_BYTES])
{
	double n;
	const struct span v = { (const uint8_t *)s->value, strlen(s->value) };
	if (!home_component(s) || !kind_level_parse(v, &n))
		return false;
	/* For a lamp "on" is all that it can give (triggers/led.c). */
	if (strcmp(s->kind, "led") == 0 && isalpha((unsigned char)s->value[0]) && n == 1)
		n = s->range.most;
	(void)snprintf(ret, HOME_STATE_BYTES, s->range.whole ? "%.0f" : "%.9g", n);
	return true;
}

/* ---- JSON ---- */

/* What all of them have. Takes o. */
static char *finish(const struct home_device *d, json_t *o, const char *what, const char *object)
{
	char id[2 * HOME_TOPIC_BYTES];
	char *text = NULL;
	(void)snprintf(id, sizeof(id), "%s_%s_%s", d->node, what, object);
	json_t *all = json_pack("{s:s, s:{s:[s], s:s, s:s, s:s}, s:{s:s, s:s}}", "unique_id", id,
				"device", "identifiers", d->node, "name", d->broker->client_id,
				"manufacturer", "Penstock", "sw_version", PENSTOCK_VERSION,
				"origin", "name", "Penstock", "sw_version", PENSTOCK_VERSION);
	if (all && *d->broker->status_topic &&
	    json_object_set_new(all, "availability_topic", json_string(d->broker->status_topic)) <
		    0) {
		json_decref(all);
		all = NULL;
	}
	if (o && all && json_object_update(o, all) == 0)
		text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(all);
	json_decref(o);
	return text;
}

static json_t *number_json(const struct output_range *r, double n)
{
	return r->whole ? json_integer((json_int_t)n) : json_real(n);
}

char *home_output_config(const struct home_device *d, const struct output_status *s)
{
	char set[HOME_TOPIC_BYTES], state[HOME_TOPIC_BYTES];
	const struct output_range *r = &s->range;
	home_output_topic(d, s->name, "set", set);
	home_output_topic(d, s->name, "state", state);
	json_t *o = json_pack("{s:s, s:s, s:s, s:i}", "name", s->name, "command_topic", set,
			      "state_topic", state, "qos", 1);
	json_t *more = is_bit(r)
			       ? json_pack("{s:s, s:s}", "payload_on", "1", "payload_off", "0")
			       : json_pack("{s:o, s:o, s:f, s:s}", "min", number_json(r, r->least),
					   "max", number_json(r, r->most), "step",
					   r->whole ? 1.0 : 0.001, "mode", "box");
	if (!o || !more || json_object_update(o, more) < 0) {
		json_decref(o);
		o = NULL;
	}
	json_decref(more);
	return finish(d, o, "output", s->name);
}

char *home_sensor_config(const struct home_device *d, unsigned i)
{
	char topic[HOME_TOPIC_BYTES], value[64];
	home_counters_topic(d, topic);
	(void)snprintf(value, sizeof(value), "{{ value_json.%s }}", sensors[i].object);
	return finish(d,
		      json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", sensors[i].name, "state_topic",
				topic, "value_template", value, "state_class",
				sensors[i].state_class, "entity_category", "diagnostic"),
		      "events", sensors[i].object);
}

char *home_counters(const struct home_counters *c)
{
	json_t *o = json_pack("{s:I, s:I, s:I, s:I}", sensors[0].object, (json_int_t)c->ok,
			      sensors[1].object, (json_int_t)c->failed, sensors[2].object,
			      (json_int_t)c->dead, sensors[3].object, (json_int_t)c->queue);
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return text;
}
