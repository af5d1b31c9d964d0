/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/dedupe.h"

#include <stdlib.h>

struct seen {
	uint16_t packet; /* 0: empty */
	uint32_t connection;
	uint64_t digest, at_ms;
};

struct dedupe {
	struct seen ring[DEDUPE_WINDOW];
	unsigned next;
	bool reuses;           /* the broker has been seen to use identifiers again soon */
	uint16_t place[65536]; /* by packet: index into ring plus one, of the newest; 0 = none */
};

struct dedupe *dedupe_new(void)
{
	return calloc(1, sizeof(struct dedupe));
}

void dedupe_free(struct dedupe *d)
{
	free(d);
}

/* FNV-1a, with the lengths, so that no byte can move from one to the other. */
uint64_t dedupe_digest(struct span topic, struct span payload)
{
	uint64_t h = 14695981039346656037u ^ topic.len;
	for (size_t i = 0; i < topic.len; i++)
		h = (h ^ topic.at[i]) * 1099511628211u;
	h ^= payload.len;
	for (size_t i = 0; i < payload.len; i++)
		h = (h ^ payload.at[i]) * 1099511628211u;
	return h & INT64_MAX;
}

static struct seen *newest(struct dedupe *d, uint16_t packet)
{
	unsigned at = d->place[packet];
	struct seen *s = at > 0 ? &d->ring[at - 1] : NULL;
	return s && s->packet == packet ? s : NULL;
}

bool dedupe_is_repeated(struct dedupe *d, uint32_t connection, uint16_t packet, bool dup,
			uint64_t digest, uint64_t now_ms)
{
	const struct seen *s = newest(d, packet);
	if (!dup) {
		d->reuses |= s && s->connection == connection;
		return false;
	}
	bool sure = !d->reuses || (s && now_ms - s->at_ms < DEDUPE_DOUBT_MS);
	return s && s->digest == digest && sure;
}

void dedupe_add(struct dedupe *d, uint32_t connection, uint16_t packet, uint64_t digest,
		uint64_t now_ms)
{
	d->ring[d->next] = (struct seen){ packet, connection, digest, now_ms };
	d->place[packet] = (uint16_t)(d->next + 1);
	d->next = (d->next + 1) % DEDUPE_WINDOW;
}
