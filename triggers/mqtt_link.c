/* SPDX-License-Identifier: Apache-2.0 */
/* Connecting. */
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "triggers/mqtt_impl.h"
#include "triggers/nodelay.h"
#include "triggers/paho_wait.h"

enum {
	PACKET_BYTES_MAX = 32 << 20, /* a broker shall not make us allocate more (MQTT 5) */
	RECEIVE_MAXIMUM = 256,
	PASSWORD_BYTES_MAX = 4096,
	HURRY_CONNECT_MS = 1000,
};

/* ---- connecting ---- */

static int ssl_said(const char *text, size_t len, void *arg)
{
	struct mqtt *m = arg;
	if (m->ssl_error[0] != '\0')
		return 0; /* the first is the cause */
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\0'))
		len--;
	(void)snprintf(m->ssl_error, sizeof(m->ssl_error), "%.*s", (int)len, text);
	return 0;
}

/* The first line of the file. "" when none is configured. */
static int password_read(const struct mqtt *m, char buf[PASSWORD_BYTES_MAX], struct why *why)
{
	buf[0] = '\0';
	if (*m->o.password_file == '\0')
		return 0;
	FILE *f = fopen(m->o.password_file, "re");
	if (!f)
		return why_set(why, -errno, "password_file %s: %s", m->o.password_file,
			       strerrordesc_np(errno));
	bool ok = fgets(buf, PASSWORD_BYTES_MAX, f) != NULL;
	(void)fclose(f);
	buf[strcspn(buf, "\r\n")] = '\0';
	return ok ? 0 : why_set(why, -E_CONFIG, "password_file %s is empty", m->o.password_file);
}

static MQTTClient_SSLOptions ssl_options(struct mqtt *m)
{
	MQTTClient_SSLOptions s = MQTTClient_SSLOptions_initializer;
	s.trustStore = *m->o.ca_file ? m->o.ca_file : NULL;
	s.keyStore = *m->o.cert_file ? m->o.cert_file : NULL;
	s.privateKey = *m->o.key_file ? m->o.key_file : NULL;
	s.enableServerCertAuth = m->o.verify;
	s.verify = m->o.verify;
	s.disableDefaultTrustStore = *m->o.ca_file != '\0';
	s.ssl_error_cb = ssl_said;
	s.ssl_error_context = m;
	return s;
}

static int property(MQTTProperties *props, enum MQTTPropertyCodes id, int otherwise)
{
	return props && MQTTProperties_hasProperty(props, id)
		       ? MQTTProperties_getNumericValue(props, id)
		       : otherwise;
}

static int connect5(struct mqtt *m, MQTTClient_connectOptions *opts)
{
	MQTTProperties props = MQTTProperties_initializer;
	const MQTTProperty set[] = {
		{ .identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL,
		  .value.integer4 = m->o.session_expiry_s },
		{ .identifier = MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE,
		  .value.integer4 = PACKET_BYTES_MAX },
		/* What is not acknowledged comes again: never more than gateway/dedupe.h remembers. */
		{ .identifier = MQTTPROPERTY_CODE_RECEIVE_MAXIMUM,
		  .value.integer2 = RECEIVE_MAXIMUM },
	};
	for (size_t i = 0; i < ARRAY_LEN(set); i++)
		(void)MQTTProperties_add(&props, &set[i]);
	MQTTResponse r = MQTTClient_connect5(m->client, opts, &props, NULL);
	int rc = (int)r.reasonCode;
	if (rc == MQTTCLIENT_SUCCESS) {
		const struct mqtt_limits l = {
			.inflight =
				property(r.properties, MQTTPROPERTY_CODE_RECEIVE_MAXIMUM, 65535),
			.qos = property(r.properties, MQTTPROPERTY_CODE_MAXIMUM_QOS, 2),
			.retain = property(r.properties, MQTTPROPERTY_CODE_RETAIN_AVAILABLE, 1),
			.packet_bytes = (uint32_t)property(
				r.properties, MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE, 0),
			.aliases = property(r.properties, MQTTPROPERTY_CODE_TOPIC_ALIAS_MAXIMUM, 0),
		};
		mqtt_limits_set(m, &l);
		m->route_ids = property(r.properties,
					MQTTPROPERTY_CODE_SUBSCRIPTION_IDENTIFIERS_AVAILABLE, 1);
	} else {
		mqtt_connack_reference(m->elsewhere);
	}
	MQTTResponse_free(r);
	MQTTProperties_free(&props);
	return rc;
}

static int connect3(struct mqtt *m, MQTTClient_connectOptions *opts)
{
	static const struct mqtt_limits none = { .inflight = 65535, .qos = 2, .retain = true };
	mqtt_limits_set(m, &none);
	m->route_ids = false;
	return MQTTClient_connect(m->client, opts);
}

static pthread_mutex_t one_connects = PTHREAD_MUTEX_INITIALIZER; /* as in Paho */

int mqtt_connect(struct mqtt *m, struct why *why)
{
	char password[PASSWORD_BYTES_MAX];
	const MQTTClient_connectOptions v3 = MQTTClient_connectOptions_initializer;
	const MQTTClient_connectOptions v5 = MQTTClient_connectOptions_initializer5;
	MQTTClient_connectOptions opts = m->o.version == 5 ? v5 : v3;
	MQTTClient_SSLOptions ssl = ssl_options(m);
	struct addrinfo *list = NULL;
	struct mqtt_address a = mqtt_address_of(mqtt_server(m));
	int err = mqtt_find(m, &a, &list, why);
	if (err == 0)
		err = password_read(m, password, why);
	if (err == 0)
		err = mqtt_files_check(m, why);
	if (list)
		freeaddrinfo(list);
	if (err < 0)
		return err;
	opts.keepAliveInterval = (int)m->o.keepalive_s;
	opts.connectTimeout = (int)m->o.connect_timeout_s;
	opts.cleansession = opts.cleanstart = 0;
	opts.reliable = 0;
	/* Paho would wait for room in its caller's thread; the bound is kept here instead. */
	opts.maxInflightMessages = 65535;
	opts.MQTTVersion = m->o.version == 5 ? MQTTVERSION_5 : MQTTVERSION_3_1_1;
	opts.username = *m->o.username ? m->o.username : NULL;
	opts.password = *password ? password : NULL;
	opts.ssl = m->tls ? &ssl : NULL;
	char *server[] = { (char *)mqtt_server(m) };
	opts.serverURIs = server;
	opts.serverURIcount = 1;
	MQTTClient_willOptions will = mqtt_will(m);
	opts.will = will.topicName ? &will : NULL;
	m->ssl_error[0] = m->elsewhere[0] = '\0';
	paho_hurry(true);
	paho_all_hurry(HURRY_CONNECT_MS);
	mqtt_acks_reset(m);
	atomic_store(&m->resuming, true);
	nodelay_own(m);
	atomic_fetch_add(&m->connection, 1); /* before anything can come by it */
	(void)pthread_mutex_lock(&one_connects);
	(void)pthread_mutex_lock(
		&m->out_lock); /* nobody publishes by what he knew of the last connection */
	int rc = m->o.version == 5 ? connect5(m, &opts) : connect3(m, &opts);
	(void)pthread_mutex_unlock(&m->out_lock);
	nodelay_own(NULL);
	paho_hurry(false);
	m->session_kept = rc == MQTTCLIENT_SUCCESS && mqtt_session_present();
	(void)pthread_mutex_unlock(&one_connects);
	if (rc == MQTTCLIENT_SUCCESS && !m->session_kept)
		mqtt_slots_lost(m);
	atomic_store(&m->resuming, false);
	nodelay_wake();
	explicit_bzero(password, sizeof(password));
	if (rc != MQTTCLIENT_SUCCESS)
		return rc > 0 ? mqtt_refused(m, rc, why) : mqtt_explain(m, rc, why);
	if (!paho_receives()) { /* another client was the last, and ended it meanwhile */
		(void)MQTTClient_disconnect(m->client, 0);
		return why_set(why, -EAGAIN, "Paho does not receive; connecting again");
	}
	m->fd = nodelay_last_connected();
	mqtt_present(m, true);
	mqtt_renew_all(m, m->o.version != 5 && m->session_kept);
	return 0;
}
