/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/modbus.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "triggers/feed.h"
#include "triggers/modbus_impl.h"

struct reg { /* or bit: what a route listens to */
	struct feed_route base;
	struct modbus_point point;
	uint64_t every_ns;
	double deadband;
	/* the thread's */
	uint64_t due_ns;
	unsigned failures;
	bool told;
	double last; /* that was told */
	uint64_t missed;
};

struct modbus {
	struct feed base;
	struct modbus_link *link;
	/* the thread's */
	struct feed_route **routes;
	struct reg **due; /* room for as many */
};

static struct modbus *modbus_of(struct feed *f)
{
	return (struct modbus *)f;
}

static int read_route(struct feed *f, struct feed_route *route, const struct trigger_route *r,
		      struct why *why)
{
	struct reg *g = (struct reg *)route;
	struct kind_values v;
	int err = kind_values_read(KIND_INPUT, "modbus", r->options, &v, why);
	if (err < 0)
		return err;
	err = modbus_point_read(route->filter, &v, &g->point, why);
	if (err == 0)
		err = modbus_unit_ok(modbus_of(f)->link, &g->point, why);
	g->every_ns = kind_ms(&v, "every") * 1000000u;
	g->deadband = kind_number(&v, "deadband");
	kind_values_free(&v);
	return err;
}

/* ---- one reading ---- */

static void attr(struct event_attr *a, const char *name, const char *value)
{
	a->name = (struct span){ (const uint8_t *)name, strlen(name) };
	a->value = (struct span){ (const uint8_t *)value, strlen(value) };
}

static void tell(struct modbus *m, struct reg *g, double value, uint64_t now_ns)
{
	char payload[MODBUS_VALUE_BYTES], previous[MODBUS_VALUE_BYTES], time[24], missed[24];
	struct event_attr attrs[3];
	unsigned n = 1;
	modbus_text(&g->point, value, payload);
	modbus_text(&g->point, g->last, previous);
	(void)snprintf(time, sizeof(time), "%llu", (unsigned long long)now_ns);
	(void)snprintf(missed, sizeof(missed), "%llu", (unsigned long long)g->missed);
	attr(&attrs[0], "time_ns", time);
	if (g->told)
		attr(&attrs[n++], "previous", previous);
	if (g->missed)
		attr(&attrs[n++], "missed", missed);
	if (feed_event(&m->base, &g->base, "change", payload, attrs, n) < 0) {
		g->missed++;
		return;
	}
	g->missed = 0;
	g->told = true;
	g->last = value;
}

static void reading(struct modbus *m, struct reg *g, const uint16_t *raw)
{
	double value = modbus_decode(&g->point, raw), moved = fabs(value - g->last);
	g->failures = 0;
	if (!isfinite(value)) {
		feed_says(&m->base, &g->base,
			  "[modbus.%s] %s is no number now (%f): are type and swap right?",
			  modbus_link_name(m->link), g->base.filter, value);
		return;
	}
	feed_says_ok(&m->base, &g->base);
	if (!g->told || (moved > 0 && moved >= g->deadband))
		tell(m, g, value, feed_now_ns());
}

static void failed(struct modbus *m, struct reg *g, const struct why *why)
{
	g->failures++;
	feed_says(&m->base, &g->base, "%s", why->text);
}

/* ---- several at once ---- */

static int read_range(struct modbus *m, struct reg **regs, unsigned n, const struct modbus_range *r,
		      struct why *why)
{
	uint16_t raw[MODBUS_BITS_AT_ONCE];
	int err = modbus_link_read(m->link, r, raw, why);
	for (unsigned i = 0; err == 0 && i < n; i++)
		reading(m, regs[i], raw + (regs[i]->point.address - r->address));
	return err;
}

/* A server refuses a range as a whole where it refuses one register of it: then each for itself, to find out which. */
static void read_together(struct modbus *m, struct reg **regs, unsigned n,
			  const struct modbus_range *r)
{
	struct why why = { 0 };
	int err = read_range(m, regs, n, r, &why);
	for (unsigned i = 0; err < 0 && i < n && !feed_stopping(&m->base); i++) {
		const struct modbus_point *p = &regs[i]->point;
		const struct modbus_range one = { p->unit, p->table, p->address, p->count };
		struct why reason = { 0 };
		if (n == 1 || err != -EREMOTEIO)
			failed(m, regs[i], &why);
		else if (read_range(m, &regs[i], 1, &one, &reason) < 0)
			failed(m, regs[i], &reason);
	}
}

static int by_point(const void *a, const void *b)
{
	const struct reg *x = *(struct reg *const *)a, *y = *(struct reg *const *)b;
	if (x->every_ns != y->every_ns)
		return x->every_ns < y->every_ns ? -1 : 1;
	return modbus_point_order(&x->point, &y->point);
}

static void read_due(struct modbus *m, unsigned n)
{
	const struct modbus_point *points[MODBUS_BITS_AT_ONCE];
	struct modbus_range range;
	qsort(m->due, n, sizeof(*m->due), by_point);
	for (unsigned at = 0; at < n && !feed_stopping(&m->base);) {
		unsigned same = 0;
		while (at + same < n && same < ARRAY_LEN(points) &&
		       m->due[at + same]->every_ns == m->due[at]->every_ns) {
			points[same] = &m->due[at + same]->point;
			same++;
		}
		unsigned merged = modbus_merge(points, same, &range);
		read_together(m, m->due + at, merged, &range);
		at += merged;
	}
}

/* ---- the thread ---- */

/* Those of one period fall on the same moments, whenever they were bound, and so into one request. */
static uint64_t turn(struct modbus *m)
{
	uint64_t now = feed_now_ns(), next = 0;
	unsigned n = 0;
	for (struct feed_route **r = m->routes; r && *r; r++) {
		struct reg *g = (struct reg *)*r;
		if (g->due_ns > now)
			continue;
		if (g->due_ns && g->failures == 0)
			atomic_fetch_add(&m->base.missed, (now - g->due_ns) / g->every_ns);
		m->due[n++] = g;
	}
	if (n > 0)
		read_due(m, n);
	now = feed_now_ns();
	for (unsigned i = 0; i < n; i++) {
		struct reg *g = m->due[i];
		g->due_ns = g->failures ? now + feed_pause_ns(g->failures)
					: (now / g->every_ns + 1) * g->every_ns;
	}
	for (struct feed_route **r = m->routes; r && *r; r++) {
		const struct reg *g = (struct reg *)*r;
		next = next == 0 || g->due_ns < next ? g->due_ns : next;
	}
	return next;
}

static void routes_take(struct modbus *m, struct feed_route **list)
{
	size_t n = 0;
	feed_drop(&m->base, m->routes);
	free(m->due);
	while (list && list[n])
		n++;
	m->due = calloc(n + 1, sizeof(struct reg *));
	if (!m->due) {
		feed_drop(&m->base, list);
		list = NULL;
	}
	m->routes = list;
}

static void run(struct feed *f)
{
	struct modbus *m = modbus_of(f);
	struct pollfd fds[1];
	uint64_t next_ns;
	do {
		struct feed_route **list;
		if (feed_changed(f, &list))
			routes_take(m, list);
		next_ns = turn(m);
	} while (feed_wait(f, fds, 1, next_ns));
}

static void fini(struct feed *f)
{
	feed_drop(f, modbus_of(f)->routes);
	free(modbus_of(f)->due);
}

/* A name server that does not answer would hold up the end. */
static void stop(struct trigger *t, unsigned grace_ms)
{
	modbus_link_stop(modbus_of((struct feed *)t)->link);
	feed_stop(t, grace_ms);
}

static const struct feed_ops ops = {
	.trigger = { .kind = "modbus",
		     .subscribe = feed_subscribe,
		     .unsubscribe = feed_unsubscribe,
		     .publish = feed_publish,
		     .status = feed_status,
		     .route_status = feed_route_status,
		     .start = feed_start,
		     .deafen = feed_deafen,
		     .stop = stop,
		     .free = feed_free },
	.type = "io.penstock.modbus",
	.route_bytes = sizeof(struct reg),
	.read = read_route,
	.run = run,
	.fini = fini,
};

int modbus_new(struct modbus_links *links, const char *name, const struct trigger_sink *sink,
	       struct trigger **ret, struct why *why)
{
	struct feed *f;
	struct modbus_link *link =
		modbus_link_find(links, (struct span){ (const uint8_t *)name, strlen(name) });
	if (!link)
		return why_set(why, -E_UNKNOWN,
			       "there is no section [modbus.%.63s] in the configuration; `broker` "
			       "(--broker NAME) says which one is meant",
			       name);
	int err = feed_new(&ops, sizeof(struct modbus), modbus_link_name(link), sink, &f, why);
	if (err < 0)
		return err;
	modbus_of(f)->link = link;
	*ret = &f->base;
	return 0;
}
