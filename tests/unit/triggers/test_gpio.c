/* SPDX-License-Identifier: Apache-2.0 */
/* Chips are files here and lines are pipes; the kernel's side of the ioctls is below. Real ones: tests/vm/gpio.sh. */
#include "tests/unit/triggers/seen.h"

#include <poll.h>

#include "triggers/gpio.h"
#include "triggers/guard.h"

enum { CHIPS = 3, LINES = 4 };

struct fake_line {
	const char *name, *consumer; /* consumer: it is somebody's */
	int level;
	/* while it is had: */
	int pipe[2]; /* 0: it is not */
	ino_t ino;
	struct gpio_v2_line_config config;
	uint32_t buffer, seqno;
	unsigned configured;
};

struct fake {
	char dir[200];
	pthread_mutex_t lock;
	struct gpio_options options;
	struct gpio_sys sys;
	struct seen seen;
	int open_err, take_err;
	bool no_debounce;
	struct {
		const char *node, *label;
		ino_t ino;
		struct fake_line lines[LINES];
	} chips[CHIPS];
};

static struct fake_line *line_of(struct fake *f, ino_t ino)
{
	for (unsigned i = 0; i < CHIPS * LINES; i++) {
		struct fake_line *l = &f->chips[i / LINES].lines[i % LINES];
		if (l->pipe[1] && l->ino == ino)
			return l;
	}
	return NULL;
}

static int chip_ioctl(struct fake *f, unsigned c, unsigned long request, void *value)
{
	struct gpiochip_info *chip = value;
	struct gpio_v2_line_info *info = value;
	struct gpio_v2_line_request *r = value;
	if (request == GPIO_GET_CHIPINFO_IOCTL) {
		chip->lines = LINES;
		memcpy(chip->label, f->chips[c].label, strlen(f->chips[c].label));
		return 0;
	}
	struct fake_line *l =
		&f->chips[c].lines[request == GPIO_V2_GET_LINEINFO_IOCTL ? info->offset
									 : r->offsets[0]];
	if (request == GPIO_V2_GET_LINEINFO_IOCTL) {
		if (l->name)
			memcpy(info->name, l->name, strlen(l->name));
		if (l->consumer || l->pipe[1])
			info->flags = GPIO_V2_LINE_FLAG_USED;
		if (l->consumer)
			memcpy(info->consumer, l->consumer, strlen(l->consumer));
		return 0;
	}
	assert_int_equal(request, GPIO_V2_GET_LINE_IOCTL);
	assert_int_equal(r->num_lines, 1);
	if (l->consumer || f->take_err)
		return l->consumer ? -EBUSY : f->take_err;
	if (r->config.num_attrs && f->no_debounce &&
	    r->config.attrs[0].attr.id == GPIO_V2_LINE_ATTR_ID_DEBOUNCE)
		return -EINVAL;
	struct stat st;
	if (l->pipe[1])
		(void)close(l->pipe[1]);
	assert_int_equal(pipe2(l->pipe, O_CLOEXEC), 0);
	assert_int_equal(fstat(l->pipe[0], &st), 0);
	l->ino = st.st_ino;
	l->config = r->config;
	l->buffer = r->event_buffer_size;
	l->seqno = 0;
	r->fd = l->pipe[0];
	if (r->config.flags & GPIO_V2_LINE_FLAG_OUTPUT)
		l->level = (int)r->config.attrs[0].attr.values;
	return 0;
}

static int line_ioctl(struct fake_line *l, unsigned long request, void *value)
{
	struct gpio_v2_line_values *v = value;
	if (request == GPIO_V2_LINE_GET_VALUES_IOCTL) {
		v->bits = (uint64_t)l->level;
	} else if (request == GPIO_V2_LINE_SET_VALUES_IOCTL) {
		assert_int_equal(v->mask, 1);
		l->level = (int)v->bits;
	} else {
		assert_int_equal(request, GPIO_V2_LINE_SET_CONFIG_IOCTL);
		l->config = *(struct gpio_v2_line_config *)value;
		l->configured++;
	}
	return 0;
}

static int fake_ioctl(void *arg, int fd, unsigned long request, void *value)
{
	struct fake *f = arg;
	struct stat st;
	int err = -ENODEV;
	assert_int_equal(fstat(fd, &st), 0);
	(void)pthread_mutex_lock(&f->lock);
	struct fake_line *l = S_ISFIFO(st.st_mode) ? line_of(f, st.st_ino) : NULL;
	if (l)
		err = line_ioctl(l, request, value);
	for (unsigned c = 0; S_ISREG(st.st_mode) && c < CHIPS; c++) {
		if (f->chips[c].ino == st.st_ino)
			err = chip_ioctl(f, c, request, value);
	}
	(void)pthread_mutex_unlock(&f->lock);
	return err;
}

static int fake_open(void *arg, const char *path)
{
	struct fake *f = arg;
	(void)pthread_mutex_lock(&f->lock);
	int err = f->open_err;
	(void)pthread_mutex_unlock(&f->lock);
	int fd = err ? err : open(path, O_RDWR | O_CLOEXEC);
	return fd == -1 ? -errno : fd;
}

static void plug_in(struct fake *f, unsigned c)
{
	struct stat st;
	const char *path = scratch_path(f->dir, f->chips[c].node);
	(void)pthread_mutex_lock(&f->lock);
	scratch_write(path, "", 0);
	assert_int_equal(stat(path, &st), 0);
	f->chips[c].ino = st.st_ino;
	(void)pthread_mutex_unlock(&f->lock);
}

static void pull_out(struct fake *f, unsigned c)
{
	(void)pthread_mutex_lock(&f->lock);
	(void)remove(scratch_path(f->dir, f->chips[c].node));
	f->chips[c].ino = 0;
	for (unsigned i = 0; i < LINES; i++) {
		struct fake_line *l = &f->chips[c].lines[i];
		if (l->pipe[1])
			(void)close(l->pipe[1]); /* the end of the file, to who reads */
		l->pipe[1] = 0;
	}
	(void)pthread_mutex_unlock(&f->lock);
}

static void begin(struct fake *f, const char *dir)
{
	*f = (struct fake){
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.chips = { { "gpiochip0",
			     "pinctrl",
			     0,
			     { { .name = "GPIO17" }, { .name = "GPIO27" }, { .name = "NC" } } },
			   { "gpiochip1",
			     "expander",
			     0,
			     { { .name = "NC" }, { .name = "RELAY" } } },
			   { "gpiochip12", "late", 0, { { .name = "LATE" } } } },
	};
	(void)snprintf(f->dir, sizeof(f->dir), "%s", dir);
	f->sys = (struct gpio_sys){ fake_open, fake_ioctl, f };
	f->options = (struct gpio_options){ f->dir, &f->sys };
	seen_init(&f->seen);
	plug_in(f, 0);
	plug_in(f, 1);
}

static struct trigger *begin_trigger(struct fake *f, const char *dir)
{
	struct trigger *t;
	struct why why = { 0 };
	begin(f, dir);
	const struct trigger_sink sink = seen_as_sink(&f->seen);
	assert_int_equal(gpio_new(&f->options, &sink, &t, &why), 0);
	return t;
}

static void end(struct fake *f)
{
	for (unsigned c = 0; c < CHIPS; c++)
		pull_out(f, c);
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
	edge(l, 0, 5, 4);
	seen_refused(&f.seen);
	edge(l, 1, 0, 5);
	assert_string_equal(seen_at(&f.seen, 3)->attrs,
			    "edge=rising;sequence=52;time_ns=5;missed=6;");
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

/* ---- outputs ---- */

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
		TEST(a_line_is_found_by_its_name_or_its_chips_label_and_its_offset),
		TEST(two_chips_with_one_label_are_told_apart_by_nobody),
		TEST(what_makes_no_sense_is_refused_at_once),
		TEST(bindings_of_a_line_share_it_each_with_its_edges_and_polarity),
		TEST(a_line_reports_what_its_bindings_want_and_no_more),
		TEST(bias_and_debounce_are_the_lines_so_its_bindings_agree),
		TEST(a_gap_in_the_kernels_numbers_is_counted_in_the_next_event),
		TEST(the_kernel_debounces_and_where_it_refuses_we_do),
		TEST(a_chip_that_comes_back_is_used_and_what_nobody_saw_is_counted),
		TEST(what_is_wrong_is_said_and_looked_at_again),
		TEST(an_output_is_a_level_from_its_first_moment_to_its_safe_one),
		TEST(a_value_that_is_no_level_is_refused),
		TEST(an_output_that_is_away_or_busy_is_to_be_tried_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
