/* SPDX-License-Identifier: Apache-2.0 */
/* What Home Assistant is told has what its MQTT discovery asks for, and fits what the output takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>

#include "gateway/home_json.h"
#include "proto/topic.h"

static struct home_device device(const char *client_id, const char *status)
{
	static struct config_broker b;
	struct home_device d;
	b = (struct config_broker){ .name = "default",
				    .client_id = client_id,
				    .status_topic = status,
				    .home_assistant = "homeassistant" };
	home_device_init(&d, &b);
	return d;
}

static struct output_status output(const char *kind, double least, double most, bool whole,
				   const char *value)
{
	struct output_status s = { .name = "lamp", .kind = kind, .range = { least, most, whole } };
	(void)snprintf(s.value, sizeof(s.value), "%s", value);
	return s;
}

static json_t *parsed(char *text)
{
	assert_non_null(text);
	json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(o);
	free(text);
	return o;
}

static const char *text_in(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));
	return s ? s : "(none)";
}

static void config_has_what_discovery_asks_for(void **state)
{
	(void)state;
	const struct home_device d = device("penstock-pi-default", "penstock/pi/status");
	const struct output_status bit = output("gpio", 0, 1, true, "");
	json_t *o = parsed(home_output_config(&d, &bit));
	assert_string_equal(text_in(o, "command_topic"),
			    "penstock/penstock-pi-default/output/lamp/set");
	assert_string_equal(text_in(o, "state_topic"),
			    "penstock/penstock-pi-default/output/lamp/state");
	assert_string_equal(text_in(o, "availability_topic"), "penstock/pi/status");
	assert_string_equal(text_in(o, "unique_id"), "penstock_pi-default_output_lamp");
	assert_string_equal(text_in(o, "payload_on"), "1");
	assert_string_equal(text_in(o, "payload_off"), "0");
	const json_t *dev = json_object_get(o, "device");
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(dev, "identifiers"), 0)),
		"penstock_pi-default");
	assert_string_equal(text_in(dev, "manufacturer"), "Penstock");
	assert_string_equal(text_in(dev, "sw_version"), PENSTOCK_VERSION);
	assert_string_equal(text_in(dev, "name"), "penstock-pi-default");
	json_decref(o);
	for (unsigned i = 0; i < HOME_SENSORS; i++) {
		o = parsed(home_sensor_config(&d, i));
		assert_string_equal(text_in(o, "state_topic"),
				    "penstock/penstock-pi-default/counters");
		assert_non_null(strstr(text_in(o, "value_template"), "value_json."));
		assert_non_null(json_object_get(o, "unique_id"));
		assert_non_null(json_object_get(o, "device"));
		json_decref(o);
	}
}

static void without_a_status_topic_there_is_no_availability(void **state)
{
	(void)state;
	const struct home_device d = device("pi", "");
	const struct output_status bit = output("gpio", 0, 1, true, "");
	json_t *o = parsed(home_output_config(&d, &bit));
	assert_null(json_object_get(o, "availability_topic"));
	json_decref(o);
}

static void component_is_what_the_output_takes(void **state)
{
	(void)state;
	static const struct {
		double least, most;
		bool whole;
		const char *component; /* NULL: none */
		const char *min, *max, *step;
	} rows[] = {
		{ 0, 1, true, "switch", NULL, NULL, NULL },
		{ 0, 255, true, "number", "0", "255", "1.0" },
		{ -32768, 32767, true, "number", "-32768", "32767", "1.0" },
		{ 0, 1, false, "number", "0.0", "1.0", "0.001" },
		{ 0, 4294967295.0, true, "number", "0", "4294967295", "1.0" },
		{ 0, 0, true, NULL, NULL, NULL, NULL },
	};
	const struct home_device d = device("pi", "s");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct output_status s =
			output("modbus", rows[i].least, rows[i].most, rows[i].whole, "");
		const char *component = home_component(&s);
		assert_string_equal(component ? component : "none",
				    rows[i].component ? rows[i].component : "none");
		if (!rows[i].min)
			continue;
		json_t *o = parsed(home_output_config(&d, &s));
		static const char *const name[] = { "min", "max", "step" };
		const char *const want[] = { rows[i].min, rows[i].max, rows[i].step };
		for (size_t k = 0; k < ARRAY_LEN(name); k++) {
			char *text = json_dumps(json_object_get(o, name[k]), JSON_ENCODE_ANY);
			assert_string_equal(text, want[k]);
			free(text);
		}
		json_decref(o);
	}
}

static void state_is_a_number_within_the_range(void **state)
{
	(void)state;
	static const struct {
		const char *kind, *value;
		double most;
		bool whole;
		const char *state; /* NULL: none */
	} rows[] = {
		{ "gpio", "on", 1, true, "1" },
		{ "gpio", "off", 1, true, "0" },
		{ "gpio", "1", 1, true, "1" },
		{ "led", "on", 255, true, "255" },
		{ "led", "1", 255, true, "1" },
		{ "led", "off", 255, true, "0" },
		{ "modbus", "21.5", 100, false, "21.5" },
		{ "gpio", "", 1, true, NULL },
		{ "gpio", "(no text)", 1, true, NULL },
		{ "led", "7", 0, true, NULL },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[HOME_STATE_BYTES] = "none";
		const struct output_status s =
			output(rows[i].kind, 0, rows[i].most, rows[i].whole, rows[i].value);
		bool said = home_state(&s, text);
		assert_int_equal(said, rows[i].state != NULL);
		if (said)
			assert_string_equal(text, rows[i].state);
	}
}

/* Any client id: topics are topics, ids are of what Home Assistant allows there, and two stay two. */
static void ids_are_clean_and_stay_different(void **state)
{
	(void)state;
	static const char *const ids[] = {
		"pi",     "plc.a",     "plc_a",    "a/+/#",
		"a_____", "penstock-", "\xc3\xa4", "penstock-penstock-x"
	};
	char most[2][301];
	memset(most, 'a', sizeof(most));
	most[0][300] = most[1][300] = '\0';
	most[1][299] = 'b';
	struct home_device d[ARRAY_LEN(ids) + 2];
	for (size_t i = 0; i < ARRAY_LEN(d); i++) {
		d[i] = device(i < ARRAY_LEN(ids) ? ids[i] : most[i - ARRAY_LEN(ids)], "s");
		assert_int_equal(strspn(d[i].node, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRST"
						   "UVWXYZ0123456789_-"),
				 strlen(d[i].node));
		char topic[HOME_TOPIC_BYTES];
		home_output_topic(&d[i], "lamp", "set", topic);
		const struct span t = { (const uint8_t *)topic, strlen(topic) };
		struct span name;
		assert_true(topic_name_ok(t));
		assert_true(home_output_of_topic(&d[i], t, &name));
		assert_true(span_eq(name, "lamp"));
		for (size_t k = 0; k < i; k++) {
			assert_string_not_equal(d[i].node, d[k].node);
			assert_false(home_output_of_topic(&d[k], t, &name));
		}
	}
}

static void counters_are_one_object(void **state)
{
	(void)state;
	const struct home_counters c = { .ok = 7, .failed = 2, .dead = 1, .queue = 3 };
	char *text = home_counters(&c);
	assert_string_equal(text, "{\"ok\":7,\"failed\":2,\"dead\":1,\"queue\":3}");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(config_has_what_discovery_asks_for),
		cmocka_unit_test(without_a_status_topic_there_is_no_availability),
		cmocka_unit_test(component_is_what_the_output_takes),
		cmocka_unit_test(state_is_a_number_within_the_range),
		cmocka_unit_test(ids_are_clean_and_stay_different),
		cmocka_unit_test(counters_are_one_object),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
