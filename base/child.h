/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a program of ours: fork + exec, descriptors given by number, nothing else inherited.
 */
#ifndef BASE_CHILD_H
#define BASE_CHILD_H

#include <sys/types.h>

#include "base/util.h"
#include "base/why.h"

enum { CHILD_FDS_MAX = 8 };

struct child_spec {
	const char *path;        /* absolute */
	const char *const *argv; /* NULL-terminated, argv[0] included */
	const char *const *envp; /* NULL-terminated; NULL = empty environment */
	int fds[CHILD_FDS_MAX];  /* fds[i] becomes descriptor i of the child; -1: /dev/null */
	unsigned nfds;           /* at least 3; all above are closed in the child */
};

/* The absolute path of a program installed beside this one: dir(/proc/self/exe)/name, or where that
 * does not exist PENSTOCK_LIBEXEC/name. malloc'd; NULL with the reason. */
char *child_sibling(const char *name, struct why *why) MUST_USE;

/* Starts it with PR_SET_PDEATHSIG = SIGKILL when die_with_parent. Returns 0 and pid, or -errno
 * (also of the exec itself). Signals are reset to default and unblocked in the child. */
int child_start(const struct child_spec *spec, int die_with_parent, pid_t *ret_pid,
		struct why *why) MUST_USE;

/* In the process that this is called in: closes every descriptor from `from` on but those in keep
 * (-1 there is fine). Async-signal-safe. Returns 0 or -errno. */
int child_close_others(unsigned from, const int *keep, size_t n) MUST_USE;

/* Waits until it ends or timeout_ms is over (then kills it: -E_TIME). *ret_status as of waitpid. */
int child_wait(pid_t pid, unsigned timeout_ms, int *ret_status, struct why *why) MUST_USE;

#endif
