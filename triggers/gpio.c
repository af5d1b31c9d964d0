/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/gpio.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/own.h"
#include "proto/kinds.h"
#include "triggers/feed.h"

enum { LINES_MAX = 256, READ_EDGES = 64, FIRST_LINE_FD = 2, UNKNOWN = -1 };

static const uint64_t edge_flags[] = { GPIO_V2_LINE_FLAG_EDGE_FALLING,
				       GPIO_V2_LINE_FLAG_EDGE_RISING }; /* by level */
static const uint64_t both_edges = GPIO_V2_LINE_FLAG_EDGE_FALLING | GPIO_V2_LINE_FLAG_EDGE_RISING;

struct line { /* that we have; levels are the voltage's, each binding has its own polarity */
	int fd;
	struct gpio_place place;
	uint64_t bias, flags; /* flags: as the kernel was told */
	uint32_t debounce_us;
	bool soft;                        /* the kernel refuses to debounce */
	int level;                        /* what the bindings were told, UNKNOWN at first */
	uint32_t seqno;                   /* of its last edge; 0: none yet */
	struct gpio_v2_line_event bounce; /* soft: counts when nothing comes before settle_ns */
	uint64_t settle_ns;               /* 0: there is none */
};

struct gpio_route {
	struct feed_route base;
	bool edges[2]; /* which are told, by level as the binding sees it */
	bool active_low;
	uint64_t bias;
	uint32_t debounce_us;
	/* the thread's */
	struct line *line; /* NULL: not had */
	int was;           /* the level when it was lost */
	uint64_t missed;   /* since its last event */
};

struct gpio {
	struct feed base;
	struct gpio_dev dev;
	/* the thread's */
	struct feed_route **routes;
	struct line lines[LINES_MAX]; /* those with a descriptor are had */
	unsigned nlines;              /* no more were ever had at once */
	unsigned failures;
	int watch_fd;     /* inotify; -1: none */
	uint64_t look_ns; /* when to look again; 0: all is there */
};

static struct gpio_route *gpio_of(struct feed_route *r)
{
	return (struct gpio_route *)r;
}

/* ---- routes ---- */

static uint64_t bias_flag(const char *name)
{
	static const struct {
		const char *name;
		uint64_t flag;
	} biases[] = { { "pull-up", GPIO_V2_LINE_FLAG_BIAS_PULL_UP },
		       { "pull-down", GPIO_V2_LINE_FLAG_BIAS_PULL_DOWN },
		       { "disabled", GPIO_V2_LINE_FLAG_BIAS_DISABLED } };
	for (size_t i = 0; i < ARRAY_LEN(biases); i++) {
		if (strcmp(biases[i].name, name) == 0)
			return biases[i].flag;
	}
	return 0; /* as-is */
}

static int read_route(struct feed *f, struct feed_route *route, const struct trigger_route *r,
		      struct why *why)
{
	struct gpio_route *g = gpio_of(route);
	struct kind_values v;
	(void)f;
	int err = gpio_name_check(route->filter, why);
	if (err == 0)
		err = kind_values_read(KIND_INPUT, "gpio", r->options, &v, why);
	if (err < 0)
		return err;
	const char *edge = kind_text(&v, "edge");
	g->edges[1] = strcmp(edge, "falling") != 0;
	g->edges[0] = strcmp(edge, "rising") != 0;
	g->active_low = kind_flag(&v, "active_low");
	g->bias = bias_flag(kind_text(&v, "bias"));
	g->debounce_us = (uint32_t)kind_ms(&v, "debounce") * 1000u;
	g->was = UNKNOWN;
	kind_values_free(&v);
	return 0;
}

/* ---- edges ---- */

static void attr(struct event_attr *a, const char *name, const char *value)
{
	a->name = (struct span){ (const uint8_t *)name, strlen(name) };
	a->value = (struct span){ (const uint8_t *)value, strlen(value) };
}

static void tell_route(struct gpio *g, struct gpio_route *r, const struct gpio_v2_line_event *e,
		       int level)
{
	struct event_attr attrs[4];
	char sequence[16], time[24], missed[24];
	unsigned n = 3;
	(void)snprintf(sequence, sizeof(sequence), "%u", e->line_seqno);
	(void)snprintf(time, sizeof(time), "%llu", (unsigned long long)e->timestamp_ns);
	(void)snprintf(missed, sizeof(missed), "%llu", (unsigned long long)r->missed);
	attr(&attrs[0], "edge", level ? "rising" : "falling");
	attr(&attrs[1], "sequence", sequence);
	attr(&attrs[2], "time_ns", time);
	if (r->missed)
		attr(&attrs[n++], "missed", missed);
	int err = feed_event(&g->base, &r->base, "edge", level ? "1" : "0", attrs, n);
	r->missed = err == 0 ? 0 : r->missed + 1;
}

static void tell(struct gpio *g, struct line *l, const struct gpio_v2_line_event *e)
{
	int level = e->id == GPIO_V2_LINE_EVENT_RISING_EDGE;
	l->level = level;
	for (struct feed_route **at = g->routes; at && *at; at++) {
		struct gpio_route *r = gpio_of(*at);
		if (r->line == l && r->edges[level ^ r->active_low])
			tell_route(g, r, e, level ^ r->active_low);
	}
}

static void missed(struct gpio *g, const struct line *l, uint32_t n)
{
	atomic_fetch_add(&g->base.missed, n);
	for (struct feed_route **at = g->routes; at && *at; at++) {
		if (gpio_of(*at)->line == l)
			gpio_of(*at)->missed += n;
	}
}

static void edge_came(struct gpio *g, struct line *l, const struct gpio_v2_line_event *e)
{
	/* The kernel numbers edges, then queues them, and throws away the oldest. */
	uint32_t gap = e->line_seqno - l->seqno - 1;
	if (gap > INT32_MAX)
		gap = 0;
	/* Of two that come quickly it can see one: that has a number, but the level has not changed. */
	int level = e->id == GPIO_V2_LINE_EVENT_RISING_EDGE;
	if (!l->soft && (l->flags & both_edges) == both_edges && l->seqno && l->level != UNKNOWN &&
	    level != (l->level ^ (int)((gap + 1) & 1)))
		gap++;
	l->seqno = e->line_seqno;
	if (gap > 0)
		missed(g, l, gap);
	if (!l->soft) {
		tell(g, l, e);
		return;
	}
	l->bounce = *e;
	l->settle_ns = e->timestamp_ns + (uint64_t)l->debounce_us * 1000u;
}

/* Edges that came in the meantime must have been read. */
static void settle(struct gpio *g, struct line *l, uint64_t now_ns)
{
	if (l->settle_ns == 0 || now_ns < l->settle_ns)
		return;
	l->settle_ns = 0;
	if (l->level != (l->bounce.id == GPIO_V2_LINE_EVENT_RISING_EDGE))
		tell(g, l, &l->bounce);
}

/* false: it is gone. */
static bool line_read(struct gpio *g, struct line *l, short revents)
{
	struct gpio_v2_line_event e[READ_EDGES];
	ssize_t n = read(l->fd, e, sizeof(e));
	if (n < 0)
		return (errno == EAGAIN || errno == EINTR) &&
		       !(revents & (POLLERR | POLLHUP | POLLNVAL));
	for (size_t i = 0; i < (size_t)n / sizeof(e[0]); i++)
		edge_came(g, l, &e[i]);
	return n > 0;
}

/* ---- lines ---- */

static struct gpio_v2_line_config config_of(const struct line *l)
{
	struct gpio_v2_line_config c = { .flags = l->flags };
	if (l->debounce_us && !l->soft) {
		c.num_attrs = 1;
		c.attrs[0].mask = 1;
		c.attrs[0].attr.id = GPIO_V2_LINE_ATTR_ID_DEBOUNCE;
		c.attrs[0].attr.debounce_period_us = l->debounce_us;
	}
	return c;
}

/* What all its bindings together want; only that, so that the kernel's numbers have no gaps for one of them. */
static uint64_t wanted_flags(const struct gpio *g, const struct line *l, bool *ret_any)
{
	uint64_t flags = GPIO_V2_LINE_FLAG_INPUT | l->bias | (l->soft ? both_edges : 0);
	*ret_any = false;
	for (struct feed_route **at = g->routes; at && *at; at++) {
		const struct gpio_route *r = gpio_of(*at);
		if (r->line != l)
			continue;
		*ret_any = true;
		for (int level = 0; level < 2; level++)
			flags |= r->edges[level] ? edge_flags[level ^ r->active_low] : 0;
	}
	return flags;
}

static void line_close(struct gpio *g, struct line *l)
{
	for (struct feed_route **at = g->routes; at && *at; at++) {
		struct gpio_route *r = gpio_of(*at);
		if (r->line != l)
			continue;
		r->line = NULL;
		r->was = (l->flags & both_edges) == both_edges ? l->level : UNKNOWN;
	}
	(void)close(l->fd);
	l->fd = -1;
}

/* After a change of bindings: lines that nobody wants go, others change the edges that they report. */
static bool lines_fit(struct gpio *g)
{
	bool all = true;
	for (struct line *l = g->lines; l < g->lines + g->nlines; l++) {
		bool any;
		if (l->fd < 0)
			continue;
		uint64_t flags = wanted_flags(g, l, &any);
		bool same = flags == l->flags;
		l->flags = flags;
		l->level = same ? l->level : UNKNOWN;
		struct gpio_v2_line_config c = config_of(l);
		bool fits = same || g->dev.sys.ioctl(g->dev.sys.arg, l->fd,
						     GPIO_V2_LINE_SET_CONFIG_IOCTL, &c) == 0;
		if (!any || !fits)
			line_close(g, l);
		all &= !any || fits;
	}
	return all;
}

static int line_take(struct gpio *g, struct line *l, struct gpio_route *r, int chip_fd,
		     struct why *why)
{
	struct why first = { 0 };
	bool any;
	l->flags = wanted_flags(g, l, &any);
	struct gpio_v2_line_config c = config_of(l);
	int err = gpio_take(&g->dev, r->base.filter, chip_fd, &l->place, &c, &l->fd, &first);
	if (err < 0 && err != -EBUSY && l->debounce_us) {
		l->soft = true;
		l->flags = wanted_flags(g, l, &any);
		c = config_of(l);
		err = gpio_take(&g->dev, r->base.filter, chip_fd, &l->place, &c, &l->fd, &first);
	}
	if (err < 0)
		return why_set(why, err, "%s", first.text);
	l->level = gpio_level(&g->dev, l->fd);
	/* It was away, and is not as it was: at least one edge nobody saw. */
	if (r->was != UNKNOWN && l->level >= 0 && l->level != r->was) {
		r->missed++;
		atomic_fetch_add(&g->base.missed, 1);
	}
	return 0;
}

static int line_join(struct line *l, struct gpio_route *r, struct why *why)
{
	if (l->bias != r->bias || l->debounce_us != r->debounce_us)
		return why_set(why, -E_EXISTS,
			       "GPIO line \"%s\" (%s/%u) has another binding with another bias or "
			       "debounce; these are the line's, so all its bindings need the same",
			       r->base.filter, l->place.label, l->place.offset);
	r->line = l;
	return 0;
}

static int line_get(struct gpio *g, struct gpio_route *r, struct why *why)
{
	struct gpio_place place;
	struct line *room = NULL;
	OWN_FD chip_fd = -1;
	int err = gpio_find(&g->dev, r->base.filter, &chip_fd, &place, why);
	if (err < 0)
		return err;
	for (struct line *l = g->lines; l < g->lines + g->nlines; l++) {
		if (l->fd < 0)
			room = room ? room : l;
		else if (strcmp(l->place.node, place.node) == 0 && l->place.offset == place.offset)
			return line_join(l, r, why);
	}
	if (!room && g->nlines < LINES_MAX)
		room = &g->lines[g->nlines++];
	if (!room)
		return why_set(why, -E_LIMIT, "GPIO line \"%s\": more than %d lines",
			       r->base.filter, LINES_MAX);
	*room = (struct line){
		.fd = -1, .place = place, .bias = r->bias, .debounce_us = r->debounce_us
	};
	r->line = room;
	err = line_take(g, room, r, chip_fd, why);
	if (err < 0)
		r->line = NULL;
	return err;
}

static void look(struct gpio *g)
{
	bool all = true;
	for (struct feed_route **at = g->routes; at && *at; at++) {
		struct gpio_route *r = gpio_of(*at);
		struct why why = { 0 };
		int err = r->line ? 0 : line_get(g, r, &why);
		if (err < 0)
			feed_says(&g->base, &r->base, "%s", why_text(&why, err));
		else
			feed_says_ok(&g->base, &r->base);
		all &= err == 0;
	}
	all &= lines_fit(g);
	g->failures = all ? 0 : g->failures + 1;
	g->look_ns = all ? 0 : feed_now_ns() + feed_pause_ns(g->failures);
}

/* ---- the thread ---- */

/* Chips come and go, and udev changes who may open them, a moment after. */
static bool watch_read(struct gpio *g)
{
	_Alignas(struct inotify_event) char buf[4096];
	bool any = false;
	ssize_t n;
	while ((n = read(g->watch_fd, buf, sizeof(buf))) > 0) {
		for (char *at = buf; at < buf + n;) {
			const struct inotify_event *e = (const struct inotify_event *)at;
			any |= e->len > 0 && strncmp(e->name, "gpiochip", 8) == 0;
			at += sizeof(*e) + e->len;
		}
	}
	return any;
}

static bool read_lines(struct gpio *g, const struct pollfd *fds)
{
	bool gone = false;
	for (unsigned i = 0; i < g->nlines; i++) {
		struct line *l = &g->lines[i];
		short revents = fds[FIRST_LINE_FD + i].revents;
		if (l->fd < 0 || !revents || line_read(g, l, revents))
			continue;
		line_close(g, l);
		gone = true;
	}
	return gone;
}

/* When something is to be done without being told. */
static uint64_t next_ns(const struct gpio *g)
{
	uint64_t first = g->look_ns;
	for (const struct line *l = g->lines; l < g->lines + g->nlines; l++) {
		if (l->fd >= 0 && l->settle_ns && (first == 0 || l->settle_ns < first))
			first = l->settle_ns;
	}
	return first;
}

static void run(struct feed *f)
{
	struct gpio *g = (struct gpio *)f;
	struct pollfd fds[FIRST_LINE_FD + LINES_MAX];
	bool again = true;
	do {
		struct feed_route **list;
		if (feed_changed(f, &list)) {
			struct feed_route **old = g->routes;
			g->routes = list;
			feed_drop(f, old);
			g->failures = 0;
			again = true;
		}
		if (again || (g->look_ns && feed_now_ns() >= g->look_ns))
			look(g);
		fds[1] = (struct pollfd){ .fd = g->watch_fd, .events = POLLIN };
		for (unsigned i = 0; i < g->nlines; i++)
			fds[FIRST_LINE_FD + i] =
				(struct pollfd){ .fd = g->lines[i].fd, .events = POLLIN };
		if (!feed_wait(f, fds, FIRST_LINE_FD + g->nlines, next_ns(g)))
			break;
		again = fds[1].revents && watch_read(g);
		again |= read_lines(g, fds);
		uint64_t now_ns = feed_now_ns();
		for (struct line *l = g->lines; l < g->lines + g->nlines; l++) {
			if (l->fd >= 0)
				settle(g, l, now_ns);
		}
	} while (true);
}

static void fini(struct feed *f)
{
	struct gpio *g = (struct gpio *)f;
	for (struct line *l = g->lines; l < g->lines + g->nlines; l++) {
		if (l->fd >= 0)
			line_close(g, l);
	}
	if (g->watch_fd >= 0)
		(void)close(g->watch_fd);
	feed_drop(f, g->routes);
}

static const struct feed_ops ops = {
	.trigger = FEED_TRIGGER_OPS("gpio"),
	.type = "io.penstock.gpio",
	.route_bytes = sizeof(struct gpio_route),
	.read = read_route,
	.run = run,
	.fini = fini,
};

int gpio_new(const struct gpio_options *o, const struct trigger_sink *sink, struct trigger **ret,
	     struct why *why)
{
	struct feed *f;
	int err = feed_new(&ops, sizeof(struct gpio), NULL, sink, &f, why);
	if (err < 0)
		return err;
	struct gpio *g = (struct gpio *)f;
	g->dev = gpio_dev_of(o);
	/* Without it, chips that come back are found by looking again and again. */
	g->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (g->watch_fd >= 0)
		(void)inotify_add_watch(g->watch_fd, g->dev.dir,
					IN_CREATE | IN_ATTRIB | IN_MOVED_TO);
	*ret = &f->base;
	return 0;
}
