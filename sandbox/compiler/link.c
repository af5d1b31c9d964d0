/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/compiler/link.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/own.h"

/* Never looked for in PATH: what is run here writes what the device will run. */
static const char *const linkers[] = { "/usr/bin/ld.lld-19", "/usr/lib/llvm-19/bin/ld.lld" };

enum { OBJECT_FD = 5, EXIT_NO_EXEC = 127 };

/* Descriptors 0 /dev/null, 1 the result, 2 its messages, OBJECT_FD the object. */
static void child(const char *linker, int object_fd, int out_fd, int messages_fd, bool is_x86,
		  bool keep_debug, const struct jail_limits *limits, pid_t parent)
{
	/* Same input, same bytes: no build id, one thread. 64 KiB pages are the largest on any
	 * board. No undefined symbol may remain: nothing is there to define it. */
	const char *argv[] = { "ld.lld",
			       "-m",
			       is_x86 ? "elf_x86_64" : "aarch64linux",
			       "-shared",
			       "-z",
			       "max-page-size=65536",
			       "-z",
			       "defs",
			       "-z",
			       "now",
			       "-z",
			       "relro",
			       "-z",
			       "noexecstack",
			       "--hash-style=gnu",
			       "--build-id=none",
			       "--eh-frame-hdr",
			       "--threads=1",
			       "-o",
			       "-",
			       keep_debug ? "--discard-none" : "--strip-debug",
			       "--whole-archive",
			       "/proc/self/fd/5",
			       NULL };
	char *envp[] = { NULL };
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	/* Move what is needed out of the way of 0..5 first. */
	int object = fcntl(object_fd, F_DUPFD, 10), out = fcntl(out_fd, F_DUPFD, 10),
	    messages = fcntl(messages_fd, F_DUPFD, 10);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(out, 1) < 0 ||
	    dup2(messages, 2) < 0 || dup2(object, OBJECT_FD) < 0 ||
	    close_range(OBJECT_FD + 1, ~0u, 0) < 0)
		_exit(EXIT_NO_EXEC);
	(void)close(3);
	(void)close(4);
	if (jail_linker(limits, NULL) == 0)
		(void)execve(linker, (char *const *)argv, envp);
	_exit(EXIT_NO_EXEC);
}

static int outcome(int status, int messages_fd, struct why *why)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL))
		return why_set(why, -E_TIME, "linking took more CPU time than was left");
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ)
		return why_set(why, -E_LIMIT, "the shared object is larger than the memory given");
	char text[300];
	ssize_t n = pread(messages_fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (strstr(text, "out of memory"))
		return why_set(why, -E_LIMIT, "linking needs more memory than was given");
	return why_set(why, -EIO, "the linker failed (status 0x%x): %s", status, text);
}

int link_shared(int object_fd, int out_fd, bool is_x86, bool keep_debug,
		const struct jail_limits *limits, struct why *why)
{
	size_t i = 0;
	while (i < ARRAY_LEN(linkers) && access(linkers[i], X_OK) < 0)
		i++;
	if (i == ARRAY_LEN(linkers))
		return why_set(why, -ENOENT, "no linker at %s: install package lld-19", linkers[0]);
	OWN_FD messages = memfd_create("linker-messages", MFD_CLOEXEC);
	if (messages < 0)
		return why_set(why, -errno, "memfd: %s", strerror(errno));
	pid_t self = getpid(), pid = fork();
	if (pid < 0)
		return why_set(why, -errno, "fork: %s", strerror(errno));
	if (pid == 0)
		child(linkers[i], object_fd, out_fd, messages, is_x86, keep_debug, limits, self);
	int status;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return why_set(why, -errno, "waitpid: %s", strerror(errno));
	}
	return outcome(status, messages, why);
}
