/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/answers.h"

#include <errno.h>
#include <string.h>

#include "base/own.h"

static int send_alone(int sock, const struct ipc_result *r, int fd)
{
	uint8_t packet[IPC_PACKET_BYTES];
	struct wr w = wr_into(packet, sizeof(packet));
	if (!ipc_put_result(&w, r))
		return -EMSGSIZE;
	return ipc_send(sock, &w, &fd, fd >= 0 ? 1 : 0, true);
}

static int send_by_memfd(int sock, const struct ipc_result *r)
{
	uint8_t len[4];
	struct wr w = wr_into(len, sizeof(len));
	wr_u32(&w, (uint32_t)r->reply.len);
	const struct span parts[] = { { len, sizeof(len) }, r->reply, r->effects };
	OWN_FD fd = ipc_memfd("penstock-result", parts, ARRAY_LEN(parts));
	if (fd < 0)
		return fd;
	struct ipc_result rest = *r;
	rest.fd_bytes = (uint32_t)(sizeof(len) + r->reply.len + r->effects.len);
	rest.reply = rest.effects = (struct span){ 0 };
	return send_alone(sock, &rest, fd);
}

int answers_put(struct answers *a, const struct ipc_result *r)
{
	size_t bytes = r->why.len + r->log.len + r->reply.len + r->effects.len + r->state.len +
		       r->trace.len;
	if (bytes > IPC_INLINE_BYTES)
		return send_by_memfd(a->sock, r);
	struct wr w = wr_into(a->bytes[a->n], ANSWERS_HELD_BYTES);
	if (!ipc_put_result(&w, r))
		return send_alone(a->sock, r, -1);
	a->held[a->n++] = (struct span){ w.buf, w.len };
	return a->n == IPC_BATCH ? answers_flush(a) : 0;
}

int answers_refuse(struct answers *a, uint64_t event, const char *why)
{
	const struct ipc_result r = { .event = event,
				      .status = IPC_REFUSED,
				      .why = { (const uint8_t *)why, strlen(why) } };
	return answers_put(a, &r);
}

int answers_flush(struct answers *a)
{
	unsigned n = a->n;
	a->n = 0;
	return n > 0 ? ipc_send_all(a->sock, a->held, n) : 0;
}
