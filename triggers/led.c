/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/led.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/own.h"
#include "base/wr.h"
#include "proto/kinds.h"
#include "triggers/guard.h"
#include "triggers/sysfs.h"

enum { TEXT_BYTES = 64, TRIGGERS_BYTES = 4096, PATH_BYTES = 4096 };

struct led {
	struct output base;
	char *name;
	char *dir;     /* its own, /sys/class/leds/NAME */
	int fd;        /* of brightness; -1: not taken, or gone */
	unsigned most; /* while fd is open */
	char initial[TEXT_BYTES], safe[TEXT_BYTES];
};

static struct led *led_of(struct output *o)
{
	return (struct led *)o;
}

/* ---- the device ---- */

static int away(const struct led *l, const char *file, int err, struct why *why)
{
	if (err == -ENOENT || err == -ENODEV || err == -ENXIO || err == -ENOTDIR)
		return why_set(
			why, -EAGAIN,
			"lamp \"%s\" is not there (%s/%s: %s): is its driver or overlay loaded? "
			"`ls %.*s` lists the names",
			l->name, l->dir, file, strerrordesc_np(-err),
			(int)(strlen(l->dir) - strlen(l->name) - 1), l->dir);
	if (err == -EACCES || err == -EPERM)
		return why_set(
			why, -EAGAIN,
			"lamp \"%s\": %s/%s: permission denied; the udev rule 60-penstock.rules "
			"gives lamps to the group penstock: is it installed, and the gateway in "
			"that group? `udevadm trigger -s leds` applies it",
			l->name, l->dir, file);
	return why_set(why, -EAGAIN, "lamp \"%s\": %s/%s: %s; it is tried again", l->name, l->dir,
		       file, strerrordesc_np(-err));
}

static void let_go(struct led *l)
{
	if (l->fd >= 0)
		(void)close(l->fd);
	l->fd = -1;
}

/* A kernel without LED triggers has no such file; one that already shows nothing is left alone. */
static int trigger_off(const struct led *l, int dir, struct why *why)
{
	char now[TRIGGERS_BYTES];
	int err = sysfs_read(dir, "trigger", now, sizeof(now));
	if (err == -ENOENT || (err == 0 && strstr(now, "[none]")))
		return 0;
	OWN_FD fd = openat(dir, "trigger", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "none", 4) != 4)
		return away(l, "trigger", -errno, why);
	return 0;
}

/* dir: open() of its folder just now, or less than 0 and errno. */
static int read_most(const struct led *l, int dir, unsigned *ret, struct why *why)
{
	char text[TEXT_BYTES], *end;
	if (dir < 0)
		return away(l, "", -errno, why);
	int err = sysfs_read(dir, "max_brightness", text, sizeof(text));
	if (err < 0)
		return away(l, "max_brightness", err, why);
	errno = 0;
	unsigned long most = strtoul(text, &end, 10);
	if (errno || end == text || *end || most == 0 || most > INT32_MAX)
		return why_set(why, -EAGAIN,
			       "lamp \"%s\": %s/max_brightness says \"%s\", which is no brightness",
			       l->name, l->dir, text);
	*ret = (unsigned)most;
	return 0;
}

static int take(struct led *l, struct why *why)
{
	unsigned most;
	if (l->fd >= 0)
		return 0;
	OWN_FD dir = open(l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = read_most(l, dir, &most, why);
	if (err < 0)
		return err;
	OWN_FD fd = openat(dir, "brightness", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return away(l, "brightness", -errno, why);
	err = trigger_off(l, dir, why);
	if (err < 0)
		return err;
	l->most = most;
	l->fd = fd_steal(&fd);
	return 0;
}

/* ---- values ---- */

static int brightness(const struct led *l, struct span value, unsigned *ret, struct why *why)
{
	double n;
	char text[TEXT_BYTES];
	size_t len = value.len < sizeof(text) ? value.len : sizeof(text) - 1;
	for (size_t i = 0; i < len; i++)
		text[i] = value.at[i] < ' ' || value.at[i] > '~' ? '?' : (char)value.at[i];
	text[len] = '\0';
	if (!kind_level_parse(value, &n))
		return why_set(why, -E_INVALID,
			       "lamp \"%s\": \"%s\" is no brightness; send 0 to %u, on or off",
			       l->name, text, l->most);
	char *word = text + strspn(text, " ?");
	if (strncasecmp(word, "on", 2) == 0 || strncasecmp(word, "true", 4) == 0)
		n = l->most;
	if (n < 0 || n > l->most || n != floor(n))
		return why_set(why, -ERANGE,
			       "lamp \"%s\" has whole brightnesses from 0 to %u, not %s", l->name,
			       l->most, text);
	*ret = (unsigned)n;
	return 0;
}

static int set(struct output *o, struct span value, struct why *why)
{
	struct led *l = led_of(o);
	char text[TEXT_BYTES];
	unsigned level;
	/* A device that went and came again has left us a descriptor that is good for nothing. */
	for (bool kept = l->fd >= 0;; kept = false) {
		int err = take(l, why);
		if (err == 0)
			err = brightness(l, value, &level, why);
		if (err < 0)
			return err;
		int n = snprintf(text, sizeof(text), "%u\n", level);
		if (pwrite(l->fd, text, (size_t)n, 0) == n)
			return 0;
		err = -errno;
		let_go(l);
		if (!kept)
			return away(l, "brightness", err, why);
	}
}

static int set_option(struct output *o, const char *value, struct why *why)
{
	if (strcmp(value, "keep") == 0)
		return 0;
	return set(o, (struct span){ (const uint8_t *)value, strlen(value) }, why);
}

static int initial(struct output *o, struct why *why)
{
	return set_option(o, led_of(o)->initial, why);
}

static int safe(struct output *o, struct why *why)
{
	return set_option(o, led_of(o)->safe, why);
}

static int probe(struct output *o, struct why *why)
{
	struct led *l = led_of(o);
	char path[PATH_BYTES];
	/* What is open may be of a device that went: is it there now? */
	(void)snprintf(path, sizeof(path), "%s/brightness", l->dir);
	if (access(path, W_OK) < 0)
		return away(l, "brightness", -errno, why);
	return 0;
}

/* Without taking it: where `initial` is `keep`, it is somebody else's before the first value. */
static bool range(struct output *o, struct output_range *ret)
{
	struct led *l = led_of(o);
	unsigned most = l->most;
	if (l->fd < 0) {
		OWN_FD dir = open(l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (read_most(l, dir, &most, NULL) < 0)
			return false;
	}
	*ret = (struct output_range){ .least = 0, .most = most, .whole = true };
	return true;
}

static bool guard(struct output *o, struct guard_action *ret)
{
	struct led *l = led_of(o);
	unsigned level;
	const struct span value = { (const uint8_t *)l->safe, strlen(l->safe) };
	if (strcmp(l->safe, "keep") == 0 || take(l, NULL) < 0 ||
	    brightness(l, value, &level, NULL) < 0)
		return false;
	ret->verb = GUARD_WRITE;
	ret->fd = l->fd;
	ret->offset = 0;
	struct wr w = wr_into(ret->bytes, sizeof(ret->bytes));
	wr_fmt(&w, "%u\n", level);
	ret->length = (uint32_t)w.len;
	return true;
}

/* ---- begin and end ---- */

static void close_led(struct output *o)
{
	struct led *l = led_of(o);
	if (!l)
		return;
	let_go(l);
	free(l->name);
	free(l->dir);
	free(l);
}

/* The lamp's own bounds are not known before it is there. */
static int option_ok(const char *name, const char *value, const char *key, struct why *why)
{
	double n;
	if (strcmp(value, "keep") == 0)
		return 0;
	if (kind_level_parse((struct span){ (const uint8_t *)value, strlen(value) }, &n) &&
	    n >= 0 && n <= INT32_MAX && n == floor(n))
		return 0;
	return why_set(why, -E_INVALID,
		       "lamp \"%s\": option %s is \"%s\": expected a brightness (0, 1, 255), on, "
		       "off or keep",
		       name, key, value);
}

static int open_led(const char *target, struct span options, const void *config,
		    struct output **ret, struct why *why)
{
	const struct led_config *c = config;
	struct kind_values v;
	if (!sysfs_name_ok(target))
		return why_set(why, -E_INVALID,
			       "\"%.80s\" is no lamp's name; /sys/class/leds lists them", target);
	int err = kind_values_read(KIND_OUTPUT, "led", options, &v, why);
	if (err < 0)
		return err;
	struct led *l = calloc(1, sizeof(*l));
	if (l) {
		l->base.ops = &output_led;
		l->fd = -1;
		l->name = strdup(target);
		if (asprintf(&l->dir, "%s/%s", c && c->dir ? c->dir : "/sys/class/leds", target) <
		    0)
			l->dir = NULL;
		(void)snprintf(l->initial, sizeof(l->initial), "%s", kind_text(&v, "initial"));
		(void)snprintf(l->safe, sizeof(l->safe), "%s", kind_text(&v, "safe"));
	}
	kind_values_free(&v);
	err = l && l->name && l->dir ? 0 : why_set(why, -ENOMEM, "out of memory");
	if (err == 0)
		err = option_ok(target, l->initial, "initial", why);
	if (err == 0)
		err = option_ok(target, l->safe, "safe", why);
	if (err < 0) {
		close_led((struct output *)l);
		return err;
	}
	*ret = &l->base;
	return 0;
}

const struct output_ops output_led = {
	.kind = "led",
	.open = open_led,
	.set = set,
	.initial = initial,
	.safe = safe,
	.probe = probe,
	.range = range,
	.guard = guard,
	.close = close_led,
};
