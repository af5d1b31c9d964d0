/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"

int sysfs_read_fd(int fd, char *buf, size_t cap)
{
	ssize_t n = pread(fd, buf, cap, 0);
	if (n < 0)
		return -errno;
	if ((size_t)n == cap)
		return -E2BIG;
	while (n > 0 && strchr(" \t\r\n", buf[n - 1]))
		n--;
	buf[n] = '\0';
	return 0;
}

int sysfs_read(int dir, const char *name, char *buf, size_t cap)
{
	OWN_FD fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : sysfs_read_fd(fd, buf, cap);
}

bool sysfs_name_ok(const char *name)
{
	size_t n = strlen(name);
	return n > 0 && n <= NAME_MAX && !strchr(name, '/') && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}
