/* SPDX-License-Identifier: Apache-2.0 */
/* Something that happened, as every trigger reports it and every function gets it. */
#ifndef PROTO_EVENT_H
#define PROTO_EVENT_H

#include <stdint.h>

#include "base/rd.h"

enum event_inbound {
	EVENT_INBOUND_NONE,
	EVENT_INBOUND_KEEP, /* until PUBREL: a further PUBLISH with it is the same */
	EVENT_INBOUND_DROP, /* PUBREL came: it is free */
};

enum { EVENT_CURSOR_BYTES = 512 };

struct event_attr { /* beyond the fields of struct event: MQTT 5 user properties, a caller's own */
	struct span name, value;
};

struct event {
	uint64_t id;         /* unique on this gateway, also over restarts; 0 = not given yet */
	uint64_t arrived_ns; /* CLOCK_MONOTONIC */
	uint64_t time_wall_ms;
	struct span source; /* "mqtt:default", "gpio", "modbus:plc", "http", "invoke" */
	struct span
		type; /* CloudEvents type: "io.penstock.mqtt.message", "io.penstock.gpio.edge" */
	struct span topic; /* MQTT topic, or what stands for it: the route's filter; may be empty */
	struct span payload;
	struct span content_type; /* may be empty */
	uint32_t connection;      /* which of this run of the gateway it came by; 0: none */
	uint8_t qos, retain,
		dup;     /* qos 1 of what is no MQTT: it is journaled as far as its binding is */
	uint16_t packet; /* QoS 1, 2: MQTT packet identifier; 0 = none */
	uint8_t inbound; /* QoS 2: enum event_inbound, what becomes of it with the event */
	uint8_t hops; /* functions whose messages led to it, one after the other, as far as known */
	uint32_t nattrs;
	const struct event_attr *attrs;
	/* Where its source is with it, to be found again after a restart (triggers/trigger.h, cursor): stored in
	 * one transaction with the event. An event of QoS 0 stores nothing. Empty name = none. At most
	 * EVENT_CURSOR_BYTES each. */
	struct span cursor_name, cursor;
};

#endif
