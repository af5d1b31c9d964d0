/* SPDX-License-Identifier: Apache-2.0 */
/* The guard as it is built, for tests that start it. Include cmocka.h before. */
#ifndef TESTS_GUARD_PROGRAM_H
#define TESTS_GUARD_PROGRAM_H

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* BUILD/tests/unit/triggers/test_NAME -> BUILD/penstock-guard */
static const char *guard_program(void)
{
	static const char name[] = "/penstock-guard";
	static char path[PATH_MAX + sizeof(name)];
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
	assert_true(n > 0);
	path[n] = '\0';
	for (int i = 0; i < 4; i++)
		*strrchr(path, '/') = '\0';
	memcpy(path + strlen(path), name, sizeof(name));
	return path;
}

/* Our only child, whichever thread has started it; 0: there is none. */
static pid_t guard_pid(void)
{
	int pid = 0;
	DIR *tasks = opendir("/proc/self/task");
	assert_non_null(tasks);
	for (struct dirent *d; (d = readdir(tasks));) {
		char path[64];
		(void)snprintf(path, sizeof(path), "/proc/self/task/%.20s/children", d->d_name);
		FILE *f = fopen(path, "re");
		int one;
		if (f && fscanf(f, "%d", &one) == 1)
			pid = one;
		if (f)
			(void)fclose(f);
	}
	(void)closedir(tasks);
	return (pid_t)pid;
}

#endif
