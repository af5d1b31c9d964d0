/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who takes the sandbox's answers: an attendant, which is a thread that sends events and looks after
 * their answers itself (it polls for a few microseconds, and then sleeps on its own socket and the
 * sandbox's together), or else the results thread. Waking a second thread costs 10 to 15 us on a
 * small box, and two threads that publish contend for Paho's lock; so the results thread sleeps on a
 * futex while there is an attendant, and is blocked in poll() on the sandbox's socket while not.
 *
 * Words: expected  answers owed by the sandbox (INVOKE and LOAD sent, not answered)
 *        attended  0 or 1: somebody is between gate_attend and gate_leave
 *        armed     0: the results thread sleeps on the futex, or is about to
 *        down      the sandbox's end is closed: nothing will come until gate_up. It names the
 *                  generation that closed, so that a late report of an old socket's end cannot
 *                  close the new one's
 *
 * No answer is left lying. All operations on these words are sequentially consistent, so there is
 * one order of them that every thread agrees on.
 *  1. A sender adds to `expected` before it sends. After that it is the attendant, or calls gate_arm.
 *  2. gate_arm exchanges armed to 1, and wakes the futex if it was 0; but not if it then finds an
 *     attendant.
 *  3. The attendant takes answers for as long as it stays. gate_leave subtracts from `attended` and
 *     THEN, if expected > 0, exchanges armed to 1 and wakes the futex if it was 0.
 *  4. The results thread, before it sleeps, stores armed = 0 and THEN looks: if expected > 0 and
 *     nobody attends, it stores armed = 1 again and goes on to poll.
 *  5. Suppose it sleeps while an answer is owed and nobody attends. Take the last of these in the
 *     order: the addition to expected, the last attendant's subtraction.
 *     (a) It is the addition: its sender's gate_arm follows it, finds no attendant, and exchanges. If
 *         the store of armed = 0 came before that, it finds 0 and wakes; if after, then the look (4)
 *         comes after the addition, finds it, and does not sleep.
 *     (b) It is the subtraction: gate_leave's look at expected follows it and finds the answer owed,
 *         so it exchanges; the rest is as in (a).
 *  6. The futex call itself cannot miss: it sleeps only if armed is still 0.
 *  7. A results thread in poll() does no harm but competes with the attendant: gate_attend nudges it
 *     (an eventfd) to come and sleep on the futex.
 *  8. An attendant that dies (Paho ends its thread with the last connection) is found by the
 *     dispatcher's clock: no answer taken although some are owed. gate_force then wakes the results
 *     thread whoever attends.
 * tests/unit/gateway/test_gate.c drives this with random delays.
 */
#ifndef GATEWAY_GATE_H
#define GATEWAY_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"

struct gate {
	atomic_uint armed, expected, attended;
	atomic_uint generation, down; /* down if they are equal */
	atomic_bool stop;
	atomic_bool quiet; /* the last answers were an attendant's: nobody needs to be in poll */
	int nudge_fd;
};

int gate_init(struct gate *g) MUST_USE; /* -errno */
void gate_fini(struct gate *g);

void gate_expect(struct gate *g);
void gate_answered(struct gate *g, unsigned n);
void gate_arm(struct gate *g);

void gate_force(struct gate *g);

/* Only one thread attends at a time; false: use gate_arm. */
bool gate_attend(struct gate *g);
void gate_leave(struct gate *g);

/* The end of a socket was met by a receiver that had read this generation before; and a new socket
 * is in place (what it owes is expected already). */
void gate_down(struct gate *g, unsigned generation);
void gate_up(struct gate *g);
bool gate_is_down(struct gate *g);

/* For the results thread: returns true when sock may have something (or closed), false to end. */
bool gate_wait(struct gate *g, int sock);
void gate_stop(struct gate *g);

#endif
