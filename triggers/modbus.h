/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modbus servers ("slaves"), TCP or serial: registers that are read again and again (input kind "modbus"; an event is a
 * change beyond the dead band), and coils and holding registers that functions set (output kind "modbus"). Both go
 * through one link per [modbus.NAME], since a serial line has one master. Payload of events: the number as text;
 * attributes time_ns (CLOCK_MONOTONIC), previous (not in the first), missed.
 */
#ifndef TRIGGERS_MODBUS_H
#define TRIGGERS_MODBUS_H

#include "triggers/output.h"
#include "triggers/trigger.h"

enum { MODBUS_LINKS_MAX = 16 };

struct modbus_config { /* [modbus.NAME]; borrowed while its links live */
	const char *name;
	const char *url;     /* tcp://HOST[:502], rtu:/dev/ttyUSB0[?baud=19200&parity=E&stop=1] */
	unsigned timeout_ms; /* of an answer, and of connecting */
};

struct modbus_links;

/* Connects nothing yet. -E_CONFIG: a URL that makes no sense. */
int modbus_links_new(const struct modbus_config *c, unsigned n, struct modbus_links **ret,
		     struct why *why) MUST_USE;
void modbus_links_free(struct modbus_links *l); /* after all that uses them; NULL is fine */

/* -E_UNKNOWN: there is no [modbus.NAME]. links: shared, outlives it. */
int modbus_new(struct modbus_links *links, const char *name, const struct trigger_sink *sink,
	       struct trigger **ret, struct why *why) MUST_USE;

extern const struct output_ops output_modbus; /* its config: struct modbus_links */

#endif
