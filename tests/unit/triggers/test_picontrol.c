/* SPDX-License-Identifier: Apache-2.0 */
/* The process image of a Revolution Pi, against a driver of ours that has the real one's traps (tests/fake). */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/fake/picontrol_calls.h"
#include "triggers/picontrol.h"

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

static void box_open(struct box *b, unsigned watchdog_ms)
{
	struct why why = { 0 };
	*b = (struct box){ .config = "/tmp/test_picontrol.XXXXXX" };
	int fd = mkstemp(b->config);
	assert_true(fd >= 0);
	(void)close(fd);
	config_write(b, 100);
	b->calls.pi = fake_new(NULL);
	assert_non_null(b->calls.pi);
	assert_true(fake_configure(b->calls.pi, b->config));
	b->ops = fake_calls_of(&b->calls);
	const struct picontrol_options o = { .device = "/dev/fake0",
					     .config_rsc = b->config,
					     .watchdog_ms = watchdog_ms,
					     .calls = &b->ops };
	assert_int_equal(picontrol_new(&o, &b->d, &why), 0);
}

static void box_close(struct box *b)
{
	picontrol_unref(b->d);
	assert_int_equal(b->calls.pi->exported, 0); /* not even once */
	fake_free(b->calls.pi);
	(void)unlink(b->config);
}

static bool is_open(const struct box *b)
{
	struct picontrol_status s;
	picontrol_status(b->d, &s);
	return s.open;
}

static void wait_open(const struct box *b)
{
	for (int ms = 0; !is_open(b); ms++) {
		assert_true(ms < PATIENCE_MS);
		(void)poll(NULL, 0, 1);
	}
}

static void box_start(struct box *b)
{
	struct why why = { 0 };
	assert_int_equal(picontrol_start(b->d, &why), 0);
	wait_open(b);
}

static struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

static struct picontrol_place place_of(const struct box *b, const char *name)
{
	struct picontrol_place p;
	struct why why = { 0 };
	int err = picontrol_resolve(b->d, text(name), &p, &why);
	if (err < 0)
		fail_msg("%s: %s", name, why_text(&why, err));
	return p;
}

static void is_said(int err, int want, const struct why *why, const char *part)
{
	assert_int_equal(err, want);
	if (!strstr(why->text, part))
		fail_msg("\"%s\" does not say \"%s\"", why->text, part);
}

static void wait_generation(const struct box *b, uint64_t was)
{
	for (int ms = 0; picontrol_generation(b->d) == was; ms++) {
		assert_true(ms < PATIENCE_MS);
		(void)poll(NULL, 0, 1);
	}
}

/* ---- */

static void a_snapshot_is_one_read_of_the_whole_image(void **state)
{
	static struct box b;
	uint8_t image[PICTORY_IMAGE_BYTES];
	struct why why = { 0 };
	(void)state;
	box_open(&b, 0);
	box_start(&b);
	fake_set(b.calls.pi, "Counter_1", 0x01020304);
	fake_set(b.calls.pi, "I_1", 1);
	struct picontrol_place counter = place_of(&b, "Counter_1"), bit = place_of(&b, "I_1");
	uint64_t before = b.calls.pi->reads;
	assert_int_equal(picontrol_read(b.d, image, &why), 0);
	assert_int_equal(b.calls.pi->reads, before + 1);
	assert_int_equal(picontrol_value(image, &counter), 0x01020304);
	assert_int_equal(picontrol_value(image, &bit), 1);
	box_close(&b);
}

static void a_name_is_what_configuration_and_driver_agree_on(void **state)
{
	static struct box b;
	struct picontrol_place p;
	(void)state;
	box_open(&b, 0);
	box_start(&b);
	p = place_of(&b, "O_1");
	assert_int_equal(p.area, PICTORY_OUTPUT);
	assert_int_equal(p.offset, 170);
	assert_int_equal(p.bit, 3);
	assert_int_equal(p.bits, 1);
	assert_string_equal(p.device, "RevPi DIO, position 32");
	struct why why = { 0 };
	is_said(picontrol_resolve(b.d, text("O_2"), &p, &why), -E_UNKNOWN, &why,
		"there is no \"O_2\" among the 11 names");
	why = (struct why){ 0 };
	is_said(picontrol_resolve(b.d, text("InputMode_1"), &p, &why), -E_UNSUPPORTED, &why,
		"is a setting of RevPi DIO");
	why = (struct why){ 0 };
	is_said(picontrol_resolve(b.d, text("blob"), &p, &why), -E_UNSUPPORTED, &why, "64 bits");
	config_write(&b, 300); /* saved, and the driver not reset */
	why = (struct why){ 0 };
	is_said(picontrol_resolve(b.d, text("O_1"), &p, &why), -E_CONFIG, &why,
		"the driver not reset; piTest -x");
	assert_true(fake_configure(b.calls.pi, b.config));
	assert_int_equal(place_of(&b, "O_1").offset, 370);
	FILE *f = fopen(b.config, "w");
	assert_non_null(f);
	fprintf(f, "{\"Devices\":[");
	(void)fclose(f);
	why = (struct why){ 0 };
	is_said(picontrol_resolve(b.d, text("O_1"), &p, &why), -E_CONFIG, &why, b.config);
	b.calls.pi->nentries = 0;
	config_write(&b, 300);
	why = (struct why){ 0 };
	is_said(picontrol_resolve(b.d, text("O_1"), &p, &why), -E_CONFIG, &why,
		"the driver does not know it");
	box_close(&b);
}

static void a_name_that_the_driver_cuts_is_used_only_if_it_is_the_right_one(void **state)
{
	static struct box b;
	struct picontrol_place p;
	struct why why = { 0 };
	FILE *f;
	(void)state;
	box_open(&b, 0);
	f = fopen(b.config, "w");
	assert_non_null(f);
	fprintf(f, "{\"Devices\":[{\"position\":1,\"offset\":0,\"inp\":{"
		   "\"0\":[\"temperature_of_the_boiler_in_hall_1\",0,8,0,0,0,\"\",0],"
		   "\"1\":[\"temperature_of_the_boiler_in_hall_2\",0,8,1,0,0,\"\",0]}}]}");
	(void)fclose(f);
	assert_true(fake_configure(b.calls.pi, b.config));
	box_start(&b);
	assert_int_equal(place_of(&b, "temperature_of_the_boiler_in_hall_1").offset, 0);
	is_said(picontrol_resolve(b.d, text("temperature_of_the_boiler_in_hall_2"), &p, &why),
		-E_CONFIG, &why, "the driver keeps 31 bytes of a name");
	box_close(&b);
}

static void a_reset_is_eagain_and_then_another_generation(void **state)
{
	static struct box b;
	struct picontrol_place p;
	uint8_t image[PICTORY_IMAGE_BYTES];
	struct why why = { 0 };
	(void)state;
	box_open(&b, 0);
	box_start(&b);
	p = place_of(&b, "O_1");
	fake_stop(b.calls.pi);
	is_said(picontrol_read(b.d, image, &why), -EAGAIN, &why, "being reset");
	assert_int_equal(picontrol_write(b.d, &p, 1, NULL), -EAGAIN);
	assert_int_equal(picontrol_check(b.d, &p, NULL), -EAGAIN);
	assert_int_equal(picontrol_resolve(b.d, text("O_1"), &p, NULL), -EAGAIN);
	assert_false(is_open(&b));
	uint64_t was = picontrol_generation(b.d);
	b.calls.pi->running = true; /* a reset that failed at first: the driver tells nobody */
	assert_int_equal(picontrol_read(b.d, image, &why), 0);
	assert_true(picontrol_generation(b.d) != was);
	assert_true(is_open(&b));
	box_close(&b);
}

static void who_waits_is_told_of_a_reset_that_nobody_saw(void **state)
{
	static struct box b;
	struct picontrol_status s;
	(void)state;
	box_open(&b, 0);
	box_start(&b);
	uint64_t was = picontrol_generation(b.d);
	fake_run(b.calls.pi); /* of a Compact: its bridge never stops */
	wait_generation(&b, was);
	picontrol_status(b.d, &s);
	assert_int_equal(s.resets, 1);
	box_close(&b);
}

static void nothing_is_written_where_a_name_was_before_a_reset(void **state)
{
	static struct box b;
	uint8_t image[PICTORY_IMAGE_BYTES];
	struct why why = { 0 };
	(void)state;
	box_open(&b, 0);
	box_start(&b);
	struct picontrol_place p = place_of(&b, "O_1");
	/* The new layout is in force, its event still to come. */
	config_write(&b, 300);
	assert_true(fake_configure(b.calls.pi, b.config));
	is_said(picontrol_write(b.d, &p, 1, &why), -EAGAIN, &why, "has moved");
	assert_int_equal(b.calls.pi->sets, 0);
	assert_int_equal(picontrol_read(b.d, image, &why), 0);
	assert_int_equal(image[170], 0);
	assert_true(picontrol_generation(b.d) != p.generation);
	p = place_of(&b, "O_1");
	assert_int_equal(picontrol_write(b.d, &p, 1, NULL), 0);
	assert_int_equal(b.calls.pi->image[170], 0);
	assert_int_equal(b.calls.pi->image[370], 8);
	box_close(&b);
}

static void an_output_changes_its_own_bits_and_no_others(void **state)
{
	static const struct {
		const char *name;
		uint32_t value;
		unsigned at, bytes;
		uint8_t want[4], mask[4];
	} row[] = {
		{ "O_1", 0, 170, 1, { 0xf7 }, { 0x08 } },
		{ "PWM_1", 0x12, 172, 1, { 0x12 }, { 0xff } },
		{ "level", 0x1234, 174, 2, { 0x34, 0x12 }, { 0xff, 0xff } },
		{ "total",
		  0x89abcdef,
		  176,
		  4,
		  { 0xef, 0xcd, 0xab, 0x89 },
		  { 0xff, 0xff, 0xff, 0xff } },
	};
	static struct box b;
	(void)state;
	box_open(&b, 0);
	box_start(&b);
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct picontrol_place p = place_of(&b, row[i].name);
		memset(b.calls.pi->image, 0xff, KB_IMAGE_BYTES);
		b.calls.longest_write = 0;
		b.calls.pi->sets = 0;
		assert_int_equal(picontrol_write(b.d, &p, row[i].value, NULL), 0);
		for (unsigned at = 0; at < KB_IMAGE_BYTES; at++) {
			bool mine = at >= row[i].at && at < row[i].at + row[i].bytes;
			assert_int_equal(b.calls.pi->image[at],
					 mine ? row[i].want[at - row[i].at] : 0xff);
		}
		/* Bits and bytes go by the driver's own read, change and write. */
		assert_int_equal(b.calls.pi->sets, row[i].bytes == 1);
		assert_int_equal(b.calls.longest_write, row[i].bytes == 1 ? 0 : row[i].bytes);
	}
	box_close(&b);
}

/* ---- watchdog ---- */

static void without_being_asked_no_watchdog_is_armed(void **state)
{
	static struct box b;
	(void)state;
	box_open(&b, 0);
	box_start(&b);
	struct picontrol_place p = place_of(&b, "O_1");
	assert_int_equal(picontrol_write(b.d, &p, 1, NULL), 0);
	for (int h = 0; h < FAKE_OPENS; h++)
		assert_int_equal(b.calls.pi->open[h].watchdog_ms, 0);
	box_close(&b);
}

static uint64_t armed_ms(const struct box *b)
{
	uint64_t ms = 0;
	for (int h = 0; h < FAKE_OPENS; h++)
		ms = b->calls.pi->open[h].watchdog_ms ? b->calls.pi->open[h].watchdog_ms : ms;
	return ms;
}

static void the_watchdog_begins_with_the_first_output_and_is_kept_up(void **state)
{
	static struct box b;
	(void)state;
	box_open(&b, 2000);
	box_start(&b);
	assert_int_equal(armed_ms(&b), 0);
	fake_set(b.calls.pi, "others", 7);
	struct picontrol_place p = place_of(&b, "O_1");
	assert_int_equal(picontrol_write(b.d, &p, 1, NULL), 0);
	assert_int_equal(armed_ms(&b), 2000);          /* all 8 bytes of it */
	for (int ms = 0; b.calls.pi->sets < 6; ms++) { /* 5 refreshes take longer than the time */
		assert_true(ms < PATIENCE_MS);
		(void)poll(NULL, 0, 1);
	}
	struct picontrol_status s;
	picontrol_status(b.d, &s);
	if (s.watchdog_late == 0) /* a machine that stood still for 2 s may have been late */
		assert_int_equal(fake_get(b.calls.pi, "O_1"), 1);
	assert_int_equal(s.watchdog_late == 0, b.calls.pi->zeroed == 0);
	box_close(&b);
}

static void keeping_up_the_watchdog_switches_nothing_on_again(void **state)
{
	static struct box b;
	(void)state;
	box_open(&b, 300);
	box_start(&b);
	struct picontrol_place p = place_of(&b, "O_1");
	assert_int_equal(picontrol_write(b.d, &p, 1, NULL), 0);
	fake_set(b.calls.pi, "O_1", 0); /* an emergency stop of somebody else */
	uint64_t sets = b.calls.pi->sets;
	for (int ms = 0; b.calls.pi->sets < sets + 2; ms++) {
		assert_true(ms < PATIENCE_MS);
		(void)poll(NULL, 0, 1);
	}
	assert_int_equal(fake_get(b.calls.pi, "O_1"), 0);
	box_close(&b);
}

static void the_watchdog_is_kept_up_where_the_output_is_after_a_reset(void **state)
{
	static struct box b;
	(void)state;
	box_open(&b, 300);
	box_start(&b);
	struct picontrol_place p = place_of(&b, "level");
	assert_int_equal(picontrol_write(b.d, &p, 0x5555, NULL), 0);
	config_write(&b, 300);
	assert_true(fake_configure(b.calls.pi, b.config));
	FILE *f = fopen(b.config,
			"w"); /* a configuration that is being saved is no reason to stop a plant */
	assert_non_null(f);
	(void)fclose(f);
	b.calls.pi->image[174] = b.calls.pi->image[175] = 0x77; /* somebody else's now */
	fake_set(b.calls.pi, "level", 0x6666);
	uint64_t writes = b.calls.pi->writes;
	for (int ms = 0; b.calls.pi->writes < writes + 2; ms++) {
		assert_true(ms < PATIENCE_MS);
		(void)poll(NULL, 0, 1);
	}
	if (b.calls.pi->zeroed == 0)
		assert_int_equal(fake_get(b.calls.pi, "level"), 0x6666);
	assert_int_equal(b.calls.pi->image[174], 0x77);
	box_close(&b);
}

static void a_watchdog_that_ran_out_is_said(void **state)
{
	static struct box b;
	struct picontrol_status s;
	(void)state;
	box_open(&b, 150);
	box_start(&b);
	struct picontrol_place p = place_of(&b, "O_1");
	fake_set(b.calls.pi, "others", 7);
	assert_int_equal(picontrol_write(b.d, &p, 1, NULL), 0);
	fake_stop(b.calls.pi); /* so it cannot be kept up */
	(void)poll(NULL, 0, 400);
	fake_run(b.calls.pi);
	assert_int_equal(fake_get(b.calls.pi, "others"), 0); /* of every module */
	assert_int_equal(fake_get(b.calls.pi, "O_1"), 0);
	picontrol_status(b.d, &s);
	for (int ms = 0; s.watchdog_late == 0; ms++) {
		assert_true(ms < PATIENCE_MS);
		(void)poll(NULL, 0, 1);
		picontrol_status(b.d, &s);
	}
	box_close(&b);
}

static void a_planned_end_leaves_the_outputs_of_others_alone(void **state)
{
	static struct box b;
	(void)state;
	box_open(&b, 60000);
	box_start(&b);
	struct picontrol_place p = place_of(&b, "O_1");
	fake_set(b.calls.pi, "others", 7);
	assert_int_equal(picontrol_write(b.d, &p, 1, NULL), 0);
	assert_int_equal(armed_ms(&b), 60000);
	picontrol_unref(b.d);
	b.d = NULL;
	assert_int_equal(fake_get(b.calls.pi, "others"), 7);
	assert_int_equal(fake_get(b.calls.pi, "O_1"), 1);
	box_close(&b);
}

/* ---- devices that are not there ---- */

static void a_missing_device_is_a_state_until_it_comes(void **state)
{
	static const struct {
		int err;
		const char *said;
	} row[] = {
		{ ENOENT, "is this a Revolution Pi" },
		{ EACCES, "DeviceAllow=/dev/piControl0" },
		{ EBUSY, "Device or resource busy" },
	};
	uint8_t image[PICTORY_IMAGE_BYTES];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		static struct box b;
		struct picontrol_status s = { .open = false };
		struct why why = { 0 };
		box_open(&b, 0);
		is_said(picontrol_read(b.d, image, &why), -EAGAIN, &why, "not open yet");
		b.calls.open_errno = row[i].err;
		assert_int_equal(picontrol_start(b.d, NULL), 0);
		for (int ms = 0; !strstr(s.detail, row[i].said); ms++) {
			assert_true(ms < PATIENCE_MS);
			(void)poll(NULL, 0, 1);
			picontrol_status(b.d, &s);
		}
		assert_non_null(strstr(s.detail, "/dev/fake0: "));
		why = (struct why){ 0 };
		is_said(picontrol_read(b.d, image, &why), -EAGAIN, &why, row[i].said);
		b.calls.open_errno = 0;
		wait_open(&b);
		assert_int_equal(picontrol_read(b.d, image, NULL), 0);
		box_close(&b);
	}
}

static void a_descriptor_that_got_useless_is_opened_again(void **state)
{
	static struct box b;
	struct why why = { 0 };
	uint8_t image[PICTORY_IMAGE_BYTES];
	(void)state;
	box_open(&b, 0);
	box_start(&b);
	uint64_t was = picontrol_generation(b.d);
	b.calls.read_errno = ENODEV;
	is_said(picontrol_read(b.d, image, &why), -EAGAIN, &why, "No such device");
	b.calls.read_errno = 0;
	for (int ms = 0; picontrol_read(b.d, image, NULL) < 0; ms++) {
		assert_true(ms < PATIENCE_MS);
		(void)poll(NULL, 0, 1);
	}
	assert_true(picontrol_generation(b.d) != was);
	box_close(&b);
}

static void what_is_no_picontrol_is_told_so(void **state)
{
	static struct box b;
	struct picontrol_status s = { .open = false };
	(void)state;
	box_open(&b, 0);
	b.calls.wait_errno = ENOTTY;
	assert_int_equal(picontrol_start(b.d, NULL), 0);
	for (int ms = 0; !strstr(s.detail, "no piControl, or a 32-bit program"); ms++) {
		assert_true(ms < PATIENCE_MS);
		(void)poll(NULL, 0, 1);
		picontrol_status(b.d, &s);
	}
	b.calls.wait_errno = 0;
	wait_open(&b);
	box_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_snapshot_is_one_read_of_the_whole_image),
		cmocka_unit_test(a_name_is_what_configuration_and_driver_agree_on),
		cmocka_unit_test(a_name_that_the_driver_cuts_is_used_only_if_it_is_the_right_one),
		cmocka_unit_test(a_reset_is_eagain_and_then_another_generation),
		cmocka_unit_test(who_waits_is_told_of_a_reset_that_nobody_saw),
		cmocka_unit_test(nothing_is_written_where_a_name_was_before_a_reset),
		cmocka_unit_test(an_output_changes_its_own_bits_and_no_others),
		cmocka_unit_test(without_being_asked_no_watchdog_is_armed),
		cmocka_unit_test(the_watchdog_begins_with_the_first_output_and_is_kept_up),
		cmocka_unit_test(keeping_up_the_watchdog_switches_nothing_on_again),
		cmocka_unit_test(the_watchdog_is_kept_up_where_the_output_is_after_a_reset),
		cmocka_unit_test(a_watchdog_that_ran_out_is_said),
		cmocka_unit_test(a_planned_end_leaves_the_outputs_of_others_alone),
		cmocka_unit_test(a_missing_device_is_a_state_until_it_comes),
		cmocka_unit_test(a_descriptor_that_got_useless_is_opened_again),
		cmocka_unit_test(what_is_no_picontrol_is_told_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
