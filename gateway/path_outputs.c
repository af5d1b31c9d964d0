/* SPDX-License-Identifier: Apache-2.0 */
/* The outputs as a way out of the event path: lamps, relays, registers by name. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/child.h"
#include "base/own.h"
#include "base/wr.h"
#include "gateway/home.h"
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

static void on_changed(void *arg)
{
	struct path *p = arg;
	home_output_changed(p->home);
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
					   .changed = on_changed,
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

/* Names of outputs need no escape. Each metric in one piece, as the format wants. */
bool path_outputs_text(struct path *p, struct wr *w)
{
	struct output_status s;
	const unsigned n = p->outputs ? outputs_count(p->outputs) : 0;
	if (n == 0)
		return wr_ok(w);
	wr_str(w, "# HELP penstock_output_values_total Values for an output, by what became of "
		  "them.\n# TYPE penstock_output_values_total counter\n");
	for (unsigned i = 0; i < n; i++) {
		outputs_status(p->outputs, i, &s);
		const struct {
			const char *outcome;
			uint64_t n;
		} rows[] = { { "set", s.set },
			     { "refused", s.refused },
			     { "replaced", s.replaced } };
		for (size_t k = 0; k < ARRAY_LEN(rows); k++)
			wr_fmt(w,
			       "penstock_output_values_total{output=\"%s\",outcome=\"%s\"} "
			       "%" PRIu64 "\n",
			       s.name, rows[k].outcome, rows[k].n);
	}
	wr_str(w, "# HELP penstock_output_ok 1: its device took the last value.\n"
		  "# TYPE penstock_output_ok gauge\n");
	for (unsigned i = 0; i < n; i++) {
		outputs_status(p->outputs, i, &s);
		wr_fmt(w, "penstock_output_ok{output=\"%s\"} %d\n", s.name, s.ok);
	}
	return wr_ok(w);
}

struct trigger *path_outputs(struct path *p)
{
	return p->outputs;
}
