/* SPDX-License-Identifier: Apache-2.0 */
/* Outputs of a Revolution Pi by name: what may be set, where, and what the guard is told. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/fake/picontrol_calls.h"
#include "triggers/guard.h"
#include "triggers/revpi.h"

enum { PATIENCE_MS = 20000 };

struct box {
	struct fake_calls calls;
	struct picontrol_calls ops;
	struct picontrol *d;
	char config[64];
};

static void config_write(const struct box *b, unsigned at)
{
	assert_true(fake_config_write(b->config, at));
}

static void move_to(struct box *b, unsigned dio)
{
	config_write(b, dio);
	assert_true(fake_configure(b->calls.pi, b->config));
}

static void box_open(struct box *b)
{
	*b = (struct box){ .config = "/tmp/test_revpi_output.XXXXXX" };
	int fd = mkstemp(b->config);
	assert_true(fd >= 0);
	(void)close(fd);
	b->calls.pi = fake_new(NULL);
	assert_non_null(b->calls.pi);
	move_to(b, 100);
	b->ops = fake_calls_of(&b->calls);
	const struct picontrol_options o = { .device = "/dev/fake0",
					     .config_rsc = b->config,
					     .calls = &b->ops };
	assert_int_equal(picontrol_new(&o, &b->d, NULL), 0);
}

static void box_close(struct box *b)
{
	picontrol_unref(b->d);
	assert_int_equal(b->calls.pi->exported, 0);
	fake_free(b->calls.pi);
	(void)unlink(b->config);
}

static struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

static struct output *output_of(const struct box *b, const char *target, const char *options)
{
	const struct revpi_output_config c = { .device = b->d };
	struct output *o;
	struct why why = { 0 };
	if (output_io.open(target, text(options), &c, &o, &why) < 0)
		fail_msg("%s", why.text);
	return o;
}

/* The device is opened by a thread of its own. */
static int set_now(struct output *o, const char *value, struct why *why)
{
	int err = -EAGAIN;
	for (int ms = 0; err == -EAGAIN && ms < PATIENCE_MS; ms++) {
		*why = (struct why){ 0 };
		err = o->ops->set(o, text(value), why);
		if (err == -EAGAIN && strstr(why->text, "not open yet"))
			(void)poll(NULL, 0, 1);
		else
			break;
	}
	return err;
}

static void an_output_takes_what_its_bits_can_hold(void **state)
{
	static const struct {
		const char *name, *value;
		int err;
		uint32_t want;
		const char *said;
	} row[] = {
		{ "O_1", "1", 0, 1, "" },
		{ "O_1", "off", 0, 0, "" },
		{ "O_1", " true\n", 0, 1, "" },
		{ "O_1", "2", -ERANGE, 1, "has 1 bit: 0 to 1" },
		{ "O_1", "-1", -ERANGE, 1, "0 to 1, not -1" },
		{ "O_1", "maybe", -E_INVALID, 1, "\"maybe\" is no whole number" },
		{ "O_1", "", -E_INVALID, 1, "no whole number" },
		{ "PWM_1", "255", 0, 255, "" },
		{ "PWM_1", "256", -ERANGE, 255, "has 8 bits: -128 to 255" },
		{ "PWM_1", "0.5", -E_INVALID, 255, "whole number" },
		{ "level", "-32768", 0, 0x8000, "" },
		{ "level", "-32769", -ERANGE, 0x8000, "-32768 to 65535" },
		{ "level", "65535", 0, 65535, "" },
		{ "total", "4294967295", 0, 4294967295u, "" },
		{ "total", "-1", 0, 4294967295u, "" },
		{ "total", "-2147483648", 0, 0x80000000u, "" },
		{ "total", "4294967296", -ERANGE, 0x80000000u, "32 bits" },
		{ "total", "nan", -E_INVALID, 0x80000000u, "whole number" },
		{ "total", "1e400", -E_INVALID, 0x80000000u, "whole number" },
		{ "I_1", "1", -E_INVALID, 0, "is an input of RevPi DIO" },
		{ "O_9", "1", -EAGAIN, 0, "there is no \"O_9\"" },
	};
	static struct box b;
	(void)state;
	box_open(&b);
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct output *o = output_of(&b, row[i].name, "{}");
		struct why why = { 0 };
		int err = set_now(o, row[i].value, &why);
		if (err != row[i].err || !strstr(why.text, row[i].said))
			fail_msg("%s = %s: %d \"%s\"", row[i].name, row[i].value, err, why.text);
		assert_int_equal(fake_get(b.calls.pi, row[i].name), row[i].want);
		o->ops->close(o);
	}
	assert_int_equal(fake_get(b.calls.pi, "I_1"), 0);
	box_close(&b);
}

static void initial_and_safe_are_values_or_keep(void **state)
{
	static struct box b;
	struct why why = { 0 };
	(void)state;
	box_open(&b);
	struct output *o = output_of(&b, "level", "{\"initial\":\"7\",\"safe\":\"keep\"}");
	assert_int_equal(set_now(o, "9", &why), 0);
	assert_int_equal(o->ops->safe(o, &why), 0);
	assert_int_equal(fake_get(b.calls.pi, "level"), 9);
	assert_int_equal(o->ops->initial(o, &why), 0);
	assert_int_equal(fake_get(b.calls.pi, "level"), 7);
	o->ops->close(o);
	o = output_of(&b, "level", "{}"); /* keep, 0 */
	assert_int_equal(o->ops->initial(o, &why), 0);
	assert_int_equal(fake_get(b.calls.pi, "level"), 7);
	assert_int_equal(o->ops->probe(o, &why), 0);
	struct output_range range;
	assert_true(o->ops->range(o, &range) && range.least == -32768 && range.most == 65535);
	assert_int_equal(fake_get(b.calls.pi, "level"), 7);
	assert_int_equal(o->ops->safe(o, &why), 0);
	assert_int_equal(fake_get(b.calls.pi, "level"), 0);
	o->ops->close(o);
	const struct revpi_output_config c = { .device = b.d };
	assert_int_equal(output_io.open("level", text("{\"safe\":\"low\"}"), &c, &o, &why),
			 -E_INVALID);
	assert_non_null(strstr(why.text, "option safe is \"low\""));
	box_close(&b);
}

static void the_guard_gets_the_name_and_a_descriptor_of_its_own(void **state)
{
	static struct box b;
	struct why why = { 0 };
	struct guard_action a = { .fd = -1 };
	struct kb_variable v;
	(void)state;
	box_open(&b);
	struct output *o = output_of(&b, "level", "{\"safe\":\"-2\"}");
	assert_false(o->ops->guard(o, &a)); /* the device is not open yet */
	assert_int_equal(set_now(o, "9", &why), 0);
	assert_true(o->ops->guard(o, &a));
	assert_int_equal(a.verb, GUARD_PICTL);
	assert_int_equal(a.value, 0xfffe);
	assert_int_equal(a.length, sizeof(v));
	memcpy(&v, a.bytes, sizeof(v));
	assert_string_equal(v.name, "level");
	assert_int_equal(v.bits, 16);
	assert_true(fcntl(a.fd, F_GETFD) >= 0);
	assert_int_equal(b.calls.handle[a.fd], 0); /* none of those that are closed under it */
	o->ops->close(o);
	assert_true(fcntl(a.fd, F_GETFD) < 0);
	o = output_of(&b, "level", "{\"safe\":\"keep\"}");
	assert_int_equal(set_now(o, "9", &why), 0);
	assert_false(o->ops->guard(o, &a));
	o->ops->close(o);
	box_close(&b);
}

static void an_output_is_set_where_it_is_after_a_reset(void **state)
{
	static struct box b;
	struct why why = { 0 };
	(void)state;
	box_open(&b);
	struct output *o = output_of(&b, "O_1", "{}");
	assert_int_equal(set_now(o, "1", &why), 0);
	assert_int_equal(b.calls.pi->image[170], 8);
	fake_stop(b.calls.pi);
	assert_int_equal(set_now(o, "0", &why), -EAGAIN);
	assert_non_null(strstr(why.text, "being reset"));
	assert_int_equal(o->ops->probe(o, NULL), -EAGAIN);
	move_to(&b, 300);
	fake_run(b.calls.pi);
	int err = -EAGAIN; /* the outputs' thread tries again like this */
	for (int ms = 0; err == -EAGAIN && ms < PATIENCE_MS; ms++)
		err = o->ops->set(o, text("1"), NULL);
	assert_int_equal(err, 0);
	assert_int_equal(b.calls.pi->image[170], 8);
	assert_int_equal(b.calls.pi->image[370], 8);
	o->ops->close(o);
	box_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_output_takes_what_its_bits_can_hold),
		cmocka_unit_test(initial_and_safe_are_values_or_keep),
		cmocka_unit_test(the_guard_gets_the_name_and_a_descriptor_of_its_own),
		cmocka_unit_test(an_output_is_set_where_it_is_after_a_reset),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
