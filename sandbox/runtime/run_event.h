/* SPDX-License-Identifier: Apache-2.0 */
/* `penstock run` of a reactor: one event from stdin, and what came of it for people to read. */
#ifndef RUNTIME_RUN_EVENT_H
#define RUNTIME_RUN_EVENT_H

#include "base/why.h"
#include "sandbox/runtime/host.h"

/* Payload: all of stdin. Attributes: id, source, type, and what env names as a command would see
 * it: MQTT_TOPIC=sensors/4 is "topic", CE_SUBJECT=x is "subject". Both are the process's for good.
 * -E_LIMIT, -ENOMEM, -errno of reading. */
int run_event_read(struct host *h, struct span env, struct why *why) MUST_USE;

/* To stderr, as they were logged: "warning: TEXT". */
void run_event_print_log(const struct host *h);
/* To stdout: what was written to stdout, then a line for each message: "emit TOPIC: PAYLOAD". False
 * when stdout takes no more. */
bool run_event_print(const struct host *h) MUST_USE;

#endif
