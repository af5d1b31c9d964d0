/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/triggers/fake_gpio.h"

#include <poll.h>

static struct trigger *begin_trigger(struct fake *f, const char *dir)
{
	struct trigger *t;
	struct why why = { 0 };
	begin(f, dir);
	const struct trigger_sink sink = seen_as_sink(&f->seen);
	assert_int_equal(gpio_new(&f->options, &sink, &t, &why), 0);
	return t;
}

static uint64_t now_ns(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* lost: edges that the kernel saw, and threw away, before this one */
static void edge(struct fake_line *l, int level, unsigned lost, uint64_t time_ns)
{
	const struct gpio_v2_line_event e = {
		.timestamp_ns = time_ns,
		.id = level ? GPIO_V2_LINE_EVENT_RISING_EDGE : GPIO_V2_LINE_EVENT_FALLING_EDGE,
		.line_seqno = l->seqno += 1 + lost,
	};
	l->level = level;
	assert_int_equal(write(l->pipe[1], &e, sizeof(e)), sizeof(e));
}

/* Waits until nobody has it any more. */
static void is_let_go(const struct fake_line *l)
{
	struct pollfd p = { .fd = l->pipe[1] };
	assert_int_equal(poll(&p, 1, SEEN_SECONDS * 1000), 1);
	assert_true(p.revents & POLLERR);
}

/* ---- finding ---- */

static void a_line_is_found_by_its_name_or_its_chips_label_and_its_offset(void **state)
{
	static const struct {
		const char *line;
		int err;
		const char *node; /* or what is said */
		uint32_t offset;
	} rows[] = {
		{ "GPIO27", 0, "gpiochip0", 1 },
		{ "pinctrl/0", 0, "gpiochip0", 0 },
		{ "expander/3", 0, "gpiochip1", 3 },
		{ "RELAY", 0, "gpiochip1", 1 },
		{ "GPIO99", -ENOENT, "the chips here are pinctrl, expander", 0 },
		{ "relay", -ENOENT, "not there", 0 },
		{ "expander/4", -ENOENT, "lines 0 to 3 only", 0 },
		{ "expander/99999999999999999999", -ENOENT, "not there", 0 },
		{ "expander/-1", -ENOENT, "not there", 0 },
		{ "expander/", -ENOENT, "not there", 0 },
		{ "/1", -ENOENT, "not there", 0 },
		{ "gpiochip0/1", -ENOENT, "numbers of chips change", 0 },
		{ "gpiochip1", -ENOENT, "numbers of chips change", 0 },
		{ "NC", -E_EXISTS, "pinctrl/2 (gpiochip0), expander/0 (gpiochip1)", 0 },
	};
	struct fake f;
	begin(&f, *state);
	/* As Raspberry Pi OS has it, for programs that go by the old number. */
	assert_int_equal(symlink("gpiochip0", scratch_path(f.dir, "gpiochip4")), 0);
	const struct gpio_dev dev = gpio_dev_of(&f.options);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct why why = { 0 };
		struct gpio_place place = { 0 };
		int fd = -1, err = gpio_find(&dev, rows[i].line, &fd, &place, &why);
		if (err != rows[i].err || (err && !strstr(why.text, rows[i].node)))
			fail_msg("%s: %d %s", rows[i].line, err, why.text);
		if (err == 0) {
			assert_string_equal(place.node, rows[i].node);
			assert_int_equal(place.offset, rows[i].offset);
			(void)close(fd);
		}
	}
	end(&f);
}

static void two_chips_with_one_label_are_told_apart_by_nobody(void **state)
{
	struct fake f;
	struct why why = { 0 };
	struct gpio_place place;
	int fd;
	begin(&f, *state);
	f.chips[1].label = "pinctrl";
	const struct gpio_dev dev = gpio_dev_of(&f.options);
	assert_int_equal(gpio_find(&dev, "pinctrl/1", &fd, &place, &why), -E_EXISTS);
	assert_non_null(strstr(why.text, "gpiochip0"));
	assert_non_null(strstr(why.text, "gpiochip1"));
	end(&f);
}

static void what_makes_no_sense_is_refused_at_once(void **state)
{
	static const struct {
		const char *line, *options;
	} rows[] = {
		{ "", "{}" },
		{ "a line\nof a log", "{}" },
		{ "\xff\xfe", "{}" },
		{ "a name that is much longer than any that the kernel could have for a line",
		  "{}" },
		{ "GPIO17", "{\"edge\":\"sideways\"}" },
		{ "GPIO17", "{" },
	};
	struct fake f;
	struct trigger *t = begin_trigger(&f, *state);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct why why = { 0 };
		assert_int_equal(seen_subscribe(t, 1, rows[i].line, rows[i].options, &why),
				 -E_INVALID);
		assert_true(why.text[0] != '\0');
	}
	t->ops->free(t); /* never started */
	end(&f);
}

/* ---- edges ---- */

static void bindings_of_a_line_share_it_each_with_its_edges_and_polarity(void **state)
{
	struct fake f;
	struct trigger *t = begin_trigger(&f, *state);
	struct fake_line *l = &f.chips[0].lines[0];
	t->ops->start(t);
	seen_bind(t, 1, "GPIO17", "{\"edge\":\"rising\"}");
	seen_state(t, 1, NULL);
	(void)pthread_mutex_lock(&f.lock);
	assert_int_equal(l->config.flags, GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_EDGE_RISING);
	assert_true(l->buffer >= 1024);
	(void)pthread_mutex_unlock(&f.lock);
	seen_bind(t, 2, "pinctrl/0", "{\"edge\":\"rising\",\"active_low\":true}");
	seen_bind(t, 3, "GPIO17", "{}");
	seen_state(t, 3, NULL);
	edge(l, 1, 0, 5000);
	(void)seen_at(&f.seen, 1);
	edge(l, 0, 0, 6000);
	static const struct {
		uint32_t route;
		const char *topic, *payload, *attrs;
	} want[] = {
		{ 1, "GPIO17", "1", "edge=rising;sequence=1;time_ns=5000;" },
		{ 3, "GPIO17", "1", "edge=rising;sequence=1;time_ns=5000;" },
		{ 2, "pinctrl/0", "1", "edge=rising;sequence=2;time_ns=6000;" },
		{ 3, "GPIO17", "0", "edge=falling;sequence=2;time_ns=6000;" },
	};
	for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
		const struct seen_event *e = seen_at(&f.seen, i);
		assert_int_equal(e->route, want[i].route);
		assert_string_equal(e->topic, want[i].topic);
		assert_string_equal(e->payload, want[i].payload);
		assert_string_equal(e->attrs, want[i].attrs);
		assert_string_equal(e->type, "io.penstock.gpio.edge");
		assert_string_equal(e->source, "gpio");
	}
	seen_end(t);
	assert_int_equal(seen_count(&f.seen), ARRAY_LEN(want));
	end(&f);
}

static void a_line_reports_what_its_bindings_want_and_no_more(void **state)
{
	struct fake f;
	struct trigger *t = begin_trigger(&f, *state);
	struct fake_line *l = &f.chips[0].lines[0];
	t->ops->start(t);
	seen_bind(t, 1, "GPIO17", "{\"edge\":\"rising\"}");
	seen_bind(t, 2, "GPIO17", "{\"edge\":\"falling\",\"bias\":\"as-is\"}");
	seen_state(t, 2, NULL);
	edge(l, 0, 0, 1);
	(void)seen_at(&f.seen, 0);
	t->ops->unsubscribe(t, 1);
	for (bool fits = false; !fits;) {
		(void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		(void)pthread_mutex_lock(&f.lock);
		fits = l->config.flags ==
		       (GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_EDGE_FALLING);
		(void)pthread_mutex_unlock(&f.lock);
	}
	t->ops->unsubscribe(t, 2);
	is_let_go(l);
	seen_end(t);
	end(&f);
}

static void bias_and_debounce_are_the_lines_so_its_bindings_agree(void **state)
{
	static const struct {
		const char *options;
		uint64_t flag;
	} rows[] = {
		{ "{\"bias\":\"pull-up\"}", GPIO_V2_LINE_FLAG_BIAS_PULL_UP },
		{ "{\"bias\":\"pull-down\"}", GPIO_V2_LINE_FLAG_BIAS_PULL_DOWN },
		{ "{\"bias\":\"disabled\"}", GPIO_V2_LINE_FLAG_BIAS_DISABLED },
		{ "{}", 0 },
	};
	static const char *const names[] = { "GPIO17", "GPIO27", "RELAY", "expander/2" };
	struct fake f;
	struct trigger *t = begin_trigger(&f, *state);
	struct fake_line *lines[] = { &f.chips[0].lines[0], &f.chips[0].lines[1],
				      &f.chips[1].lines[1], &f.chips[1].lines[2] };
	t->ops->start(t);
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		seen_bind(t, 1 + i, names[i], rows[i].options);
		seen_state(t, 1 + i, NULL);
		(void)pthread_mutex_lock(&f.lock);
		assert_int_equal(lines[i]->config.flags,
				 GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_EDGE_RISING |
					 GPIO_V2_LINE_FLAG_EDGE_FALLING | rows[i].flag);
		(void)pthread_mutex_unlock(&f.lock);
	}
	seen_bind(t, 9, "GPIO17", "{\"bias\":\"pull-down\"}");
	seen_state(t, 9, "another bias or debounce");
	t->ops->unsubscribe(t, 1);
	seen_state(t, 9, NULL); /* now it is the only one */
	seen_end(t);
	end(&f);
}

static void a_gap_in_the_kernels_numbers_is_counted_in_the_next_event(void **state)
{
	struct fake f;
	struct trigger_status s;
	struct trigger *t = begin_trigger(&f, *state);
	struct fake_line *l = &f.chips[0].lines[0];
	seen_bind(t, 1, "GPIO17", "{}");
	t->ops->start(t);
	seen_state(t, 1, NULL);
	edge(l, 1, 2, 1); /* also before the first */
	edge(l, 0, 0, 2);
	edge(l, 1, 40, 3);
	assert_string_equal(seen_at(&f.seen, 0)->attrs,
			    "edge=rising;sequence=3;time_ns=1;missed=2;");
	assert_string_equal(seen_at(&f.seen, 1)->attrs, "edge=falling;sequence=4;time_ns=2;");
	assert_string_equal(seen_at(&f.seen, 2)->attrs,
			    "edge=rising;sequence=45;time_ns=3;missed=40;");
	t->ops->status(t, &s);
	assert_int_equal(s.missed, 42);
	/* And one that the journal does not take: with a gap before it, which is told then, too. */
	seen_refuse(&f.seen, 1);
	edge(l, 0, 4, 4);
	seen_refused(&f.seen);
	edge(l, 1, 0, 5);
	assert_string_equal(seen_at(&f.seen, 3)->attrs,
			    "edge=rising;sequence=51;time_ns=5;missed=5;");
	seen_end(t);
	end(&f);
}

static void an_edge_that_changes_nothing_tells_of_one_that_nobody_saw(void **state)
{
	static const struct {
		int level;
		unsigned lost;
		const char *missed; /* NULL: nothing */
	} rows[] = {
		{ 1, 0, NULL },        { 0, 0, NULL },        { 0, 0, "missed=1;" },
		{ 1, 2, "missed=2;" }, { 1, 1, "missed=1;" }, { 1, 2, "missed=3;" },
		{ 0, 0, NULL },
	};
	struct fake f;
	struct trigger *t = begin_trigger(&f, *state);
	seen_bind(t, 1, "GPIO17", "{}");
	seen_bind(t, 2, "GPIO27", "{\"edge\":\"rising\"}");
	t->ops->start(t);
	seen_state(t, 2, NULL);
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		edge(&f.chips[0].lines[0], rows[i].level, rows[i].lost, 1);
		const char *attrs = seen_at(&f.seen, i)->attrs;
		if (rows[i].missed)
			assert_non_null(strstr(attrs, rows[i].missed));
		else
			assert_null(strstr(attrs, "missed"));
	}
	/* Where only rises are reported, each is like the one before. */
	edge(&f.chips[0].lines[1], 1, 0, 1);
	edge(&f.chips[0].lines[1], 1, 0, 1);
	assert_null(strstr(seen_at(&f.seen, ARRAY_LEN(rows) + 1)->attrs, "missed"));
	seen_end(t);
	end(&f);
}

static void the_kernel_debounces_and_where_it_refuses_we_do(void **state)
{
	struct fake f;
	struct trigger *t = begin_trigger(&f, *state);
	struct fake_line *soft = &f.chips[0].lines[1];
	const struct gpio_v2_line_config *c = &f.chips[0].lines[0].config;
	t->ops->start(t);
	seen_bind(t, 1, "GPIO17", "{\"debounce\":\"20ms\"}");
	seen_state(t, 1, NULL);
	(void)pthread_mutex_lock(&f.lock);
	assert_int_equal(c->num_attrs, 1);
	assert_int_equal(c->attrs[0].attr.id, GPIO_V2_LINE_ATTR_ID_DEBOUNCE);
	assert_int_equal(c->attrs[0].attr.debounce_period_us, 20000);
	assert_int_equal(c->attrs[0].mask, 1);
	f.no_debounce = true;
	(void)pthread_mutex_unlock(&f.lock);
	seen_bind(t, 2, "GPIO27", "{\"debounce\":\"300ms\",\"edge\":\"rising\"}");
	seen_state(t, 2, NULL);
	(void)pthread_mutex_lock(&f.lock);
	assert_int_equal(soft->config.num_attrs, 0);
	assert_int_equal(soft->config.flags, GPIO_V2_LINE_FLAG_INPUT |
						     GPIO_V2_LINE_FLAG_EDGE_RISING |
						     GPIO_V2_LINE_FLAG_EDGE_FALLING);
	(void)pthread_mutex_unlock(&f.lock);
	/* Down again before it was steady: nothing. */
	edge(soft, 1, 0, now_ns());
	edge(soft, 0, 0, now_ns());
	for (int i = 0; i < 9; i++)
		edge(soft, (i + 1) % 2, 0, now_ns());
	assert_string_equal(seen_at(&f.seen, 0)->payload, "1");
	assert_non_null(strstr(seen_at(&f.seen, 0)->attrs, "sequence=11;"));
	seen_end(t);
	assert_int_equal(seen_count(&f.seen), 1);
	end(&f);
}

/* ---- away, busy, forbidden ---- */

static void a_chip_that_comes_back_is_used_and_what_nobody_saw_is_counted(void **state)
{
	struct fake f;
	struct trigger *t = begin_trigger(&f, *state);
	struct fake_line *l = &f.chips[2].lines[0];
	seen_bind(t, 1, "LATE", "{}");
	seen_bind(t, 2, "GPIO17", "{}");
	t->ops->start(t);
	seen_state(t, 1, "\"LATE\" is not there");
	seen_state(t, 2, NULL); /* nothing waits for it */
	plug_in(&f, 2);
	seen_state(t, 1, NULL);
	edge(l, 1, 0, 1);
	assert_string_equal(seen_at(&f.seen, 0)->attrs, "edge=rising;sequence=1;time_ns=1;");
	pull_out(&f, 2);
	seen_state(t, 1, "\"LATE\" is not there");
	l->level = 0; /* it was 1 */
	plug_in(&f, 2);
	seen_state(t, 1, NULL);
	edge(l, 1, 0, 2);
	assert_string_equal(seen_at(&f.seen, 1)->attrs,
			    "edge=rising;sequence=1;time_ns=2;missed=1;");
	seen_end(t);
	end(&f);
}

static void what_is_wrong_is_said_and_looked_at_again(void **state)
{
	static const struct {
		int open_err, take_err;
		const char *consumer, *said;
	} rows[] = {
		{ -EACCES, 0, NULL, "usermod -aG gpio penstock" },
		{ 0, 0, "onboard\tled", "\"onboard?led\" has it" },
		{ 0, 0, "penstock", "another binding or output of this gateway" },
		{ 0, 0, "", "somebody without a name has it" },
		{ 0, -EPERM, NULL, "the kernel keeps this line for itself" },
		{ 0, -ENXIO, NULL, "no interrupts here" },
		{ 0, -524, NULL, "no interrupts here" },
		{ 0, -EIO, NULL, "cannot be had as input: EIO" },
	};
	struct fake f;
	struct trigger *t = begin_trigger(&f, *state);
	t->ops->start(t);
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		(void)pthread_mutex_lock(&f.lock);
		f.open_err = rows[i].open_err;
		f.take_err = rows[i].take_err;
		f.chips[0].lines[0].consumer = rows[i].consumer;
		(void)pthread_mutex_unlock(&f.lock);
		seen_bind(t, 1, "GPIO17", "{}");
		seen_state(t, 1, rows[i].said);
		(void)pthread_mutex_lock(&f.lock);
		f.open_err = f.take_err = 0;
		f.chips[0].lines[0].consumer = NULL;
		(void)pthread_mutex_unlock(&f.lock);
		seen_state(t, 1, NULL);
		t->ops->unsubscribe(t, 1);
		is_let_go(&f.chips[0].lines[0]);
	}
	pull_out(&f, 0);
	pull_out(&f, 1);
	seen_bind(t, 1, "GPIO17", "{}");
	seen_state(t, 1, "there is no GPIO chip");
	seen_end(t);
	end(&f);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, scratch_new, scratch_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_line_is_found_by_its_name_or_its_chips_label_and_its_offset),
		TEST(two_chips_with_one_label_are_told_apart_by_nobody),
		TEST(what_makes_no_sense_is_refused_at_once),
		TEST(bindings_of_a_line_share_it_each_with_its_edges_and_polarity),
		TEST(a_line_reports_what_its_bindings_want_and_no_more),
		TEST(bias_and_debounce_are_the_lines_so_its_bindings_agree),
		TEST(a_gap_in_the_kernels_numbers_is_counted_in_the_next_event),
		TEST(an_edge_that_changes_nothing_tells_of_one_that_nobody_saw),
		TEST(the_kernel_debounces_and_where_it_refuses_we_do),
		TEST(a_chip_that_comes_back_is_used_and_what_nobody_saw_is_counted),
		TEST(what_is_wrong_is_said_and_looked_at_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
