/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Home Assistant is told (its MQTT discovery), as topics and JSON; nothing is sent from here.
 *	PREFIX/COMPONENT/penstock_ID/OBJECT/config   what there is; empty: it is gone
 *	penstock/CLIENT_ID/output/NAME/set, state    an output: what it is to be, what it is
 *	penstock/CLIENT_ID/counters                  the gateway's
 */
#ifndef GATEWAY_HOME_JSON_H
#define GATEWAY_HOME_JSON_H

#include "gateway/config.h"

enum { HOME_TOPIC_BYTES = 512, HOME_ID_BYTES = 96, HOME_STATE_BYTES = 64, HOME_SENSORS = 4 };

struct home_device {
	const struct config_broker *broker;
	char topics[HOME_ID_BYTES + 16]; /* "penstock/CLIENT_ID" */
	char node[HOME_ID_BYTES + 16];   /* "penstock_ID", of a-z A-Z 0-9 _ - */
};

struct home_counters {
	uint64_t ok, failed, dead, queue;
};

void home_device_init(struct home_device *d, const struct config_broker *broker);

/* "switch" for what is 0 or 1, "number" for the rest; NULL: its range is not known. */
const char *home_component(const struct output_status *s);
/* "state", "set"; output "+": of all */
void home_output_topic(const struct home_device *d, const char *output, const char *leaf,
		       char ret[HOME_TOPIC_BYTES]);
bool home_output_of_topic(const struct home_device *d, struct span topic, struct span *ret_name);
void home_counters_topic(const struct home_device *d, char ret[HOME_TOPIC_BYTES]);
/* False: what it is, is no number (yet). */
bool home_state(const struct output_status *s, char ret[HOME_STATE_BYTES]);

void home_config_topic(const struct home_device *d, const char *component, const char *output,
		       char ret[HOME_TOPIC_BYTES]);
/* home_component is not NULL. malloc'd; NULL: no memory */
char *home_output_config(const struct home_device *d, const struct output_status *s) MUST_USE;
/* i < HOME_SENSORS */
void home_sensor_topic(const struct home_device *d, unsigned i, char ret[HOME_TOPIC_BYTES]);
char *home_sensor_config(const struct home_device *d, unsigned i) MUST_USE;
char *home_counters(const struct home_counters *c) MUST_USE;

#endif
