/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with this gateway, and what to do: GET /doctor, `penstock doctor`. */
#ifndef GATEWAY_DOCTOR_H
#define GATEWAY_DOCTOR_H

#include "gateway/gateway.h"

/* [{area, name, ok, severity:"ok"|"warning"|"error", text, hint}] of all that was looked at, a new reference. It
 * changes nothing. look: of outputs_look, whose devices are told of as far as that came. */
json_t *doctor_look(struct gateway *g, uint64_t look);

/* path_doctor.c: brokers, things, bindings, outputs, journal, sandbox. Appends to list. */
void path_doctor(struct path *p, uint64_t look, json_t *list);

enum doctor_severity { DOCTOR_OK, DOCTOR_WARNING, DOCTOR_ERROR };
/* One finding. text and hint may hold a device's or broker's words. */
void doctor_say(json_t *list, const char *area, const char *name, enum doctor_severity severity,
		const char *text, const char *hint);

#endif
