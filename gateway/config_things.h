/* SPDX-License-Identifier: Apache-2.0 */
/*
 * [output.NAME] and [binding.NAME]: sections whose keys are a kind (gpio = GPIO17), that kind's options
 * (proto/kinds.def), and for bindings what POST /bindings takes (binding_read.h). They are gathered key by key, and
 * understood when all files are read.
 */
#ifndef GATEWAY_CONFIG_THINGS_H
#define GATEWAY_CONFIG_THINGS_H

#include "gateway/config.h"

/* Is it a section of a thing? */
bool config_is_thing(const char *section);
/* -E_CONFIG, without the place: a name that makes no sense, a key twice, too many. place: "FILE:LINE" */
int config_thing_key(struct config *c, const char *section, const char *name, const char *value,
		     const char *place, struct why *why) MUST_USE;
/* Fills c->outputs and c->bindings. -E_CONFIG, with the place. */
int config_things_finish(struct config *c, struct why *why) MUST_USE;
void config_things_free(struct config *c);
void config_things_help(void);

#endif
