/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes of a message beside topic and payload, by the names under which functions see and set them: a list
 * of ipc_attr. Some are properties of MQTT 5, the others its user properties, and attributes of a CloudEvent
 * (its MQTT binding has them unchanged as user properties).
 */
#ifndef PROTO_MESSAGE_ATTRS_H
#define PROTO_MESSAGE_ATTRS_H

#include "base/rd.h"
#include "proto/ipc.h"

enum { MESSAGE_ATTR_BYTES_MAX = 4096 }; /* of one value */

enum message_attr {
	ATTR_OWN,            /* a user property */
	ATTR_CONTENT_TYPE,   /* "datacontenttype" */
	ATTR_RESPONSE_TOPIC, /* "responsetopic" */
	ATTR_CORRELATION,    /* "correlationdata": any bytes */
	ATTR_EXPIRY,         /* "expiry": seconds */
	ATTR_FORMAT,         /* "payloadformat": 1 = UTF-8, 0 = bytes */
	ATTR_RESERVED,       /* the gateway's: nobody else sets it */
};

/* Of a message that functions of this gateway have been given directly (doc/adr/0014). */
#define MESSAGE_ATTR_DIRECT "penstock-direct"

enum message_attr message_attr_of(struct span name);
const char *message_attr_name(enum message_attr which); /* of those between OWN and RESERVED */
/* A name that a function may set, and a value that this attribute can have? */
bool message_attr_ok(const struct ipc_attr *a);
/* The same of a whole list, at most IPC_EFFECT_ATTRS of them. NULL: it is; else what is wrong. */
const char *message_attrs_wrong(struct span list);
/* The value of the first with this name; false: there is none. */
bool message_attr_find(struct span list, const char *name, struct span *ret);
/* "3600" */
bool message_expiry_parse(struct span s, uint32_t *ret);

#endif
