/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penstock-guard: a process that does nothing but wait for penstockd to die, and then brings the outputs to
 * their safe state. It holds descriptors that it was given (SCM_RIGHTS over SOCK_SEQPACKET), knows no paths, parses
 * nothing but this message, and is jailed. The end of the socket without GUARD_BYE is the death.
 */
#ifndef TRIGGERS_GUARD_H
#define TRIGGERS_GUARD_H

#include "proto/guard_action.h"

struct guard;

/* Starts program (penstock-guard, absolute). */
int guard_start(const char *program, struct guard **ret, struct why *why) MUST_USE;
/* -E_GONE: it has died, or hangs; the caller may start another and tell it everything again. */
int guard_tell(struct guard *g, const struct guard_action *a, struct why *why) MUST_USE;
/* Poll it: it can be read when the guard has died. */
int guard_fd(const struct guard *g);
/* bye: a planned end. Waits for it. NULL is fine. */
void guard_stop(struct guard *g, bool bye);

#endif
