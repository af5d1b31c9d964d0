/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/guard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/child.h"
#include "base/own.h"

enum { TELL_S = 1, END_MS = 2000 };

struct guard {
	int sock;
	pid_t pid;
};

int guard_start(const char *program, struct guard **ret, struct why *why)
{
	static const char *const argv[] = { "penstock-guard", NULL };
	const struct timeval patience = { .tv_sec = TELL_S };
	int ends[2];
	OWN_FREE struct guard *g = calloc(1, sizeof(*g));
	if (!g)
		return why_set(why, -ENOMEM, "out of memory");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return why_set(why, -errno, "a socket for %s: %s", program, strerrordesc_np(errno));
	OWN_FD ours = ends[0];
	OWN_FD its = ends[1];
	const struct child_spec spec = {
		.path = program, .argv = argv, .fds = { -1, -1, STDERR_FILENO, its }, .nfds = 4
	};
	if (setsockopt(ours, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		return why_set(why, -errno, "a socket for %s: %s", program, strerrordesc_np(errno));
	int err = child_start(&spec, false, &g->pid, why);
	if (err < 0)
		return err;
	g->sock = fd_steal(&ours);
	*ret = ptr_steal(&g);
	return 0;
}

int guard_tell(struct guard *g, const struct guard_action *a, struct why *why)
{
	uint8_t message[GUARD_MESSAGE_MAX];
	struct wr w = wr_into(message, sizeof(message));
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} beside = { 0 };
	if (!guard_put(&w, a))
		return why_set(why, -E_PROTO, "what the guard should do for \"%s\" is no action",
			       a->name);
	struct iovec v = { message, w.len };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	if (a->fd >= 0) {
		m.msg_control = &beside;
		m.msg_controllen = sizeof(beside);
		beside.head = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
						.cmsg_type = SCM_RIGHTS,
						.cmsg_len = CMSG_LEN(sizeof(int)) };
		memcpy(CMSG_DATA(&beside.head), &a->fd, sizeof(int));
	}
	ssize_t n;
	do
		n = sendmsg(g->sock, &m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	if (errno == EPIPE || errno == ECONNRESET || errno == EAGAIN)
		return why_set(why, -E_GONE, "penstock-guard %s",
			       errno == EAGAIN ? "hangs" : "has died");
	return why_set(why, -errno, "telling penstock-guard: %s", strerrordesc_np(errno));
}

int guard_fd(const struct guard *g)
{
	return g->sock;
}

void guard_stop(struct guard *g, bool bye)
{
	const struct guard_action end = { .verb = GUARD_BYE, .fd = -1 };
	int status;
	if (!g)
		return;
	/* One that is dead already, or hangs, needs no farewell. */
	(void)!(bye && guard_tell(g, &end, NULL) == 0);
	(void)close(g->sock);
	(void)!child_wait(g->pid, END_MS, &status, NULL);
	free(g);
}
