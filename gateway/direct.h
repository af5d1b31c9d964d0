/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From function to function without the broker in between (doc/adr/0014): a message to a broker that bindings of the
 * same broker listen to goes to these from here, and to the broker for all others. When it comes back from there it
 * is known by its mark, a user property, and dropped: so no event comes both ways.
 *
 * It is one more way out, a trigger in the outbox's eyes: what a journaled event wants published lies in the outbox
 * until the rows of the events that it becomes are put, and leaves it in the transaction of these. So it is
 * never lost and never there twice, whatever is killed when.
 */
#ifndef GATEWAY_DIRECT_H
#define GATEWAY_DIRECT_H

#include "gateway/path_impl.h"

/* To the bindings of b. -ENOMEM */
int direct_new(struct path_source *b, struct trigger **ret, struct why *why) MUST_USE;
/* What its rows in the journal are called; lives as long as it. */
const char *direct_out(const struct trigger *direct);
/* Would it start any function? Any thread. */
bool direct_wants(const struct trigger *direct, struct span topic);
/* Of n messages, with room for as many more: those to the broker that bindings there want once more, behind all
 * others, for `direct`. The broker's get the mark by which they are known when they come back. The attributes
 * of these lie in *ret_room, the caller's. -ENOMEM */
int direct_copy(struct trigger *direct, const struct trigger *broker, struct trigger_message *m,
		unsigned *n, uint8_t **ret_room) MUST_USE;

#endif
