/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(4 * sizeof(int))]; /* room to see, and close, more than one */
};

struct wire {
	struct mmsghdr msg[WIRE_BATCH];
	struct iovec iov[WIRE_BATCH];
	union control control[WIRE_BATCH];
	uint8_t bytes[WIRE_BATCH][IPC_PACKET_BYTES];
};

struct wire *wire_new(void)
{
	struct wire *w =
		malloc(sizeof(*w)); /* not zeroed: pages that no packet uses cost nothing */
	if (!w)
		return NULL;
	memset(w, 0, offsetof(struct wire, bytes));
	for (unsigned i = 0; i < WIRE_BATCH; i++) {
		w->iov[i] = (struct iovec){ w->bytes[i], sizeof(w->bytes[i]) };
		w->msg[i].msg_hdr.msg_iov = &w->iov[i];
		w->msg[i].msg_hdr.msg_iovlen = 1;
	}
	return w;
}

void wire_free(struct wire *w)
{
	free(w);
}

static unsigned control_fds(struct msghdr *m, int *ret_fd)
{
	unsigned n = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < here; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (n++ == 0)
				*ret_fd = fd;
			else
				(void)close(fd);
		}
	}
	return n;
}

int wire_recv(struct wire *w, int sock, struct wire_packet ret[WIRE_BATCH])
{
	for (unsigned i = 0; i < WIRE_BATCH; i++) {
		w->msg[i].msg_hdr.msg_control = &w->control[i];
		w->msg[i].msg_hdr.msg_controllen = sizeof(w->control[i]);
	}
	int n;
	do
		n = recvmmsg(sock, w->msg, WIRE_BATCH, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, NULL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	int whole = 0;
	for (int i = 0; i < n; i++) {
		struct msghdr *m = &w->msg[i].msg_hdr;
		struct wire_packet p = { .bytes = w->bytes[i], .len = w->msg[i].msg_len, .fd = -1 };
		if (control_fds(m, &p.fd) > 1 || (m->msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
			p.err = -E_PROTO;
		if (p.len == 0 && p.fd < 0)
			break; /* the end; our packets are never empty */
		ret[whole++] = p;
	}
	return whole;
}

int wire_send(int sock, struct flight *const *f, unsigned n)
{
	struct mmsghdr msg[WIRE_BATCH] = { 0 };
	struct iovec iov[WIRE_BATCH];
	union control control[WIRE_BATCH];
	ENSURE(n > 0 && n <= WIRE_BATCH);
	for (unsigned i = 0; i < n; i++) {
		struct msghdr *m = &msg[i].msg_hdr;
		iov[i] = (struct iovec){ f[i]->packet.buf, f[i]->packet.len };
		m->msg_iov = &iov[i];
		m->msg_iovlen = 1;
		if (f[i]->payload_fd < 0)
			continue;
		memset(&control[i], 0, sizeof(control[i]));
		m->msg_control = &control[i];
		m->msg_controllen = CMSG_SPACE(sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &f[i]->payload_fd, sizeof(int));
	}
	int sent;
	do
		sent = sendmmsg(sock, msg, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}
