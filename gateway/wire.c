/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

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
