/* SPDX-License-Identifier: Apache-2.0 */
/* Input devices are pipes here; what the kernel is asked for is a struct. */
#include "tests/unit/triggers/seen.h"

#include "triggers/evdev.h"
#include "triggers/key_names.h"

#include <linux/input.h>

struct fake { /* one device: gpio_keys, event3 */
	char dir[200], class_dir[220];
	struct seen seen;
	struct evdev_sys sys;
	pthread_mutex_t lock;
	int pipe[2];
	uint8_t keys[EVDEV_KEY_BYTES], down[EVDEV_KEY_BYTES];
	int open_err, grab_err;
	int grabs; /* +1 for each grab, -1 for each end of one */
};

static int fake_open(void *arg, const char *path)
{
	struct fake *f = arg;
	(void)pthread_mutex_lock(&f->lock);
	int fd = f->open_err ? f->open_err : strstr(path, "/event3") ? dup(f->pipe[0]) : -ENOENT;
	(void)pthread_mutex_unlock(&f->lock);
	return fd;
}

static int fake_bits(struct fake *f, const uint8_t *from, uint8_t *to)
{
	(void)pthread_mutex_lock(&f->lock);
	memcpy(to, from, EVDEV_KEY_BYTES);
	(void)pthread_mutex_unlock(&f->lock);
	return 0;
}

static int fake_keys(void *arg, int fd, uint8_t *to)
{
	(void)fd;
	return fake_bits(arg, ((struct fake *)arg)->keys, to);
}

static int fake_down(void *arg, int fd, uint8_t *to)
{
	(void)fd;
	return fake_bits(arg, ((struct fake *)arg)->down, to);
}

static int fake_grab(void *arg, int fd, bool grab)
{
	struct fake *f = arg;
	(void)fd;
	(void)pthread_mutex_lock(&f->lock);
	int err = f->grab_err;
	if (err == 0)
		f->grabs += grab ? 1 : -1;
	(void)pthread_mutex_unlock(&f->lock);
	return err;
}

static void set_bit(struct fake *f, uint8_t *bits, unsigned code, bool on)
{
	(void)pthread_mutex_lock(&f->lock);
	if (on)
		bits[code / 8] |= (uint8_t)(1u << (code % 8));
	else
		bits[code / 8] &= (uint8_t) ~(1u << (code % 8));
	(void)pthread_mutex_unlock(&f->lock);
}

/* The node comes last, as with udev. */
static void plug_in(struct fake *f)
{
	assert_int_equal(pipe2(f->pipe, O_NONBLOCK | O_CLOEXEC), 0);
	assert_int_equal(mkdir(scratch_path(f->class_dir, "event3"), 0755), 0);
	assert_int_equal(mkdir(scratch_path(f->class_dir, "event3/device"), 0755), 0);
	scratch_write(scratch_path(f->class_dir, "event3/device/name"), "gpio_keys\n", 10);
	scratch_write(scratch_path(f->dir, "event3"), "", 0);
}

static void pull_out(struct fake *f)
{
	(void)remove(scratch_path(f->dir, "event3"));
	(void)remove(scratch_path(f->class_dir, "event3/device/name"));
	(void)remove(scratch_path(f->class_dir, "event3/device"));
	(void)remove(scratch_path(f->class_dir, "event3"));
	(void)close(f->pipe[0]);
	(void)close(f->pipe[1]);
}

static void send(struct fake *f, unsigned type, unsigned code, int value)
{
	const struct input_event e = {
		.time = { 7, 5 }, .type = (uint16_t)type, .code = (uint16_t)code, .value = value
	};
	assert_int_equal(write(f->pipe[1], &e, sizeof(e)), sizeof(e));
}

static void press(struct fake *f, unsigned code, int value)
{
	send(f, EV_KEY, code, value);
	send(f, EV_SYN, SYN_REPORT, 0);
}

static struct trigger *begin(struct fake *f, const char *dir)
{
	struct trigger *t;
	struct why why = { 0 };
	*f = (struct fake){ .lock = PTHREAD_MUTEX_INITIALIZER };
	f->sys = (struct evdev_sys){ fake_open, fake_keys, fake_down, fake_grab, f };
	seen_init(&f->seen);
	(void)snprintf(f->dir, sizeof(f->dir), "%s/dev", dir);
	(void)snprintf(f->class_dir, sizeof(f->class_dir), "%s/class", dir);
	assert_int_equal(mkdir(f->dir, 0755), 0);
	assert_int_equal(mkdir(f->class_dir, 0755), 0);
	set_bit(f, f->keys, KEY_A, true);
	set_bit(f, f->keys, KEY_S, true);
	const struct trigger_sink sink = seen_as_sink(&f->seen);
	const struct evdev_options o = { f->dir, f->class_dir, &f->sys };
	assert_int_equal(evdev_new(&o, &sink, &t, &why), 0);
	return t;
}

static void a_press_is_one_event_and_repeats_are_none(void **state)
{
	struct fake f;
	struct trigger *t = begin(&f, *state);
	plug_in(&f);
	seen_bind(t, 1, "gpio_keys/KEY_A", "{}");
	seen_bind(t, 2, "gpio_keys/31", "{\"edge\":\"falling\"}");
	seen_bind(t, 3, "gpio_keys/+", "{\"edge\":\"both\"}");
	t->ops->start(t);
	seen_state(t, 3, NULL);
	press(&f, KEY_A, 1);
	for (int i = 0; i < 5; i++)
		press(&f, KEY_A, 2);
	press(&f, KEY_A, 0);
	press(&f, KEY_S, 1);
	press(&f, KEY_S, 0);
	(void)seen_at(&f.seen, 5);
	static const struct {
		uint32_t route;
		const char *type, *payload, *topic, *attrs;
	} want[] = {
		{ 1, "io.penstock.key.press", "1", "gpio_keys/KEY_A",
		  "key=KEY_A;code=30;edge=rising;time_ns=7000005000;" },
		{ 3, "io.penstock.key.press", "1", "gpio_keys/+",
		  "key=KEY_A;code=30;edge=rising;time_ns=7000005000;" },
		{ 3, "io.penstock.key.release", "0", "gpio_keys/+",
		  "key=KEY_A;code=30;edge=falling;time_ns=7000005000;" },
		{ 3, "io.penstock.key.press", "1", "gpio_keys/+",
		  "key=KEY_S;code=31;edge=rising;time_ns=7000005000;" },
		{ 2, "io.penstock.key.release", "0", "gpio_keys/31",
		  "key=KEY_S;code=31;edge=falling;time_ns=7000005000;" },
		{ 3, "io.penstock.key.release", "0", "gpio_keys/+",
		  "key=KEY_S;code=31;edge=falling;time_ns=7000005000;" },
	};
	for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
		const struct seen_event *e = seen_at(&f.seen, i);
		assert_int_equal(e->route, want[i].route);
		assert_string_equal(e->type, want[i].type);
		assert_string_equal(e->payload, want[i].payload);
		assert_string_equal(e->topic, want[i].topic);
		assert_string_equal(e->attrs, want[i].attrs);
		assert_string_equal(e->source, "key");
		assert_int_equal(e->qos, 1);
	}
	seen_end(t);
	assert_int_equal(seen_count(&f.seen), ARRAY_LEN(want));
	pull_out(&f);
}

static void after_an_overrun_the_state_is_read_again_and_the_loss_told(void **state)
{
	struct fake f;
	struct trigger *t = begin(&f, *state);
	plug_in(&f);
	seen_bind(t, 1, "gpio_keys/+", "{\"edge\":\"both\"}");
	t->ops->start(t);
	seen_state(t, 1, NULL);
	press(&f, KEY_A, 1);
	(void)seen_at(&f.seen, 0);
	/* Lost: A released, S pressed. What is left in the queue is older than the state, and passed over. */
	const struct input_event left[] = {
		{ .type = EV_SYN, .code = SYN_DROPPED },
		{ .type = EV_KEY, .code = KEY_A, .value = 0 },
		{ .type = EV_SYN, .code = SYN_REPORT },
		{ .type = EV_KEY, .code = KEY_A, .value = 1 },
		{ .type = EV_SYN, .code = SYN_REPORT },
		{ .type = EV_KEY, .code = KEY_A, .value = 0 },
		{ .type = EV_SYN, .code = SYN_REPORT },
	};
	set_bit(&f, f.down, KEY_S, true);
	assert_int_equal(write(f.pipe[1], left, sizeof(left)), sizeof(left));
	assert_string_equal(seen_at(&f.seen, 1)->payload, "0");
	assert_non_null(strstr(seen_at(&f.seen, 1)->attrs, "key=KEY_A;"));
	assert_non_null(strstr(seen_at(&f.seen, 1)->attrs, "missed=1;"));
	assert_string_equal(seen_at(&f.seen, 2)->payload, "1");
	assert_non_null(strstr(seen_at(&f.seen, 2)->attrs, "key=KEY_S;"));
	assert_null(strstr(seen_at(&f.seen, 2)->attrs, "missed"));
	press(&f, KEY_S, 0);
	assert_string_equal(seen_at(&f.seen, 3)->payload, "0");
	seen_end(t);
	pull_out(&f);
}

static void an_event_that_is_not_taken_is_counted_in_the_next(void **state)
{
	struct fake f;
	struct trigger *t = begin(&f, *state);
	plug_in(&f);
	seen_bind(t, 1, "gpio_keys/KEY_A", "{}");
	t->ops->start(t);
	seen_state(t, 1, NULL);
	seen_refuse(&f.seen, 2);
	for (int i = 0; i < 3; i++) {
		press(&f, KEY_A, 1);
		press(&f, KEY_A, 0);
	}
	assert_non_null(strstr(seen_at(&f.seen, 0)->attrs, "missed=2;"));
	seen_end(t);
	assert_int_equal(seen_count(&f.seen), 1);
	pull_out(&f);
}

static void a_device_that_goes_releases_its_keys_and_is_used_when_it_comes_back(void **state)
{
	struct fake f;
	struct trigger *t = begin(&f, *state);
	seen_bind(t, 1, "gpio_keys/KEY_A", "{\"edge\":\"both\"}");
	t->ops->start(t);
	seen_state(t, 1, "no input device is named \"gpio_keys\"");
	plug_in(&f);
	seen_state(t, 1, NULL);
	press(&f, KEY_A, 1);
	assert_string_equal(seen_at(&f.seen, 0)->payload, "1");
	pull_out(&f);
	assert_string_equal(seen_at(&f.seen, 1)->payload, "0");
	seen_state(t, 1, "no input device");
	plug_in(&f);
	seen_state(t, 1, NULL);
	press(&f, KEY_A, 1);
	assert_string_equal(seen_at(&f.seen, 2)->payload, "1");
	seen_end(t);
	pull_out(&f);
}

static void what_is_wrong_is_said_and_looked_at_again(void **state)
{
	struct fake f;
	struct trigger *t = begin(&f, *state);
	plug_in(&f);
	f.open_err = -EACCES;
	seen_bind(t, 1, "gpio_keys/KEY_A", "{}");
	t->ops->start(t);
	seen_state(t, 1, "adduser penstock input");
	(void)pthread_mutex_lock(&f.lock);
	f.open_err = 0;
	f.grab_err = -EBUSY;
	(void)pthread_mutex_unlock(&f.lock);
	seen_state(t, 1, "another program has grabbed it");
	(void)pthread_mutex_lock(&f.lock);
	f.grab_err = 0;
	(void)pthread_mutex_unlock(&f.lock);
	seen_state(t, 1, NULL);
	assert_int_equal(f.grabs, 1);
	seen_bind(t, 2, "gpio_keys/KEY_F1", "{}");
	seen_state(t, 2, "it has KEY_A, KEY_S");
	seen_end(t);
	pull_out(&f);
}

static void a_key_stays_down_while_another_program_has_the_device(void **state)
{
	struct fake f;
	struct trigger *t = begin(&f, *state);
	plug_in(&f);
	f.grab_err = -EBUSY;
	seen_bind(t, 1, "gpio_keys/KEY_A", "{\"edge\":\"both\"}");
	t->ops->start(t);
	seen_state(t, 1, "another program has grabbed it");
	set_bit(&f, f.down, KEY_A, true);
	press(&f, KEY_A, 1);
	(void)seen_at(&f.seen, 0);
	(void)pthread_mutex_lock(&f.lock);
	f.grab_err = 0; /* and it is tried again */
	(void)pthread_mutex_unlock(&f.lock);
	seen_state(t, 1, NULL);
	press(&f, KEY_A, 0);
	assert_string_equal(seen_at(&f.seen, 1)->payload, "0");
	assert_non_null(strstr(seen_at(&f.seen, 1)->attrs, "time_ns=7000005000;"));
	seen_end(t);
	assert_int_equal(seen_count(&f.seen), 2);
	pull_out(&f);
}

static void only_who_wants_it_alone_grabs_a_device(void **state)
{
	struct fake f;
	struct trigger *t = begin(&f, *state);
	plug_in(&f);
	seen_bind(t, 1, "gpio_keys/KEY_A", "{\"grab\":false}");
	t->ops->start(t);
	seen_state(t, 1, NULL);
	assert_int_equal(f.grabs, 0);
	seen_bind(t, 2, "gpio_keys/KEY_S", "{}");
	seen_state(t, 2, NULL);
	(void)pthread_mutex_lock(&f.lock);
	assert_int_equal(f.grabs, 1);
	(void)pthread_mutex_unlock(&f.lock);
	t->ops->unsubscribe(t, 2);
	seen_bind(t, 3, "gpio_keys/KEY_S", "{\"grab\":false}");
	seen_state(t, 3, NULL);
	(void)pthread_mutex_lock(&f.lock);
	assert_int_equal(f.grabs, 0);
	(void)pthread_mutex_unlock(&f.lock);
	seen_end(t);
	pull_out(&f);
}

static void what_makes_no_sense_is_refused_at_once(void **state)
{
	static const char *const filters[] = {
		"",
		"gpio_keys",
		"/KEY_A",
		"gpio_keys/",
		"gpio_keys/KEY_NONE",
		"gpio_keys/#",
		"gpio_keys/768",
		"gpio_keys/-1",
		"gpio_keys/00030",
		"gpio_keys/30x",
	};
	struct fake f;
	struct trigger *t = begin(&f, *state);
	for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
		struct why why = { 0 };
		assert_int_equal(seen_subscribe(t, 1, filters[i], "{}", &why), -E_INVALID);
		assert_true(why.text[0] != '\0');
	}
	t->ops->free(t); /* never started */
}

static void names_of_keys_are_the_kernels(void **state)
{
	(void)state;
	assert_int_equal(key_code("KEY_A"), KEY_A);
	assert_int_equal(key_code("BTN_LEFT"), BTN_LEFT);
	assert_int_equal(key_code("KEY_SCREENLOCK"), KEY_COFFEE);
	assert_int_equal(key_code("0"), 0);
	assert_int_equal(key_code("767"), 767);
	assert_int_equal(key_code("EV_KEY"), -1);
	assert_int_equal(key_code("KEY_CNT"), -1);
	assert_string_equal(key_name(KEY_A), "KEY_A");
	assert_string_equal(key_name(BTN_LEFT), "BTN_LEFT");
	assert_string_equal(key_name(KEY_COFFEE), "KEY_COFFEE");
	assert_null(key_name(KEY_MAX));
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, scratch_new, scratch_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_press_is_one_event_and_repeats_are_none),
		TEST(after_an_overrun_the_state_is_read_again_and_the_loss_told),
		TEST(an_event_that_is_not_taken_is_counted_in_the_next),
		TEST(a_device_that_goes_releases_its_keys_and_is_used_when_it_comes_back),
		TEST(what_is_wrong_is_said_and_looked_at_again),
		TEST(a_key_stays_down_while_another_program_has_the_device),
		TEST(only_who_wants_it_alone_grabs_a_device),
		TEST(what_makes_no_sense_is_refused_at_once),
		cmocka_unit_test(names_of_keys_are_the_kernels),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
