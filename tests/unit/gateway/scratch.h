/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of its own for each test, and cmocka with what it needs. */
#ifndef TESTS_UNIT_GATEWAY_SCRATCH_H
#define TESTS_UNIT_GATEWAY_SCRATCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <unistd.h>

static inline int scratch_new(void **state)
{
	char *dir = strdup(access("/dev/shm", W_OK) == 0 ? "/dev/shm/penstock-test-XXXXXX"
							 : "/tmp/penstock-test-XXXXXX");
	*state = dir;
	return dir && mkdtemp(dir) ? 0 : -1;
}

static int scratch_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline int scratch_free(void **state)
{
	(void)nftw(*state, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(*state);
	return 0;
}

/* dir/name; the next call reuses the buffer after four. */
static inline const char *scratch_path(const char *dir, const char *name)
{
	static char path[4][256];
	static unsigned next;
	char *to = path[next++ % 4];
	(void)snprintf(to, sizeof(path[0]), "%s/%s", dir, name);
	return to;
}

static inline void scratch_write(const char *path, const void *bytes, size_t len)
{
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static inline size_t scratch_read(const char *path, void *bytes, size_t cap)
{
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	size_t n = fread(bytes, 1, cap, f);
	(void)fclose(f);
	return n;
}

#endif
