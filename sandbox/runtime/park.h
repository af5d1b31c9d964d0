/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parking: a host call gives its worker up until somebody answers, or until a time comes. The guest's
 * stack stays as it is; no thread waits.
 *
 * On the guest's stack (a host call, between GUEST_ENTER and guest_return):
 *
 *	uint64_t ticket = task_ticket(t);
 *	... write a message with the ticket in it into a buffer of this frame, or of t->host ...
 *	err = task_park(t, message, until_ns, &answer);
 *
 * On any thread that is not running a guest and does not hold the serve lock (serve.c's on_packet()
 * when the message's answer has come):
 *
 *	serve_wake(s, ticket, answer);
 *
 * 1. A ticket is good for one task_park(), the next one of its task; 0 is none. A wake for a ticket
 *    that is over (time came first, the event was cancelled, it ended) is ignored: serve_wake() says
 *    false, and nothing was copied.
 * 2. The question is sent when the guest is off its worker, before anything else may go on with it:
 *    what it points to may lie on the guest's stack. The answer may come before the task is asleep.
 * 3. Time goes on: while it is parked, the event's deadline and CANCEL end the task (task_park() does
 *    not return then, so the frame must own nothing), and its wall time counts. It uses no CPU.
 * 4. It may go on with another thread: ask task_current() and everything that hangs on a thread again.
 */
#ifndef RUNTIME_PARK_H
#define RUNTIME_PARK_H

#include <stdbool.h>

#include "base/rd.h"
#include "sandbox/runtime/task.h"

struct serve;

/* For the next task_park() of the running task. Only in a gateway (`serve`): 0 under `penstock run`. */
uint64_t task_ticket(struct task *t);
/* Parks the running task until its ticket is woken, or until_ns (CLOCK_MONOTONIC, UINT64_MAX = only
 * the deadline). ask: a whole packet for the gateway, or empty. Returns 0 with the answer, which is
 * good until the next task_park() or the task's end; -ETIMEDOUT; -ENOMEM: it was answered, but there
 * was no memory for that. */
int task_park(struct task *t, struct span ask, uint64_t until_ns, struct span *ret_answer) MUST_USE;

/* From any other thread. Copies the answer. False: nobody waits for it any more. */
bool serve_wake(struct serve *s, uint64_t ticket, struct span answer);

#endif
