/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packet identifiers of what we publish.
 *
 * An identifier is a slot's number plus one. The owner may reserve one, write it down with the message,
 * and publish later under it, in this run or the next. Paho takes it from us (MQTTProtocol_assignMsgId);
 * SUBSCRIBE and the like get theirs from above SLOT_IDS_MAX.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "triggers/mqtt_impl.h"
#include "triggers/nodelay.h"
#include "triggers/paho_wait.h"

enum { ANSWER_MS = 5000, LOOK_MS = 500 };

int __real_MQTTProtocol_assignMsgId(void *client);
int __wrap_MQTTProtocol_assignMsgId(void *client);

static _Thread_local int next_id;
static _Atomic unsigned others;

int __wrap_MQTTProtocol_assignMsgId(void *client)
{
	(void)client;
	if (next_id > 0)
		return next_id;
	return (int)(SLOT_IDS_MAX + 1 + atomic_fetch_add(&others, 1) % (65535 - SLOT_IDS_MAX));
}

void mqtt_slot_use(uint16_t id)
{
	next_id = id;
}

/* ---- slots ---- */

int mqtt_slots_init(struct mqtt *m, unsigned n)
{
	struct mqtt_slots *s = &m->slots;
	s->n = n < SLOT_IDS_MAX ? n : SLOT_IDS_MAX;
	s->slot = calloc(s->n, sizeof(*s->slot));
	s->next = 0;
	(void)pthread_mutex_init(&s->lock, NULL);
	return s->slot ? 0 : -ENOMEM;
}

void mqtt_slots_fini(struct mqtt *m)
{
	struct mqtt_slots *s = &m->slots;
	for (unsigned i = 0; s->slot && i < s->n; i++)
		free(s->slot[i].bytes);
	free(s->slot);
	for (struct mqtt_inbound *in; (in = s->inbound);) {
		s->inbound = in->next;
		free(in);
	}
	free(s->leaving);
	(void)pthread_mutex_destroy(&s->lock);
}

uint16_t mqtt_slot_take(struct mqtt *m)
{
	struct mqtt_slots *s = &m->slots;
	uint16_t id = 0;
	(void)pthread_mutex_lock(&s->lock);
	bool room = atomic_load(&m->inflight) < m->inflight_max;
	for (unsigned i = 0; room && id == 0 && i < s->n; i++) {
		unsigned at = (s->next + i) % s->n;
		if (s->slot[at].state != SLOT_FREE)
			continue;
		s->slot[at] = (struct mqtt_slot){ .state = SLOT_RESERVED };
		s->next = at + 1;
		id = (uint16_t)(at + 1);
		atomic_fetch_add(&m->inflight, 1);
	}
	(void)pthread_mutex_unlock(&s->lock);
	return id;
}

struct mqtt_slot *mqtt_slot_of(struct mqtt *m, unsigned id)
{
	return id >= 1 && id <= m->slots.n ? &m->slots.slot[id - 1] : NULL;
}

/* lock held */
static uint64_t give(struct mqtt *m, struct mqtt_slot *slot)
{
	uint64_t token = slot->token;
	free(slot->bytes);
	*slot = (struct mqtt_slot){ 0 };
	atomic_fetch_sub(&m->inflight, 1);
	return token;
}

void mqtt_slot_give(struct mqtt *m, uint16_t id)
{
	struct mqtt_slot *slot = mqtt_slot_of(m, id);
	(void)pthread_mutex_lock(&m->slots.lock);
	if (slot && slot->state != SLOT_FREE)
		(void)give(m, slot);
	(void)pthread_mutex_unlock(&m->slots.lock);
}

void mqtt_slot_sent(struct mqtt *m, uint16_t id, uint64_t token, uint8_t qos)
{
	struct mqtt_slot *slot = mqtt_slot_of(m, id);
	(void)pthread_mutex_lock(&m->slots.lock);
	if (slot) {
		slot->token = token;
		slot->qos = qos;
		slot->state = SLOT_SENT;
		slot->since_ms = paho_ms_now();
	}
	(void)pthread_mutex_unlock(&m->slots.lock);
}

void mqtt_slot_unsent(struct mqtt *m, uint16_t id)
{
	struct mqtt_slot *slot = mqtt_slot_of(m, id);
	(void)pthread_mutex_lock(&m->slots.lock);
	if (slot)
		slot->state = SLOT_RESERVED;
	(void)pthread_mutex_unlock(&m->slots.lock);
}

void mqtt_slot_released(struct mqtt *m, uint16_t id)
{
	struct mqtt_slot *slot = mqtt_slot_of(m, id);
	uint64_t token = 0;
	(void)pthread_mutex_lock(&m->slots.lock);
	if (slot && slot->state == SLOT_SENT) {
		slot->state = SLOT_RELEASED;
		slot->since_ms = paho_ms_now();
		token = slot->token;
	}
	(void)pthread_mutex_unlock(&m->slots.lock);
	if (token != 0 && m->base.sink.received)
		m->base.sink.received(m->base.sink.arg, token);
}

static void tell(struct mqtt *m, uint64_t token, bool again, const char *refused)
{
	const struct trigger_sink *sink = &m->base.sink;
	if (token != 0 && again && sink->again)
		sink->again(sink->arg, token);
	else if (token != 0 && sink->acknowledged)
		sink->acknowledged(sink->arg, token, refused);
}

void mqtt_slot_end(struct mqtt *m, uint16_t id, const char *refused)
{
	struct mqtt_slot *slot = mqtt_slot_of(m, id);
	uint64_t token = 0;
	bool again = false;
	(void)pthread_mutex_lock(&m->slots.lock);
	if (slot && slot->state != SLOT_FREE) {
		again = slot->lost;
		token = give(m, slot);
	}
	(void)pthread_mutex_unlock(&m->slots.lock);
	tell(m, token, again, refused);
}

/* The broker knows nothing of what it had received: PUBREL alone would end it with nothing there. */
void mqtt_slots_lost(struct mqtt *m)
{
	(void)pthread_mutex_lock(&m->slots.lock);
	for (unsigned i = 0; i < m->slots.n; i++)
		m->slots.slot[i].lost |= m->slots.slot[i].state == SLOT_RELEASED;
	(void)pthread_mutex_unlock(&m->slots.lock);
}

void mqtt_slots_forget_qos1(struct mqtt *m)
{
	for (unsigned i = 0; i < m->slots.n; i++) {
		struct mqtt_slot *slot = &m->slots.slot[i];
		uint64_t token = 0;
		(void)pthread_mutex_lock(&m->slots.lock);
		if (slot->state == SLOT_SENT && slot->qos == 1)
			token = give(m, slot);
		(void)pthread_mutex_unlock(&m->slots.lock);
		tell(m, token, true, NULL);
	}
}

/* ---- acknowledgements that do not come ---- */

void mqtt_slots_connected(struct mqtt *m)
{
	(void)pthread_mutex_lock(&m->slots.lock);
	for (unsigned i = 0; i < m->slots.n; i++)
		m->slots.slot[i].since_ms = paho_ms_now();
	(void)pthread_mutex_unlock(&m->slots.lock);
}

static bool any_overdue(struct mqtt *m, int64_t now)
{
	bool any = false;
	(void)pthread_mutex_lock(&m->slots.lock);
	for (unsigned i = 0; i < m->slots.n && !any; i++) {
		const struct mqtt_slot *s = &m->slots.slot[i];
		any = (s->state == SLOT_SENT || s->state == SLOT_RELEASED) &&
		      now - s->since_ms > ANSWER_MS;
	}
	(void)pthread_mutex_unlock(&m->slots.lock);
	return any;
}

/* Mosquitto throws away any packet, acknowledgements too, for a client for which max_queued_messages of
 * them wait (its issue 3542). Each takes a place in the window for good, until a new connection. A slow
 * network is another matter: what was asked must have got there, and a look later be unanswered still. */
bool mqtt_slots_unanswered(struct mqtt *m)
{
	int64_t now = paho_ms_now();
	uint64_t written, there;
	if (now - m->looked_ms < LOOK_MS)
		return false;
	m->looked_ms = now;
	if (atomic_load(&m->inflight) == 0 || !atomic_load(&m->connected) || !any_overdue(m, now) ||
	    !nodelay_sent(m->fd, &written, &there)) {
		m->overdue_bytes = 0;
		return false;
	}
	if (m->overdue_bytes == 0) {
		m->overdue_bytes = written;
		m->overdue_there = false;
		return false;
	}
	bool late = m->overdue_there;
	m->overdue_there = there >= m->overdue_bytes;
	return late && m->overdue_there;
}
