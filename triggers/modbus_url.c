/* SPDX-License-Identifier: Apache-2.0 */
/* The url of [modbus.NAME]. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "triggers/modbus_impl.h"

static int bad(const char *url, const char *what, struct why *why)
{
	return why_set(why, -E_CONFIG,
		       "url = \"%.120s\": %s; expected tcp://HOST:502 or "
		       "rtu:/dev/ttyUSB0?baud=19200&parity=E&stop=1",
		       url, what);
}

/* host, host:port, [v6], [v6]:port */
static bool tcp_read(const char *at, struct modbus_url *u)
{
	const bool v6 = *at == '[';
	size_t n = v6 ? strcspn(++at, "]") : strcspn(at, ":/?#");
	if (n == 0 || n >= sizeof(u->host) || (v6 && at[n] != ']'))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!isalnum((unsigned char)at[i]) && !strchr(v6 ? ":.%" : "-._", at[i]))
			return false;
	}
	memcpy(u->host, at, n);
	at += n + v6;
	(void)snprintf(u->port, sizeof(u->port), "502");
	if (*at == '\0')
		return true;
	n = strspn(at + 1, "0123456789");
	if (*at != ':' || n == 0 || n > 5 || at[1 + n] != '\0')
		return false;
	long port = strtol(at + 1, NULL, 10);
	(void)snprintf(u->port, sizeof(u->port), "%ld", port);
	return port >= 1 && port <= 65535;
}

static bool baud_ok(long n)
{
	static const int bauds[] = { 1200,  2400,   4800,   9600,   19200, 38400,
				     57600, 115200, 230400, 460800, 921600 };
	for (size_t i = 0; i < ARRAY_LEN(bauds); i++) {
		if (bauds[i] == n)
			return true;
	}
	return false;
}

/* One key=value of n bytes. */
static bool line_key(const char *at, size_t n, struct modbus_url *u)
{
	char text[32], *end;
	if (n >= sizeof(text))
		return false;
	memcpy(text, at, n);
	text[n] = '\0';
	if (strncmp(text, "parity=", 7) == 0) {
		u->parity = (char)toupper((unsigned char)text[7]);
		return text[7] && strchr("NEO", u->parity) && text[8] == '\0';
	}
	char *value = strchr(text, '=');
	long number = value && isdigit((unsigned char)value[1]) ? strtol(value + 1, &end, 10) : -1;
	if (number < 0 || *end != '\0')
		return false;
	*value = '\0';
	if (strcmp(text, "baud") == 0)
		return u->baud = (int)number, baud_ok(number);
	if (strcmp(text, "stop") == 0)
		return u->stop = (int)number, number == 1 || number == 2;
	if (strcmp(text, "data") == 0)
		return u->data = (int)number, number == 7 || number == 8;
	return false;
}

static int rtu_read(const char *url, const char *at, struct modbus_url *u, struct why *why)
{
	size_t n = strcspn(at, "?");
	if (*at != '/' || n >= sizeof(u->host))
		return bad(url, "the serial device is no absolute path", why);
	memcpy(u->host, at, n);
	/* What the Modbus specification says for serial lines. */
	u->baud = 19200;
	u->parity = 'E';
	u->data = 8;
	u->stop = 1;
	at += n;
	while (*at) {
		n = strcspn(++at, "&");
		if (!line_key(at, n, u))
			return bad(url,
				   "behind the \"?\" come baud (1200 to 921600), parity (N, E, O), "
				   "data (7, 8), stop (1, 2)",
				   why);
		at += n;
	}
	return 0;
}

int modbus_url_read(const char *url, struct modbus_url *ret, struct why *why)
{
	*ret = (struct modbus_url){ 0 };
	if (strncmp(url, "tcp://", 6) == 0) {
		ret->tcp = true;
		return tcp_read(url + 6, ret) ? 0 : bad(url, "no host and port", why);
	}
	if (strncmp(url, "rtu:", 4) == 0)
		return rtu_read(url, url + 4, ret, why);
	return bad(url, *url ? "neither tcp: nor rtu:" : "it is missing", why);
}
