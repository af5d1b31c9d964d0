/* SPDX-License-Identifier: Apache-2.0 */
/* The process image of a Revolution Pi: one for inputs and outputs, made when the first of them is. */
#include <string.h>

#include "gateway/path_impl.h"

static int device_new(struct path *p, struct why *why)
{
	const struct picontrol_options o = { .device = p->config->revpi_device,
					     .config_rsc = p->config->revpi_config_rsc,
					     .watchdog_ms = p->config->revpi_watchdog_ms };
	return p->revpi.device ? 0 : picontrol_new(&o, &p->revpi.device, why);
}

int path_revpi_input(struct path *p, const char *name, const struct trigger_sink *sink,
		     struct trigger **ret, struct why *why)
{
	if (strcmp(name, "io") != 0)
		return why_set(
			why, -E_INVALID,
			"there is one process image, so `broker` must be empty, not \"%.40s\"",
			name);
	int err = device_new(p, why);
	return err < 0 ? err
		       : revpi_new(p->revpi.device, p->config->revpi_cycle_ms, sink, ret, why);
}

const struct revpi_output_config *path_revpi_output(struct path *p)
{
	return device_new(p, NULL) == 0 ? &p->revpi : NULL;
}
