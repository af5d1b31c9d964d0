/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/mqtt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "proto/topic.h"
#include "triggers/mqtt_impl.h"
#include "triggers/nodelay.h"
#include "triggers/paho_wait.h"

enum {
	DISCONNECT_MS = 200,
	STABLE_NS = 5 * 1000 * 1000 * 1000LL,
	RETRY_NS = 10 * 1000 * 1000,
	FILES_NS = 2000 * 1000 * 1000
};

uint64_t mqtt_now_ns(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct mqtt *mqtt_of(struct trigger *t)
{
	return (struct mqtt *)t;
}

/* ---- Paho's news about the connection ---- */

void mqtt_look_again(struct mqtt *m)
{
	(void)pthread_mutex_lock(&m->lock);
	m->look = true;
	(void)pthread_cond_signal(&m->wake);
	(void)pthread_mutex_unlock(&m->lock);
}

static void on_lost(void *arg, char *cause)
{
	struct mqtt *m = arg;
	(void)cause;
	atomic_store(&m->connected, false);
	mqtt_look_again(m);
}

static void on_disconnect(void *arg, MQTTProperties *props, enum MQTTReasonCodes reason)
{
	struct mqtt *m = arg;
	char elsewhere[MQTT_ELSEWHERE];
	mqtt_elsewhere(props, elsewhere);
	atomic_store(&m->connected, false);
	(void)pthread_mutex_lock(&m->lock);
	mqtt_reason((int)reason, elsewhere, m->farewell, sizeof(m->farewell));
	(void)pthread_mutex_unlock(&m->lock);
	mqtt_look_again(m);
}

/* ---- the broker's thread ---- */

static void enter(struct mqtt *m, enum mqtt_state s, const char *detail)
{
	(void)pthread_mutex_lock(&m->lock);
	m->state = s;
	if (detail) /* NULL: what was wrong last time stays */
		(void)snprintf(m->detail, sizeof(m->detail), "%s", detail);
	(void)pthread_mutex_unlock(&m->lock);
}

/* Sleeps until there is something to do, or end_ns (0: none). lock held. */
static void sleep_until(struct mqtt *m, uint64_t end_ns)
{
	if (end_ns == 0) {
		(void)pthread_cond_wait(&m->wake, &m->lock);
		return;
	}
	struct timespec t = { (time_t)(end_ns / 1000000000u), (long)(end_ns % 1000000000u) };
	(void)pthread_cond_timedwait(&m->wake, &m->lock, &t);
}

/* After a failure. False: stop. */
static bool pause_for(struct mqtt *m, uint64_t ms)
{
	uint64_t end = mqtt_now_ns() + ms * 1000000u;
	(void)pthread_mutex_lock(&m->lock);
	while (!m->stop && mqtt_now_ns() < end)
		sleep_until(m, end);
	bool go_on = !m->stop;
	(void)pthread_mutex_unlock(&m->lock);
	return go_on;
}

/* False: stop. */
static bool try_connect(struct mqtt *m)
{
	struct why why = { 0 };
	enter(m, MQTT_CONNECTING, NULL);
	int err = mqtt_connect(m, &why);
	if (err == 0) {
		LOG(LOG_NOTE, "connected to the broker", F_STR("broker", m->base.name),
		    F_STR("url", mqtt_server(m)), F_STR("client_id", m->o.client_id),
		    F_STR("session", m->session_kept ? "kept" : "new"));
		m->connected_ns = mqtt_now_ns();
		m->round = m->server;
		enter(m, MQTT_CONNECTED, "");
		mqtt_slots_connected(m);
		atomic_store(&m->unanswered, false);
		atomic_store(&m->connected, true);
		return true;
	}
	const char *url = mqtt_server(m);
	unsigned attempt = m->failures + 1;
	bool all = mqtt_server_next(m);
	m->failures += all;
	uint64_t ms = all ? mqtt_pause_ms(m) : 0;
	if (m->stop)
		return false;
	if ((attempt & (attempt - 1)) == 0) /* the 1st, 2nd, 4th, 8th ... */
		LOG(LOG_WARN,
		    all ? "cannot connect to the broker, trying again"
			: "cannot connect to a server of the broker, trying the next",
		    F_STR("broker", m->base.name), F_STR("url", url),
		    F_STR("reason", why_text(&why, err)), F_U64("attempt", attempt),
		    F_U64("pause_ms", ms));
	enter(m, MQTT_WAITING, why_text(&why, err));
	return pause_for(m, ms);
}

/* False: stop. A connection that did not last is a failure, too: two gateways with one client id
 * would throw each other out as fast as they can connect. */
static bool lost(struct mqtt *m)
{
	char text[300];
	atomic_store(&m->connected, false);
	(void)pthread_mutex_lock(&m->lock);
	bool told = m->farewell[0] != '\0';
	bool ours = strncmp(m->farewell, "closed here", 11) == 0;
	(void)snprintf(text, sizeof(text), "%s%s",
		       ours   ? ""
		       : told ? "the broker ended the connection: "
			      : "the connection was lost",
		       m->farewell);
	m->farewell[0] = '\0';
	(void)pthread_mutex_unlock(&m->lock);
	bool brief = mqtt_now_ns() - m->connected_ns < STABLE_NS;
	m->failures = brief ? m->failures + 1 : 0;
	uint64_t ms = mqtt_pause_ms(m);
	if (!m->stop && (m->failures & (m->failures - 1)) == 0)
		LOG(LOG_WARN, "the broker is away", F_STR("broker", m->base.name),
		    F_STR("reason", text), F_U64("pause_ms", ms));
	enter(m, MQTT_WAITING, text);
	return pause_for(m, ms);
}

static void disconnect(struct mqtt *m)
{
	if (!MQTTClient_isConnected(m->client))
		return;
	if (m->o.version == 5)
		MQTTClient_disconnect5(m->client, DISCONNECT_MS, MQTTREASONCODE_SUCCESS, NULL);
	else
		MQTTClient_disconnect(m->client, DISCONNECT_MS);
}

/* A client of Paho that knows of the exchanges that were begun what slots say, and no more. */
static int create(struct mqtt *m, struct why *why);

static int create_anew(struct mqtt *m, struct why *why)
{
	(void)pthread_mutex_lock(&m->out_lock); /* whoever publishes the short way ends first */
	disconnect(m);
	MQTTClient_destroy(&m->client);
	int err = create(m, why);
	(void)pthread_mutex_unlock(&m->out_lock);
	mqtt_slots_forget_qos1(m);
	return err;
}

/* An event was not taken. The broker has to send it again, which it does on a new connection, to a client
 * that has not seen it. False: stop. */
static bool renew(struct mqtt *m)
{
	struct why why = { 0 };
	atomic_store(&m->connected, false);
	atomic_store(&m->renew, false);
	if (create_anew(m, &why) < 0) {
		LOG(LOG_ERR, "cannot make a client for the broker", F_STR("broker", m->base.name),
		    F_STR("reason", why.text));
		return false;
	}
	(void)pthread_mutex_lock(&m->lock);
	(void)snprintf(m->farewell, sizeof(m->farewell),
		       "closed here: an event could not be stored, and the broker is to keep it");
	(void)pthread_mutex_unlock(&m->lock);
	return lost(m);
}

/* What the broker has not acknowledged is sent again on a new connection, as the protocol wants it. False:
 * stop. */
static bool reconnect(struct mqtt *m, const char *reason)
{
	atomic_store(&m->connected, false);
	disconnect(m);
	(void)pthread_mutex_lock(&m->lock);
	(void)snprintf(m->farewell, sizeof(m->farewell), "closed here: %s", reason);
	(void)pthread_mutex_unlock(&m->lock);
	return lost(m);
}

/* While connected: subscriptions and the queue. Returns when the connection is gone or at the end.
 * False: stop. */
static bool serve(struct mqtt *m)
{
	uint64_t look_ns = mqtt_files_watched(m) ? mqtt_now_ns() + FILES_NS : 0;
	mqtt_writable(m);
	(void)pthread_mutex_lock(&m->lock);
	m->routes_dirty = true;
	for (;;) {
		while (!m->stop && !m->look && !m->routes_dirty && !mqtt_may_flush(m) &&
		       (look_ns == 0 || mqtt_now_ns() < look_ns))
			sleep_until(m, look_ns);
		bool stop = m->stop, look = m->look, dirty = m->routes_dirty;
		bool dismissed = m->farewell[0] != '\0';
		m->look = false;
		(void)pthread_mutex_unlock(&m->lock);
		/* Paho tells of a DISCONNECT on a thread of its own, maybe before it believes it itself. */
		if (look && dismissed && !stop) {
			disconnect(m);
			return lost(m);
		}
		bool ok = !look || MQTTClient_isConnected(m->client);
		if (ok && atomic_load(&m->renew) && !stop)
			return renew(m);
		if (ok && atomic_exchange(&m->unanswered, false) && !stop)
			return reconnect(m, "it has not acknowledged a message for seconds");
		if (ok && !stop && look_ns != 0 && mqtt_now_ns() >= look_ns) {
			look_ns = mqtt_now_ns() + FILES_NS;
			if (mqtt_files_changed(m))
				return reconnect(m, "certificates or password are new");
		}
		if (ok && dirty && !stop)
			ok = mqtt_renew(m);
		if (ok)
			ok = mqtt_flush(m);
		if (!ok && !MQTTClient_isConnected(m->client))
			return lost(m);
		if (ok && look)
			atomic_store(&m->connected, true); /* a late report of an earlier loss */
		(void)pthread_mutex_lock(&m->lock);
		bool waiting = m->outbox || atomic_load(&m->inflight) > 0;
		if (stop && (!waiting || mqtt_now_ns() >= m->stop_ns)) {
			(void)pthread_mutex_unlock(&m->lock);
			return false;
		}
		if (stop || !ok) /* refused, although connected: soon again, but not at once */
			sleep_until(m, mqtt_now_ns() + RETRY_NS);
	}
}

static void *run(void *arg)
{
	struct mqtt *m = arg;
	paho_give_up_when(&m->stop);
	for (;;) {
		bool go_on = try_connect(m);
		if (go_on && atomic_load(&m->connected))
			go_on = serve(m);
		if (!go_on)
			break;
	}
	atomic_store(&m->connected, false);
	paho_give_up_when(NULL);
	if (MQTTClient_isConnected(m->client))
		mqtt_present(m, false);
	disconnect(m);
	enter(m, MQTT_STOPPED, "");
	return NULL;
}

/* ---- the trigger ---- */

static void op_status(struct trigger *t, struct trigger_status *ret)
{
	static const char *const state[] = { "stopped", "connecting", "connected", "waiting" };
	struct mqtt *m = mqtt_of(t);
	(void)pthread_mutex_lock(&m->lock);
	*ret = (struct trigger_status){ .state = state[m->state],
					.subscriptions = m->subscriptions,
					.queued = m->outbox_n };
	unsigned refused = 0;
	for (const struct mqtt_route *r = m->routes; r; r = r->next) {
		refused += r->refused != 0;
		ret->pending += mqtt_route_pending(r);
	}
	if (ret->pending == 0 && m->routes_dirty) /* what is wanted is not even planned */
		ret->pending = 1;
	if (refused > 0)
		(void)snprintf(ret->detail, sizeof(ret->detail),
			       "the broker refused %u subscriptions; see the log", refused);
	else
		(void)snprintf(ret->detail, sizeof(ret->detail), "%s", m->detail);
	(void)pthread_mutex_unlock(&m->lock);
	ret->received = atomic_load(&m->received);
	ret->published = atomic_load(&m->published);
	ret->dropped = atomic_load(&m->dropped);
}

static void op_start(struct trigger *t)
{
	struct mqtt *m = mqtt_of(t);
	struct why why = { 0 };
	if (*m->o.url == '\0' || m->has_thread)
		return;
	if (m->slots.resume && create_anew(m, &why) < 0) {
		LOG(LOG_ERR, "cannot make a client for the broker", F_STR("broker", m->base.name),
		    F_STR("reason", why.text));
		return;
	}
	int err = pthread_create(&m->thread, NULL, run, m);
	m->has_thread = err == 0;
	if (err != 0) {
		LOG(LOG_ERR, "cannot start the broker's thread", F_STR("broker", m->base.name),
		    F_ERR(-err));
		enter(m, MQTT_STOPPED, "its thread could not be started");
		return;
	}
	(void)pthread_setname_np(m->thread, "mqtt");
}

static void op_deafen(struct trigger *t)
{
	struct mqtt *m = mqtt_of(t);
	(void)pthread_mutex_lock(&m->sink_lock);
	m->deaf = true;
	(void)pthread_mutex_unlock(&m->sink_lock);
	nodelay_set_watch(NULL); /* Paho's one thread serves all brokers, which stop together */
}

static void op_stop(struct trigger *t, unsigned grace_ms)
{
	struct mqtt *m = mqtt_of(t);
	op_deafen(t);
	(void)pthread_mutex_lock(&m->lock);
	m->stop = true;
	m->stop_ns = mqtt_now_ns() + (uint64_t)grace_ms * 1000000u;
	(void)pthread_cond_signal(&m->wake);
	(void)pthread_mutex_unlock(&m->lock);
}

/* Its thread is gone when this returns. */
static void wait_for_end(struct mqtt *m)
{
	if (m->has_thread)
		(void)pthread_join(m->thread, NULL);
	m->has_thread = false;
	nodelay_remove_drain(m);
	unsigned lost_n = 0; /* those with a token are their owner's, who sends them again */
	for (const struct mqtt_out *o = m->outbox; o; o = o->next)
		lost_n += o->token == 0;
	atomic_fetch_add(&m->dropped, lost_n);
	if (lost_n > 0)
		LOG(LOG_WARN, "messages to the broker are lost at stop",
		    F_STR("broker", m->base.name), F_U64("messages", lost_n));
}

static void op_free(struct trigger *t)
{
	struct mqtt *m = t ? mqtt_of(t) : NULL;
	if (!m)
		return;
	wait_for_end(m);
	if (m->client)
		MQTTClient_destroy(&m->client);
	mqtt_hops_free(m->hops);
	mqtt_acks_fini(m);
	mqtt_slots_fini(m);
	mqtt_aliases_fini(m);
	free(m->files);
	free(m->urls);
	for (struct mqtt_route *r; (r = m->routes);) {
		m->routes = r->next;
		free(r);
	}
	for (struct mqtt_out *o; (o = m->outbox);) {
		m->outbox = o->next;
		free(o);
	}
	(void)pthread_cond_destroy(&m->wake);
	(void)pthread_mutex_destroy(&m->sink_lock);
	(void)pthread_mutex_destroy(&m->out_lock);
	(void)pthread_mutex_destroy(&m->lock);
	free(m);
}

static uint16_t op_reserve(struct trigger *t)
{
	struct mqtt *m = mqtt_of(t);
	uint16_t id = atomic_load(&m->connected) ? mqtt_slot_take(m) : 0;
	if (id == 0) { /* and look again: there may be one since */
		atomic_store(&m->starved, true);
		id = atomic_load(&m->connected) ? mqtt_slot_take(m) : 0;
	}
	return id;
}

static void op_unreserve(struct trigger *t, uint16_t packet)
{
	mqtt_slot_give(mqtt_of(t), packet);
}

static const struct trigger_ops mqtt_ops = {
	.kind = "mqtt",
	.subscribe = mqtt_subscribe,
	.unsubscribe = mqtt_unsubscribe,
	.publish = mqtt_publish,
	.send = mqtt_send,
	.reserve = op_reserve,
	.unreserve = op_unreserve,
	.resume = mqtt_resume,
	.status = op_status,
	.route_status = mqtt_route_status,
	.start = op_start,
	.deafen = op_deafen,
	.stop = op_stop,
	.free = op_free,
};

static void tls_init(void)
{
	MQTTClient_init_options init = MQTTClient_init_options_initializer;
	init.do_openssl_init = 1;
	MQTTClient_global_init(&init);
}

static int create(struct mqtt *m, struct why *why)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	MQTTClient_createOptions opts = MQTTClient_createOptions_initializer;
	bool journaled = m->base.sink.mark != NULL;
	opts.MQTTVersion = m->o.version == 5 ? MQTTVERSION_5 : MQTTVERSION_3_1_1;
	if (m->tls)
		(void)pthread_once(&once, tls_init);
	MQTTClient_setTraceLevel(
		MQTTCLIENT_TRACE_FATAL); /* else it formats lines that nobody sees */
	int rc = MQTTClient_createWithOptions(&m->client, m->servers[0], m->o.client_id,
					      journaled ? MQTTCLIENT_PERSISTENCE_USER
							: MQTTCLIENT_PERSISTENCE_NONE,
					      journaled ? &m->persistence : NULL, &opts);
	if (rc == MQTTCLIENT_SUCCESS)
		paho_lock_learn(m->client);
	if (rc == MQTTCLIENT_SUCCESS)
		rc = MQTTClient_setCallbacks(m->client, m, on_lost, mqtt_arrived, mqtt_delivered);
	if (rc == MQTTCLIENT_SUCCESS && m->o.version == 5) {
		(void)MQTTClient_setDisconnected(m->client, m, on_disconnect);
		(void)MQTTClient_setPublished(m->client, m, mqtt_published);
	}
	if (rc != MQTTCLIENT_SUCCESS)
		return why_set(why, -E_CONFIG, "broker %s: url or client_id refused: %s",
			       m->base.name, MQTTClient_strerror(rc));
	return 0;
}

int mqtt_new(const struct mqtt_options *o, const struct trigger_sink *sink, struct trigger **ret,
	     struct why *why)
{
	struct mqtt *m = calloc(1, sizeof(*m));
	pthread_condattr_t attr;
	if (!m)
		return -ENOMEM;
	m->base = (struct trigger){ .ops = &mqtt_ops, .name = o->name, .sink = *sink };
	m->o = *o;
	m->tls = strncmp(o->url, "ssl://", 6) == 0;
	m->short_way = !m->tls && o->cloudevents != MQTT_EVENTS_STRUCTURED;
	(void)snprintf(m->event_head, sizeof(m->event_head), "%" PRIx64 "-", mqtt_wall_ms());
	atomic_init(&m->fd, -1);
	atomic_init(&m->route_ids, o->version == 5);
	m->outbox_last = &m->outbox;
	(void)snprintf(m->source, sizeof(m->source), "mqtt:%s", o->name);
	(void)pthread_mutex_init(&m->lock, NULL);
	(void)pthread_mutex_init(&m->out_lock, NULL);
	(void)pthread_mutex_init(&m->sink_lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&m->wake, &attr);
	(void)pthread_condattr_destroy(&attr);
	(void)pthread_mutex_init(&m->acks.lock, NULL);
	m->persistence = mqtt_persistence(m);
	atomic_init(&m->inflight_max, (int)o->inflight);
	atomic_init(&m->most_qos, 2);
	m->hops = mqtt_hops_new(o->version == 5);
	if (mqtt_slots_init(m, o->inflight) < 0 || mqtt_servers_init(m) < 0 ||
	    mqtt_aliases_init(m) < 0 || !m->hops) {
		op_free(&m->base);
		return -ENOMEM;
	}
	if (*o->url == '\0') { /* configured without a broker: stays away */
		(void)snprintf(m->detail, sizeof(m->detail), "no url is configured");
	} else {
		int err = create(m, why);
		if (err < 0) {
			op_free(&m->base);
			return err;
		}
	}
	m->drained = m->client && nodelay_add_drain(mqtt_drain, m);
	if (sink->before_sleep)
		nodelay_set_watch(
			&(struct nodelay_watch){ sink->before_sleep, sink->ready, sink->arg });
	*ret = &m->base;
	return 0;
}
