/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "proto/kinds.h"
#include "triggers/gpio.h"
#include "triggers/guard.h"

enum { KEEP = -1 };

struct gpio_output {
	struct output base;
	char *line;
	struct gpio_dev dev;
	uint64_t flags;
	int initial, safe; /* 0, 1, KEEP */
	int fd;            /* of the line; -1: not taken, or gone */
};

static struct gpio_output *gpio_of(struct output *o)
{
	return (struct gpio_output *)o;
}

/* ---- the line ---- */

static void let_go(struct gpio_output *g)
{
	if (g->fd >= 0)
		(void)close(g->fd);
	g->fd = -1;
}

/* Whatever keeps the line from us may end: so it is tried again. */
static int later(int err)
{
	return err < 0 && err != -ENOMEM ? -EAGAIN : err;
}

/* The kernel makes it an output and sets its level in one go, so it never shows another. */
static int take(struct gpio_output *g, int level, struct why *why)
{
	struct gpio_place place;
	struct gpio_v2_line_config c = { .flags = g->flags, .num_attrs = 1 };
	OWN_FD chip_fd = -1;
	int err = gpio_find(&g->dev, g->line, &chip_fd, &place, why);
	if (err < 0)
		return later(err);
	c.attrs[0].mask = 1;
	c.attrs[0].attr.id = GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES;
	c.attrs[0].attr.values = (uint64_t)level;
	return later(gpio_take(&g->dev, g->line, chip_fd, &place, &c, &g->fd, why));
}

static int set_level(struct gpio_output *g, int level, struct why *why)
{
	struct gpio_v2_line_values v = { .bits = (uint64_t)level, .mask = 1 };
	if (g->fd < 0)
		return take(g, level, why);
	int err = g->dev.sys.ioctl(g->dev.sys.arg, g->fd, GPIO_V2_LINE_SET_VALUES_IOCTL, &v);
	if (err == 0)
		return 0;
	/* Of a chip that went. It may be there again, as another one. */
	let_go(g);
	return take(g, level, why);
}

static int set(struct output *o, struct span value, struct why *why)
{
	struct gpio_output *g = gpio_of(o);
	double n;
	if (!kind_level_parse(value, &n))
		return why_set(why, -E_INVALID,
			       "GPIO line \"%s\": that is no level; send 0, 1, on or off", g->line);
	if (n != 0 && n != 1)
		return why_set(why, -ERANGE, "GPIO line \"%s\" is 0 or 1, not %g", g->line, n);
	return set_level(g, n == 1, why);
}

static int initial(struct output *o, struct why *why)
{
	return set_level(gpio_of(o), gpio_of(o)->initial, why);
}

static int safe(struct output *o, struct why *why)
{
	struct gpio_output *g = gpio_of(o);
	return g->safe == KEEP ? 0 : set_level(g, g->safe, why);
}

static int probe(struct output *o, struct why *why)
{
	struct gpio_output *g = gpio_of(o);
	struct gpio_place place;
	OWN_FD chip_fd = -1;
	if (g->fd >= 0 && gpio_level(&g->dev, g->fd) >= 0)
		return 0;
	int err = gpio_find(&g->dev, g->line, &chip_fd, &place, why);
	return later(err < 0 ? err : gpio_busy(g->line, &place, why));
}

static bool range(struct output *o, struct output_range *ret)
{
	(void)o;
	*ret = (struct output_range){ .least = 0, .most = 1, .whole = true };
	return true;
}

static bool guard(struct output *o, struct guard_action *ret)
{
	struct gpio_output *g = gpio_of(o);
	if (g->safe == KEEP || g->fd < 0)
		return false;
	ret->verb = GUARD_GPIO;
	ret->fd = g->fd;
	ret->value = (uint64_t)g->safe;
	return true;
}

/* ---- begin and end ---- */

static void close_gpio(struct output *o)
{
	struct gpio_output *g = gpio_of(o);
	if (!g)
		return;
	let_go(g);
	free(g->line);
	free(g);
}

static int level_option(const struct kind_values *v, const char *name)
{
	const char *text = kind_text(v, name);
	return strcmp(text, "keep") == 0 ? KEEP : strcmp(text, "1") == 0;
}

static int open_gpio(const char *target, struct span options, const void *config,
		     struct output **ret, struct why *why)
{
	struct kind_values v;
	int err = gpio_name_check(target, why);
	if (err == 0)
		err = kind_values_read(KIND_OUTPUT, "gpio", options, &v, why);
	if (err < 0)
		return err;
	struct gpio_output *g = calloc(1, sizeof(*g));
	if (g) {
		const char *drive = kind_text(&v, "drive");
		g->base.ops = &output_gpio;
		g->dev = gpio_dev_of(config);
		g->line = strdup(target);
		g->fd = -1;
		g->initial = level_option(&v, "initial");
		g->safe = level_option(&v, "safe");
		g->flags = GPIO_V2_LINE_FLAG_OUTPUT;
		g->flags |= kind_flag(&v, "active_low") ? GPIO_V2_LINE_FLAG_ACTIVE_LOW : 0;
		g->flags |= strcmp(drive, "open-drain") == 0 ? GPIO_V2_LINE_FLAG_OPEN_DRAIN : 0;
		g->flags |= strcmp(drive, "open-source") == 0 ? GPIO_V2_LINE_FLAG_OPEN_SOURCE : 0;
	}
	kind_values_free(&v);
	if (!g || !g->line) {
		close_gpio((struct output *)g);
		return why_set(why, -ENOMEM, "out of memory");
	}
	*ret = &g->base;
	return 0;
}

const struct output_ops output_gpio = {
	.kind = "gpio",
	.open = open_gpio,
	.set = set,
	.initial = initial,
	.safe = safe,
	.probe = probe,
	.range = range,
	.guard = guard,
	.close = close_gpio,
};
