/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/own.h"
#include "proto/topic.h"
#include "triggers/mqtt_impl.h"
#include "triggers/nodelay.h"
#include "triggers/paho_wait.h"

enum { SHORT_WAY_BYTES = 4096, DROPS_PER_S = 5, SENDS_QUEUED = 256 };

void mqtt_drop(struct mqtt *m, struct limiter *l, const char *msg, struct span topic,
	       const char *reason, size_t bytes)
{
	uint64_t held_back;
	atomic_fetch_add(&m->dropped, 1);
	if (limiter_pass(l, DROPS_PER_S, &held_back))
		LOG(LOG_WARN, msg, F_STR("broker", m->base.name),
		    F_BYTES("topic", topic.at, topic.len < 256 ? topic.len : 256),
		    F_STR("reason", reason), F_U64("bytes", bytes),
		    F_U64_SOME("not_logged", held_back));
}

/* ---- acknowledgements ---- */

/* There is something for mqtt_drain on this thread, or for the broker's thread. The latter sleeps with
 * a queue only while inflight is at its most, and every way down from there comes through here. */
static void may_go_on(struct mqtt *m)
{
	if (atomic_load(&m->queued) == 0 || (m->drained && nodelay_reads()))
		return;
	(void)pthread_mutex_lock(&m->lock);
	if (mqtt_may_flush(m))
		(void)pthread_cond_signal(&m->wake);
	(void)pthread_mutex_unlock(&m->lock);
}

/* Paho holds its lock here, so the sink is told by mqtt_drain. */
static void acknowledged(struct mqtt *m, int id, const char *refused)
{
	if (m->drained) {
		mqtt_delivery_keep(m, id, refused);
		return;
	}
	mqtt_slot_end(m, (uint16_t)id, refused);
	may_go_on(m);
}

void mqtt_delivered(void *arg, MQTTClient_deliveryToken token)
{
	struct mqtt *m = arg;
	if (m->o.version != 5)
		acknowledged(m, token, NULL);
}

void mqtt_published(void *arg, int token, int packet_type, MQTTProperties *props,
		    enum MQTTReasonCodes reason)
{
	struct mqtt *m = arg;
	const char *refused = NULL;
	(void)packet_type;
	(void)props;
	/* An identifier that it does not know any more it had all of. */
	if ((int)reason >= 0x80 && reason != MQTTREASONCODE_PACKET_IDENTIFIER_NOT_FOUND) {
		refused = MQTTReasonCode_toString(reason);
		mqtt_drop(m, &m->refusals, "broker refused a message", (struct span){ 0 }, refused,
			  0);
	}
	acknowledged(m, token, refused);
}

/* ---- out ---- */

static size_t size_of(const struct trigger_message *msg)
{
	return msg->topic.len + msg->payload.len + msg->attrs.len;
}

/* msg->topic is NUL-terminated. */
static int publish_as_is(struct mqtt *m, const struct trigger_message *msg)
{
	int rc, len = (int)msg->payload.len, qos = msg->qos;
	const char *topic = (const char *)msg->topic.at;
	MQTTProperties *props = mqtt_hops_out(m->hops, msg->topic, msg->payload, msg->hops);
	struct mqtt_props all;
	bool known = false;
	all.alias = m->aliases && qos == 0 ? mqtt_alias_of(m, topic, &known) : 0;
	if (msg->id || msg->attrs.len > 0 || all.alias || m->o.cloudevents != MQTT_EVENTS_NO)
		props = mqtt_props_of(m, &all, msg);
	if (m->o.version == 5) {
		MQTTResponse r =
			MQTTClient_publish5(m->client, known ? "" : topic, len, msg->payload.at,
					    qos, msg->retain, props, NULL);
		rc = (int)r.reasonCode;
		MQTTResponse_free(r);
	} else {
		rc = MQTTClient_publish(m->client, topic, len, msg->payload.at, qos, msg->retain,
					NULL);
	}
	if (rc == MQTTCLIENT_SUCCESS && all.alias && !known)
		mqtt_alias_sent(m, topic);
	if (rc == MQTTCLIENT_SUCCESS)
		atomic_fetch_add_explicit(&m->published, 1, memory_order_relaxed);
	return rc;
}

static int publish(struct mqtt *m, const struct trigger_message *msg)
{
	if (m->o.cloudevents != MQTT_EVENTS_STRUCTURED)
		return publish_as_is(m, msg);
	struct trigger_message event = *msg;
	OWN_FREE char *json = mqtt_wrap(m, msg, &event.payload.len);
	if (!json)
		return MQTTCLIENT_NULL_PARAMETER;
	event.payload.at = (const uint8_t *)json;
	return publish_as_is(m, &event);
}

static int send_now(struct mqtt *m, const struct trigger_message *msg)
{
	if (msg->qos == 0)
		return publish(m, msg);
	uint16_t id = msg->packet ? msg->packet : mqtt_slot_take(m);
	if (id == 0)
		return MQTTCLIENT_MAX_MESSAGES_INFLIGHT;
	mqtt_slot_sent(m, id, msg->token, msg->qos); /* before its answer can come */
	mqtt_slot_use(id);
	int rc = publish(m, msg);
	mqtt_slot_use(0);
	if (rc != MQTTCLIENT_SUCCESS && msg->packet)
		mqtt_slot_unsent(m, id);
	else if (rc != MQTTCLIENT_SUCCESS)
		mqtt_slot_give(m, id);
	return rc;
}

static bool short_way(struct mqtt *m, const struct trigger_message *msg)
{
	char topic[SHORT_WAY_BYTES + 1];
	uint32_t left;
	if (!m->short_way || atomic_load_explicit(&m->limited, memory_order_relaxed) ||
	    mqtt_expired(msg, &left) ||
	    !atomic_load_explicit(&m->connected, memory_order_acquire) ||
	    atomic_load(&m->queued) > 0 || atomic_load(&m->out_busy) ||
	    size_of(msg) > SHORT_WAY_BYTES ||
	    (msg->qos > 0 && msg->packet == 0 && atomic_load(&m->inflight) >= m->inflight_max))
		return false;
	/* Only try: whoever holds it may be waiting for this very thread, if this is the receiver. */
	if (pthread_mutex_trylock(&m->out_lock) != 0)
		return false;
	bool sent = false;
	if (!atomic_load(&m->out_busy) && nodelay_writable(m->fd, size_of(msg))) {
		memcpy(topic, msg->topic.at, msg->topic.len);
		topic[msg->topic.len] = '\0';
		paho_hurry(true);
		struct trigger_message same = *msg;
		same.topic.at = (const uint8_t *)topic;
		sent = send_now(m, &same) == MQTTCLIENT_SUCCESS;
		paho_hurry(false);
	}
	(void)pthread_mutex_unlock(&m->out_lock);
	return sent;
}

static struct mqtt_out *copy_of(const struct trigger_message *msg)
{
	size_t id = msg->id ? strlen(msg->id) + 1 : 0;
	size_t source = msg->source ? strlen(msg->source) + 1 : 0;
	size_t function = !source && msg->function ? strlen(msg->function) + 1 : 0;
	struct mqtt_out *out = malloc(sizeof(*out) + msg->payload.len + msg->topic.len + 1 + id +
				      source + function + msg->attrs.len);
	if (!out)
		return NULL;
	*out = (struct mqtt_out){ .payload_len = msg->payload.len,
				  .qos = msg->qos,
				  .retain = msg->retain,
				  .hops = msg->hops,
				  .packet = msg->packet,
				  .token = msg->token,
				  .time_wall_ms = msg->time_wall_ms,
				  .attrs_len = msg->attrs.len,
				  .topic = (char *)out->payload + msg->payload.len };
	char *more = out->topic + msg->topic.len + 1;
	out->id = id ? memcpy(more, msg->id, id) : NULL;
	out->source = source ? memcpy(more + id, msg->source, source) : NULL;
	out->function = function ? memcpy(more + id + source, msg->function, function) : NULL;
	out->attrs = (uint8_t *)more + id + source + function;
	if (msg->attrs.len)
		memcpy(out->attrs, msg->attrs.at, msg->attrs.len);
	if (msg->payload.len)
		memcpy(out->payload, msg->payload.at, msg->payload.len);
	memcpy(out->topic, msg->topic.at, msg->topic.len);
	out->topic[msg->topic.len] = '\0';
	return out;
}

static struct trigger_message message_of(const struct mqtt_out *out)
{
	return (struct trigger_message){ .topic = { (uint8_t *)out->topic, strlen(out->topic) },
					 .payload = { out->payload, out->payload_len },
					 .attrs = { out->attrs, out->attrs_len },
					 .time_wall_ms = out->time_wall_ms,
					 .qos = out->qos,
					 .retain = out->retain,
					 .hops = out->hops,
					 .packet = out->packet,
					 .token = out->token,
					 .function = out->function,
					 .id = out->id,
					 .source = out->source };
}

static void free_copies(struct mqtt_out *list)
{
	while (list) {
		struct mqtt_out *next = list->next;
		free(list);
		list = next;
	}
}

/* In a list; NULL: no memory. */
static struct mqtt_out *copies_of(const struct trigger_message *msg, unsigned n, size_t *ret_bytes)
{
	struct mqtt_out *list = NULL, **last = &list;
	*ret_bytes = 0;
	for (unsigned i = 0; i < n; i++) {
		struct mqtt_out *out = copy_of(&msg[i]);
		if (!out) {
			free_copies(list);
			return NULL;
		}
		*last = out;
		last = &out->next;
		*ret_bytes += size_of(&msg[i]);
	}
	return list;
}

/* Room for all or for none: from here on they are in the queue as far as others can tell. lock held. */
static const char *reserve(struct mqtt *m, unsigned n, size_t bytes)
{
	if (m->stop)
		return "the gateway is stopping";
	if (n > m->o.outbox_messages - m->outbox_n || bytes > m->o.outbox_bytes - m->outbox_bytes)
		return "the queue to the broker is full; is it reachable, and fast enough?";
	m->outbox_n += n;
	m->outbox_bytes += bytes;
	return NULL;
}

/* lock held */
static void append(struct mqtt *m, struct mqtt_out *list, unsigned n)
{
	*m->outbox_last = list;
	while (*m->outbox_last)
		m->outbox_last = &(*m->outbox_last)->next;
	atomic_fetch_add(&m->queued, n);
}

/* The first ones go the short way while that is open. */
static void send_or_append(struct mqtt *m, struct mqtt_out *list, unsigned n)
{
	unsigned sent = 0;
	size_t bytes = 0;
	while (list && n > 1) { /* one alone was tried before */
		struct mqtt_out *out = list;
		const struct trigger_message msg = message_of(out);
		if (!short_way(m, &msg))
			break;
		sent++;
		bytes += size_of(&msg);
		list = out->next;
		free(out);
	}
	(void)pthread_mutex_lock(&m->lock);
	m->outbox_n -= sent;
	m->outbox_bytes -= bytes;
	append(m, list, n - sent);
	(void)pthread_mutex_unlock(&m->lock);
	may_go_on(m);
}

static int refuse(struct mqtt *m, const struct trigger_message *msg, unsigned n, const char *reason)
{
	for (unsigned i = 0; i < n; i++)
		mqtt_drop(m, &m->refusals, "message to the broker dropped", msg[i].topic, reason,
			  size_of(&msg[i]));
	return -E_LIMIT;
}

int mqtt_publish(struct trigger *t, const struct trigger_message *msg, unsigned n)
{
	struct mqtt *m = (struct mqtt *)t;
	size_t bytes;
	for (unsigned i = 0; i < n; i++) {
		if (msg[i].qos > 2 || !topic_name_ok(msg[i].topic))
			return -E_INVALID;
	}
	if (n == 0 || (n == 1 && short_way(m, msg)))
		return 0;
	struct mqtt_out *list = copies_of(msg, n, &bytes);
	if (!list)
		return refuse(m, msg, n, "out of memory");
	(void)pthread_mutex_lock(&m->lock);
	const char *refused = reserve(m, n, bytes);
	(void)pthread_mutex_unlock(&m->lock);
	if (refused) {
		free_copies(list);
		return refuse(m, msg, n, refused);
	}
	send_or_append(m, list, n);
	return 0;
}

/* ---- with a token ---- */

void mqtt_writable(struct mqtt *m)
{
	if (atomic_load_explicit(&m->starved, memory_order_relaxed) && atomic_load(&m->connected) &&
	    atomic_load(&m->queued) < SENDS_QUEUED / 2 &&
	    atomic_load(&m->inflight) < m->inflight_max && atomic_exchange(&m->starved, false))
		m->base.sink.writable(m->base.sink.arg);
}

static bool may_send(struct mqtt *m, struct trigger_message *msg)
{
	unsigned queued = atomic_load(&m->queued);
	if (!atomic_load(&m->connected) || queued >= SENDS_QUEUED)
		return false;
	/* Behind others it gets its slot when it is its turn: had it one now, those before it might
	 * wait for slots that stand behind them. */
	if (msg->qos == 0 || msg->packet != 0 || queued > 0)
		return true;
	msg->packet = mqtt_slot_take(m);
	return msg->packet != 0;
}

int mqtt_send(struct trigger *t, const struct trigger_message *msg)
{
	struct mqtt *m = (struct mqtt *)t;
	struct trigger_message mine = *msg;
	uint32_t left;
	if (msg->qos > 2 || !topic_name_ok(msg->topic))
		return -E_INVALID;
	if (mqtt_expired(msg, &left)) {
		mqtt_slot_give(m, msg->packet);
		return -ETIME;
	}
	if (!may_send(m, &mine)) {
		atomic_store(&m->starved, true); /* and look again: there may be room since */
		if (!may_send(m, &mine))
			return -EAGAIN;
	}
	if (short_way(m, &mine))
		return mine.qos == 0;
	struct mqtt_out *out = copy_of(&mine);
	if (!out) {
		if (mine.packet && !msg->packet)
			mqtt_slot_give(m, mine.packet);
		return -EAGAIN;
	}
	(void)pthread_mutex_lock(&m->lock);
	m->outbox_n++;
	m->outbox_slots += mine.packet != 0;
	m->outbox_bytes += size_of(&mine);
	append(m, out, 1);
	(void)pthread_mutex_unlock(&m->lock);
	may_go_on(m);
	return 0;
}

/* The first, unless it needs a slot and there is none: then the first that has one (QoS 2: its slot was
 * reserved before). */
static struct mqtt_out **next_out(struct mqtt *m)
{
	struct mqtt_out **at = &m->outbox;
	if (!*at || (*at)->qos == 0 || atomic_load(&m->inflight) < m->inflight_max)
		return at;
	if (m->outbox_slots == 0)
		return NULL;
	while (*at && (*at)->packet == 0)
		at = &(*at)->next;
	return at;
}

bool mqtt_may_flush(struct mqtt *m)
{
	struct mqtt_out **at = atomic_load(&m->connected) ? next_out(m) : NULL;
	return at && *at;
}

/* It leaves the queue when it has gone. lock held. */
static void outbox_remove(struct mqtt *m, struct mqtt_out *out)
{
	struct mqtt_out **at = &m->outbox;
	while (*at != out)
		at = &(*at)->next;
	*at = out->next;
	if (!*at)
		m->outbox_last = at;
	m->outbox_n--;
	m->outbox_slots -= out->packet != 0;
	m->outbox_bytes -= strlen(out->topic) + out->payload_len + out->attrs_len;
	atomic_fetch_sub(&m->queued, 1);
	free(out);
}

/* Why it can never go, or NULL with what Paho said. */
static const char *send_or_never(struct mqtt *m, struct trigger_message *msg, int *ret_rc)
{
	const char *never = mqtt_fit(m, msg);
	*ret_rc = MQTTCLIENT_SUCCESS;
	if (msg->packet && (never || msg->qos == 0)) {
		mqtt_slot_give(m, msg->packet);
		msg->packet = 0;
	}
	if (never)
		return never;
	int rc = *ret_rc = send_now(m, msg);
	bool is_bad = rc == MQTTCLIENT_BAD_UTF8_STRING || rc == MQTTCLIENT_BAD_QOS ||
		      rc == MQTTCLIENT_NULL_PARAMETER;
	return is_bad ? MQTTClient_strerror(rc) : NULL;
}

/* Sends from the head of the queue while that may go; at_once: and while nobody can have to wait for
 * it. lock held, though not while it sends: the caller sees to it that nobody else takes any away (it
 * holds out_lock, or has set out_busy). False: the connection is gone. */
static bool send_queued(struct mqtt *m, bool at_once)
{
	while (mqtt_may_flush(m)) {
		struct mqtt_out *out = *next_out(m);
		struct trigger_message msg = message_of(out);
		size_t bytes = size_of(&msg);
		if (at_once && (bytes > SHORT_WAY_BYTES || !nodelay_writable(m->fd, bytes)))
			return true;
		(void)pthread_mutex_unlock(&m->lock);
		int rc = 0;
		const char *never = send_or_never(m, &msg, &rc);
		if (msg.token && (never || (rc == MQTTCLIENT_SUCCESS && msg.qos == 0)))
			m->base.sink.acknowledged(m->base.sink.arg, msg.token, never);
		(void)pthread_mutex_lock(&m->lock);
		if (never)
			mqtt_drop(m, &m->refusals, "message to the broker dropped", msg.topic,
				  never, bytes);
		else if (rc != MQTTCLIENT_SUCCESS)
			return false;
		outbox_remove(m, out);
	}
	return true;
}

bool mqtt_flush(struct mqtt *m)
{
	(void)pthread_mutex_lock(&m->out_lock); /* a short-way publish ends first */
	atomic_store(&m->out_busy, true);
	(void)pthread_mutex_unlock(&m->out_lock);
	paho_hurry(true);
	nodelay_cork();
	(void)pthread_mutex_lock(&m->lock);
	bool ok = send_queued(m, false);
	(void)pthread_mutex_unlock(&m->lock);
	nodelay_uncork(m->fd);
	paho_hurry(false);
	atomic_store(&m->out_busy, false);
	mqtt_writable(m);
	return ok;
}

/* On the reader, which must not wait for anybody: what cannot go at once is left to the broker's
 * thread. */
void mqtt_drain(void *arg)
{
	struct mqtt *m = arg;
	mqtt_acks_drain(m);
	if (mqtt_slots_unanswered(m) && !atomic_exchange(&m->unanswered, true))
		mqtt_look_again(m);
	mqtt_writable(m);
	if (atomic_load(&m->queued) == 0)
		return;
	bool mine = m->short_way && pthread_mutex_trylock(&m->out_lock) == 0;
	(void)pthread_mutex_lock(&m->lock);
	if (mine && !atomic_load(&m->out_busy))
		(void)send_queued(m, true);
	if (mqtt_may_flush(m))
		(void)pthread_cond_signal(&m->wake);
	(void)pthread_mutex_unlock(&m->lock);
	if (mine)
		(void)pthread_mutex_unlock(&m->out_lock);
}
