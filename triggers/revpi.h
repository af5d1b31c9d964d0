/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inputs and outputs of a Revolution Pi, by their names in PiCtory: kind "io" of proto/kinds.def, both ways over one
 * struct picontrol.
 *
 * Input: the whole process image is read once per cycle, so what several routes see is one moment; what is shorter
 * than a cycle may pass unseen, which is what counters are for. What a name shows first is where it stands, and no
 * event. Events are of type io.penstock.io.change; the payload is the value, attributes:
 *   device, bits           of the name: "RevPi DIO, position 32", 1, 8, 16 or 32
 *   edge                   of a bit: rising or falling; missed: edges before this one that the journal did not take
 *   previous, change       of a value or counter, since its last event
 *   restarted              "1": the counter went back, so change is what it has counted since it was at 0
 * A counter's first event ever has change 0; from there on its last value is kept with the event (its cursor), so that
 * change also holds what it counted while the gateway was off.
 */
#ifndef TRIGGERS_REVPI_H
#define TRIGGERS_REVPI_H

#include "triggers/output.h"
#include "triggers/picontrol.h"
#include "triggers/trigger.h"

/* Takes a reference on device. */
int revpi_new(struct picontrol *device, unsigned cycle_ms, const struct trigger_sink *sink,
	      struct trigger **ret, struct why *why) MUST_USE;

struct revpi_output_config { /* what open() gets as config */
	struct picontrol *device;
};
extern const struct output_ops output_io;

#endif
