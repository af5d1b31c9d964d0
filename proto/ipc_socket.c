/* SPDX-License-Identifier: Apache-2.0 */
/* The socket half of proto/ipc.h: packets with at most one descriptor, payloads as sealed memfds.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/own.h"
#include "proto/ipc.h"

enum {
	RECV_FDS_MAX = 4, /* room to see, and close, more than the one that is allowed */
	MEMFD_SEALS = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW,
};

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(RECV_FDS_MAX * sizeof(int))];
};

/* Sockets may be non-blocking: then waiting is poll's business. */
static int wait_for(int sock, short events)
{
	struct pollfd p = { .fd = sock, .events = events };
	if (poll(&p, 1, -1) < 0 && errno != EINTR)
		return -errno;
	return 0;
}

int ipc_send(int sock, const struct wr *packet, const int *fds, unsigned nfds, bool wait)
{
	if (!wr_ok(packet) || nfds > 1)
		return -EINVAL;
	struct iovec iov = { .iov_base = packet->buf, .iov_len = packet->len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control;
	if (nfds == 1) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), fds, sizeof(int));
	}
	for (;;) {
		if (sendmsg(sock, &msg, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT)) >= 0)
			return 0;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN || !wait)
			return -errno;
		int err = wait_for(sock, POLLOUT);
		if (err < 0)
			return err;
	}
}

/* Collects the descriptors of a received message: the first goes to *ret_fd. Returns how many there
 * were; all but the first are closed. */
static unsigned control_fds(struct msghdr *msg, int *ret_fd)
{
	unsigned n = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
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

ssize_t ipc_recv(int sock, void *buf, size_t cap, int *ret_fd, bool wait)
{
	struct iovec iov = { .iov_base = buf, .iov_len = cap };
	union control control;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	*ret_fd = -1;
	ssize_t n;
	while ((n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT))) < 0) {
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN || !wait)
			return -errno;
		int err = wait_for(sock, POLLIN);
		if (err < 0)
			return err;
	}
	OWN_FD fd = -1;
	if (control_fds(&msg, &fd) > 1 || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return -E_PROTO;
	*ret_fd = fd_steal(&fd);
	return n;
}

/* ---- many at once ---- */

struct ipc_inbox {
	struct mmsghdr msg[IPC_BATCH];
	struct iovec iov[IPC_BATCH];
	union control control[IPC_BATCH];
	uint8_t bytes[IPC_BATCH][IPC_PACKET_BYTES];
};

struct ipc_inbox *ipc_inbox_new(void)
{
	struct ipc_inbox *in = malloc(sizeof(*in));
	if (!in)
		return NULL;
	/* The buffers stay untouched: pages that no packet reaches cost nothing. */
	memset(in, 0, offsetof(struct ipc_inbox, bytes));
	for (unsigned i = 0; i < IPC_BATCH; i++) {
		in->iov[i] = (struct iovec){ in->bytes[i], sizeof(in->bytes[i]) };
		in->msg[i].msg_hdr.msg_iov = &in->iov[i];
		in->msg[i].msg_hdr.msg_iovlen = 1;
		in->msg[i].msg_hdr.msg_control = &in->control[i];
	}
	return in;
}

void ipc_inbox_free(struct ipc_inbox *in)
{
	free(in);
}

int ipc_inbox_recv(struct ipc_inbox *in, int sock, struct ipc_packet ret[IPC_BATCH])
{
	for (unsigned i = 0; i < IPC_BATCH; i++)
		in->msg[i].msg_hdr.msg_controllen = sizeof(in->control[i]);
	int n;
	do
		n = recvmmsg(sock, in->msg, IPC_BATCH, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, NULL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	int whole = 0;
	for (int i = 0; i < n; i++) {
		struct msghdr *m = &in->msg[i].msg_hdr;
		struct ipc_packet p = { .bytes = in->bytes[i],
					.len = in->msg[i].msg_len,
					.fd = -1 };
		if (control_fds(m, &p.fd) > 1 || (m->msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
			p.err = -E_PROTO;
		if (p.len == 0 && p.fd < 0)
			break; /* the end, which recvmmsg() counts as packets; ours are never empty */
		ret[whole++] = p;
	}
	return whole;
}

int ipc_send_all(int sock, const struct span *packets, unsigned n)
{
	struct mmsghdr msg[IPC_BATCH] = { 0 };
	struct iovec iov[IPC_BATCH];
	ENSURE(n <= IPC_BATCH);
	for (unsigned i = 0; i < n; i++) {
		iov[i] = (struct iovec){ (void *)(uintptr_t)packets[i].at, packets[i].len };
		msg[i].msg_hdr.msg_iov = &iov[i];
		msg[i].msg_hdr.msg_iovlen = 1;
	}
	for (unsigned sent = 0; sent < n;) {
		int some = sendmmsg(sock, msg + sent, n - sent, MSG_NOSIGNAL);
		int err = 0;
		if (some > 0)
			sent += (unsigned)some;
		else if (errno == EAGAIN)
			err = wait_for(sock, POLLOUT);
		else if (errno != EINTR)
			err = -errno;
		if (err < 0)
			return err;
	}
	return 0;
}

static int write_all(int fd, struct span s)
{
	while (s.len > 0) {
		ssize_t n = write(fd, s.at, s.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		s.at += n;
		s.len -= (size_t)n;
	}
	return 0;
}

int ipc_memfd(const char *name, const struct span *parts, size_t nparts)
{
	OWN_FD fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < nparts; i++) {
		int err = write_all(fd, parts[i]);
		if (err < 0)
			return err;
	}
	if (fcntl(fd, F_ADD_SEALS, MEMFD_SEALS | F_SEAL_SEAL) < 0)
		return -errno;
	return fd_steal(&fd);
}

int ipc_memfd_map(int fd, size_t len, const void **ret_map)
{
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0)
		return errno == EINVAL ? -E_PROTO : -errno;
	if ((seals & MEMFD_SEALS) != MEMFD_SEALS)
		return -E_PROTO;
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (len == 0 || st.st_size < 0 || (uint64_t)st.st_size != len)
		return -E_PROTO;
	/* Private: before Linux 6.7 a write-sealed file cannot be mapped shared. */
	void *map = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	*ret_map = map;
	return 0;
}
