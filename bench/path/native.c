/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The native peer of `make bench-path`: what a C programmer writes with Paho's MQTTClient today.
 * Subscribes, does the work in the callback, publishes the alert from there. The work is the very
 * source that runs as a signed function, examples/overheat/overheat.c, compiled into this program.
 * TCP_NODELAY is set, which Paho itself never does.
 */
#include <MQTTClient.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int on_event(void); /* the function's export */
#include "examples/overheat/overheat.c"

/* Paho runs its callbacks on one thread, so there is one current message. */
static struct {
	MQTTClient client;
	const MQTTClient_message *message;
	const char *topic;
} now;

int32_t penstock_payload(void *buf, uint32_t cap)
{
	uint32_t len = (uint32_t)now.message->payloadlen;
	memcpy(buf, now.message->payload, len < cap ? len : cap);
	return (int32_t)len;
}

int32_t penstock_log_n(uint32_t level, const char *text, uint32_t len)
{
	fprintf(stderr, "native: <%u> %.*s\n", level, (int)len, text);
	return 0;
}

/* q0/sensors/NAME/temperature -> q0/alerts/NAME, as the gateway's binding does. */
static bool alert_topic(const char *topic, char *to, size_t cap)
{
	const char *name = strncmp(topic + 2, "/sensors/", 9) == 0 ? topic + 11 : "";
	int n = snprintf(to, cap, "%.2s/alerts/%.*s", topic, (int)strcspn(name, "/"), name);
	return *name && n > 0 && (size_t)n < cap;
}

int32_t penstock_emit_n(const char *topic, uint32_t topic_len, const void *data, uint32_t len,
			uint32_t flags)
{
	char to[128];
	(void)topic;
	(void)topic_len;
	(void)flags;
	if (!alert_topic(now.topic, to, sizeof(to)))
		return PENSTOCK_EINVAL;
	int rc = MQTTClient_publish(now.client, to, (int)len, data, now.message->qos, 0, NULL);
	return rc == MQTTCLIENT_SUCCESS ? 0 : PENSTOCK_ELIMIT;
}

/* Linked with -Wl,--wrap=connect. */
int __real_connect(int fd, const struct sockaddr *to, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *to, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *to, socklen_t len)
{
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	return __real_connect(fd, to, len);
}

static int arrived(void *arg, char *topic, int topic_len, MQTTClient_message *message)
{
	(void)arg;
	(void)topic_len;
	now.message = message;
	now.topic = topic;
	if (on_event() != 0)
		fprintf(stderr, "native: a message was refused\n");
	MQTTClient_freeMessage(&message);
	MQTTClient_free(topic);
	return 1;
}

static void lost(void *arg, char *cause)
{
	(void)arg;
	fprintf(stderr, "native: connection lost%s%s\n", cause ? ": " : "", cause ? cause : "");
	exit(1);
}

static int start(const char *url)
{
	MQTTClient_connectOptions o = MQTTClient_connectOptions_initializer;
	o.reliable = 0; /* do not wait for each acknowledgement */
	o.maxInflightMessages = 65535;
	o.cleansession = 1;
	o.MQTTVersion = MQTTVERSION_3_1_1;
	int rc = MQTTClient_create(&now.client, url, "bench-native", MQTTCLIENT_PERSISTENCE_NONE,
				   NULL);
	if (rc == MQTTCLIENT_SUCCESS)
		rc = MQTTClient_setCallbacks(now.client, NULL, lost, arrived, NULL);
	if (rc == MQTTCLIENT_SUCCESS)
		rc = MQTTClient_connect(now.client, &o);
	if (rc == MQTTCLIENT_SUCCESS)
		rc = MQTTClient_subscribe(now.client, "q0/sensors/+/temperature", 0);
	if (rc == MQTTCLIENT_SUCCESS)
		rc = MQTTClient_subscribe(now.client, "q1/sensors/+/temperature", 1);
	return rc;
}

int main(int argc, char **argv)
{
	bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
	if (help || argc != 2) {
		fprintf(help ? stdout : stderr, "usage: native tcp://127.0.0.1:PORT\n"
						"Answers readings on qN/sensors/+/temperature with "
						"alerts on qN/alerts/+ (N = 0, 1).\n");
		return help ? 0 : 64;
	}
	sigset_t end;
	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigaddset(&end, SIGINT);
	(void)pthread_sigmask(SIG_BLOCK, &end, NULL);
	int rc = start(argv[1]);
	if (rc != MQTTCLIENT_SUCCESS) {
		fprintf(stderr, "native: %s: Paho error %d\n", argv[1], rc);
		return 1;
	}
	int sig;
	(void)sigwait(&end, &sig);
	(void)MQTTClient_disconnect(now.client, 100);
	MQTTClient_destroy(&now.client);
	return 0;
}
