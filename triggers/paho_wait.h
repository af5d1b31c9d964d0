/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paho waits by sleeping: 100 ms when it starts its receiving thread and between looks at a write that
 * was cut, 10 ms between looks at the semaphore that its receiving thread posts for an answer, and up
 * to 10 s for that answer although its caller wants to end. The linker gives us these calls
 * (Makefile, LIBS_triggers): the semaphore is waited for as semaphores are, and the caller can say that
 * it is in a hurry, or no longer interested.
 *
 * Paho's threads are started here, too. All clients share one that receives. Paho knows that it runs when it
 * has come that far itself: a client that connected before that started a second, and the two freed each
 * other's lists. And Paho waits for its end for 100 short sleeps, and then frees what it uses. So who starts it
 * goes on when it runs, and who waits for its end wakes it and sleeps until then.
 */
#ifndef TRIGGERS_PAHO_WAIT_H
#define TRIGGERS_PAHO_WAIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { PAHO_HURRY_MS = 2 };

/* While on, Paho's pauses on this thread are short. */
void paho_hurry(bool on);
/* This thread closes a connection: what it sleeps for from now on is the receiving thread's end. */
void paho_closing(void);
/* The same on all threads, from now on for that long; it ends by itself. */
void paho_all_hurry(unsigned ms);
bool paho_all_hurry_now(void);
/* While *flag is set, this thread waits for no answer of a broker. NULL: no such flag. */
void paho_give_up_when(const atomic_bool *flag);
/* Is there a thread that receives? */
bool paho_receives(void);
int64_t paho_ms_now(void); /* CLOCK_MONOTONIC_COARSE */

/* The lock that Paho holds while it works on a connection, for calling what it calls itself. It is
 * learned from a client, once; before that nobody has one. */
void paho_lock_learn(void *client);
void paho_lock(void);
void paho_unlock(void);

#endif
