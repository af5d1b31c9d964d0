/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/triggers/fake_gpio.h"

#include "triggers/guard.h"

static struct output *output(struct fake *f, const char *target, const char *options)
{
	struct output *o;
	struct why why = { 0 };
	const struct span text = { (const uint8_t *)options, strlen(options) };
	if (output_gpio.open(target, text, &f->options, &o, &why) < 0)
		fail_msg("%s", why.text);
	return o;
}

static int set(struct output *o, const char *value, struct why *why)
{
	*why = (struct why){ 0 };
	return o->ops->set(o, (struct span){ (const uint8_t *)value, strlen(value) }, why);
}

static void an_output_is_a_level_from_its_first_moment_to_its_safe_one(void **state)
{
	struct fake f;
	struct why why = { 0 };
	struct guard_action a = { 0 };
	begin(&f, *state);
	struct fake_line *l = &f.chips[0].lines[1];
	struct output *o = output(&f, "GPIO27",
				  "{\"active_low\":true,\"drive\":\"open-drain\",\"initial\":\"1\","
				  "\"safe\":\"1\"}");
	assert_false(o->ops->guard(o, &a)); /* nothing to bring to safety yet */
	assert_int_equal(o->ops->initial(o, &why), 0);
	/* In the request itself: there is no moment with another level. */
	assert_int_equal(l->config.attrs[0].attr.id, GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES);
	assert_int_equal(l->config.attrs[0].attr.values, 1);
	assert_int_equal(l->config.flags, GPIO_V2_LINE_FLAG_OUTPUT | GPIO_V2_LINE_FLAG_ACTIVE_LOW |
						  GPIO_V2_LINE_FLAG_OPEN_DRAIN);
	assert_int_equal(set(o, "off", &why), 0);
	assert_int_equal(l->level, 0);
	assert_true(o->ops->guard(o, &a));
	assert_int_equal(a.verb, GUARD_GPIO);
	assert_int_equal(a.value, 1);
	assert_int_equal(o->ops->safe(o, &why), 0);
	assert_int_equal(l->level, 1);
	assert_int_equal(o->ops->probe(o, &why), 0);
	o->ops->close(o);
	assert_int_equal(l->level, 1);

	o = output(&f, "GPIO17", "{\"safe\":\"keep\",\"drive\":\"open-source\"}");
	assert_int_equal(set(o, "1", &why), 0);
	assert_int_equal(o->ops->safe(o, &why), 0);
	assert_int_equal(f.chips[0].lines[0].level, 1);
	assert_int_equal(f.chips[0].lines[0].config.flags,
			 GPIO_V2_LINE_FLAG_OUTPUT | GPIO_V2_LINE_FLAG_OPEN_SOURCE);
	assert_false(o->ops->guard(o, &a));
	o->ops->close(o);
	end(&f);
}

static void a_value_that_is_no_level_is_refused(void **state)
{
	static const struct {
		const char *value;
		int err, level;
	} rows[] = {
		{ "1", 0, 1 },         { "0", 0, 0 },
		{ "on", 0, 1 },        { "false", 0, 0 },
		{ "1.0", 0, 1 },       { "2", -ERANGE, 0 },
		{ "-1", -ERANGE, 0 },  { "0.5", -ERANGE, 0 },
		{ "", -E_INVALID, 0 }, { "high", -E_INVALID, 0 },
	};
	struct fake f;
	begin(&f, *state);
	struct output *o = output(&f, "RELAY", "{}");
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct why why;
		f.chips[1].lines[1].level = 0;
		assert_int_equal(set(o, rows[i].value, &why), rows[i].err);
		assert_int_equal(f.chips[1].lines[1].level, rows[i].level);
		assert_int_equal(why.text[0] != '\0', rows[i].err != 0);
	}
	o->ops->close(o);
	end(&f);
}

static void an_output_that_is_away_or_busy_is_to_be_tried_again(void **state)
{
	struct fake f;
	struct why why;
	begin(&f, *state);
	struct output *o = output(&f, "LATE", "{}");
	assert_int_equal(set(o, "1", &why), -EAGAIN);
	assert_non_null(strstr(why.text, "\"LATE\" is not there"));
	plug_in(&f, 2);
	f.chips[2].lines[0].consumer = "relay test";
	assert_int_equal(set(o, "1", &why), -EAGAIN);
	assert_non_null(strstr(why.text, "\"relay test\" has it"));
	why = (struct why){ 0 };
	assert_int_equal(o->ops->probe(o, &why), -EAGAIN);
	assert_non_null(strstr(why.text, "\"relay test\" has it"));
	f.chips[2].lines[0].consumer = NULL;
	assert_int_equal(o->ops->probe(o, &why), 0);
	assert_int_equal(set(o, "1", &why), 0);
	assert_int_equal(f.chips[2].lines[0].level, 1);
	/* The chip goes and comes: what is open is good for nothing, and is had anew. */
	pull_out(&f, 2);
	assert_int_equal(set(o, "0", &why), -EAGAIN);
	plug_in(&f, 2);
	assert_int_equal(set(o, "0", &why), 0);
	assert_int_equal(f.chips[2].lines[0].level, 0);
	o->ops->close(o);
	end(&f);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, scratch_new, scratch_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_output_is_a_level_from_its_first_moment_to_its_safe_one),
		TEST(a_value_that_is_no_level_is_refused),
		TEST(an_output_that_is_away_or_busy_is_to_be_tried_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
