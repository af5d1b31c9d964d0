/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/choice.h"

#include <stdlib.h>

void choice_init(struct choice *c)
{
	*c = (struct choice){ .calm = true };
	(void)pthread_mutex_init(&c->lock, NULL);
}

void choice_fini(struct choice *c)
{
	(void)pthread_mutex_destroy(&c->lock);
}

static void set_way(struct choice *c, enum way way)
{
	atomic_store_explicit(&c->way, way, memory_order_relaxed);
}

static void watch(struct choice *c, bool dear)
{
	if (dear)
		c->strains++;
	else if (c->strains > 0)
		c->strains--;
	if (c->strains == CHOICE_STRAINS_MAX) {
		c->stage = CHOICE_TRYING;
		c->strains = c->nsamples = 0;
	}
	bool calm = c->stage == CHOICE_WATCHING && c->strains == 0;
	atomic_store_explicit(&c->calm, calm, memory_order_relaxed);
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static uint64_t median(uint64_t *sample_ns)
{
	qsort(sample_ns, CHOICE_SAMPLES, sizeof(*sample_ns), by_size);
	return sample_ns[CHOICE_SAMPLES / 2];
}

static void sample(struct choice *c, enum way used, uint64_t ns)
{
	enum way trying = choice_way(c);
	if (used != trying) /* its memory was made ready before the trial came to this way */
		return;
	c->sample_ns[trying][c->nsamples++] = ns;
	if (c->nsamples < CHOICE_SAMPLES)
		return;
	c->nsamples = 0;
	if (trying == WAY_COPY) {
		set_way(c, WAY_REMAP);
		return;
	}
	bool copy = median(c->sample_ns[WAY_COPY]) <= median(c->sample_ns[WAY_REMAP]);
	set_way(c, copy ? WAY_COPY : WAY_REMAP);
	c->stage = CHOICE_HOLDING;
	c->left = CHOICE_EVENTS;
}

static void hold(struct choice *c)
{
	if (--c->left > 0)
		return;
	set_way(c, WAY_COPY);
	c->stage = CHOICE_WATCHING;
	atomic_store_explicit(&c->calm, true, memory_order_relaxed);
}

void choice_note(struct choice *c, enum way used, uint64_t ns, bool dear)
{
	if (pthread_mutex_trylock(&c->lock) != 0)
		return; /* one event more or less does not matter */
	switch (c->stage) {
	case CHOICE_WATCHING:
		watch(c, dear);
		break;
	case CHOICE_TRYING:
		sample(c, used, ns);
		break;
	case CHOICE_HOLDING:
		hold(c);
		break;
	}
	(void)pthread_mutex_unlock(&c->lock);
}
