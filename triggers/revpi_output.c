/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/kinds.h"
#include "triggers/guard.h"
#include "triggers/revpi.h"

enum { OPTION_BYTES = 32, SHOWN_BYTES = 40 };

struct io_output {
	struct output base;
	struct picontrol *device;
	char name[PICTORY_NAME_BYTES + 1];
	char initial[OPTION_BYTES], safe[OPTION_BYTES];
	struct picontrol_place place; /* generation 0: not known */
	int guard_fd;                 /* what the guard is given; -1 */
};

static struct io_output *io_of(struct output *o)
{
	return (struct io_output *)o;
}

static struct span text_of(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

/* ---- names and values ---- */

static int look_up(struct io_output *o, struct why *why)
{
	int err = picontrol_start(o->device, why); /* the first time only */
	if (err < 0 || o->place.generation == picontrol_generation(o->device))
		return err;
	o->place.generation = 0;
	struct picontrol_place place;
	err = picontrol_resolve(o->device, text_of(o->name), &place, why);
	if (err == -E_UNKNOWN || err == -E_CONFIG)
		return -EAGAIN; /* PiCtory can change that at any time */
	if (err < 0)
		return err;
	if (place.area != PICTORY_OUTPUT)
		return why_set(why, -E_INVALID, "\"%s\" is an %s of %s; only outputs can be set",
			       o->name, pictory_area_name(place.area), place.device);
	o->place = place;
	return 0;
}

/* What a value of so many bits can be, with or without a sign. */
static void bounds(unsigned bits, double *ret_least, double *ret_most)
{
	*ret_least = bits == 1 ? 0 : -ldexp(1, (int)bits - 1);
	*ret_most = ldexp(1, (int)bits) - 1;
}

static int value_of(const struct io_output *o, struct span text, uint32_t *ret, struct why *why)
{
	double n, least, most;
	char shown[SHOWN_BYTES];
	size_t len = text.len < sizeof(shown) ? text.len : sizeof(shown) - 1;
	for (size_t i = 0; i < len; i++)
		shown[i] = text.at[i] < ' ' || text.at[i] > '~' ? '?' : (char)text.at[i];
	shown[len] = '\0';
	bounds(o->place.bits, &least, &most);
	if (!kind_level_parse(text, &n) || n != floor(n))
		return why_set(why, -E_INVALID,
			       "output \"%s\": \"%s\" is no whole number, on or off", o->name,
			       shown);
	if (n < least || n > most)
		return why_set(why, -ERANGE, "output \"%s\" has %u bit%s: %.0f to %.0f, not %s",
			       o->name, o->place.bits, o->place.bits == 1 ? "" : "s", least, most,
			       shown);
	*ret = (uint32_t)(int64_t)n; /* two's complement */
	if (o->place.bits < 32)
		*ret &= (UINT32_C(1) << o->place.bits) - 1;
	return 0;
}

static int set(struct output *base, struct span text, struct why *why)
{
	struct io_output *o = io_of(base);
	uint32_t value;
	int err = look_up(o, why);
	if (err == 0)
		err = value_of(o, text, &value, why);
	return err < 0 ? err : picontrol_write(o->device, &o->place, value, why);
}

static int set_option(struct output *o, const char *value, struct why *why)
{
	return strcmp(value, "keep") == 0 ? 0 : set(o, text_of(value), why);
}

static int initial(struct output *o, struct why *why)
{
	return set_option(o, io_of(o)->initial, why);
}

static int safe(struct output *o, struct why *why)
{
	return set_option(o, io_of(o)->safe, why);
}

static int probe(struct output *base, struct why *why)
{
	struct io_output *o = io_of(base);
	int err = look_up(o, why);
	return err < 0 ? err : picontrol_check(o->device, &o->place, why);
}

static bool range(struct output *base, struct output_range *ret)
{
	struct io_output *o = io_of(base);
	if (look_up(o, NULL) < 0)
		return false;
	bounds(o->place.bits, &ret->least, &ret->most);
	ret->whole = true;
	return true;
}

static void let_go(struct io_output *o)
{
	if (o->guard_fd >= 0)
		(void)close(o->guard_fd);
	o->guard_fd = -1;
}

/* By name: the guard looks it up, should the driver be reset before then. */
static bool guard(struct output *base, struct guard_action *ret)
{
	struct io_output *o = io_of(base);
	struct why why = { 0 };
	uint32_t value;
	if (strcmp(o->safe, "keep") == 0 || look_up(o, &why) < 0 ||
	    value_of(o, text_of(o->safe), &value, &why) < 0)
		return false;
	struct kb_variable v = { .address = o->place.offset,
				 .bit = o->place.bit,
				 .bits = o->place.bits };
	(void)snprintf(v.name, sizeof(v.name), "%s", o->name);
	ret->verb = GUARD_PICTL;
	let_go(o);
	ret->fd = o->guard_fd = picontrol_dup(o->device);
	ret->value = value;
	ret->length = sizeof(v);
	memcpy(ret->bytes, &v, sizeof(v));
	return ret->fd >= 0;
}

/* ---- begin and end ---- */

static void close_io(struct output *base)
{
	struct io_output *o = io_of(base);
	let_go(o);
	picontrol_unref(o->device);
	free(o);
}

/* How long it is, is known when the device is there. */
static int option_ok(const char *name, const char *key, const char *value, struct why *why)
{
	double n;
	if (strcmp(value, "keep") == 0)
		return 0;
	if (kind_level_parse(text_of(value), &n) && n == floor(n) && n >= -ldexp(1, 31) &&
	    n < ldexp(1, 32))
		return 0;
	return why_set(
		why, -E_INVALID,
		"output \"%.60s\": option %s is \"%s\": expected a whole number, on, off or keep",
		name, key, value);
}

static int open_io(const char *target, struct span options, const void *config, struct output **ret,
		   struct why *why)
{
	const struct revpi_output_config *c = config;
	struct kind_values v;
	size_t n = strlen(target);
	if (n == 0 || n > PICTORY_NAME_BYTES || !span_is_utf8(text_of(target)))
		return why_set(
			why, -E_INVALID,
			"the name of an output, as PiCtory has it, has 1 to %d bytes of UTF-8",
			PICTORY_NAME_BYTES);
	if (!c) /* its owner had no memory for the device */
		return why_set(why, -ENOMEM, "out of memory");
	int err = kind_values_read(KIND_OUTPUT, "io", options, &v, why);
	if (err < 0)
		return err;
	err = option_ok(target, "initial", kind_text(&v, "initial"), why);
	if (err == 0)
		err = option_ok(target, "safe", kind_text(&v, "safe"), why);
	struct io_output *o = err == 0 ? calloc(1, sizeof(*o)) : NULL;
	if (o) {
		o->base.ops = &output_io;
		o->guard_fd = -1;
		o->device = picontrol_ref(c->device);
		(void)snprintf(o->name, sizeof(o->name), "%s", target);
		(void)snprintf(o->initial, sizeof(o->initial), "%s", kind_text(&v, "initial"));
		(void)snprintf(o->safe, sizeof(o->safe), "%s", kind_text(&v, "safe"));
		*ret = &o->base;
	} else if (err == 0) {
		err = why_set(why, -ENOMEM, "out of memory");
	}
	kind_values_free(&v);
	return err;
}

const struct output_ops output_io = {
	.kind = "io",
	.open = open_io,
	.set = set,
	.initial = initial,
	.safe = safe,
	.probe = probe,
	.range = range,
	.guard = guard,
	.close = close_io,
};
