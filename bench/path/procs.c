/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/path/procs.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

int procs_parse(const char *list, struct procs *ret, struct why *why)
{
	ret->n = 0;
	while (*list) {
		char *end;
		long pid = strtol(list, &end, 10);
		if (end == list || pid <= 0 || (*end && *end != ','))
			return why_set(why, -E_CONFIG, "process ids look like 12,34, not \"%s\"",
				       list);
		if (ret->n == PROCS_MAX)
			return why_set(why, -E_CONFIG, "more than %d process ids", PROCS_MAX);
		ret->pid[ret->n++] = (pid_t)pid;
		list = *end ? end + 1 : end;
	}
	return 0;
}

static void close_dir(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

static void close_file(FILE **f)
{
	if (*f)
		(void)fclose(*f);
}

/* /proc/PID/task/TID/schedstat: time on a CPU in ns, time waiting, slices. 0 when the thread ended
 * while we looked. */
static uint64_t thread_ns(pid_t pid, const char *tid)
{
	char path[300];
	(void)snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)pid, tid);
	__attribute__((cleanup(close_file))) FILE *f = fopen(path, "re");
	uint64_t ns = 0;
	return f && fscanf(f, "%" SCNu64, &ns) == 1 ? ns : 0;
}

static int process_ns(pid_t pid, uint64_t *ns, struct why *why)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	__attribute__((cleanup(close_dir))) DIR *d = opendir(path);
	if (!d)
		return why_set(why, -errno, "process %d is not there any more", (int)pid);
	for (struct dirent *e; (e = readdir(d));)
		if (e->d_name[0] != '.')
			*ns += thread_ns(pid, e->d_name);
	return 0;
}

int procs_cpu_ns(const struct procs *p, uint64_t *ret_ns, struct why *why)
{
	uint64_t ns = 0;
	for (size_t i = 0; i < p->n; i++) {
		int err = process_ns(p->pid[i], &ns, why);
		if (err < 0)
			return err;
	}
	*ret_ns = ns;
	return 0;
}
