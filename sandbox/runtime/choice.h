/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which way of bringing memory back costs a function less; found out by measuring, because it
 * depends on the function as much as on the machine.
 *	COPY	the pages that its instances usually write to stay writable and are copied back after
 *		each event; writing to any other faults (memory.h)
 *	REMAP	the kernel takes all written pages away; each event faults for those that it needs
 * Most functions write to a few pages, always the same, and then COPY costs less than one fault. A
 * function starts with it. When most of its events pay much for it, thirty-one of them are timed,
 * and then as many with REMAP; the better median decides for the next events, and then it is asked
 * anew. All of a function's threads share one choice.
 */
#ifndef RUNTIME_CHOICE_H
#define RUNTIME_CHOICE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum way { WAY_COPY, WAY_REMAP, WAY_COUNT };
enum {
	CHOICE_STRAINS_MAX =
		16, /* so many events that paid much, more than others, start a trial */
	CHOICE_SAMPLES = 31,
	CHOICE_EVENTS = 8192, /* a choice holds for so many */
};

struct choice {
	_Atomic enum way way;
	atomic_bool calm; /* nothing is being counted */
	pthread_mutex_t lock;
	enum { CHOICE_WATCHING, CHOICE_TRYING, CHOICE_HOLDING } stage;
	unsigned strains, nsamples, left;
	uint64_t sample_ns[WAY_COUNT][CHOICE_SAMPLES];
};

void choice_init(struct choice *c);
void choice_fini(struct choice *c);

static inline enum way choice_way(const struct choice *c)
{
	return atomic_load_explicit(&c->way, memory_order_relaxed);
}

/* False: choice_note() is only needed for an event that paid much. */
static inline bool choice_counts(const struct choice *c)
{
	return !atomic_load_explicit(&c->calm, memory_order_relaxed);
}

/* After an event: the way its memory was in, what running it and bringing it back took, and whether
 * the latter looks dear. */
void choice_note(struct choice *c, enum way used, uint64_t ns, bool dear);

#endif
