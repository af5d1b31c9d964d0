/* SPDX-License-Identifier: Apache-2.0 */
/* Where it goes: the servers of a broker, one after the other, the pauses between, and why one cannot be reached. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"
#include "triggers/mqtt_impl.h"
#include "triggers/resolve.h"

enum { PROBE_SLICE_MS = 50 };

/* Not nodelay.h's: Paho's thread may still look at the descriptor that had this number before. */
int __real_connect(int fd, const struct sockaddr *to, socklen_t len);

/* ---- the list ---- */

int mqtt_servers_init(struct mqtt *m)
{
	char *more, *at;
	m->urls = strdup(m->o.url);
	if (!m->urls)
		return -ENOMEM;
	for (at = strtok_r(m->urls, " ", &more); at && m->nservers < MQTT_SERVERS_MAX;
	     at = strtok_r(NULL, " ", &more))
		m->servers[m->nservers++] = at;
	return 0;
}

const char *mqtt_server(const struct mqtt *m)
{
	return m->servers[m->server];
}

bool mqtt_server_next(struct mqtt *m)
{
	m->server = (m->server + 1) % m->nservers;
	return m->server == m->round;
}

/* By chance up to a most that doubles with each failure ("full jitter"): a hundred gateways that lost one broker spread
 * over the whole time, at the first attempt too. */
uint64_t mqtt_pause_ms(const struct mqtt *m)
{
	uint64_t most = m->o.backoff_min_ms, least = m->failures ? most / 4 : 0;
	for (unsigned i = 0; i < m->failures && most < m->o.backoff_max_ms; i++)
		most *= 2;
	if (most > m->o.backoff_max_ms)
		most = m->o.backoff_max_ms;
	uint32_t chance = 0;
	(void)!getrandom(&chance, sizeof(chance), GRND_NONBLOCK);
	return least + chance % (most - least + 1);
}

/* ---- addresses ---- */

struct mqtt_address mqtt_address_of(const char *url)
{
	struct mqtt_address a = { 0 };
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
int mqtt_find(const struct mqtt *m, const struct mqtt_address *a, struct addrinfo **ret,
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
static int reach(const struct mqtt *m, const struct addrinfo *to, int *ret_fd)
{
	OWN_FD fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	int err = ETIMEDOUT, n = 0;
	socklen_t len = sizeof(err);
	if (__real_connect(fd, to->ai_addr, to->ai_addrlen) == 0) {
		*ret_fd = fd_steal(&fd);
		return 0;
	}
	if (errno != EINPROGRESS)
		return errno;
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	for (unsigned ms = 0; n == 0 && ms < m->o.connect_timeout_s * 1000 && !m->stop;
	     ms += PROBE_SLICE_MS)
		n = poll(&p, 1, PROBE_SLICE_MS);
	if (n == 1)
		(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (err == 0)
		*ret_fd = fd_steal(&fd);
	return err;
}

int mqtt_explain(struct mqtt *m, int rc, struct why *why)
{
	struct mqtt_address a = mqtt_address_of(mqtt_server(m));
	struct addrinfo *list = NULL;
	if (mqtt_find(m, &a, &list, why) < 0)
		return -EHOSTUNREACH;
	int fd = -1, err = reach(m, list, &fd);
	freeaddrinfo(list);
	int told = err == 0 && m->tls ? mqtt_tls_explain(m, &a, fd, why) : 0;
	if (fd >= 0)
		(void)close(fd);
	if (told < 0)
		return told;
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
	return why_set(
		why, -EPROTO,
		"%s:%s takes connections but does not answer as an MQTT %s broker; check url, or "
		"set version = %s",
		a.host, a.port, m->o.version == 5 ? "5" : "3.1.1", m->o.version == 5 ? "3" : "5");
}
