/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/own.h"
#include "proto/topic.h"
#include "triggers/mqtt_impl.h"
#include "triggers/nodelay.h"
#include "triggers/paho_wait.h"
#include "triggers/resolve.h"

enum {
	SESSION_EXPIRY_S = 24 * 3600,
	PACKET_BYTES_MAX = 32 << 20, /* a broker shall not make us allocate more (MQTT 5) */
	RECEIVE_MAXIMUM = 256,
	PASSWORD_BYTES_MAX = 4096,
	HURRY_CONNECT_MS = 1000,
	PROBE_SLICE_MS = 50,
};

/* ---- where it goes ---- */

struct address {
	char host[256], port[6];
};

static struct address address_of(const char *url)
{
	struct address a = { 0 };
	const char *host = url + 6, *end; /* behind tcp:// or ssl:// */
	bool v6 = *host == '[';
	host += v6;
	end = v6 ? strchr(host, ']') : strchr(host, ':');
	int n = end ? (int)(end - host) : (int)strlen(host);
	(void)snprintf(a.host, sizeof(a.host), "%.*s", n, host);
	const char *colon = end ? strchr(end, ':') : NULL;
	(void)snprintf(a.port, sizeof(a.port), "%s",
		       colon                         ? colon + 1
		       : strncmp(url, "ssl", 3) == 0 ? "8883"
						     : "1883");
	return a;
}

/* Paho resolves names while it holds the lock that all its connections share. Asking here first
 * makes its own question quick, and says what is wrong. */
static int find(const struct mqtt *m, const struct address *a, struct addrinfo **ret,
		struct why *why)
{
	int rc = resolve(a->host, a->port, &m->stop, ret);
	if (rc != 0)
		return why_set(
			why, -EHOSTUNREACH,
			"cannot find the address of \"%s\": %s; check url and the name server",
			a->host, gai_strerror(rc));
	return 0;
}

/* A plain TCP connect, to learn from the system what Paho does not tell. 0: it can be reached. */
static int probe(const struct mqtt *m, const struct addrinfo *to)
{
	OWN_FD fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	if (connect(fd, to->ai_addr, to->ai_addrlen) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int err = ETIMEDOUT;
	socklen_t len = sizeof(err);
	int n = 0;
	for (unsigned ms = 0; n == 0 && ms < m->o.connect_timeout_s * 1000 && !m->stop;
	     ms += PROBE_SLICE_MS)
		n = poll(&p, 1, PROBE_SLICE_MS);
	if (n == 1)
		(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	return err;
}

static int explain(struct mqtt *m, int rc, struct why *why)
{
	struct address a = address_of(m->o.url);
	struct addrinfo *list = NULL;
	if (m->ssl_error[0] != '\0')
		return why_set(why, -EPROTO,
			       "TLS with %s:%s failed: %s; check ca_file, cert_file and the "
			       "broker's certificate",
			       a.host, a.port, m->ssl_error);
	if (find(m, &a, &list, why) < 0)
		return -EHOSTUNREACH;
	int err = probe(m, list);
	freeaddrinfo(list);
	if (err == ECONNREFUSED)
		return why_set(
			why, -err,
			"connection refused by %s:%s; is the broker running, and is that its "
			"port?",
			a.host, a.port);
	if (err != 0)
		return why_set(why, -err, "cannot reach %s:%s: %s; check the network and url",
			       a.host, a.port, strerrordesc_np(err));
	if (rc == MQTTCLIENT_SSL_NOT_SUPPORTED)
		return why_set(why, -EPROTO, "this Paho library was built without TLS");
	/* Paho compares the names after the handshake and hangs up without an error of its own. */
	if (m->tls && m->o.verify)
		return why_set(
			why, -EPROTO,
			"%s:%s answers with TLS, but its certificate is for another name, or it "
			"is no MQTT broker; check the host in url and the certificate's names",
			a.host, a.port);
	return why_set(
		why, -EPROTO,
		"%s:%s takes connections but does not answer as an MQTT %s broker; check url, or "
		"set version = %s",
		a.host, a.port, m->o.version == 5 ? "5" : "3.1.1", m->o.version == 5 ? "3" : "5");
}

/* What a broker's CONNACK means: 3.1.1 return codes are below 0x80, MQTT 5 reason codes are not. */
static int refused(struct mqtt *m, int rc, struct why *why)
{
	static const struct {
		int v3, v5;
		const char *text;
	} code[] = {
		{ 1, 0x84, "it does not speak this version of MQTT; set version = 3 (or 5)" },
		{ 2, 0x85, "it does not accept the client id; set client_id" },
		{ 3, 0x88, "it is not available now" },
		{ 4, 0x86, "wrong username or password; check username and password_file" },
		{ 5, 0x87, "not authorized; check username, password_file and the broker's rules" },
		{ -1, 0x8a, "this client is banned" },
		{ -1, 0x97, "its quota is exceeded" },
	};
	for (size_t i = 0; i < ARRAY_LEN(code); i++) {
		if (rc == code[i].v3 || rc == code[i].v5)
			return why_set(why, -EACCES, "the broker refused the connection: %s",
				       code[i].text);
	}
	const char *text = m->o.version == 5 ? MQTTReasonCode_toString(rc) : NULL;
	return why_set(why, -EACCES, "the broker refused the connection: code %d%s%s", rc,
		       text ? ", " : "", text ? text : "");
}

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
		  .value.integer4 = SESSION_EXPIRY_S },
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
		int most = property(r.properties, MQTTPROPERTY_CODE_RECEIVE_MAXIMUM, 65535);
		m->inflight_max = most < (int)m->o.inflight ? most : (int)m->o.inflight;
		m->route_ids = property(r.properties,
					MQTTPROPERTY_CODE_SUBSCRIPTION_IDENTIFIERS_AVAILABLE, 1);
	}
	MQTTResponse_free(r);
	MQTTProperties_free(&props);
	return rc;
}

static int connect3(struct mqtt *m, MQTTClient_connectOptions *opts)
{
	m->inflight_max = (int)m->o.inflight;
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
	struct address a = address_of(m->o.url);
	int err = find(m, &a, &list, why);
	if (err == 0)
		err = password_read(m, password, why);
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
	m->ssl_error[0] = '\0';
	paho_hurry(true);
	paho_all_hurry(HURRY_CONNECT_MS);
	mqtt_acks_reset(m);
	atomic_store(&m->resuming, true);
	nodelay_own(m);
	atomic_fetch_add(&m->connection, 1); /* before anything can come by it */
	(void)pthread_mutex_lock(&one_connects);
	int rc = m->o.version == 5 ? connect5(m, &opts) : connect3(m, &opts);
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
		return rc > 0 ? refused(m, rc, why) : explain(m, rc, why);
	m->fd = nodelay_last_connected();
	mqtt_renew_all(m, m->o.version != 5 && m->session_kept);
	return 0;
}
