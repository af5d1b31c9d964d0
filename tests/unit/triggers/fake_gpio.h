/* SPDX-License-Identifier: Apache-2.0 */
/* Chips are files here and lines are pipes; this is the kernel's side of the ioctls. Real ones: tests/vm/gpio.sh. */
#ifndef TESTS_UNIT_TRIGGERS_FAKE_GPIO_H
#define TESTS_UNIT_TRIGGERS_FAKE_GPIO_H

#include "tests/unit/triggers/seen.h"

#include "triggers/gpio.h"

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

static inline void plug_in(struct fake *f, unsigned c)
{
	struct stat st;
	const char *path = scratch_path(f->dir, f->chips[c].node);
	(void)pthread_mutex_lock(&f->lock);
	scratch_write(path, "", 0);
	assert_int_equal(stat(path, &st), 0);
	f->chips[c].ino = st.st_ino;
	(void)pthread_mutex_unlock(&f->lock);
}

static inline void pull_out(struct fake *f, unsigned c)
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

static inline void begin(struct fake *f, const char *dir)
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

static inline void end(struct fake *f)
{
	for (unsigned c = 0; c < CHIPS; c++)
		pull_out(f, c);
}

#endif
