/* SPDX-License-Identifier: Apache-2.0 */
/* The dispatcher and what functions remember (state.h). Not for others. */
#ifndef GATEWAY_REMEMBER_H
#define GATEWAY_REMEMBER_H

#include "gateway/dispatch_impl.h"

struct state_write;

/* A guest's question, answered at once, or when the socket has room. -E_PROTO: more answers wait than guests can
 * have asked. Any thread. */
int remember_answer(struct dispatch *d, const struct ipc_state_ask *q, struct why *why) MUST_USE;
/* What had no room goes out. */
void remember_tell(struct dispatch *d);
/* The sandbox that asked is gone. */
REQUIRES(send_lock) void remember_forget_tells(struct dispatch *d);

/* The changes of an event that ended well, for its transaction; *ret NULL: none. -E_INVALID, -E_LIMIT,
 * -ENOMEM: the event has failed, with the reason. */
int remember_plan(struct dispatch *d, const struct flight *f, const struct ipc_result *m,
		  struct state_write **ret, struct why *why) MUST_USE;
/* durable_end.extras_done */
const char *remember_done(void *arg, int err, char *room, size_t cap);

#endif
