/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, sensors, Modbus, lamps: what their triggers and outputs need of the configuration. */
#include <string.h>

#include "gateway/path_impl.h"
#include "triggers/evdev.h"
#include "triggers/iio.h"
#include "triggers/led.h"

static int one_of_a_kind(const char *kind, const char *name, struct why *why)
{
	return strcmp(kind, name) == 0
		       ? 0
		       : why_set(why, -E_INVALID,
				 "a binding of kind %s has no `broker`; leave \"%.40s\" out", kind,
				 name);
}

int path_key_input(struct path *p, const char *name, const struct trigger_sink *sink,
		   struct trigger **ret, struct why *why)
{
	(void)p;
	int err = one_of_a_kind("key", name, why);
	return err < 0 ? err : evdev_new(NULL, sink, ret, why);
}

int path_sensor_input(struct path *p, const char *name, const struct trigger_sink *sink,
		      struct trigger **ret, struct why *why)
{
	int err = one_of_a_kind("sensor", name, why);
	return err < 0 ? err : iio_new(p->config->iio_dir, sink, ret, why);
}

/* Made when the first input or output needs one. */
static int links_new(struct path *p, struct why *why)
{
	const struct config *c = p->config;
	return p->modbus ? 0 : modbus_links_new(c->modbus, c->nmodbus, &p->modbus, why);
}

int path_modbus_input(struct path *p, const char *name, const struct trigger_sink *sink,
		      struct trigger **ret, struct why *why)
{
	int err = links_new(p, why);
	return err < 0 ? err : modbus_new(p->modbus, name, sink, ret, why);
}

const struct modbus_links *path_modbus_output(struct path *p)
{
	return links_new(p, NULL) == 0 ? p->modbus : NULL;
}

const struct led_config *path_led_output(struct path *p)
{
	p->leds.dir = p->config->leds_dir;
	return &p->leds;
}
