/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Home Assistant finds the outputs and counters of this gateway by itself, sets the ones and shows both (doc/MQTT.md).
 * For brokers with home_assistant = PREFIX; home_json.h has what is said.
 *
 * What it was told is retained at the broker and outlives us. So each topic is remembered, as a cursor of the source
 * "home:BROKER", before anything goes there; what a later run has no use for is emptied, and then forgotten.
 *
 * Threads: the loop's says all; what is asked (home_take) comes on the broker's receiving thread, and that an output
 * was set (home_output_changed) on the outputs'.
 */
#ifndef GATEWAY_HOME_H
#define GATEWAY_HOME_H

#include "gateway/path_impl.h"

/* Before the sources start, after the outputs are there. *ret NULL: nobody wants it. */
int home_new(struct path *p, uv_loop_t *loop, struct home **ret, struct why *why) MUST_USE;
/* When nobody calls the next two any more. The loop must run until its handles are closed; then the memory goes.
 * NULL is fine. */
void home_free(struct home *h);

/* NULL is fine. */
void home_output_changed(struct home *h);
/* Of n bindings found for an event: those of Home Assistant are done and gone; returns how many are left. */
unsigned home_take(struct path_source *b, const struct event *e, struct binding **found,
		   unsigned n);

#endif
