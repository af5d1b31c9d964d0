/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who takes the sandbox's answers: the thread that sent the event, which polls for a few
 * microseconds before it goes back to its own socket, or the results thread. Waking a sleeping
 * thread costs 10 to 15 us on a small box, so the results thread sleeps on a futex while senders
 * take their answers themselves, and is blocked in poll() on the sandbox's socket while they do not.
 *
 * Words: expected  answers owed by the sandbox (INVOKE and LOAD sent, not answered)
 *        spinners  senders between gate_spin_begin and gate_spin_end
 *        armed     0: the results thread sleeps on the futex, or is about to
 *        down      the sandbox's end is closed: nothing will come until gate_up. It names the
 *                  generation that closed, so that a late report of an old socket's end cannot
 *                  close the new one's
 *
 * No answer is left lying. All operations on these words are sequentially consistent, so there is
 * one order of them that every thread agrees on.
 *  1. A sender adds to `expected` before it sends. After that it either calls gate_arm, or was a
 *     spinner all along and calls gate_spin_end.
 *  2. gate_spin_end takes the spinner away and THEN, if expected > 0, does what gate_arm does:
 *     exchange armed to 1, and wake the futex if it was 0.
 *  3. The results thread, before it sleeps, stores armed = 0 and THEN looks: if expected > 0 and
 *     there is no spinner, it stores armed = 1 again and goes on to poll.
 *  4. Suppose it sleeps while an answer is owed. Its look (3) found expected == 0, or a spinner.
 *     (a) expected was 0: the sender's addition (1) comes after the look, so its gate_arm or
 *         gate_spin_end comes after the store of armed = 0, finds 0, and wakes it.
 *     (b) there was a spinner: its subtraction (2) comes after the look, so its test of expected and
 *         its exchange come after the store of armed = 0: it wakes the sleeper, unless expected was
 *         0 by then, in which case a later sender is as in (a).
 *  5. The futex call itself cannot miss: it sleeps only if armed is still 0.
 *  6. A results thread in poll() with nothing owed does no harm but competes with the next
 *     spinner: gate_spin_end then nudges it once (an eventfd) to come and sleep on the futex.
 * tests/unit/gateway/test_gate.c drives this with random delays.
 */
#ifndef GATEWAY_GATE_H
#define GATEWAY_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"

struct gate {
	atomic_uint armed, expected, spinners;
	atomic_uint generation, down; /* down if they are equal */
	atomic_bool stop;
	atomic_bool quiet; /* spinners take the answers: nobody needs to be blocked in poll */
	int nudge_fd;
};

int gate_init(struct gate *g) MUST_USE; /* -errno */
void gate_fini(struct gate *g);

void gate_expect(struct gate *g);
void gate_answered(struct gate *g, unsigned n);
void gate_arm(struct gate *g);

/* Only one thread spins at a time; false: use gate_arm. */
bool gate_spin_begin(struct gate *g);
void gate_spin_end(struct gate *g);

/* The end of a socket was met by a receiver that had read this generation before; and a new socket
 * is in place (what it owes is expected already). */
void gate_down(struct gate *g, unsigned generation);
void gate_up(struct gate *g);
bool gate_is_down(struct gate *g);

/* For the results thread: returns true when sock may have something (or closed), false to end. */
bool gate_wait(struct gate *g, int sock);
void gate_stop(struct gate *g);

#endif
