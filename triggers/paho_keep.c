/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Paho wants to keep, and need not. Given a persistence (mqtt_session.c, for QoS 2) it also hands it each
 * message that comes, of any QoS, and takes it away again when the sink has it; and each of QoS 1 that
 * goes. The owner's journal has what is to be kept of these, or nothing is, so the linker gives us the calls
 * (Makefile, WRAPS) before Paho has formatted keys and made lists for them.
 */
#include <stddef.h>

int __real_MQTTPersistence_putPacket(int fd, char *head, size_t head_len, int n, char **at,
				     size_t *len, int type, int id, int scr, int version);
int __real_MQTTPersistence_remove(void *client, char *type, int qos, int id);
int __wrap_MQTTPersistence_putPacket(int fd, char *head, size_t head_len, int n, char **at,
				     size_t *len, int type, int id, int scr, int version);
int __wrap_MQTTPersistence_remove(void *client, char *type, int qos, int id);
int __wrap_MQTTPersistence_persistQueueEntry(void *client, void *entry);
int __wrap_MQTTPersistence_unpersistQueueEntry(void *client, void *entry);

enum { PUBLISH = 3, QOS_BITS = 6, QOS_1 = 2 };

int __wrap_MQTTPersistence_putPacket(int fd, char *head, size_t head_len, int n, char **at,
				     size_t *len, int type, int id, int scr, int version)
{
	if (type == PUBLISH && (head[0] & QOS_BITS) == QOS_1)
		return 0;
	return __real_MQTTPersistence_putPacket(fd, head, head_len, n, at, len, type, id, scr,
						version);
}

int __wrap_MQTTPersistence_remove(void *client, char *type, int qos, int id)
{
	return qos == 1 ? 0 : __real_MQTTPersistence_remove(client, type, qos, id);
}

int __wrap_MQTTPersistence_persistQueueEntry(void *client, void *entry)
{
	(void)client;
	(void)entry;
	return 0;
}

int __wrap_MQTTPersistence_unpersistQueueEntry(void *client, void *entry)
{
	(void)client;
	(void)entry;
	return 0;
}
