/* SPDX-License-Identifier: Apache-2.0 */
/* Outputs of kind "modbus": one coil, or a value in one or two holding registers. */
#include <errno.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "triggers/guard.h"
#include "triggers/modbus_impl.h"

enum { TEXT_BYTES = 32 };

struct coil { /* or register */
	struct output base;
	struct modbus_link *link;
	struct modbus_point point;
	int lent_fd; /* that the guard was told; -1: none */
	char initial[TEXT_BYTES], safe[TEXT_BYTES];
};

static struct coil *coil_of(struct output *o)
{
	return (struct coil *)o;
}

static struct span text_span(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

static int set(struct output *o, struct span value, struct why *why)
{
	uint16_t raw[2];
	int err = modbus_encode(&coil_of(o)->point, value, raw, why);
	return err < 0 ? err : modbus_link_write(coil_of(o)->link, &coil_of(o)->point, raw, why);
}

static int set_option(struct output *o, const char *value, struct why *why)
{
	return strcmp(value, "keep") == 0 ? 0 : set(o, text_span(value), why);
}

static int initial(struct output *o, struct why *why)
{
	return set_option(o, coil_of(o)->initial, why);
}

static int safe(struct output *o, struct why *why)
{
	return set_option(o, coil_of(o)->safe, why);
}

/* A server that can be written but not read is there, too. */
static int probe(struct output *o, struct why *why)
{
	const struct modbus_point *p = &coil_of(o)->point;
	uint16_t raw[2];
	struct why reason = { 0 };
	int err = modbus_link_read(
		coil_of(o)->link, &(struct modbus_range){ p->unit, p->table, p->address, p->count },
		raw, &reason);
	return err == 0 || err == -EREMOTEIO ? 0 : why_set(why, -EAGAIN, "%s", reason.text);
}

static bool range(struct output *o, struct output_range *ret)
{
	static const struct output_range of_type[] = {
		[MODBUS_U16] = { 0, UINT16_MAX, true },
		[MODBUS_S16] = { INT16_MIN, INT16_MAX, true },
		[MODBUS_U32] = { 0, UINT32_MAX, true },
		[MODBUS_S32] = { INT32_MIN, INT32_MAX, true },
		[MODBUS_F32] = { -FLT_MAX, FLT_MAX, false },
	};
	const struct modbus_point *p = &coil_of(o)->point;
	*ret = modbus_is_bit(p->table) ? (struct output_range){ 0, 1, true } : of_type[p->type];
	return true;
}

static void lent_back(struct coil *c)
{
	if (c->lent_fd >= 0)
		(void)close(c->lent_fd);
	c->lent_fd = -1;
}

static bool guard(struct output *o, struct guard_action *ret)
{
	struct coil *c = coil_of(o);
	uint16_t raw[2];
	lent_back(c);
	if (strcmp(c->safe, "keep") == 0 ||
	    modbus_encode(&c->point, text_span(c->safe), raw, NULL) < 0)
		return false;
	c->lent_fd = modbus_link_lend(c->link, &c->point, raw, ret->bytes, sizeof(ret->bytes),
				      &ret->length);
	ret->verb = GUARD_SEND;
	ret->fd = c->lent_fd;
	return c->lent_fd >= 0;
}

static void close_coil(struct output *o)
{
	lent_back(coil_of(o));
	free(o);
}

/* ---- begin ---- */

static int option_read(const struct coil *c, const struct kind_values *v, const char *key,
		       char text[TEXT_BYTES], struct why *why)
{
	uint16_t raw[2];
	struct why reason = { 0 };
	(void)snprintf(text, TEXT_BYTES, "%s", kind_text(v, key));
	if (strcmp(text, "keep") == 0 ||
	    modbus_encode(&c->point, text_span(text), raw, &reason) == 0)
		return 0;
	return why_set(why, -E_INVALID, "option %s: %s, or keep", key, reason.text);
}

static int target_read(struct coil *c, const char *target, const struct kind_values *v,
		       const struct modbus_links *links, struct why *why)
{
	size_t n = strcspn(target, "/");
	c->link = modbus_link_find(links, (struct span){ (const uint8_t *)target, n });
	if (!c->link)
		return why_set(why, -E_INVALID,
			       "\"%.80s\": there is no section [modbus.%.*s] in the configuration; "
			       "expected NAME/UNIT/TABLE/ADDRESS",
			       target, (int)(n < 63 ? n : 63), target);
	int err = modbus_point_read(target + n + (target[n] == '/'), v, &c->point, why);
	if (err < 0)
		return err;
	if (c->point.table == MODBUS_DISCRETE || c->point.table == MODBUS_INPUT)
		return why_set(why, -E_INVALID,
			       "\"%.80s\" can only be read: outputs are coil or holding", target);
	return modbus_unit_ok(c->link, &c->point, why);
}

static int open_coil(const char *target, struct span options, const void *config,
		     struct output **ret, struct why *why)
{
	struct kind_values v;
	int err = kind_values_read(KIND_OUTPUT, "modbus", options, &v, why);
	if (err < 0)
		return err;
	struct coil *c = calloc(1, sizeof(*c));
	if (!c) {
		kind_values_free(&v);
		return why_set(why, -ENOMEM, "out of memory");
	}
	c->base.ops = &output_modbus;
	c->lent_fd = -1;
	err = target_read(c, target, &v, config, why);
	if (err == 0)
		err = option_read(c, &v, "initial", c->initial, why);
	if (err == 0)
		err = option_read(c, &v, "safe", c->safe, why);
	kind_values_free(&v);
	if (err < 0)
		free(c);
	else
		*ret = &c->base;
	return err;
}

const struct output_ops output_modbus = {
	.kind = "modbus",
	.open = open_coil,
	.set = set,
	.initial = initial,
	.safe = safe,
	.probe = probe,
	.range = range,
	.guard = guard,
	.close = close_coil,
};
