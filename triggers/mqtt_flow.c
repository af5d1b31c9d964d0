/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "proto/topic.h"
#include "triggers/mqtt_impl.h"
#include "triggers/nodelay.h"
#include "triggers/paho_wait.h"

enum { SHORT_WAY_BYTES = 4096, DROPS_PER_S = 5, ATTRS_MAX = 32 };

static uint64_t wall_ms(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static void drop(struct mqtt *m, struct limiter *l, const char *msg, struct span topic,
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

/* ---- in ---- */

struct arrived { /* what the properties of an MQTT 5 message say */
	uint32_t routes[TRIGGER_ROUTES_MAX];
	unsigned nroutes;
	bool too_many; /* more routes than can be named: all that match are meant */
	struct event_attr attrs[ATTRS_MAX];
	uint32_t nattrs;
	struct span content_type;
	uint8_t hops;
};

static struct span span_of(const MQTTLenString *s)
{
	return (struct span){ (const uint8_t *)s->data, s->len > 0 ? (size_t)s->len : 0 };
}

static void read_properties(const MQTTProperties *props, struct arrived *ret)
{
	for (int i = 0; i < props->count; i++) {
		const MQTTProperty *p = &props->array[i];
		if (p->identifier == MQTTPROPERTY_CODE_SUBSCRIPTION_IDENTIFIER) {
			if (ret->nroutes < TRIGGER_ROUTES_MAX)
				ret->routes[ret->nroutes++] = p->value.integer4;
			else
				ret->too_many = true;
		} else if (p->identifier == MQTTPROPERTY_CODE_CONTENT_TYPE) {
			ret->content_type = span_of(&p->value.data);
		} else if (p->identifier == MQTTPROPERTY_CODE_USER_PROPERTY &&
			   !mqtt_hops_property(p, &ret->hops) && ret->nattrs < ATTRS_MAX) {
			ret->attrs[ret->nattrs++] = (struct event_attr){ span_of(&p->value.data),
									 span_of(&p->value.value) };
		}
	}
}

static void deliver(struct mqtt *m, struct span topic, const MQTTClient_message *msg)
{
	struct arrived a;
	a.nroutes = a.nattrs = 0;
	a.too_many = false;
	a.content_type = (struct span){ 0 };
	a.hops = mqtt_hops_in(m->hops, topic,
			      (struct span){ msg->payload, (size_t)msg->payloadlen });
	if (m->o.version == 5)
		read_properties(&msg->properties, &a);
	const struct event e = {
		.arrived_ns = mqtt_now_ns(),
		.time_wall_ms = wall_ms(),
		.source = { (const uint8_t *)m->source, strlen(m->source) },
		.type = { (const uint8_t *)"io.penstock.mqtt.message", 24 },
		.topic = topic,
		.payload = { msg->payload, (size_t)msg->payloadlen },
		.content_type = a.content_type,
		.qos = (uint8_t)msg->qos,
		.retain = msg->retained != 0,
		.dup = msg->dup != 0,
		.hops = a.hops,
		.nattrs = a.nattrs,
		.attrs = a.attrs,
	};
	(void)pthread_mutex_lock(&m->sink_lock);
	if (!m->deaf)
		m->base.sink.event(m->base.sink.arg, &e, a.routes,
				   a.too_many || !m->route_ids ? 0 : a.nroutes,
				   m->drained && nodelay_more(m->fd));
	(void)pthread_mutex_unlock(&m->sink_lock);
}

/* Paho's callback, on its receiving thread. topic_len 0: the topic has no NUL in it. */
int mqtt_arrived(void *arg, char *topic, int topic_len, MQTTClient_message *msg)
{
	struct mqtt *m = arg;
	struct span name = { (uint8_t *)topic, topic_len > 0 ? (size_t)topic_len : strlen(topic) };
	size_t bytes = (size_t)msg->payloadlen;
	atomic_fetch_add_explicit(&m->received, 1, memory_order_relaxed);
	if (!topic_name_ok(name))
		drop(m, &m->drops, "message dropped", name,
		     "its topic is not valid: not UTF-8, or with U+0000 or wildcards", bytes);
	else if (bytes > m->o.payload_bytes)
		drop(m, &m->drops, "message dropped", name,
		     "its payload is larger than limits.payload_bytes", bytes);
	else
		deliver(m, name, msg);
	MQTTClient_freeMessage(&msg);
	MQTTClient_free(topic);
	return 1; /* taken: Paho forgets it */
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

static void acknowledged(struct mqtt *m)
{
	atomic_fetch_sub(&m->inflight, 1);
	may_go_on(m);
}

void mqtt_delivered(void *arg, MQTTClient_deliveryToken token)
{
	struct mqtt *m = arg;
	(void)token;
	if (m->o.version != 5)
		acknowledged(m);
}

void mqtt_published(void *arg, int token, int packet_type, MQTTProperties *props,
		    enum MQTTReasonCodes reason)
{
	struct mqtt *m = arg;
	(void)token;
	(void)packet_type;
	(void)props;
	if ((int)reason >= 0x80)
		drop(m, &m->refusals, "broker refused a message", (struct span){ 0 },
		     MQTTReasonCode_toString(reason), 0);
	acknowledged(m);
}

/* ---- out ---- */

/* msg->topic is NUL-terminated. */
static int send_now(struct mqtt *m, const struct trigger_message *msg)
{
	int rc, len = (int)msg->payload.len, qos = msg->qos;
	const char *topic = (const char *)msg->topic.at;
	MQTTProperties *hops = mqtt_hops_out(m->hops, msg->topic, msg->payload, msg->hops);
	if (qos > 0)
		atomic_fetch_add(&m->inflight, 1);
	if (m->o.version == 5) {
		MQTTResponse r = MQTTClient_publish5(m->client, topic, len, msg->payload.at, qos,
						     msg->retain, hops, NULL);
		rc = (int)r.reasonCode;
		MQTTResponse_free(r);
	} else {
		rc = MQTTClient_publish(m->client, topic, len, msg->payload.at, qos, msg->retain,
					NULL);
	}
	if (rc == MQTTCLIENT_SUCCESS)
		atomic_fetch_add_explicit(&m->published, 1, memory_order_relaxed);
	else if (qos > 0)
		atomic_fetch_sub(&m->inflight, 1);
	return rc;
}

static bool short_way(struct mqtt *m, const struct trigger_message *msg)
{
	char topic[SHORT_WAY_BYTES + 1];
	if (m->tls || !atomic_load_explicit(&m->connected, memory_order_acquire) ||
	    atomic_load(&m->queued) > 0 || atomic_load(&m->out_busy) ||
	    msg->topic.len + msg->payload.len > SHORT_WAY_BYTES ||
	    (msg->qos > 0 && atomic_load(&m->inflight) >= m->inflight_max))
		return false;
	/* Only try: whoever holds it may be waiting for this very thread, if this is the receiver. */
	if (pthread_mutex_trylock(&m->out_lock) != 0)
		return false;
	bool sent = false;
	if (!atomic_load(&m->out_busy) &&
	    nodelay_writable(m->fd, msg->topic.len + msg->payload.len)) {
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
	struct mqtt_out *out = malloc(sizeof(*out) + msg->payload.len + msg->topic.len + 1);
	if (!out)
		return NULL;
	*out = (struct mqtt_out){ .payload_len = msg->payload.len,
				  .qos = msg->qos,
				  .retain = msg->retain,
				  .hops = msg->hops,
				  .topic = (char *)out->payload + msg->payload.len };
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
					 .qos = out->qos,
					 .retain = out->retain,
					 .hops = out->hops };
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
		*ret_bytes += msg[i].topic.len + msg[i].payload.len;
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
		bytes += msg.topic.len + msg.payload.len;
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
		drop(m, &m->refusals, "message to the broker dropped", msg[i].topic, reason,
		     msg[i].topic.len + msg[i].payload.len);
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

bool mqtt_may_flush(struct mqtt *m)
{
	return m->outbox && atomic_load(&m->connected) &&
	       (m->outbox->qos == 0 || atomic_load(&m->inflight) < m->inflight_max);
}

/* The first that may go; it leaves the queue when it has gone. lock held. */
static void outbox_pop(struct mqtt *m)
{
	struct mqtt_out *out = m->outbox;
	m->outbox = out->next;
	if (!m->outbox)
		m->outbox_last = &m->outbox;
	m->outbox_n--;
	m->outbox_bytes -= strlen(out->topic) + out->payload_len;
	atomic_fetch_sub(&m->queued, 1);
	free(out);
}

/* Sends from the head of the queue while that may go; at_once: and while nobody can have to wait for
 * it. lock held, though not while it sends: the caller sees to it that nobody else takes any away (it
 * holds out_lock, or has set out_busy). False: the connection is gone. */
static bool send_queued(struct mqtt *m, bool at_once)
{
	while (mqtt_may_flush(m)) {
		struct mqtt_out *out = m->outbox;
		const struct trigger_message msg = message_of(out);
		size_t bytes = msg.topic.len + msg.payload.len;
		if (at_once && (bytes > SHORT_WAY_BYTES || !nodelay_writable(m->fd, bytes)))
			return true;
		(void)pthread_mutex_unlock(&m->lock);
		int rc = send_now(m, &msg);
		(void)pthread_mutex_lock(&m->lock);
		bool never = rc == MQTTCLIENT_BAD_UTF8_STRING || rc == MQTTCLIENT_BAD_QOS ||
			     rc == MQTTCLIENT_NULL_PARAMETER;
		if (never)
			drop(m, &m->refusals, "message to the broker dropped", msg.topic,
			     MQTTClient_strerror(rc), bytes);
		else if (rc != MQTTCLIENT_SUCCESS)
			return false;
		outbox_pop(m);
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
	return ok;
}

/* On the reader, which must not wait for anybody: what cannot go at once is left to the broker's
 * thread. */
void mqtt_drain(void *arg)
{
	struct mqtt *m = arg;
	if (atomic_load(&m->queued) == 0)
		return;
	bool mine = !m->tls && pthread_mutex_trylock(&m->out_lock) == 0;
	(void)pthread_mutex_lock(&m->lock);
	if (mine && !atomic_load(&m->out_busy))
		(void)send_queued(m, true);
	if (mqtt_may_flush(m))
		(void)pthread_cond_signal(&m->wake);
	(void)pthread_mutex_unlock(&m->lock);
	if (mine)
		(void)pthread_mutex_unlock(&m->out_lock);
}
