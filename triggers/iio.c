/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/iio.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "proto/kinds.h"
#include "triggers/feed.h"
#include "triggers/sysfs.h"

enum { NAME_BYTES = 256, TEXT_BYTES = 64 };

/* The files of a channel. SCALE and OFFSET only where the device has them, of in_..._raw. */
enum part { VALUE, SCALE, OFFSET, PARTS };

struct sensor {
	struct feed_route base;
	char device[NAME_BYTES], channel[NAME_BYTES];
	uint64_t every_ns;
	double deadband;
	/* the thread's */
	int fd[PARTS]; /* 0: none, which is standard input's; VALUE: the channel was found */
	uint64_t due_ns;
	unsigned failures;
	bool told;
	double last; /* that was told */
	uint64_t missed;
};

struct iio {
	struct feed base;
	const char *dir;
	struct feed_route **routes; /* the thread's */
};

static struct sensor *sensor_of(struct feed_route *r)
{
	return (struct sensor *)r;
}

static int read_route(struct feed *f, struct feed_route *route, const struct trigger_route *r,
		      struct why *why)
{
	struct sensor *s = sensor_of(route);
	struct kind_values v;
	const char *slash = strrchr(route->filter, '/');
	(void)f;
	if (!slash || slash == route->filter || slash - route->filter >= NAME_BYTES ||
	    !sysfs_name_ok(slash + 1))
		return why_set(why, -E_INVALID,
			       "sensor \"%.120s\": expected DEVICE/CHANNEL, such as "
			       "ltr303/in_illuminance_input",
			       route->filter);
	memcpy(s->device, route->filter, (size_t)(slash - route->filter));
	(void)snprintf(s->channel, sizeof(s->channel), "%s", slash + 1);
	int err = kind_values_read(KIND_INPUT, "sensor", r->options, &v, why);
	if (err < 0)
		return err;
	s->every_ns = kind_ms(&v, "every") * 1000000u;
	s->deadband = kind_number(&v, "deadband");
	kind_values_free(&v);
	return 0;
}

static void let_go(struct feed_route *r)
{
	struct sensor *s = sensor_of(r);
	for (unsigned i = 0; i < PARTS; i++) {
		if (s->fd[i] > 0)
			(void)close(s->fd[i]);
		s->fd[i] = 0;
	}
}

/* ---- the device ---- */

static bool is_named(int dir, const char *want)
{
	static const char *const files[] = { "name", "label" };
	char name[NAME_BYTES];
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		if (sysfs_read(dir, files[i], name, sizeof(name)) == 0 && strcmp(name, want) == 0)
			return true;
	}
	return false;
}

/* Of several the first, whose number is the lowest: a descriptor of its directory. */
static int device_open(const struct iio *t, const char *name, char node[NAME_BYTES])
{
	struct dirent **entry = NULL;
	int n = scandir(t->dir, &entry, NULL, versionsort), found = n < 0 ? -errno : -ENOENT;
	for (int i = 0; i < n; i++) {
		char path[2 * NAME_BYTES + 4096];
		(void)snprintf(path, sizeof(path), "%s/%s", t->dir, entry[i]->d_name);
		OWN_FD dir = found < 0 && entry[i]->d_name[0] != '.'
				     ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
				     : -1;
		if (dir >= 0 && is_named(dir, name)) {
			(void)snprintf(node, NAME_BYTES, "%s", entry[i]->d_name);
			found = fd_steal(&dir);
		}
		free(entry[i]);
	}
	free(entry);
	return found;
}

static int part_open_as(int dir, const char *stem, const char *part)
{
	char file[NAME_BYTES + 16];
	(void)snprintf(file, sizeof(file), "%s_%s", stem, part);
	return openat(dir, file, O_RDONLY | O_CLOEXEC);
}

static void without_digits(const char *from, char *to)
{
	for (; *from; from++) {
		if (!isdigit((unsigned char)*from))
			*to++ = *from;
	}
	*to = '\0';
}

/* A channel's own, or the one that all of its type share: in_voltage0_scale, in_voltage_scale; in_accel_x_scale,
 * in_accel_scale. 0: none. */
static int part_open(int dir, const char *channel, const char *part)
{
	char stem[NAME_BYTES], shared[NAME_BYTES];
	(void)snprintf(stem, sizeof(stem), "%s", channel);
	for (char *end; (end = strrchr(stem, '_'));) {
		*end = '\0';
		without_digits(stem, shared);
		int fd = part_open_as(dir, stem, part);
		if (fd < 0)
			fd = part_open_as(dir, shared, part);
		if (fd > 0)
			return fd;
	}
	return 0;
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);
	return n > m && strcmp(s + n - m, end) == 0;
}

static bool channel_open(struct iio *t, struct sensor *s)
{
	char node[NAME_BYTES];
	OWN_FD dir = device_open(t, s->device, node);
	if (dir < 0) {
		feed_says(&t->base, &s->base,
			  "no sensor is named \"%s\": is its driver or overlay loaded? `grep . "
			  "%s/*/name` lists those that are there",
			  s->device, t->dir);
		return false;
	}
	int fd = openat(dir, s->channel, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		feed_says(&t->base, &s->base,
			  "sensor \"%s\": %s/%s/%s: %s; `ls %s/%s` lists its channels", s->device,
			  t->dir, node, s->channel, strerrordesc_np(errno), t->dir, node);
		return false;
	}
	s->fd[VALUE] = fd;
	if (ends_with(s->channel, "_raw")) {
		s->fd[SCALE] = part_open(dir, s->channel, "scale");
		s->fd[OFFSET] = part_open(dir, s->channel, "offset");
	}
	return true;
}

/* ---- one reading ---- */

/* 0, -errno, or -E_INVALID: it is no number, text has it. */
static int number_read(int fd, char text[TEXT_BYTES], double *ret)
{
	char *end;
	int err = sysfs_read_fd(fd, text, TEXT_BYTES);
	if (err < 0)
		return err;
	*ret = strtod(text, &end);
	return end != text && *end == '\0' && isfinite(*ret) ? 0 : -E_INVALID;
}

static int value_read(const struct sensor *s, char text[TEXT_BYTES], double *ret)
{
	double part[PARTS] = { 0, 1, 0 };
	for (unsigned i = 0; i < PARTS; i++) {
		int err = s->fd[i] > 0 ? number_read(s->fd[i], text, &part[i]) : 0;
		if (err < 0)
			return err;
	}
	*ret = (part[VALUE] + part[OFFSET]) * part[SCALE];
	return isfinite(*ret) ? 0 : -E_INVALID;
}

static void tell(struct iio *t, struct sensor *s, double value, uint64_t now_ns)
{
	char payload[32], time[24], missed[24];
	(void)snprintf(payload, sizeof(payload), "%.15g", value == 0 ? 0 : value); /* not "-0" */
	int n = snprintf(time, sizeof(time), "%llu", (unsigned long long)now_ns);
	int m = snprintf(missed, sizeof(missed), "%llu", (unsigned long long)s->missed);
	const struct event_attr attrs[] = {
		{ { (const uint8_t *)"time_ns", 7 }, { (const uint8_t *)time, (size_t)n } },
		{ { (const uint8_t *)"missed", 6 }, { (const uint8_t *)missed, (size_t)m } },
	};
	if (feed_event(&t->base, &s->base, "reading", payload, attrs, s->missed ? 2 : 1) < 0) {
		s->missed++;
		return;
	}
	s->missed = 0;
	s->told = true;
	s->last = value;
}

static bool sample(struct iio *t, struct sensor *s, uint64_t now_ns)
{
	char text[TEXT_BYTES] = "";
	double value;
	if (s->fd[VALUE] <= 0 && !channel_open(t, s))
		return false;
	int err = value_read(s, text, &value);
	if (err == -E_INVALID) {
		feed_says(&t->base, &s->base, "sensor \"%s\": %s says \"%s\", which is no number",
			  s->device, s->channel, text);
		return false;
	}
	if (err < 0) {
		feed_says(&t->base, &s->base, "sensor \"%s\": %s: %s; it is read again", s->device,
			  s->channel, strerrordesc_np(-err));
		let_go(&s->base); /* it may have gone, and come again with another number */
		return false;
	}
	feed_says_ok(&t->base, &s->base);
	if (!s->told || s->deadband == 0 || fabs(value - s->last) >= s->deadband)
		tell(t, s, value, now_ns);
	return true;
}

/* ---- the thread ---- */

/* Those of one period fall on the same moments, whenever they were bound, so that a device's channels are read
 * together. */
static void turn(struct iio *t, uint64_t now_ns, uint64_t *ret_next_ns)
{
	*ret_next_ns = 0;
	for (struct feed_route **r = t->routes; r && *r && !feed_stopping(&t->base); r++) {
		struct sensor *s = sensor_of(*r);
		if (s->due_ns <= now_ns) {
			if (s->due_ns && s->failures == 0)
				atomic_fetch_add(&t->base.missed,
						 (now_ns - s->due_ns) / s->every_ns);
			s->failures = sample(t, s, now_ns) ? 0 : s->failures + 1;
			s->due_ns = s->failures ? now_ns + feed_pause_ns(s->failures)
						: (now_ns / s->every_ns + 1) * s->every_ns;
		}
		if (*ret_next_ns == 0 || s->due_ns < *ret_next_ns)
			*ret_next_ns = s->due_ns;
	}
}

static void run(struct feed *f)
{
	struct iio *t = (struct iio *)f;
	struct pollfd fds[1];
	uint64_t next_ns;
	do {
		struct feed_route **list;
		if (feed_changed(f, &list)) {
			feed_drop(f, t->routes);
			t->routes = list;
		}
		turn(t, feed_now_ns(), &next_ns);
	} while (feed_wait(f, fds, 1, next_ns));
}

static void fini(struct feed *f)
{
	feed_drop(f, ((struct iio *)f)->routes);
}

static const struct feed_ops ops = {
	.trigger = FEED_TRIGGER_OPS("sensor"),
	.type = "io.penstock.sensor",
	.route_bytes = sizeof(struct sensor),
	.read = read_route,
	.drop = let_go,
	.run = run,
	.fini = fini,
};

int iio_new(const char *dir, const struct trigger_sink *sink, struct trigger **ret, struct why *why)
{
	struct feed *f;
	int err = feed_new(&ops, sizeof(struct iio), NULL, sink, &f, why);
	if (err < 0)
		return err;
	((struct iio *)f)->dir = dir ? dir : "/sys/bus/iio/devices";
	*ret = &f->base;
	return 0;
}
