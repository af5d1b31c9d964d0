/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"

enum { CHUNK_BYTES = 64 * 1024 };

void bytes_fini(struct bytes *b)
{
	free(b->at);
	*b = (struct bytes){ 0 };
}

static int no(struct why *why, const char *path)
{
	int err = -errno;
	return why_set(why, err, "%s: %s", path, strerrordesc_np(-err));
}

static int grow(struct bytes *b, size_t *cap)
{
	size_t more = *cap ? *cap * 2 : CHUNK_BYTES;
	uint8_t *at = realloc(b->at, more);
	if (!at)
		return -ENOMEM;
	b->at = at;
	*cap = more;
	return 0;
}

int file_read_fd(int fd, const char *name, size_t most, struct bytes *ret, struct why *why)
{
	OWN_BYTES b = { 0 };
	size_t cap = 0;
	for (;;) {
		if (b.len == cap && grow(&b, &cap) < 0)
			return why_set(why, -ENOMEM, "%s: out of memory", name);
		ssize_t n = read(fd, b.at + b.len, cap - b.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return no(why, name);
		if (n == 0)
			break;
		b.len += (size_t)n;
		if (b.len > most)
			return why_set(why, -E_LIMIT, "%s has more than %zu bytes", name, most);
	}
	*ret = b;
	b = (struct bytes){ 0 };
	return 0;
}

int file_read(const char *path, size_t most, struct bytes *ret, struct why *why)
{
	if (strcmp(path, "-") == 0)
		return file_read_fd(STDIN_FILENO, "standard input", most, ret, why);
	OWN_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return no(why, path);
	return file_read_fd(fd, path, most, ret, why);
}

static int write_all(int fd, struct span s)
{
	while (s.len > 0) {
		ssize_t n = write(fd, s.at, s.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		s.at += n;
		s.len -= (size_t)n;
	}
	return fsync(fd) < 0 && errno != EINVAL && errno != EROFS ? -1 : 0;
}

static int write_new(const char *path, struct span content, mode_t mode, struct why *why)
{
	OWN_FD fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return no(why, path);
	if (fchmod(fd, mode) < 0 || write_all(fd, content) < 0) {
		int err = no(why, path);
		(void)unlink(path);
		return err;
	}
	return 0;
}

/* Devices and pipes (-o /dev/stdout) cannot be replaced by renaming. */
static bool is_special(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

static int folder_len(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? (int)(slash - path) : 0;
}

int file_write(const char *path, struct span content, enum file_mode how, mode_t mode,
	       struct why *why)
{
	if (how == FILE_NEW)
		return write_new(path, content, mode, why);
	if (is_special(path)) {
		OWN_FD fd = open(path, O_WRONLY | O_CLOEXEC);
		return fd < 0 || write_all(fd, content) < 0 ? no(why, path) : 0;
	}
	OWN_FREE char *beside = NULL;
	if (asprintf(&beside, "%s.%d.new", path, (int)getpid()) < 0) {
		beside = NULL;
		return why_set(why, -ENOMEM, "%s: out of memory", path);
	}
	struct why beside_why = { 0 };
	int err = write_new(beside, content, mode, &beside_why);
	if (err == -ENOENT)
		return why_set(why, err, "%s: there is no folder %.*s", path, folder_len(path),
			       path);
	if (err < 0)
		return why_set(why, err, "%s: %s", path, strerrordesc_np(-err));
	if (rename(beside, path) < 0) {
		err = no(why, path);
		(void)unlink(beside);
	}
	return err;
}
