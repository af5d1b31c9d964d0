/* SPDX-License-Identifier: Apache-2.0 */
/* What the broker is told to send: routes become subscriptions, with their options (MQTT 5.0, 3.8.3.1). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "proto/kinds.h"
#include "proto/topic.h"
#include "triggers/mqtt_impl.h"

/* ---- from above ---- */

static bool is_shared(struct span filter)
{
	return topic_unshared(filter).len != filter.len;
}

static int read_options(const struct mqtt *m, const struct trigger_route *route,
			struct mqtt_route *ret, struct why *why)
{
	struct kind_values v;
	int err = kind_values_read(KIND_INPUT, "mqtt", route->options, &v, why);
	if (err < 0)
		return err;
	const char *retain = kind_text(&v, "retain_handling");
	ret->no_local = kind_flag(&v, "no_local");
	ret->retain_as_published = kind_flag(&v, "retain_as_published");
	ret->retain_handling = strcmp(retain, "always") == 0  ? RETAIN_ALWAYS
			       : strcmp(retain, "never") == 0 ? RETAIN_NEVER
							      : RETAIN_NEW;
	kind_values_free(&v);
	bool any = ret->no_local || ret->retain_as_published || ret->retain_handling != RETAIN_NEW;
	if (m->o.version != 5 && (any || is_shared(route->filter)))
		return why_set(why, -E_INVALID,
			       "%s needs MQTT 5, but [mqtt%s%s] has version = 3: set version = 5, "
			       "or leave it out",
			       any ? "no_local, retain_as_published or retain_handling"
				   : "a shared subscription",
			       strcmp(m->o.name, "default") ? "." : "",
			       strcmp(m->o.name, "default") ? m->o.name : "");
	if (ret->no_local && is_shared(route->filter))
		return why_set(why, -E_INVALID,
			       "MQTT has no no_local for a shared subscription; leave it out");
	return 0;
}

int mqtt_subscribe(struct trigger *t, const struct trigger_route *route, struct why *why)
{
	struct mqtt *m = (struct mqtt *)t;
	const struct span filter = route->filter;
	if (!topic_filter_ok(filter) || route->qos > 2)
		return why_set(why, -E_INVALID, "not a topic filter, or a QoS above 2");
	struct mqtt_route *made = calloc(1, sizeof(*made) + filter.len + 1);
	if (!made)
		return -ENOMEM;
	int err = read_options(m, route, made, why);
	if (err < 0) {
		free(made);
		return err;
	}
	(void)pthread_mutex_lock(&m->lock);
	struct mqtt_route *r = m->routes;
	while (r && (r->id != route->id || r->gone))
		r = r->next;
	if (!r) {
		r = made;
		made = NULL;
		r->id = route->id;
		r->filter = (char *)(r + 1);
		memcpy(r->filter, filter.at, filter.len);
		struct mqtt_route **at = &m->routes; /* behind the others: asked for in order */
		while (*at)
			at = &(*at)->next;
		*at = r;
	}
	r->qos = (uint8_t)route->qos;
	r->refused = 0;
	m->routes_dirty = true;
	(void)pthread_cond_signal(&m->wake);
	(void)pthread_mutex_unlock(&m->lock);
	free(made);
	return 0;
}

void mqtt_unsubscribe(struct trigger *t, uint32_t route)
{
	struct mqtt *m = (struct mqtt *)t;
	(void)pthread_mutex_lock(&m->lock);
	for (struct mqtt_route *r = m->routes; r; r = r->next)
		r->gone |= r->id == route;
	m->routes_dirty = true;
	(void)pthread_cond_signal(&m->wake);
	(void)pthread_mutex_unlock(&m->lock);
}

/* ---- to the broker ---- */

/* Without route ids every message is offered to all routes, so a filter that another one covers
 * need not be (and must not be, or there would be copies) subscribed as well; the one that covers
 * needs the higher QoS of both. lock held. */
static void plan(struct mqtt *m)
{
	for (struct mqtt_route *r = m->routes; r; r = r->next) {
		struct span mine = { (uint8_t *)r->filter, strlen(r->filter) };
		r->want = !r->gone;
		r->want_qos = r->qos;
		for (struct mqtt_route *o = m->routes; o && !r->gone && !m->route_ids;
		     o = o->next) {
			struct span other = { (uint8_t *)o->filter, strlen(o->filter) };
			if (o == r || o->gone)
				continue;
			r->want &= !topic_covers(other, mine);
			if (topic_covers(mine, other) && o->qos > r->want_qos)
				r->want_qos = o->qos;
		}
	}
}

bool mqtt_route_pending(const struct mqtt_route *r)
{
	return r->want ? !r->subscribed || r->had_qos != r->want_qos : r->subscribed;
}

/* The first about which the broker is to be told something. lock held. */
static struct mqtt_route *next_change(struct mqtt *m)
{
	for (struct mqtt_route *r = m->routes; r; r = r->next) {
		if (mqtt_route_pending(r) && !r->refused)
			return r;
	}
	return NULL;
}

/* lock held */
static void free_gone(struct mqtt *m)
{
	m->subscriptions = 0;
	for (struct mqtt_route **at = &m->routes; *at;) {
		struct mqtt_route *r = *at;
		m->subscriptions += r->subscribed && !r->gone;
		if (!r->gone || r->subscribed) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		free(r);
	}
}

static int subscribe(struct mqtt *m, const struct mqtt_route *route, int qos)
{
	if (m->o.version != 5)
		return MQTTClient_subscribe(m->client, route->filter, qos);
	MQTTSubscribe_options opts = MQTTSubscribe_options_initializer;
	MQTTProperties props = MQTTProperties_initializer;
	const MQTTProperty number = { .identifier = MQTTPROPERTY_CODE_SUBSCRIPTION_IDENTIFIER,
				      .value.integer4 = route->id };
	opts.noLocal = route->no_local;
	opts.retainAsPublished = route->retain_as_published;
	opts.retainHandling = route->retain_handling;
	if (m->route_ids)
		(void)MQTTProperties_add(&props, &number);
	MQTTResponse r = MQTTClient_subscribe5(m->client, route->filter, qos, &opts,
					       m->route_ids ? &props : NULL);
	int rc = (int)r.reasonCode;
	MQTTResponse_free(r);
	MQTTProperties_free(&props);
	return rc >= 0 && rc <= 2 ? MQTTCLIENT_SUCCESS : rc;
}

static int unsubscribe(struct mqtt *m, const char *filter)
{
	if (m->o.version != 5)
		return MQTTClient_unsubscribe(m->client, filter);
	MQTTResponse r = MQTTClient_unsubscribe5(m->client, filter, NULL);
	int rc = (int)r.reasonCode;
	MQTTResponse_free(r);
	return rc > 0 && rc < 0x80 ? MQTTCLIENT_SUCCESS : rc; /* 0x11: it had none */
}

/* Of SUBACK (MQTT 5.0, table 3.9.3): what to do about it. */
static const char *advice(int rc)
{
	switch (rc) {
	case MQTTREASONCODE_SHARED_SUBSCRIPTIONS_NOT_SUPPORTED:
		return "it has no shared subscriptions; bind the filter without $share/GROUP/";
	case MQTTREASONCODE_WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED:
		return "it has no wildcards; bind whole topics";
	case MQTTREASONCODE_QUOTA_EXCEEDED:
		return "its quota of subscriptions is used up; bind fewer filters or raise it "
		       "there";
	case MQTTREASONCODE_TOPIC_FILTER_INVALID:
		return "it does not take this filter; bind another one";
	default:
		return "not authorized; check the access rules there";
	}
}

static void log_refused(struct mqtt *m, const char *filter, int rc)
{
	LOG(LOG_ERR, "the broker refused a subscription", F_STR("broker", m->base.name),
	    F_STR("filter", filter), F_STR("reason", advice(rc)), F_I64("code", rc));
}

bool mqtt_route_status(struct trigger *t, uint32_t route, struct why *ret)
{
	struct mqtt *m = (struct mqtt *)t;
	int code = 0;
	(void)pthread_mutex_lock(&m->lock);
	for (const struct mqtt_route *r = m->routes; r; r = r->next)
		code = r->id == route && !r->gone ? r->refused : code;
	(void)pthread_mutex_unlock(&m->lock);
	if (code != 0)
		(void)why_set(ret, -EACCES, "broker %s refused the subscription (code %d): %s",
			      m->o.name, code, advice(code));
	return code == 0;
}

/* One SUBSCRIBE or UNSUBSCRIBE; only this thread frees routes, so r stays. False: connection gone. */
static bool tell(struct mqtt *m, struct mqtt_route *r, bool want, uint8_t qos)
{
	int rc = want ? subscribe(m, r, qos) : unsubscribe(m, r->filter);
	bool no = rc > 0; /* a reason code; Paho's own errors are negative */
	if (no && want)
		log_refused(m, r->filter, rc);
	(void)pthread_mutex_lock(&m->lock);
	r->refused = no && want ? rc : 0;
	if (rc == MQTTCLIENT_SUCCESS || no) {
		r->subscribed = want && !no;
		r->had_qos = qos;
	}
	(void)pthread_mutex_unlock(&m->lock);
	return rc == MQTTCLIENT_SUCCESS || no;
}

bool mqtt_renew(struct mqtt *m)
{
	bool ok = true;
	(void)pthread_mutex_lock(&m->lock);
	while (ok && !m->stop) {
		m->routes_dirty = false;
		plan(m);
		free_gone(m);
		struct mqtt_route *r = next_change(m);
		if (!r)
			break;
		bool want = r->want;
		uint8_t qos = r->want_qos;
		(void)pthread_mutex_unlock(&m->lock);
		ok = tell(m, r, want, qos);
		(void)pthread_mutex_lock(&m->lock);
	}
	(void)pthread_mutex_unlock(&m->lock);
	return ok;
}

/* With MQTT 5 all are asked for again, which costs nothing (retained messages come for new ones
 * only). A 3.1.1 broker would send all retained messages again, so there only those are asked for
 * that its session cannot have. */
void mqtt_renew_all(struct mqtt *m, bool session_present)
{
	(void)pthread_mutex_lock(&m->lock);
	for (struct mqtt_route *r = m->routes; r; r = r->next) {
		r->refused = 0;
		if (!session_present && !r->gone)
			r->subscribed = false;
	}
	(void)pthread_mutex_unlock(&m->lock);
}
