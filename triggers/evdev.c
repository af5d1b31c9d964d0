/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/evdev.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/own.h"
#include "base/wr.h"
#include "proto/kinds.h"
#include "triggers/feed.h"
#include "triggers/key_names.h"
#include "triggers/sysfs.h"

#include <linux/input.h> /* last: its KEY_TIME is a macro, that of proto/kinds.h is not */

_Static_assert(EVDEV_KEY_BYTES * 8 >= KEY_CNT, "a bit for each key");

enum { DEVICES_MAX = 32, NAME_BYTES = 256, READ_EVENTS = 64, ALL_KEYS = -1, FIRST_DEVICE_FD = 2 };
enum { FALLING, RISING }; /* as the value of a key event */

struct key_route {
	struct feed_route base;
	char device[NAME_BYTES];
	int code; /* ALL_KEYS: each */
	bool edges[2];
	bool grab;
	uint64_t missed; /* since its last event; the thread's */
};

struct device {
	char node[32]; /* event3 */
	char name[NAME_BYTES];
	int fd, err; /* fd -1: it cannot be opened, for err */
	bool grabbed;
	int grab_err;
	bool resync; /* the kernel's queue ran over: what is left of it is passed over, then the state is read */
	uint8_t keys[EVDEV_KEY_BYTES], down[EVDEV_KEY_BYTES];
};

struct evdev {
	struct feed base;
	const char *dev_dir, *class_dir;
	struct evdev_sys sys;
	/* the thread's */
	struct feed_route **routes;
	struct device devices[DEVICES_MAX];
	unsigned ndevices, failures;
	int watch_fd; /* inotify; -1: none */
	bool watching;
	uint64_t look_ns; /* when to look again; 0: all is there */
};

static struct key_route *key_of(struct feed_route *r)
{
	return (struct key_route *)r;
}

static bool bit(const uint8_t *bits, unsigned i)
{
	return bits[i / 8] >> (i % 8) & 1;
}

/* ---- the system ---- */

static int sys_open(void *arg, const char *path)
{
	(void)arg;
	OWN_FD fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	int clock = CLOCK_MONOTONIC;
	if (fd < 0 || ioctl(fd, EVIOCSCLOCKID, &clock) < 0)
		return -errno;
	return fd_steal(&fd);
}

static int sys_keys(void *arg, int fd, uint8_t keys[EVDEV_KEY_BYTES])
{
	(void)arg;
	return ioctl(fd, EVIOCGBIT(EV_KEY, EVDEV_KEY_BYTES), keys) < 0 ? -errno : 0;
}

static int sys_down(void *arg, int fd, uint8_t down[EVDEV_KEY_BYTES])
{
	(void)arg;
	return ioctl(fd, EVIOCGKEY(EVDEV_KEY_BYTES), down) < 0 ? -errno : 0;
}

static int sys_grab(void *arg, int fd, bool grab)
{
	(void)arg;
	return ioctl(fd, EVIOCGRAB, grab ? 1L : 0L) < 0 ? -errno : 0;
}

static const struct evdev_sys system_calls = { sys_open, sys_keys, sys_down, sys_grab, NULL };

/* ---- routes ---- */

static int read_route(struct feed *f, struct feed_route *route, const struct trigger_route *r,
		      struct why *why)
{
	struct key_route *k = key_of(route);
	struct kind_values v;
	const char *slash = strrchr(route->filter, '/');
	(void)f;
	if (!slash || slash == route->filter || slash[1] == '\0' ||
	    slash - route->filter >= NAME_BYTES)
		return why_set(why, -E_INVALID,
			       "key \"%.120s\": expected DEVICE/KEY, such as gpio_keys/KEY_F1, or "
			       "DEVICE/+ for all its keys",
			       route->filter);
	memcpy(k->device, route->filter, (size_t)(slash - route->filter));
	k->code = strcmp(slash + 1, "+") == 0 ? ALL_KEYS : key_code(slash + 1);
	if (k->code < 0 && strcmp(slash + 1, "+") != 0)
		return why_set(why, -E_INVALID,
			       "there is no key \"%.60s\": expected a name of "
			       "linux/input-event-codes.h such as KEY_F1, a number below %d, or +",
			       slash + 1, KEY_CNT);
	int err = kind_values_read(KIND_INPUT, "key", r->options, &v, why);
	if (err < 0)
		return err;
	const char *edge = kind_text(&v, "edge");
	k->edges[RISING] = strcmp(edge, "falling") != 0;
	k->edges[FALLING] = strcmp(edge, "rising") != 0;
	k->grab = kind_flag(&v, "grab");
	kind_values_free(&v);
	return 0;
}

static bool wants(const struct key_route *k, const struct device *d, unsigned code)
{
	return strcmp(k->device, d->name) == 0 && (k->code == ALL_KEYS || k->code == (int)code);
}

/* ---- events ---- */

static void attr(struct event_attr *a, const char *name, const char *value)
{
	a->name = (struct span){ (const uint8_t *)name, strlen(name) };
	a->value = (struct span){ (const uint8_t *)value, strlen(value) };
}

static void tell(struct evdev *e, struct key_route *k, unsigned code, bool down, uint64_t time_ns)
{
	struct event_attr attrs[5];
	char number[8], time[24], missed[24];
	const char *name = key_name(code);
	unsigned n = 4;
	(void)snprintf(number, sizeof(number), "%u", code);
	(void)snprintf(time, sizeof(time), "%llu", (unsigned long long)time_ns);
	(void)snprintf(missed, sizeof(missed), "%llu", (unsigned long long)k->missed);
	attr(&attrs[0], "key", name ? name : number);
	attr(&attrs[1], "code", number);
	attr(&attrs[2], "edge", down ? "rising" : "falling");
	attr(&attrs[3], "time_ns", time);
	if (k->missed)
		attr(&attrs[n++], "missed", missed);
	int err = feed_event(&e->base, &k->base, down ? "press" : "release", down ? "1" : "0",
			     attrs, n);
	k->missed = err == 0 ? 0 : k->missed + 1;
}

static void key_is(struct evdev *e, struct device *d, unsigned code, bool down, uint64_t time_ns)
{
	if (code >= KEY_CNT || bit(d->down, code) == down)
		return; /* it is told already: at the start, or after an overrun */
	d->down[code / 8] ^= (uint8_t)(1u << (code % 8));
	for (struct feed_route **r = e->routes; r && *r; r++) {
		if (wants(key_of(*r), d, code) && key_of(*r)->edges[down ? RISING : FALLING])
			tell(e, key_of(*r), code, down, time_ns);
	}
}

/* What is pressed now, against what was known: that much can be made good. */
static void keys_are(struct evdev *e, struct device *d, const uint8_t down[EVDEV_KEY_BYTES])
{
	for (unsigned code = 0; code < KEY_CNT; code++)
		key_is(e, d, code, bit(down, code), feed_now_ns());
}

static void overrun(struct evdev *e, struct device *d)
{
	uint8_t down[EVDEV_KEY_BYTES] = { 0 };
	d->resync = false;
	atomic_fetch_add(&e->base.missed, 1);
	for (struct feed_route **r = e->routes; r && *r; r++) {
		if (strcmp(key_of(*r)->device, d->name) == 0)
			key_of(*r)->missed++;
	}
	if (e->sys.down(e->sys.arg, d->fd, down) == 0)
		keys_are(e, d, down);
}

static void one_input(struct evdev *e, struct device *d, const struct input_event *in)
{
	if (in->type == EV_SYN && in->code == SYN_DROPPED)
		d->resync = true;
	else if (in->type == EV_KEY && !d->resync && (in->value == 0 || in->value == 1))
		key_is(e, d, in->code, in->value == 1,
		       (uint64_t)in->input_event_sec * 1000000000u +
			       (uint64_t)in->input_event_usec * 1000u);
}

static void device_close(struct evdev *e, struct device *d)
{
	static const uint8_t none[EVDEV_KEY_BYTES] = { 0 };
	if (d->fd >= 0)
		(void)close(d->fd);
	d->fd = -1;
	keys_are(e, d, none);
	*d = e->devices[--e->ndevices];
}

/* false: it is gone. */
static bool device_read(struct evdev *e, struct device *d)
{
	struct input_event in[READ_EVENTS];
	ssize_t n;
	while ((n = read(d->fd, in, sizeof(in))) > 0) {
		for (size_t i = 0; i < (size_t)n / sizeof(in[0]); i++)
			one_input(e, d, &in[i]);
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		return false;
	/* Not before the queue is empty: what is still in it is older than the state, and would be told after it. */
	if (d->resync && errno == EAGAIN)
		overrun(e, d);
	return true;
}

/* ---- which devices are there ---- */

static bool wanted(const struct evdev *e, const char *name)
{
	for (struct feed_route **r = e->routes; r && *r; r++) {
		if (strcmp(key_of(*r)->device, name) == 0)
			return true;
	}
	return false;
}

static struct device *device_at(struct evdev *e, const char *node)
{
	for (unsigned i = 0; i < e->ndevices; i++) {
		if (strcmp(e->devices[i].node, node) == 0)
			return &e->devices[i];
	}
	return NULL;
}

static void device_open(struct evdev *e, struct device *d)
{
	char path[PATH_MAX];
	(void)snprintf(path, sizeof(path), "%s/%s", e->dev_dir, d->node);
	OWN_FD fd = e->sys.open(e->sys.arg, path);
	d->err = fd < 0 ? fd : e->sys.keys(e->sys.arg, fd, d->keys);
	/* What is down already was pressed before anybody listened. */
	if (d->err == 0)
		d->err = e->sys.down(e->sys.arg, fd, d->down);
	if (d->err < 0)
		memset(d->down, 0, sizeof(d->down));
	else
		d->fd = fd_steal(&fd);
}

/* One that could not be opened is forgotten before each look, so that it is tried anew. */
static void look_at(struct evdev *e, const char *node)
{
	char path[PATH_MAX], name[NAME_BYTES];
	(void)snprintf(path, sizeof(path), "%s/%s/device/name", e->class_dir, node);
	if (strlen(node) >= sizeof(e->devices[0].node) || e->ndevices == DEVICES_MAX ||
	    device_at(e, node) || sysfs_read(AT_FDCWD, path, name, sizeof(name)) < 0 ||
	    !wanted(e, name))
		return;
	struct device *d = &e->devices[e->ndevices++];
	*d = (struct device){ .fd = -1 };
	(void)snprintf(d->node, sizeof(d->node), "%s", node);
	(void)snprintf(d->name, sizeof(d->name), "%s", name);
	device_open(e, d);
}

static void grab(struct evdev *e, struct device *d)
{
	bool want = false;
	for (struct feed_route **r = e->routes; r && *r; r++)
		want |= key_of(*r)->grab && strcmp(key_of(*r)->device, d->name) == 0;
	if (d->fd < 0 || want == d->grabbed)
		return;
	d->grab_err = e->sys.grab(e->sys.arg, d->fd, want);
	if (d->grab_err == 0)
		d->grabbed = want;
}

static const char *open_advice(int err)
{
	if (err == -EACCES || err == -EPERM)
		return "; input devices belong to the group input: `adduser penstock input`, and "
		       "start the gateway again";
	return "; it is tried again";
}

/* "KEY_A, KEY_S": what people may have meant. */
static void list_keys(const struct device *d, char *buf, size_t cap)
{
	struct wr w = wr_into(buf, cap - 1);
	for (unsigned code = 0; code < KEY_CNT; code++) {
		const char *name = bit(d->keys, code) ? key_name(code) : NULL;
		if (name)
			wr_fmt(&w, "%s%s", w.len ? ", " : "", name);
		if (!wr_ok(&w))
			break;
	}
	buf[w.len] = '\0';
	if (w.len == 0)
		(void)snprintf(buf, cap, "none");
}

static bool device_says(struct evdev *e, const struct device *d, struct key_route *k)
{
	char keys[200];
	if (d->fd < 0) {
		feed_says(&e->base, &k->base, "\"%s\" (%s/%s): %s%s", d->name, e->dev_dir, d->node,
			  strerrordesc_np(-d->err), open_advice(d->err));
	} else if (k->grab && !d->grabbed) {
		feed_says(
			&e->base, &k->base,
			"\"%s\" (%s/%s) is not ours alone: %s; another program has grabbed it: end "
			"that, or bind with grab=no",
			d->name, e->dev_dir, d->node, strerrordesc_np(-d->grab_err));
	} else if (k->code != ALL_KEYS && !bit(d->keys, (unsigned)k->code)) {
		list_keys(d, keys, sizeof(keys));
		feed_says(&e->base, &k->base, "\"%s\" has no such key; it has %s", d->name, keys);
	} else {
		feed_says_ok(&e->base, &k->base);
		return true;
	}
	return false;
}

/* Several devices may have one name (a keyboard and its media keys): one that has the key is enough. */
static bool route_says(struct evdev *e, struct key_route *k)
{
	const struct device *said = NULL;
	for (unsigned i = 0; i < e->ndevices; i++) {
		const struct device *d = &e->devices[i];
		if (strcmp(d->name, k->device) != 0)
			continue;
		if (!said ||
		    (d->fd >= 0 && (k->code == ALL_KEYS || bit(d->keys, (unsigned)k->code))))
			said = d;
	}
	if (said)
		return device_says(e, said, k);
	feed_says(&e->base, &k->base,
		  "no input device is named \"%s\": is it plugged in, or its overlay loaded? "
		  "`grep . %s/event*/device/name` lists those that are there",
		  k->device, e->class_dir);
	return false;
}

static void forget_unused(struct evdev *e)
{
	for (unsigned i = 0; i < e->ndevices;) {
		struct device *d = &e->devices[i];
		if (d->fd < 0 || !wanted(e, d->name))
			device_close(e, d);
		else
			i++;
	}
}

static void look(struct evdev *e)
{
	struct dirent *entry;
	bool all = true;
	forget_unused(e);
	DIR *dir = opendir(e->class_dir);
	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "event", 5) == 0)
			look_at(e, entry->d_name);
	}
	if (dir)
		(void)closedir(dir);
	for (unsigned i = 0; i < e->ndevices; i++)
		grab(e, &e->devices[i]);
	for (struct feed_route **r = e->routes; r && *r; r++)
		all &= route_says(e, key_of(*r));
	e->failures = all ? 0 : e->failures + 1;
	e->look_ns = all ? 0 : feed_now_ns() + feed_pause_ns(e->failures);
}

/* ---- the thread ---- */

/* Nodes come and go, and udev changes who may open them, a moment after. */
static void watch(struct evdev *e)
{
	if (e->watch_fd < 0)
		e->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (!e->watching && e->watch_fd >= 0)
		e->watching = inotify_add_watch(e->watch_fd, e->dev_dir,
						IN_CREATE | IN_DELETE | IN_ATTRIB | IN_MOVED_TO |
							IN_ONLYDIR) >= 0;
}

static bool watch_read(struct evdev *e)
{
	_Alignas(struct inotify_event) char buf[4096];
	bool any = false;
	ssize_t n;
	while ((n = read(e->watch_fd, buf, sizeof(buf))) > 0) {
		for (char *at = buf; at < buf + n;) {
			const struct inotify_event *ev = (const struct inotify_event *)at;
			e->watching &= !(ev->mask & IN_IGNORED); /* the directory itself went */
			at += sizeof(*ev) + ev->len;
		}
		any = true;
	}
	return any;
}

static bool read_devices(struct evdev *e, const struct pollfd *fds, unsigned n)
{
	bool gone = false;
	/* From the end, because closing one moves the last to its place. */
	for (unsigned i = n; i-- > 0;) {
		struct device *d = &e->devices[i];
		if (d->fd < 0 || !fds[FIRST_DEVICE_FD + i].revents || device_read(e, d))
			continue;
		device_close(e, d);
		gone = true;
	}
	return gone;
}

static void run(struct feed *f)
{
	struct evdev *e = (struct evdev *)f;
	struct pollfd fds[FIRST_DEVICE_FD + DEVICES_MAX];
	bool again = true;
	do {
		struct feed_route **list;
		if (feed_changed(f, &list)) {
			feed_drop(&e->base, e->routes);
			e->routes = list;
			e->failures = 0;
			again = true;
		}
		watch(e);
		if (again || (e->look_ns && feed_now_ns() >= e->look_ns))
			look(e);
		fds[1] = (struct pollfd){ .fd = e->watch_fd, .events = POLLIN };
		unsigned n = e->ndevices;
		for (unsigned i = 0; i < n; i++)
			fds[FIRST_DEVICE_FD + i] =
				(struct pollfd){ .fd = e->devices[i].fd, .events = POLLIN };
		if (!feed_wait(f, fds, FIRST_DEVICE_FD + n, e->look_ns))
			break;
		again = fds[1].revents && watch_read(e);
		again |= read_devices(e, fds, n);
	} while (true);
}

static void fini(struct feed *f)
{
	struct evdev *e = (struct evdev *)f;
	while (e->ndevices > 0)
		device_close(e, &e->devices[e->ndevices - 1]);
	if (e->watch_fd >= 0)
		(void)close(e->watch_fd);
	feed_drop(&e->base, e->routes);
}

static const struct feed_ops ops = {
	.trigger = FEED_TRIGGER_OPS("key"),
	.type = "io.penstock.key",
	.route_bytes = sizeof(struct key_route),
	.read = read_route,
	.run = run,
	.fini = fini,
};

int evdev_new(const struct evdev_options *o, const struct trigger_sink *sink, struct trigger **ret,
	      struct why *why)
{
	struct feed *f;
	int err = feed_new(&ops, sizeof(struct evdev), NULL, sink, &f, why);
	if (err < 0)
		return err;
	struct evdev *e = (struct evdev *)f;
	e->dev_dir = o && o->dev_dir ? o->dev_dir : "/dev/input";
	e->class_dir = o && o->class_dir ? o->class_dir : "/sys/class/input";
	e->sys = o && o->sys ? *o->sys : system_calls;
	e->watch_fd = -1;
	*ret = &f->base;
	return 0;
}
