/* SPDX-License-Identifier: Apache-2.0 */
/* Sensors are directories of files, as in /sys. */
#include "tests/unit/triggers/seen.h"

#include "triggers/iio.h"

static struct seen seen;

static struct trigger *begin(const char *dir)
{
	struct trigger *t;
	struct why why = { 0 };
	seen_init(&seen);
	const struct trigger_sink sink = seen_as_sink(&seen);
	assert_int_equal(iio_new(dir, &sink, &t, &why), 0);
	return t;
}

static void put(const char *dir, const char *name, const char *text)
{
	char path[300], part[300];
	/* At once: a reader must not see half of it. */
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	(void)snprintf(part, sizeof(part), "%s/.new", dir);
	scratch_write(part, text, strlen(text));
	assert_int_equal(rename(part, path), 0);
}

/* In place: the trigger keeps the file open, as sysfs has it. */
static void change(const char *dir, const char *name, const char *text)
{
	int fd = open(scratch_path(dir, name), O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
	(void)close(fd);
}

static void device(const char *dir, const char *node, const char *name)
{
	char path[128];
	assert_int_equal(mkdir(scratch_path(dir, node), 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/name", node);
	put(dir, path, name);
}

static void a_value_is_raw_and_offset_times_scale(void **state)
{
	static const struct {
		const char *channel, *raw;
		const char *files[4]; /* name, text, ... */
		const char *payload;
	} row[] = {
		{ "in_illuminance_input", "21.5\n", { NULL }, "21.5" },
		{ "in_temp_raw", "100\n", { "in_temp_scale", "0.1" }, "10" },
		{ "in_temp_raw", "3\n", { "in_temp_scale", "0.1" }, "0.3" },
		{ "in_temp_raw",
		  "-5\n",
		  { "in_temp_scale", "62.5\n", "in_temp_offset", "1000\n" },
		  "62187.5" },
		{ "in_temp_raw", "7\n", { "in_temp_offset", "-7" }, "0" },
		{ "in_voltage0_raw", "8\n", { "in_voltage_scale", "2" }, "16" },
		{ "in_voltage0_raw",
		  "8\n",
		  { "in_voltage_scale", "2", "in_voltage0_scale", "3" },
		  "24" },
		{ "in_voltage0-voltage1_raw", "8\n", { "in_voltage-voltage_scale", "5" }, "40" },
		{ "in_accel_x_raw", "2\n", { "in_accel_scale", "0.25" }, "0.5" },
		{ "in_temp_input",
		  "8\n",
		  { "in_temp_scale", "2" },
		  "8" }, /* is the value already */
	};
	for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
		char dir[200], path[128], filter[128];
		(void)snprintf(dir, sizeof(dir), "%s/%u", (char *)*state, i);
		assert_int_equal(mkdir(dir, 0755), 0);
		device(dir, "iio:device0", "sensor\n");
		(void)snprintf(path, sizeof(path), "iio:device0/%s", row[i].channel);
		put(dir, path, row[i].raw);
		for (unsigned k = 0; k < 4 && row[i].files[k]; k += 2) {
			(void)snprintf(path, sizeof(path), "iio:device0/%s", row[i].files[k]);
			put(dir, path, row[i].files[k + 1]);
		}
		struct trigger *t = begin(dir);
		(void)snprintf(filter, sizeof(filter), "sensor/%s", row[i].channel);
		seen_bind(t, 1, filter, "{\"every\":86400000}");
		t->ops->start(t);
		const struct seen_event *e = seen_at(&seen, 0);
		assert_string_equal(e->payload, row[i].payload);
		assert_string_equal(e->type, "io.penstock.sensor.reading");
		assert_string_equal(e->topic, filter);
		seen_end(t);
	}
}

static void within_the_dead_band_nothing_is_told(void **state)
{
	device(*state, "iio:device0", "ltr303");
	put(*state, "iio:device0/in_illuminance_input", "100.0");
	struct trigger *t = begin(*state);
	seen_bind(t, 1, "ltr303/in_illuminance_input", "{\"every\":10,\"deadband\":5}");
	t->ops->start(t);
	assert_string_equal(seen_at(&seen, 0)->payload, "100");
	change(*state, "iio:device0/in_illuminance_input", "104.9");
	(void)usleep(100000);
	change(*state, "iio:device0/in_illuminance_input", "105.0");
	assert_string_equal(seen_at(&seen, 1)->payload, "105");
	change(*state, "iio:device0/in_illuminance_input", "100.1");
	(void)usleep(100000);
	change(*state, "iio:device0/in_illuminance_input", " 99.5");
	assert_string_equal(seen_at(&seen, 2)->payload, "99.5");
	seen_end(t);
	assert_int_equal(seen_count(&seen), 3);
}

static void without_a_dead_band_each_reading_is_told(void **state)
{
	device(*state, "iio:device0", "ltr303");
	put(*state, "iio:device0/in_illuminance_input", "100");
	struct trigger *t = begin(*state);
	seen_bind(t, 1, "ltr303/in_illuminance_input", "{\"every\":10}");
	t->ops->start(t);
	assert_string_equal(seen_at(&seen, 3)->payload, "100");
	seen_end(t);
}

static void one_period_is_one_moment(void **state)
{
	device(*state, "iio:device0", "bme280");
	put(*state, "iio:device0/in_temp_input", "21500");
	put(*state, "iio:device0/in_pressure_input", "101.3");
	struct trigger *t = begin(*state);
	seen_bind(t, 1, "bme280/in_temp_input", "{\"every\":200}");
	t->ops->start(t);
	(void)seen_at(&seen, 0);
	(void)usleep(30000); /* bound between two moments */
	seen_bind(t, 2, "bme280/in_pressure_input", "{\"every\":200}");
	const struct seen_event *a = seen_at(&seen, 2), *b = seen_at(&seen, 3);
	for (unsigned i = 4; a->route == b->route || strcmp(a->attrs, b->attrs) != 0; i++) {
		assert_true(i < 12);
		a = b;
		b = seen_at(&seen, i);
	}
	seen_end(t);
}

static void what_is_wrong_is_said_until_it_is_right(void **state)
{
	struct trigger *t = begin(*state);
	seen_bind(t, 1, "ltr303/in_illuminance_input", "{\"every\":10}");
	t->ops->start(t);
	seen_state(t, 1, "no sensor is named \"ltr303\"");
	device(*state, "iio:device0", "other");
	device(*state, "iio:device1", "ltr303");
	seen_state(t, 1, "lists its channels");
	put(*state, "iio:device1/in_illuminance_input", "dark");
	seen_state(t, 1, "says \"dark\"");
	change(*state, "iio:device1/in_illuminance_input", "17.5");
	seen_state(t, 1, NULL);
	assert_string_equal(seen_at(&seen, 0)->payload, "17.5");
	seen_end(t);
}

static void a_label_names_one_of_several(void **state)
{
	device(*state, "iio:device0", "ads1115");
	put(*state, "iio:device0/in_voltage0_raw", "1");
	device(*state, "iio:device1", "ads1115");
	put(*state, "iio:device1/label", "boiler");
	put(*state, "iio:device1/in_voltage0_raw", "2");
	struct trigger *t = begin(*state);
	seen_bind(t, 1, "boiler/in_voltage0_raw", "{\"every\":86400000}");
	t->ops->start(t);
	assert_string_equal(seen_at(&seen, 0)->payload, "2");
	seen_end(t);
}

static void what_makes_no_sense_is_refused_at_once(void **state)
{
	static const char *const filters[] = { "",        "ltr303",    "/in_temp_raw",
					       "ltr303/", "ltr303/..", "ltr303/." };
	struct trigger *t = begin(*state);
	for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
		struct why why = { 0 };
		assert_int_equal(seen_subscribe(t, 1, filters[i], "{}", &why), -E_INVALID);
		assert_true(why.text[0] != '\0');
	}
	t->ops->free(t);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, scratch_new, scratch_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_value_is_raw_and_offset_times_scale),
		TEST(within_the_dead_band_nothing_is_told),
		TEST(without_a_dead_band_each_reading_is_told),
		TEST(one_period_is_one_moment),
		TEST(what_is_wrong_is_said_until_it_is_right),
		TEST(a_label_names_one_of_several),
		TEST(what_makes_no_sense_is_refused_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
