/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/own.h"
#include "triggers/http_impl.h"

static int no_address(const char *listen, struct why *why)
{
	return why_set(
		why, -E_INVALID,
		"listen = \"%.100s\": expected ADDRESS:PORT, such as 127.0.0.1:8080, [::1]:8080, "
		"or :8080 for all addresses",
		listen);
}

static bool is_local(const struct http_address *a)
{
	if (a->at.any.sa_family == AF_INET)
		return ntohl(a->at.v4.sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&a->at.v6.sin6_addr);
}

int http_address_read(const char *listen, struct http_address *ret, struct why *why)
{
	char host[64] = "";
	char *end;
	*ret = (struct http_address){ 0 };
	const char *colon = strrchr(listen, ':');
	if (!colon || colon[1] < '0' || colon[1] > '9' || (size_t)(colon - listen) >= sizeof(host))
		return no_address(listen, why);
	unsigned long port = strtoul(colon + 1, &end, 10);
	if (*end != '\0' || port == 0 || port > 65535)
		return no_address(listen, why);
	memcpy(host, listen, (size_t)(colon - listen));
	size_t n = strlen(host);
	bool is_v6 = n == 0 || (n > 2 && host[0] == '[' && host[n - 1] == ']');
	if (is_v6) {
		if (n > 0)
			host[n - 1] = '\0';
		ret->at.v6.sin6_family = AF_INET6;
		ret->at.v6.sin6_port = htons((uint16_t)port);
		ret->len = sizeof(ret->at.v6);
		if (n > 0 && inet_pton(AF_INET6, host + 1, &ret->at.v6.sin6_addr) != 1)
			return no_address(listen, why);
	} else {
		ret->at.v4.sin_family = AF_INET;
		ret->at.v4.sin_port = htons((uint16_t)port);
		ret->len = sizeof(ret->at.v4);
		if (inet_pton(AF_INET, strcmp(host, "localhost") ? host : "127.0.0.1",
			      &ret->at.v4.sin_addr) != 1)
			return no_address(listen, why);
	}
	ret->local = is_local(ret);
	return 0;
}

int http_listen_check(const char *listen, bool insecure, struct why *why)
{
	struct http_address a;
	int err = *listen ? http_address_read(listen, &a, why) : 0;
	if (err < 0 || *listen == '\0' || a.local || insecure)
		return err;
	return why_set(why, -E_INVALID,
		       "listen = %s: other machines could reach it, and there is no TLS here: "
		       "whoever is on the "
		       "network between could read requests and tokens, and send their own. Listen "
		       "on 127.0.0.1 "
		       "behind a proxy that speaks TLS, or set insecure = yes where the network is "
		       "trusted",
		       listen);
}

int http_listen(const struct http_address *a, const char *text, struct why *why)
{
	const int on = 1, off = 0;
	OWN_FD fd = socket(a->at.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return why_set(why, -errno, "no socket for %s: %s", text, strerror(errno));
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (a->at.any.sa_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, &a->at.any, a->len) < 0) {
		const char *hint = "";
		if (errno == EADDRINUSE)
			hint = ": another program listens there; stop it, or choose another port";
		else if (errno == EACCES)
			hint = ": ports below 1024 are root's; choose a higher one";
		else if (errno == EADDRNOTAVAIL)
			hint = ": this machine does not have that address (yet)";
		return why_set(why, -errno, "cannot listen on %s: %s%s", text, strerror(errno),
			       hint);
	}
	if (listen(fd, SOMAXCONN) < 0)
		return why_set(why, -errno, "cannot listen on %s: %s", text, strerror(errno));
	return fd_steal(&fd);
}
