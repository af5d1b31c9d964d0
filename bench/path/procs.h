/* SPDX-License-Identifier: Apache-2.0 */
/* CPU time of a set of running processes, to the nanosecond (not to the 10 ms of /proc/PID/stat).
 */
#ifndef BENCH_PATH_PROCS_H
#define BENCH_PATH_PROCS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/why.h"

enum { PROCS_MAX = 16 };

struct procs {
	pid_t pid[PROCS_MAX];
	size_t n;
};

/* "12,34"; empty = none. -E_CONFIG with the reason. */
int procs_parse(const char *list, struct procs *ret, struct why *why) MUST_USE;
/* Time on a CPU of all their threads, summed. A thread that ended since is not in it. */
int procs_cpu_ns(const struct procs *p, uint64_t *ret_ns, struct why *why) MUST_USE;

#endif
