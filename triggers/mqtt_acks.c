/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Acknowledgements leave when the owner's journal has what they promise. Paho wants to send them as soon
 * as it has read a packet; the linker hands us these calls (Makefile, WRAPS). What Paho wants to say is
 * kept in order, and said by its receiving thread, through Paho, when the mark that was taken after the
 * sink had seen everything is settled.
 *
 * Deliveries of our own messages are reported by Paho while it holds its lock; they are kept here
 * too, and told to the sink by the receiving thread, so that the sink may publish.
 *
 * Lock order: Paho's, then acks.lock. The sink is called with neither.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "triggers/mqtt_impl.h"
#include "triggers/nodelay.h"
#include "triggers/paho_wait.h"

/* Paho's, of its MQTTPacket.c and Socket.c; the first member of net is the socket. */
int __real_MQTTPacket_send_puback(int version, int id, const int *net, const char *client);
int __real_MQTTPacket_send_pubrec(int version, int id, const int *net, const char *client);
int __real_MQTTPacket_send_pubcomp(int version, int id, const int *net, const char *client);
int __real_MQTTPacket_send_pubrel(int version, int id, int dup, const int *net, const char *client);
int __wrap_MQTTPacket_send_puback(int version, int id, const int *net, const char *client);
int __wrap_MQTTPacket_send_pubrec(int version, int id, const int *net, const char *client);
int __wrap_MQTTPacket_send_pubcomp(int version, int id, const int *net, const char *client);
int __wrap_MQTTPacket_send_pubrel(int version, int id, int dup, const int *net, const char *client);
int Socket_noPendingWrites(int socket);

enum { FIRST_ROOM = 64 };

/* Has the broker kept our session? Paho tells for 3.1.1 only, so we look at its CONNACK; one client
 * connects at a time (mqtt_link.c), so the last one is its. */
static atomic_bool session_there;

void *__real_MQTTPacket_connack(int version, unsigned char header, char *data, size_t len);
void *__wrap_MQTTPacket_connack(int version, unsigned char header, char *data, size_t len);

void *__wrap_MQTTPacket_connack(int version, unsigned char header, char *data, size_t len)
{
	if (len > 0)
		atomic_store(&session_there, data[0] & 1);
	mqtt_connack_seen(data, version == MQTTVERSION_5 ? len : 0);
	return __real_MQTTPacket_connack(version, header, data, len);
}

bool mqtt_session_present(void)
{
	return atomic_load(&session_there);
}

/* Room for one more at the end; false: no memory. */
static bool grow(void **at, size_t size, unsigned n, unsigned *room)
{
	if (n < *room)
		return true;
	unsigned more = *room ? *room * 2 : FIRST_ROOM;
	void *bigger = realloc(*at, more * size);
	if (!bigger)
		return false;
	*at = bigger;
	*room = more;
	return true;
}

static bool keep(struct mqtt *m, enum mqtt_ack_kind kind, int id, const int *net,
		 const char *client)
{
	struct mqtt_acks *a = &m->acks;
	(void)pthread_mutex_lock(&a->lock);
	if (a->first > 0 && a->first == a->n)
		a->first = a->n = 0;
	bool ok = grow((void **)&a->ack, sizeof(*a->ack), a->n, &a->room);
	if (ok)
		a->ack[a->n++] = (struct mqtt_ack){
			.kind = kind, .id = (uint16_t)id, .net = net, .fd = *net, .client = client
		};
	(void)pthread_mutex_unlock(&a->lock);
	return ok;
}

static int say(const struct mqtt *m, const struct mqtt_ack *a)
{
	int version = m->o.version == 5 ? MQTTVERSION_5 : MQTTVERSION_3_1_1;
	switch (a->kind) {
	case ACK_PUBACK:
		return __real_MQTTPacket_send_puback(version, a->id, a->net, a->client);
	case ACK_PUBREC:
		return __real_MQTTPacket_send_pubrec(version, a->id, a->net, a->client);
	case ACK_PUBCOMP:
		return __real_MQTTPacket_send_pubcomp(version, a->id, a->net, a->client);
	case ACK_PUBREL:
		break;
	}
	return __real_MQTTPacket_send_pubrel(version, a->id, 0, a->net, a->client);
}

/* 0 is Paho's "complete". Without memory to keep it nothing is said: the broker asks again at the next
 * connection. */
static int later(enum mqtt_ack_kind kind, int version, int id, const int *net, const char *client)
{
	struct mqtt *m = nodelay_owner(*net);
	const struct mqtt_ack now = {
		.kind = kind, .id = (uint16_t)id, .net = net, .fd = *net, .client = client
	};
	(void)version;
	if (m && m->base.sink.mark) {
		(void)keep(m, kind, id, net, client);
		return 0;
	}
	const struct mqtt of = { .o = { .version = version == MQTTVERSION_5 ? 5 : 3 } };
	return say(&of, &now);
}

int __wrap_MQTTPacket_send_puback(int version, int id, const int *net, const char *client)
{
	return later(ACK_PUBACK, version, id, net, client);
}

int __wrap_MQTTPacket_send_pubrec(int version, int id, const int *net, const char *client)
{
	return later(ACK_PUBREC, version, id, net, client);
}

int __wrap_MQTTPacket_send_pubcomp(int version, int id, const int *net, const char *client)
{
	return later(ACK_PUBCOMP, version, id, net, client);
}

int __wrap_MQTTPacket_send_pubrel(int version, int id, int dup, const int *net, const char *client)
{
	(void)dup; /* always 0 since MQTT 3.1.1 */
	return later(ACK_PUBREL, version, id, net, client);
}

void mqtt_ack_withhold(struct mqtt *m, int id)
{
	struct mqtt_acks *a = &m->acks;
	(void)pthread_mutex_lock(&a->lock);
	for (unsigned i = a->n; i-- > a->first;) {
		struct mqtt_ack *k = &a->ack[i];
		if (k->id != id || k->kind == ACK_PUBREL || k->said)
			continue;
		k->said = true;
		break;
	}
	(void)pthread_mutex_unlock(&a->lock);
}

void mqtt_acks_reset(struct mqtt *m)
{
	(void)pthread_mutex_lock(&m->acks.lock);
	m->acks.first = m->acks.n = 0;
	(void)pthread_mutex_unlock(&m->acks.lock);
}

void mqtt_acks_fini(struct mqtt *m)
{
	free(m->acks.ack);
	free(m->acks.delivery);
	(void)pthread_mutex_destroy(&m->acks.lock);
}

/* ---- deliveries ---- */

void mqtt_delivery_keep(struct mqtt *m, int id, const char *refused)
{
	struct mqtt_acks *a = &m->acks;
	(void)pthread_mutex_lock(&a->lock);
	if (grow((void **)&a->delivery, sizeof(*a->delivery), a->ndeliveries, &a->delivery_room))
		a->delivery[a->ndeliveries++] = (struct mqtt_delivery){ (uint16_t)id, refused };
	(void)pthread_mutex_unlock(&a->lock);
}

static void tell_deliveries(struct mqtt *m)
{
	struct mqtt_acks *a = &m->acks;
	for (unsigned at = 0;;) {
		struct mqtt_delivery some[32];
		unsigned n = 0;
		(void)pthread_mutex_lock(&a->lock);
		while (at < a->ndeliveries && n < 32)
			some[n++] = a->delivery[at++];
		if (n == 0)
			a->ndeliveries = 0;
		(void)pthread_mutex_unlock(&a->lock);
		for (unsigned i = 0; i < n; i++)
			mqtt_slot_end(m, some[i].id, some[i].refused);
		if (n == 0)
			return;
	}
}

/* ---- on the receiving thread ---- */

/* PUBRECs came: the sink is told before the mark is taken that lets PUBREL go. */
static void tell_received(struct mqtt *m)
{
	struct mqtt_acks *a = &m->acks;
	(void)pthread_mutex_lock(&a->lock);
	for (unsigned i = a->first; i < a->n; i++) {
		if (a->ack[i].kind != ACK_PUBREL || a->ack[i].marked || a->ack[i].told)
			continue;
		a->ack[i].told = true;
		uint16_t id = a->ack[i].id;
		(void)pthread_mutex_unlock(&a->lock);
		mqtt_slot_released(m, id);
		(void)pthread_mutex_lock(&a->lock);
	}
	(void)pthread_mutex_unlock(&a->lock);
}

/* Takes a mark for what has none. Whatever Paho wanted to acknowledge up to here, the sink has seen; a
 * PUBREL that came in since tell_received waits for the next. */
static void mark_fresh(struct mqtt *m)
{
	struct mqtt_acks *a = &m->acks;
	(void)pthread_mutex_lock(&a->lock);
	unsigned end = a->n;
	bool fresh = end > a->first && !a->ack[end - 1].marked;
	(void)pthread_mutex_unlock(&a->lock);
	if (!fresh)
		return;
	struct trigger_mark mark = m->base.sink.mark(m->base.sink.arg);
	(void)pthread_mutex_lock(&a->lock);
	for (unsigned i = end < a->n ? end : a->n; i-- > a->first && !a->ack[i].marked;) {
		a->ack[i].mark = mark;
		a->ack[i].marked = a->ack[i].kind != ACK_PUBREL || a->ack[i].told;
	}
	(void)pthread_mutex_unlock(&a->lock);
}

/* The first that may go, if it may. acks.lock held. */
static struct mqtt_ack *ready(struct mqtt *m)
{
	struct mqtt_acks *a = &m->acks;
	while (a->first < a->n && a->ack[a->first].said)
		a->first++;
	struct mqtt_ack *k = a->first < a->n ? &a->ack[a->first] : NULL;
	return k && k->marked && m->base.sink.settled(m->base.sink.arg, k->mark) ? k : NULL;
}

static void release(struct mqtt *m)
{
	struct mqtt_acks *a = &m->acks;
	(void)pthread_mutex_lock(&a->lock);
	bool any = ready(m) != NULL;
	(void)pthread_mutex_unlock(&a->lock);
	if (!any)
		return;
	paho_lock();
	(void)pthread_mutex_lock(&a->lock);
	for (struct mqtt_ack *k; (k = ready(m));) {
		bool gone = *k->net != k->fd; /* that connection is over */
		if (!gone && !Socket_noPendingWrites(k->fd))
			break; /* Paho goes on with what was cut first; the reader comes back */
		k->said = true;
		if (!gone)
			(void)say(m, k);
	}
	(void)pthread_mutex_unlock(&a->lock);
	paho_unlock();
}

void mqtt_acks_drain(struct mqtt *m)
{
	if (atomic_load(&m->resuming))
		return;
	tell_deliveries(m);
	if (!m->base.sink.mark)
		return;
	tell_received(m);
	mark_fresh(m);
	release(m);
}
