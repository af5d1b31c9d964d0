/* SPDX-License-Identifier: Apache-2.0 */
/* Something that happened, as every trigger reports it and every function gets it. */
#ifndef PROTO_EVENT_H
#define PROTO_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rd.h"

enum event_inbound {
	EVENT_INBOUND_NONE,
	EVENT_INBOUND_KEEP, /* until PUBREL: a further PUBLISH with it is the same */
	EVENT_INBOUND_DROP, /* PUBREL came: it is free */
};

enum { EVENT_CURSOR_BYTES = 512 };

struct ipc_result;

/*
 * Somebody who waits for what comes of an event, such as an HTTP request; its source's, who keeps it until the
 * last call. sink.event fills in the first four. One event of several bindings answers once: by the binding that
 * is the oldest. The calls come from any thread, also before sink.event has returned.
 *   waits, and not refused: said, perhaps more than once (it ran again: the last one counts), then ended
 *   does not wait, and is storing: stored
 */
struct event_caller {
	uint64_t event;      /* its number; 0: none was given */
	const char *refused; /* NULL, or why not, as metrics name it (gateway/refusal.def), */
	const char *reason;  /* and for people; constants */
	bool storing;        /* stored() will come */
	bool waits;          /* for the function's answer. Then it runs now or never, and once */
	void (*stored)(struct event_caller *c, int err); /* 0: as durable as its binding asks */
	void (*said)(struct event_caller *c, const struct ipc_result *r); /* borrowed */
	/* All that it wanted to have happened is committed; err: it is not, and has not happened. */
	void (*ended)(struct event_caller *c, int err);
};

/* Messages with which a function says more about its answer: status "404", content-type "text/csv". */
#define REPLY_TOPIC "$reply/"

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
	uint8_t returned; /* a function's here published it, and others here were given theirs already */
	uint8_t hops; /* functions whose messages led to it, one after the other, as far as known */
	uint32_t nattrs;
	const struct event_attr *attrs;
	/* Where its source is with it, to be found again after a restart (triggers/trigger.h, cursor): stored in
	 * one transaction with the event. An event of QoS 0 stores nothing. Empty name = none. At most
	 * EVENT_CURSOR_BYTES each. */
	struct span cursor_name, cursor;
	struct event_caller *caller; /* NULL: nobody waits */
};

#endif
