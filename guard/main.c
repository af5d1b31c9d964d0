/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penstock-guard: waits for penstockd to die, then brings the outputs to their safe state. Descriptor 3 is the
 * socket to penstockd, 2 the log; it opens nothing, and ends with what it waits for. Signals do not end it: who stops
 * the service stops penstockd, which says goodbye.
 */
#include <errno.h>
#include <linux/gpio.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/child.h"
#include "base/landlock.h"
#include "base/log.h"
#include "guard/act.h"
#include "proto/picontrol_abi.h"

enum { SOCKET_FD = 3, FDS_BESIDE = 4 };

/* ---- the jail ---- */

static const int allowed[] = {
	SCMP_SYS(recvmsg), SCMP_SYS(close),        SCMP_SYS(pwrite64),
	SCMP_SYS(write),   SCMP_SYS(writev),       SCMP_SYS(sendto),
	SCMP_SYS(futex),   SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),    SCMP_SYS(exit_group),   SCMP_SYS(clock_nanosleep),
};

static const unsigned long requests[] = { GPIO_V2_LINE_SET_VALUES_IOCTL, KB_FIND_VARIABLE,
					  KB_SET_VALUE };

static int filter_load(void)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int err = f ? 0 : -ENOMEM;
	for (size_t i = 0; err == 0 && i < ARRAY_LEN(allowed); i++)
		err = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
	for (size_t i = 0; err == 0 && i < ARRAY_LEN(requests); i++)
		err = seccomp_rule_add(
			f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
			(struct scmp_arg_cmp){ 1, SCMP_CMP_MASKED_EQ, UINT32_MAX, requests[i] });
	if (err == 0)
		err = seccomp_load(f);
	if (f)
		seccomp_release(f);
	return err;
}

static int jail(struct why *why)
{
	static const int keep[] = { SOCKET_FD };
	/* Each output has one descriptor, and a message may bring some that it should not. */
	const struct rlimit files = { SOCKET_FD + 1 + GUARD_OUTPUTS_MAX + FDS_BESIDE,
				      SOCKET_FD + 1 + GUARD_OUTPUTS_MAX + FDS_BESIDE };
	const struct rlimit none = { 0, 0 };
	sigset_t all;
	(void)sigfillset(&all);
	int err = child_close_others(STDERR_FILENO + 1, keep, ARRAY_LEN(keep));
	if (err < 0)
		return why_set(why, err, "closing other descriptors");
	if (sigprocmask(SIG_BLOCK, &all, NULL) < 0 || setrlimit(RLIMIT_NOFILE, &files) < 0 ||
	    setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return why_set(why, -errno, "giving up privileges");
	err = landlock_enter(NULL, 0, why);
	if (err == 0)
		err = filter_load();
	return err < 0 ? why_set(why, err, "the seccomp filter cannot be installed") : 0;
}

/* ---- messages ---- */

/* The first descriptor beside the message, or -1; what else came is closed and makes it a bad one. */
static int take_fd(struct msghdr *m, bool *ret_extra)
{
	int fd = -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int one;
			memcpy(&one, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			*ret_extra |= fd >= 0;
			if (fd >= 0)
				(void)close(one);
			else
				fd = one;
		}
	}
	return fd;
}

enum next { NEXT, DIED, BYE };

/* One message. A bad one is said and left out: who sent it has the devices in its hands anyway, and what it told
 * before still holds. */
static enum next message(struct acts *acts)
{
	uint8_t bytes[GUARD_MESSAGE_MAX + 1];
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(FDS_BESIDE * sizeof(int))];
	} beside;
	struct iovec v = { bytes, sizeof(bytes) };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = &beside,
			    .msg_controllen = sizeof(beside) };
	ssize_t n = recvmsg(SOCKET_FD, &m, MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == EINTR || errno == ENOBUFS || errno == ENOMEM ? NEXT : DIED;
	if (n == 0)
		return DIED;
	struct guard_action a;
	struct why why = { 0 };
	bool extra = (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
	int fd = take_fd(&m, &extra);
	int err = extra ? why_set(&why, -E_PROTO, "it is too long, or has too many descriptors")
			: guard_parse((struct span){ bytes, (size_t)n }, fd, &a, &why);
	if (err < 0) {
		LOG(LOG_ERR, "penstockd sent the guard a bad message", F_STR("reason", why.text));
		if (fd >= 0)
			(void)close(fd);
		return NEXT;
	}
	if (a.verb == GUARD_BYE)
		return BYE;
	acts_put(acts, &a);
	return NEXT;
}

int main(void)
{
	static struct acts acts;
	struct why why = { 0 };
	acts_init(&acts);
	int err = jail(&why);
	if (err < 0) {
		LOG(LOG_ERR, "the guard of the outputs cannot confine itself",
		    F_STR("reason", why_text(&why, err)), F_ERR(err));
		return 1;
	}
	enum next next;
	while ((next = message(&acts)) == NEXT)
		;
	if (next == DIED)
		acts_do(&acts);
	/* Not _exit(): before that a sanitizer looks at what it cannot look at here. */
	return (int)syscall(SYS_exit_group, 0);
}
