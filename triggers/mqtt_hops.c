/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many functions led to a message, so that a loop can be noticed: a function that publishes into its
 * own binding's filter, or two that feed each other.
 *
 * MQTT 5 carries it with the message, in the user property "penstock-hops", through other gateways too.
 * MQTT 3.1.1 carries nothing, so there we remember what we published, and know it again when it comes
 * back: a table of SEEN_MAX words, each the hash of topic and payload and the number. New ones replace old
 * ones; who publishes more than that within one turn of a loop finds it later, by chance. Loops through
 * a second gateway are not seen there.
 */
#include <stdlib.h>
#include <string.h>

#include "triggers/mqtt_impl.h"

enum { SEEN_MAX = 4096, HASHED_BYTES = 512, HOPS_TOLD = 32, NAME_LEN = 13 };

const char mqtt_hops_name[] = "penstock-hops";

struct mqtt_hops {
	bool v5;
	char text[HOPS_TOLD][4];
	MQTTProperties told[HOPS_TOLD]; /* 0 is empty */
	_Atomic uint64_t seen[];        /* 3.1.1: hash, and in the lowest byte the number */
};

struct mqtt_hops *mqtt_hops_new(bool v5)
{
	struct mqtt_hops *h = calloc(1, sizeof(*h) + (v5 ? 0 : SEEN_MAX * sizeof(h->seen[0])));
	if (!h)
		return NULL;
	h->v5 = v5;
	for (unsigned n = 1; v5 && n < HOPS_TOLD; n++) {
		int len = snprintf(h->text[n], sizeof(h->text[n]), "%u", n);
		const MQTTProperty p = { .identifier = MQTTPROPERTY_CODE_USER_PROPERTY,
					 .value.data = { NAME_LEN, (char *)mqtt_hops_name },
					 .value.value = { len, h->text[n] } };
		if (MQTTProperties_add(&h->told[n], &p) != 0) {
			mqtt_hops_free(h);
			return NULL;
		}
	}
	return h;
}

void mqtt_hops_free(struct mqtt_hops *h)
{
	for (unsigned n = 0; h && n < HOPS_TOLD; n++)
		MQTTProperties_free(&h->told[n]);
	free(h);
}

/* FNV-1a. The lowest byte is left to the number. */
static uint64_t hash(struct span topic, struct span payload)
{
	uint64_t h = 14695981039346656037u ^ payload.len;
	for (size_t i = 0; i < topic.len; i++)
		h = (h ^ topic.at[i]) * 1099511628211u;
	for (size_t i = 0; i < payload.len && i < HASHED_BYTES; i++)
		h = (h ^ payload.at[i]) * 1099511628211u;
	return h & ~UINT64_C(0xff);
}

static unsigned place(uint64_t h)
{
	return (unsigned)(h >> 32) % SEEN_MAX;
}

MQTTProperties *mqtt_hops_out(struct mqtt_hops *h, struct span topic, struct span payload,
			      uint8_t n)
{
	if (n == 0)
		return NULL;
	if (h->v5)
		return &h->told[n < HOPS_TOLD ? n : HOPS_TOLD - 1];
	uint64_t key = hash(topic, payload);
	atomic_store_explicit(&h->seen[place(key)], key | n, memory_order_relaxed);
	return NULL;
}

bool mqtt_hops_property(const MQTTProperty *p, uint8_t *ret)
{
	const MQTTLenString *v = &p->value.value;
	if (p->value.data.len != NAME_LEN ||
	    memcmp(p->value.data.data, mqtt_hops_name, NAME_LEN) != 0)
		return false;
	unsigned n = 0;
	for (int i = 0; i < v->len && v->data[i] >= '0' && v->data[i] <= '9' && n < UINT8_MAX; i++)
		n = n * 10 + (unsigned)(v->data[i] - '0');
	*ret = (uint8_t)(n < UINT8_MAX ? n : UINT8_MAX);
	return true;
}

uint8_t mqtt_hops_in(const struct mqtt_hops *h, struct span topic, struct span payload)
{
	if (h->v5)
		return 0;
	uint64_t key = hash(topic, payload);
	uint64_t seen = atomic_load_explicit(&h->seen[place(key)], memory_order_relaxed);
	return (seen & ~UINT64_C(0xff)) == key ? (uint8_t)seen : 0;
}
