/* SPDX-License-Identifier: Apache-2.0 */
/* What the guard does to a piControl: this program's ioctl and pwrite are those of a fake one (tests/fake). */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "guard/act.h"
#include "tests/fake/picontrol_calls.h"

static struct fake_calls fake;

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	va_start(ap, request);
	void *argument = va_arg(ap, void *);
	va_end(ap);
	return fake_calls_ioctl(&fake, fd, request, argument);
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t at)
{
	return fake_calls_pwrite(&fake, fd, buf, n, at);
}

static void configure(unsigned at)
{
	char path[] = "/tmp/test_act.XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_true(fake_config_write(path, at));
	assert_true(fake_configure(fake.pi, path));
	(void)unlink(path);
}

static int setup(void **state)
{
	(void)state;
	fake.pi = fake_new(NULL);
	if (!fake.pi)
		return -1;
	configure(100);
	memset(fake.pi->image, 0xff, KB_IMAGE_BYTES);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_free(fake.pi);
	return 0;
}

/* As it was when penstockd told it: with the module at byte 100. */
static struct guard_action action(uint32_t output, const char *name, uint16_t bits, uint32_t value)
{
	struct kb_variable v = { .bits = bits };
	struct guard_action a = { .verb = GUARD_PICTL, .output = output, .value = value };
	(void)snprintf(v.name, sizeof(v.name), "%s", name);
	(void)snprintf(a.name, sizeof(a.name), "%s", name);
	memcpy(a.bytes, &v, sizeof(v));
	a.length = sizeof(v);
	a.fd = fake_calls_open(&fake, "piControl0");
	assert_true(a.fd >= 0);
	return a;
}

static void each_length_is_set_where_the_name_is_now_and_nothing_else(void **state)
{
	static const struct {
		const char *name;
		uint16_t bits;
		uint32_t value;
		unsigned at, bytes;
		uint8_t want[4];
	} row[] = {
		{ "O_1", 1, 0, 370, 1, { 0xf7 } },
		{ "PWM_1", 8, 9, 372, 1, { 9 } },
		{ "level", 16, 0x1234, 374, 2, { 0x34, 0x12 } },
		{ "total", 32, 0x89abcdef, 376, 4, { 0xef, 0xcd, 0xab, 0x89 } },
	};
	static struct acts all;
	uint8_t want[KB_IMAGE_BYTES];
	(void)state;
	memset(want, 0xff, sizeof(want));
	acts_init(&all);
	for (uint32_t i = 0; i < ARRAY_LEN(row); i++) {
		struct guard_action a = action(i, row[i].name, row[i].bits, row[i].value);
		acts_put(&all, &a);
		memcpy(want + row[i].at, row[i].want, row[i].bytes);
	}
	configure(300); /* a reset of which nobody could tell it */
	acts_do(&all);
	assert_memory_equal(fake.pi->image, want, sizeof(want));
}

static void a_name_that_is_gone_or_another_thing_now_is_left_alone(void **state)
{
	static struct acts all;
	uint8_t want[KB_IMAGE_BYTES];
	(void)state;
	memset(want, 0xff, sizeof(want));
	acts_init(&all);
	struct guard_action gone = action(0, "O_9", 1, 0), longer = action(1, "PWM_1", 16, 0),
			    odd = action(2, "blob", 64, 0);
	acts_put(&all, &gone);
	acts_put(&all, &longer);
	acts_put(&all, &odd);
	acts_do(&all);
	assert_memory_equal(fake.pi->image, want, sizeof(want));
}

static void *run_soon(void *arg)
{
	(void)arg;
	(void)poll(NULL, 0, 100);
	fake_run(fake.pi);
	return NULL;
}

static void a_bridge_that_is_being_reset_is_tried_again(void **state)
{
	static struct acts all;
	pthread_t thread;
	(void)state;
	acts_init(&all);
	struct guard_action a = action(0, "PWM_1", 8, 9);
	acts_put(&all, &a);
	fake_stop(fake.pi);
	assert_int_equal(pthread_create(&thread, NULL, run_soon, NULL), 0);
	acts_do(&all);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(fake_get(fake.pi, "PWM_1"), 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			each_length_is_set_where_the_name_is_now_and_nothing_else, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_name_that_is_gone_or_another_thing_now_is_left_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(a_bridge_that_is_being_reset_is_tried_again, setup,
						teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
