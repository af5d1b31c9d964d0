/* SPDX-License-Identifier: Apache-2.0 */
#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"

#ifndef PENSTOCK_LIBEXEC
#define PENSTOCK_LIBEXEC "/usr/lib/penstock"
#endif

char *child_sibling(const char *name, struct why *why)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0) {
		(void)why_set(why, -errno, "/proc/self/exe: %s", strerrordesc_np(errno));
		return NULL;
	}
	self[n] = '\0';
	char *slash = strrchr(self, '/');
	int dir_len = slash ? (int)(slash - self) : 0;
	const char *const dirs[] = { self, PENSTOCK_LIBEXEC };
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		OWN_FREE char *path = NULL;
		int len = i == 0 ? dir_len : (int)strlen(dirs[i]);
		if (asprintf(&path, "%.*s/%s", len, dirs[i], name) < 0) {
			path = NULL;
			(void)why_set(why, -ENOMEM, "out of memory");
			return NULL;
		}
		if (access(path, X_OK) == 0)
			return ptr_steal(&path);
	}
	(void)why_set(why, -ENOENT, "the program %s is neither in %.*s nor in %s; is it installed?",
		      name, dir_len, self, PENSTOCK_LIBEXEC);
	return NULL;
}

/* ---- in the child: between fork and exec only async-signal-safe calls, because other threads of
 * the parent may have held any lock ---- */

enum step { STEP_PARENT, STEP_NULL, STEP_FDS, STEP_CLOSE, STEP_SIGNALS, STEP_EXEC };

static const char *const step_text[] = {
	[STEP_PARENT] = "tying it to its parent", [STEP_NULL] = "opening /dev/null",
	[STEP_FDS] = "placing its descriptors",   [STEP_CLOSE] = "closing the others",
	[STEP_SIGNALS] = "resetting signals",     [STEP_EXEC] = "exec",
};

struct failure { /* what comes back through the pipe; same program on both ends */
	int step, err;
};

static _Noreturn void child_fail(int report_fd, enum step step)
{
	struct failure f = { (int)step, errno };
	ssize_t n = write(report_fd, &f, sizeof(f));
	_exit(n == (ssize_t)sizeof(f) ? 127 : 126);
}

/* The wanted numbers 0..nfds-1 may be in use by each other: all move up first, then down. */
static void child_place_fds(const struct child_spec *spec, int report_fd)
{
	int high[CHILD_FDS_MAX];
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd < 0)
		child_fail(report_fd, STEP_NULL);
	for (unsigned i = 0; i < spec->nfds; i++) {
		int from = spec->fds[i] >= 0 ? spec->fds[i] : null_fd;
		high[i] = fcntl(from, F_DUPFD_CLOEXEC, CHILD_FDS_MAX);
		if (high[i] < 0)
			child_fail(report_fd, STEP_FDS);
	}
	for (unsigned i = 0; i < spec->nfds; i++) {
		if (dup2(high[i], (int)i) < 0) /* the copy is not close-on-exec */
			child_fail(report_fd, STEP_FDS);
	}
	/* Marked rather than closed: the report pipe has to live until the exec. */
	if (close_range(spec->nfds, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		child_fail(report_fd, STEP_CLOSE);
}

static void child_reset_signals(int report_fd)
{
	sigset_t none;
	/* exec resets handlers, but keeps what is ignored. KILL, STOP and libc's own refuse. */
	for (int s = 1; s < NSIG; s++)
		(void)signal(s, SIG_DFL);
	if (sigemptyset(&none) < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		child_fail(report_fd, STEP_SIGNALS);
}

static _Noreturn void child_run(const struct child_spec *spec, pid_t parent, int report_fd)
{
	static const char *const empty[] = { NULL };
	if (parent != 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
			child_fail(report_fd, STEP_PARENT);
		if (getppid() != parent) /* it died before the line above */
			_exit(127);
	}
	child_place_fds(spec, report_fd);
	child_reset_signals(report_fd);
	const char *const *envp = spec->envp ? spec->envp : empty;
	(void)execve(spec->path, (char *const *)spec->argv, (char *const *)envp);
	child_fail(report_fd, STEP_EXEC);
}

int child_close_others(unsigned from, const int *keep, size_t n)
{
	for (;;) {
		unsigned next = ~0U; /* the lowest to keep that is left */
		for (size_t i = 0; i < n; i++) {
			if (keep[i] >= 0 && (unsigned)keep[i] >= from && (unsigned)keep[i] < next)
				next = (unsigned)keep[i];
		}
		if (next > from && close_range(from, next == ~0U ? next : next - 1, 0) < 0)
			return -errno;
		if (next == ~0U)
			return 0;
		from = next + 1;
	}
}

/* ---- in the parent ---- */

static pid_t wait_for(pid_t pid, int *status)
{
	pid_t got;
	do
		got = waitpid(pid, status, 0);
	while (got < 0 && errno == EINTR);
	return got;
}

/* 0 when the pipe was closed by the exec, else what the child reported. */
static int report_read(int fd, const char *path, struct why *why)
{
	struct failure f;
	ssize_t n;
	do
		n = read(fd, &f, sizeof(f));
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return 0;
	if (n != (ssize_t)sizeof(f) || f.step < 0 || (size_t)f.step >= ARRAY_LEN(step_text))
		return why_set(why, -EIO, "starting %s failed", path);
	const char *text = strerrordesc_np(f.err);
	return why_set(why, -f.err, "starting %s: %s: %s", path, step_text[f.step],
		       text ? text : "unknown error");
}

int child_start(const struct child_spec *spec, int die_with_parent, pid_t *ret_pid, struct why *why)
{
	int ends[2];
	if (spec->nfds < 3 || spec->nfds > CHILD_FDS_MAX)
		return why_set(why, -EINVAL, "%u descriptors for %s", spec->nfds, spec->path);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return why_set(why, -errno, "a pipe for %s: %s", spec->path,
			       strerrordesc_np(errno));
	OWN_FD from_child = ends[0];
	OWN_FD low = ends[1];
	/* Out of the way of the numbers that the child places. */
	OWN_FD report = fcntl(low, F_DUPFD_CLOEXEC, CHILD_FDS_MAX);
	if (report < 0)
		return why_set(why, -errno, "a pipe for %s: %s", spec->path,
			       strerrordesc_np(errno));

	/* The parent's handlers must not run in the child. */
	sigset_t all, before;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid == 0)
		child_run(spec, die_with_parent ? parent : 0, report);
	int fork_err = -errno;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (pid < 0)
		return why_set(why, fork_err, "fork for %s: %s", spec->path,
			       strerrordesc_np(-fork_err));

	(void)close(fd_steal(&report));
	(void)close(fd_steal(&low));
	int err = report_read(from_child, spec->path, why);
	if (err < 0) {
		(void)wait_for(pid, NULL);
		return err;
	}
	*ret_pid = pid;
	return 0;
}

static uint64_t now_ms(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* 1: it ended; 0: time is over; or -errno */
static int ended_within(int pidfd, unsigned timeout_ms)
{
	uint64_t end = now_ms() + timeout_ms;
	for (;;) {
		uint64_t now = now_ms();
		uint64_t left = now < end ? end - now : 0;
		struct pollfd p = { .fd = pidfd, .events = POLLIN };
		int n = poll(&p, 1, left < INT_MAX ? (int)left : INT_MAX);
		if (n > 0)
			return 1;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (now >= end)
			return 0;
	}
}

int child_wait(pid_t pid, unsigned timeout_ms, int *ret_status, struct why *why)
{
	OWN_FD pidfd = pidfd_open(pid, 0);
	if (pidfd < 0)
		return why_set(why, -errno, "process %d: %s", (int)pid, strerrordesc_np(errno));
	int ended = ended_within(pidfd, timeout_ms);
	if (ended <= 0)
		(void)kill(pid, SIGKILL);
	if (wait_for(pid, ret_status) < 0)
		return why_set(why, -errno, "process %d: %s", (int)pid, strerrordesc_np(errno));
	if (ended < 0)
		return why_set(why, ended, "process %d: poll failed, it was killed", (int)pid);
	if (ended == 0)
		return why_set(why, -E_TIME, "process %d was killed after %u ms", (int)pid,
			       timeout_ms);
	return 0;
}
