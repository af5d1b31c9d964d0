/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/revpi.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/wr.h"
#include "proto/kinds.h"
#include "triggers/feed.h"

enum {
	AWAY_MS = 100,     /* between looks at a device that is away */
	LOOK_UP_MS = 1000, /* between looks for a name that is not there */
	REFUSED_MS = 250,  /* until a value that the journal did not take is offered again */
	NUMBER_BYTES = 24,
	ATTRS_MAX = 6,
};

enum edges { EDGE_RISING = 1, EDGE_FALLING = 2, EDGE_BOTH = 3 };

struct revpi {
	struct feed base;
	struct picontrol *device;
	uint64_t cycle_ns;
	uint8_t image[PICTORY_IMAGE_BYTES];
};

struct revpi_route {
	struct feed_route base;
	unsigned edges;
	double deadband;
	bool counts, is_signed;
	struct picontrol_place place; /* generation 0: not known */
	uint64_t not_before_ns;       /* to be looked up, or offered, again */
	bool has_last;
	uint32_t last; /* raw, of the last event or the first sample */
	uint64_t missed;
	char cursor_name[EVENT_CURSOR_BYTES];
	uint8_t cursor[4];
};

static struct revpi *revpi_of(struct feed *f)
{
	return (struct revpi *)f;
}

/* ---- routes ---- */

/* With the options: those of another binding to the same name are told other values, and it is elsewhere. */
static int name_cursor(struct revpi_route *r, struct span options, struct why *why)
{
	int n = snprintf(r->cursor_name, sizeof(r->cursor_name), "count:%s %.*s", r->base.filter,
			 (int)options.len, (const char *)options.at);
	if (n < 0 || (size_t)n >= sizeof(r->cursor_name))
		return why_set(why, -E_INVALID, "name and options are longer than %d bytes",
			       EVENT_CURSOR_BYTES - 1);
	r->base.cursor_name = (struct span){ (const uint8_t *)r->cursor_name, (size_t)n };
	return 0;
}

static int read_route(struct feed *f, struct feed_route *base, const struct trigger_route *r,
		      struct why *why)
{
	static const struct {
		const char *word;
		unsigned edges;
	} words[] = { { "both", EDGE_BOTH },
		      { "rising", EDGE_RISING },
		      { "falling", EDGE_FALLING } };
	struct revpi_route *one = (struct revpi_route *)base;
	struct kind_values v;
	(void)f;
	if (r->filter.len == 0 || r->filter.len > PICTORY_NAME_BYTES || !span_is_utf8(r->filter))
		return why_set(
			why, -E_INVALID,
			"the name of an input, as PiCtory has it, has 1 to %d bytes of UTF-8",
			PICTORY_NAME_BYTES);
	int err = kind_values_read(KIND_INPUT, "io", r->options, &v, why);
	if (err < 0)
		return err;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcmp(words[i].word, kind_text(&v, "edge")) == 0)
			one->edges = words[i].edges;
	}
	one->deadband = kind_number(&v, "deadband");
	one->counts = kind_flag(&v, "counter");
	one->is_signed = kind_flag(&v, "signed");
	kind_values_free(&v);
	return one->counts ? name_cursor(one, r->options, why) : 0;
}

/* An option that makes no sense for what the name turned out to be. */
static const char *odd_option(const struct revpi_route *r)
{
	if (r->place.bits == 1)
		return r->counts ? "it is a bit, which has no counter; leave out that option, or "
				   "bind to "
				   "the module's counter"
		       : r->is_signed    ? "it is a bit, which has no sign; leave out option signed"
		       : r->deadband > 0 ? "it is a bit; leave out option deadband"
					 : NULL;
	return r->edges != EDGE_BOTH ? "it is a value, which has no edges; leave out option edge"
				     : NULL;
}

/* Names that lie elsewhere since the last reset, or were not there. */
static void look_up(struct revpi *v, struct revpi_route *r)
{
	struct why why = { 0 };
	uint64_t now = feed_now_ns();
	const char *name = r->base.filter;
	if (r->place.generation == picontrol_generation(v->device) || now < r->not_before_ns)
		return;
	struct picontrol_place place;
	int err = picontrol_resolve(v->device, (struct span){ (const uint8_t *)name, strlen(name) },
				    &place, &why);
	r->place = err == 0 ? place : (struct picontrol_place){ 0 };
	if (err < 0) {
		feed_says(&v->base, &r->base, "%s", why_text(&why, err));
		r->not_before_ns =
			now + (err == -EAGAIN ? AWAY_MS : LOOK_UP_MS) * UINT64_C(1000000);
		return;
	}
	const char *odd = odd_option(r);
	if (odd)
		feed_says(&v->base, &r->base, "\"%s\": %s", name, odd);
	else
		feed_says_ok(&v->base, &r->base);
}

/* ---- what a sample means ---- */

static uint32_t mask_of(unsigned bits)
{
	return bits < 32 ? (UINT32_C(1) << bits) - 1 : UINT32_MAX;
}

static int64_t number_of(const struct revpi_route *r, uint32_t raw)
{
	uint32_t top = UINT32_C(1) << (r->place.bits - 1);
	return r->is_signed && (raw & top) ? (int64_t)raw - (int64_t)mask_of(r->place.bits) - 1
					   : (int64_t)raw;
}

struct telling { /* one event */
	const char *payload;
	struct event_attr attrs[ATTRS_MAX];
	unsigned n;
	struct wr text;
	uint8_t room[256];
};

static void tell(struct telling *t, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void tell(struct telling *t, const char *name, const char *fmt, ...)
{
	char text[PICTORY_DEVICE_BYTES + 1];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ENSURE(t->n < ATTRS_MAX);
	const uint8_t *at = t->room + t->text.len;
	wr_bytes(&t->text, text, strlen(text));
	ENSURE(!t->text.overflow);
	t->attrs[t->n++] = (struct event_attr){ { (const uint8_t *)name, strlen(name) },
						{ at, strlen(text) } };
}

enum offered { TAKEN, REFUSED, UNSURE };

static enum offered offer(struct revpi *v, struct revpi_route *r, struct telling *t, int64_t value)
{
	char payload[NUMBER_BYTES];
	struct why why = { 0 };
	/* A reset, whose event is still to come, may have put something else where the name was. */
	if (picontrol_check(v->device, &r->place, &why) < 0)
		return UNSURE;
	tell(t, "device", "%s", r->place.device);
	tell(t, "bits", "%u", r->place.bits);
	(void)snprintf(payload, sizeof(payload), "%" PRId64, value);
	return feed_event(&v->base, &r->base, "change", payload, t->attrs, t->n) == 0 ? TAKEN
										      : REFUSED;
}

static void offer_later(struct revpi_route *r)
{
	r->not_before_ns = feed_now_ns() + REFUSED_MS * UINT64_C(1000000);
}

static void look_at_bit(struct revpi *v, struct revpi_route *r, uint32_t raw)
{
	struct telling t = { .text = wr_into(t.room, sizeof(t.room)) };
	if (raw == r->last)
		return;
	if (!(r->edges & (raw ? EDGE_RISING : EDGE_FALLING))) {
		r->last = raw;
		return;
	}
	tell(&t, "edge", "%s", raw ? "rising" : "falling");
	if (r->missed)
		tell(&t, "missed", "%" PRIu64, r->missed);
	enum offered how = offer(v, r, &t, raw);
	if (how == UNSURE) /* the next sample tells */
		return;
	r->missed = how == TAKEN ? 0 : r->missed + 1;
	r->last = raw;
}

static void look_at_value(struct revpi *v, struct revpi_route *r, uint32_t raw)
{
	struct telling t = { .text = wr_into(t.room, sizeof(t.room)) };
	int64_t value = number_of(r, raw), previous = number_of(r, r->last);
	if (raw == r->last || (double)llabs(value - previous) <= r->deadband)
		return;
	tell(&t, "previous", "%" PRId64, previous);
	tell(&t, "change", "%" PRId64, value - previous);
	enum offered how = offer(v, r, &t, value);
	if (how == TAKEN)
		r->last = raw;
	else if (how == REFUSED)
		offer_later(r);
}

/* A counter only goes on: by less than half its range is forward, over the wrap too; anything else is that it began
 * anew. One with a sign (an encoder) goes both ways. */
static int64_t counted(const struct revpi_route *r, uint32_t raw, bool *ret_restarted)
{
	uint32_t mask = mask_of(r->place.bits), forward = (raw - r->last) & mask;
	bool half = forward > mask / 2;
	*ret_restarted = half && !r->is_signed;
	if (*ret_restarted)
		return raw;
	return half ? (int64_t)forward - (int64_t)mask - 1 : (int64_t)forward;
}

static void look_at_counter(struct revpi *v, struct revpi_route *r, uint32_t raw, bool first)
{
	struct telling t = { .text = wr_into(t.room, sizeof(t.room)) };
	bool restarted = false;
	int64_t change = first ? 0 : counted(r, raw, &restarted);
	if (!first && !restarted && (change == 0 || (double)llabs(change) <= r->deadband))
		return;
	tell(&t, "previous", "%" PRId64, number_of(r, first ? raw : r->last));
	tell(&t, "change", "%" PRId64, change);
	if (restarted)
		tell(&t, "restarted", "1");
	struct wr w = wr_into(r->cursor, sizeof(r->cursor));
	wr_u32(&w, raw);
	r->base.cursor = (struct span){ r->cursor, sizeof(r->cursor) };
	enum offered how = offer(v, r, &t, number_of(r, raw));
	if (how == TAKEN) {
		r->last = raw;
		r->has_last = true;
	} else if (how == REFUSED) {
		offer_later(r);
	}
}

/* Where an earlier run of the gateway was with it. */
static bool kept_count(struct revpi *v, struct revpi_route *r)
{
	const struct trigger_sink *sink = &v->base.base.sink;
	uint8_t bytes[4];
	if (!sink->cursor ||
	    sink->cursor(sink->arg, r->base.cursor_name, bytes, sizeof(bytes)) != sizeof(bytes))
		return false;
	struct rd rd = rd_from(bytes, sizeof(bytes));
	r->last = rd_u32(&rd) & mask_of(r->place.bits);
	return true;
}

static void look_at(struct revpi *v, struct revpi_route *r)
{
	if (r->place.generation != picontrol_generation(v->device) || odd_option(r) ||
	    feed_now_ns() < r->not_before_ns)
		return;
	uint32_t raw = picontrol_value(v->image, &r->place);
	if (!r->has_last && r->counts && !kept_count(v, r)) {
		look_at_counter(v, r, raw, true);
		return;
	}
	if (!r->has_last && !r->counts)
		r->last = raw;
	r->has_last = true;
	if (r->counts)
		look_at_counter(v, r, raw, false);
	else if (r->place.bits == 1)
		look_at_bit(v, r, raw);
	else
		look_at_value(v, r, raw);
}

/* ---- the thread ---- */

/* False: the device is away, or in a reset. */
static bool sample(struct revpi *v, struct feed_route **list)
{
	struct why why = { 0 };
	for (size_t i = 0; list[i]; i++)
		look_up(v, (struct revpi_route *)list[i]);
	uint64_t generation = picontrol_generation(v->device);
	int err = picontrol_read(v->device, v->image, &why);
	if (err < 0) {
		for (size_t i = 0; list[i]; i++) {
			feed_says(&v->base, list[i], "%s", why_text(&why, err));
			((struct revpi_route *)list[i])->place.generation = 0;
		}
		return false;
	}
	if (generation != picontrol_generation(v->device))
		return true; /* it was reset in between: names first */
	for (size_t i = 0; list[i]; i++)
		look_at(v, (struct revpi_route *)list[i]);
	return true;
}

/* When the next sample is due; what is late by whole cycles is not made up for, but counted. */
static uint64_t next_cycle(struct revpi *v, uint64_t due)
{
	uint64_t now = feed_now_ns(), late = now > due ? (now - due) / v->cycle_ns : 0;
	atomic_fetch_add(&v->base.missed, late);
	return due + (late + 1) * v->cycle_ns;
}

static void run(struct feed *f)
{
	struct revpi *v = revpi_of(f);
	struct feed_route **list = NULL, **new;
	struct pollfd fds[1];
	uint64_t due = 0;
	(void)pthread_setname_np(pthread_self(), "revpi");
	do {
		if (feed_changed(f, &new)) {
			feed_drop(f, list);
			list = new;
		}
		uint64_t now = feed_now_ns();
		if (!list || !list[0]) {
			due = 0;
			continue;
		}
		if (due == 0)
			due = now;
		if (now < due)
			continue;
		due = sample(v, list) ? next_cycle(v, due)
				      : feed_now_ns() + AWAY_MS * UINT64_C(1000000);
	} while (feed_wait(f, fds, 1, due));
	feed_drop(f, list);
}

/* ---- begin and end ---- */

static void start(struct trigger *t)
{
	struct why why = { 0 };
	/* Without its thread the device stays closed, and says so as the state of each route. */
	if (picontrol_start(revpi_of((struct feed *)t)->device, &why) < 0)
		LOG(LOG_ERR, "no process image", F_STR("why", why.text));
	feed_start(t);
}

static void fini(struct feed *f)
{
	picontrol_unref(revpi_of(f)->device);
}

static const struct feed_ops ops = {
	.trigger = { .kind = "io",
		     .subscribe = feed_subscribe,
		     .unsubscribe = feed_unsubscribe,
		     .publish = feed_publish,
		     .status = feed_status,
		     .route_status = feed_route_status,
		     .start = start,
		     .deafen = feed_deafen,
		     .stop = feed_stop,
		     .free = feed_free },
	.type = "io.penstock.io",
	.route_bytes = sizeof(struct revpi_route),
	.read = read_route,
	.run = run,
	.fini = fini,
};

int revpi_new(struct picontrol *device, unsigned cycle_ms, const struct trigger_sink *sink,
	      struct trigger **ret, struct why *why)
{
	struct feed *f;
	int err = feed_new(&ops, sizeof(struct revpi), NULL, sink, &f, why);
	if (err < 0)
		return err;
	revpi_of(f)->device = picontrol_ref(device);
	revpi_of(f)->cycle_ns = cycle_ms * UINT64_C(1000000);
	*ret = &f->base;
	return 0;
}
