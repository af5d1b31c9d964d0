/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"

int file_dir(const char *parent, const char *name, mode_t mode, int *ret_fd, struct why *why)
{
	OWN_FREE char *path = NULL;
	if (asprintf(&path, "%s%s%s", parent, *name ? "/" : "", name) < 0)
		return why_set(why, -ENOMEM, "out of memory");
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return why_set(why, -errno, "cannot create the directory %s: %s", path,
			       strerror(errno));
	OWN_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return why_set(why, -errno, "cannot open the directory %s: %s", path,
			       strerror(errno));
	*ret_fd = fd_steal(&fd);
	return 0;
}

static int write_all(int fd, struct span s)
{
	while (s.len > 0) {
		ssize_t n = write(fd, s.at, s.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		s.at += n;
		s.len -= (size_t)n;
	}
	return 0;
}

static int write_parts(int dir_fd, const char *temporary, const struct span *parts, size_t n)
{
	OWN_FD fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
			   0600);
	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < n; i++) {
		int err = write_all(fd, parts[i]);
		if (err < 0)
			return err;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

int file_put(int dir_fd, const char *name, const struct span *parts, size_t n, struct why *why)
{
	/* Named by the thread: two that write the same name do not share a half-written file. */
	char temporary[128];
	int len = snprintf(temporary, sizeof(temporary), "%s.%d.part", name, (int)gettid());
	if (len < 0 || (size_t)len >= sizeof(temporary))
		return why_set(why, -ENAMETOOLONG, "file name %s is too long", name);
	int err = write_parts(dir_fd, temporary, parts, n);
	if (err == 0 && renameat(dir_fd, temporary, dir_fd, name) < 0)
		err = -errno;
	if (err < 0) {
		(void)unlinkat(dir_fd, temporary, 0);
		return why_set(why, err, "cannot write %s: %s", name, strerror(-err));
	}
	if (fsync(dir_fd) < 0)
		return why_set(why, -errno, "cannot write %s: %s", name, strerror(errno));
	return 0;
}

/* Nothing changes it any more; who gets it reads it from the beginning. */
int file_memfd_seal(int fd, const char *memfd_name, struct why *why)
{
	(void)lseek(fd, 0, SEEK_SET);
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return why_set(why, -errno, "cannot seal memfd %s: %s", memfd_name,
			       strerror(errno));
	return 0;
}

int file_to_memfd(int fd, off_t at, size_t len, const char *memfd_name, int *ret_fd,
		  struct why *why)
{
	OWN_FD copy = memfd_create(memfd_name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (copy < 0)
		return why_set(why, -errno, "memfd of %zu bytes: %s", len, strerror(errno));
	while (len > 0) {
		ssize_t n = sendfile(copy, fd, &at, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return why_set(why, -errno, "cannot copy to a memfd: %s", strerror(errno));
		if (n == 0)
			return why_set(why, -EIO, "the file ends %zu bytes early", len);
		len -= (size_t)n;
	}
	int err = file_memfd_seal(copy, memfd_name, why);
	if (err == 0)
		*ret_fd = fd_steal(&copy);
	return err;
}

int file_memfd(struct span bytes, const char *memfd_name, int *ret_fd, struct why *why)
{
	OWN_FD fd = memfd_create(memfd_name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return why_set(why, -errno, "memfd of %zu bytes: %s", bytes.len, strerror(errno));
	int err = write_all(fd, bytes);
	if (err < 0)
		return why_set(why, err, "cannot fill a memfd: %s", strerror(-err));
	err = file_memfd_seal(fd, memfd_name, why);
	if (err == 0)
		*ret_fd = fd_steal(&fd);
	return err;
}

int file_map(int fd, size_t most, struct span *ret, struct why *why)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return why_set(why, -errno, "cannot stat: %s", strerror(errno));
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > most)
		return why_set(why, -E_LIMIT, "%lld bytes, at most %zu are read",
			       (long long)st.st_size, most);
	*ret = (struct span){ .at = (const uint8_t *)"", .len = (size_t)st.st_size };
	if (st.st_size == 0)
		return 0;
	void *map = mmap(NULL, ret->len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return why_set(why, -errno, "cannot map %zu bytes: %s", ret->len, strerror(errno));
	ret->at = map;
	return 0;
}

void file_unmap(struct span s)
{
	if (s.len > 0)
		(void)munmap((void *)(uintptr_t)s.at, s.len);
}
