/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/gateway/scratch.h"

#include <errno.h>

#include "triggers/guard.h"
#include "triggers/led.h"

static struct led_config config;

static void put(const char *dir, const char *name, const char *text)
{
	scratch_write(scratch_path(dir, name), text, strlen(text));
}

static const char *get(const char *dir, const char *name)
{
	static char text[64];
	size_t n = scratch_read(scratch_path(dir, name), text, sizeof(text) - 1);
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return text;
}

static void lamp(const char *dir, const char *most)
{
	assert_int_equal(mkdir(scratch_path(dir, "usr_led0"), 0755), 0);
	put(dir, "usr_led0/max_brightness", most);
	put(dir, "usr_led0/brightness", "0\n");
	put(dir, "usr_led0/trigger", "none [heartbeat] timer\n");
}

static struct output *open_lamp(const char *dir, const char *options)
{
	struct output *o = NULL;
	struct why why = { 0 };
	config.dir = dir;
	if (output_led.open("usr_led0", (struct span){ (const uint8_t *)options, strlen(options) },
			    &config, &o, &why) != 0)
		fail_msg("%s", why.text);
	return o;
}

static int set(struct output *o, const char *value, struct why *why)
{
	*why = (struct why){ 0 };
	return o->ops->set(o, (struct span){ (const uint8_t *)value, strlen(value) }, why);
}

static void on_is_the_lamps_own_most_and_more_is_refused(void **state)
{
	static const struct {
		const char *value;
		int err;
		const char *brightness;
	} row[] = {
		{ "on", 0, "255" },         { "off", 0, "0" },
		{ "true", 0, "255" },       { " 17\n", 0, "17" },
		{ "255", 0, "255" },        { "1", 0, "1" },
		{ "256", -ERANGE, "1" },    { "-1", -ERANGE, "1" },
		{ "0.5", -ERANGE, "1" },    { "", -E_INVALID, "1" },
		{ "nan", -E_INVALID, "1" }, { "bright", -E_INVALID, "1" },
		{ "1;0", -E_INVALID, "1" },
	};
	struct why why;
	lamp(*state, "255\n");
	struct output *o = open_lamp(*state, "{}");
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		assert_int_equal(set(o, row[i].value, &why), row[i].err);
		assert_string_equal(get(*state, "usr_led0/brightness"), row[i].brightness);
		assert_true((why.text[0] != '\0') == (row[i].err != 0));
		put(*state, "usr_led0/brightness", "");
		assert_int_equal(set(o, row[i].brightness, &why), 0);
	}
	o->ops->close(o);
}

static void what_the_kernel_showed_there_is_switched_off(void **state)
{
	struct why why;
	lamp(*state, "1\n");
	struct output *o = open_lamp(*state, "{}");
	assert_string_equal(get(*state, "usr_led0/trigger"), "none [heartbeat] timer");
	assert_int_equal(set(o, "1", &why), 0);
	assert_memory_equal(get(*state, "usr_led0/trigger"), "none", 4);
	assert_string_equal(get(*state, "usr_led0/brightness"), "1");
	o->ops->close(o);
}

static void a_lamp_that_is_away_says_so_and_is_used_when_it_comes(void **state)
{
	struct why why;
	struct output *o = open_lamp(*state, "{}");
	assert_int_equal(set(o, "1", &why), -EAGAIN);
	assert_non_null(strstr(why.text, "usr_led0"));
	assert_non_null(strstr(why.text, "overlay"));
	why = (struct why){ 0 };
	assert_int_equal(o->ops->probe(o, &why), -EAGAIN);
	lamp(*state, "1\n");
	assert_int_equal(o->ops->probe(o, &why), 0);
	assert_int_equal(set(o, "1", &why), 0);
	o->ops->close(o);
}

static void its_range_is_known_without_taking_it(void **state)
{
	struct why why;
	struct output_range r;
	struct output *o = open_lamp(*state, "{\"initial\":\"keep\"}");
	assert_false(o->ops->range(o, &r));
	lamp(*state, "255\n");
	for (int taken = 0; taken < 2; taken++) {
		assert_true(o->ops->range(o, &r));
		assert_true(r.least == 0 && r.most == 255 && r.whole);
		if (!taken)
			assert_string_equal(get(*state, "usr_led0/trigger"),
					    "none [heartbeat] timer");
		assert_int_equal(set(o, "1", &why), 0);
	}
	o->ops->close(o);
}

static void who_may_not_write_it_is_told_of_the_udev_rule(void **state)
{
	struct why why;
	lamp(*state, "1\n");
	assert_int_equal(chmod(scratch_path(*state, "usr_led0/brightness"), 0), 0);
	assert_int_equal(chmod(*state, 0755), 0);
	const bool root = geteuid() == 0;
	assert_true(!root || seteuid(65534) == 0);
	struct output *o = open_lamp(*state, "{}");
	int err = set(o, "1", &why);
	o->ops->close(o);
	assert_true(!root || seteuid(0) == 0);
	assert_int_equal(err, -EAGAIN);
	assert_non_null(strstr(why.text, "udev"));
}

static void initial_and_safe_are_values_of_the_lamp_or_keep(void **state)
{
	struct guard_action a = { .fd = -1 };
	struct why why = { 0 };
	lamp(*state, "9\n");
	struct output *o = open_lamp(*state, "{\"initial\":\"5\",\"safe\":\"on\"}");
	assert_int_equal(o->ops->initial(o, &why), 0);
	assert_string_equal(get(*state, "usr_led0/brightness"), "5");
	assert_true(o->ops->guard(o, &a));
	assert_int_equal(a.verb, GUARD_WRITE);
	assert_int_equal(a.length, 2);
	assert_memory_equal(a.bytes, "9\n", 2);
	assert_int_equal(pwrite(a.fd, a.bytes, a.length, (off_t)a.offset), 2);
	assert_string_equal(get(*state, "usr_led0/brightness"), "9");
	assert_int_equal(set(o, "3", &why), 0);
	assert_int_equal(o->ops->safe(o, &why), 0);
	assert_string_equal(get(*state, "usr_led0/brightness"), "9");
	o->ops->close(o);

	o = open_lamp(*state, "{\"initial\":\"keep\",\"safe\":\"keep\"}");
	assert_int_equal(o->ops->initial(o, &why), 0);
	assert_int_equal(o->ops->safe(o, &why), 0);
	assert_false(o->ops->guard(o, &a));
	assert_string_equal(get(*state, "usr_led0/brightness"), "9");
	o->ops->close(o);
}

static void what_makes_no_sense_is_refused_at_once(void **state)
{
	static const struct {
		const char *target, *options;
	} row[] = {
		{ "", "{}" },
		{ "..", "{}" },
		{ "../usr_led0", "{}" },
		{ "usr_led0/brightness", "{}" },
		{ "usr_led0", "{\"safe\":\"bright\"}" },
		{ "usr_led0", "{\"initial\":\"-1\"}" },
		{ "usr_led0", "{\"unknown\":1}" },
	};
	struct output *o;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct why why = { 0 };
		const struct span options = { (const uint8_t *)row[i].options,
					      strlen(row[i].options) };
		assert_int_equal(output_led.open(row[i].target, options, NULL, &o, &why),
				 -E_INVALID);
		assert_true(why.text[0] != '\0');
	}
}

static void a_device_whose_bounds_make_no_sense_is_not_written(void **state)
{
	static const char *const most[] = { "", "0", "-1", "many", "99999999999999999999" };
	struct why why;
	lamp(*state, "1");
	for (size_t i = 0; i < ARRAY_LEN(most); i++) {
		put(*state, "usr_led0/max_brightness", most[i]);
		struct output *o = open_lamp(*state, "{}");
		assert_int_equal(set(o, "on", &why), -EAGAIN);
		assert_string_equal(get(*state, "usr_led0/brightness"), "0");
		o->ops->close(o);
	}
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, scratch_new, scratch_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(on_is_the_lamps_own_most_and_more_is_refused),
		TEST(what_the_kernel_showed_there_is_switched_off),
		TEST(a_lamp_that_is_away_says_so_and_is_used_when_it_comes),
		TEST(its_range_is_known_without_taking_it),
		TEST(who_may_not_write_it_is_told_of_the_udev_rule),
		TEST(initial_and_safe_are_values_of_the_lamp_or_keep),
		TEST(what_makes_no_sense_is_refused_at_once),
		TEST(a_device_whose_bounds_make_no_sense_is_not_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
