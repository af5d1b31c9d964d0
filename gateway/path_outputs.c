/* SPDX-License-Identifier: Apache-2.0 */
/* The outputs as a way out of the event path: lamps, relays, registers by name. */
#include <errno.h>
#include <string.h>

#include "base/child.h"
#include "base/own.h"
#include "gateway/outbox.h"
#include "gateway/path_impl.h"
#include "triggers/outputs.h"

/* Names of brokers have no $, so the journal's rows of outputs are nobody else's. */
static const char way_out[] = "$output";

static void on_acknowledged(void *arg, uint64_t token, const char *refused)
{
	struct path *p = arg;
	outbox_acknowledged(p->outbox, token, refused);
}

static void on_quarantine(void *arg, const char *function)
{
	struct path *p = arg;
	outputs_release(p->outputs, function);
}

/* What a kind's outputs share, or its section in the configuration. */
static const void *kind_config(void *arg, const char *kind)
{
	if (strcmp(kind, "io") == 0)
		return path_revpi_output(arg);
	if (strcmp(kind, "led") == 0)
		return path_led_output(arg);
	return strcmp(kind, "modbus") == 0 ? path_modbus_output(arg) : NULL;
}

int path_outputs_open(struct path *p, struct why *why)
{
	const struct config *c = p->config;
	if (c->noutputs == 0)
		return 0;
	OWN_FREE char *guard = child_sibling("penstock-guard", why);
	if (!guard)
		return -ENOENT;
	const struct outputs_options o = { .outputs = c->outputs,
					   .noutputs = c->noutputs,
					   .kind_config = kind_config,
					   .arg = p,
					   .guard_program = guard };
	const struct trigger_sink sink = { .acknowledged = on_acknowledged, .arg = p };
	return outputs_new(&o, &sink, &p->outputs, why);
}

int path_outputs_attach(struct path *p, struct why *why)
{
	if (!p->outputs)
		return 0;
	dispatch_on_quarantine(p->dispatch, on_quarantine, p);
	return p->outbox ? outbox_attach(p->outbox, way_out, p->outputs, why) : 0;
}

struct trigger *path_outputs(struct path *p)
{
	return p->outputs;
}
