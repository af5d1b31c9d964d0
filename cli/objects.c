/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/objects.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/own.h"
#include "cli/cache.h"
#include "cli/file.h"

enum { SUM_BYTES = 32 };

static void name_make(const char *path, const struct aot_job_options *o,
		      char ret[sizeof(((struct objects *)0)->name)])
{
	uint8_t digest[16];
	OWN_FREE char *real = realpath(path, NULL);
	OWN_FREE char *text = NULL;
	if (asprintf(&text, "%s\n%s\n%s\n%d %d %d", real ? real : path, o->target ? o->target : "",
		     o->cpu ? o->cpu : "", o->bounds_check, o->opt, o->debug) < 0)
		text = NULL;
	const char *all = text ? text : "";
	(void)crypto_generichash(digest, sizeof(digest), (const uint8_t *)all, strlen(all), NULL,
				 0);
	sodium_bin2hex(ret, 2 * sizeof(digest) + 1, digest, sizeof(digest));
}

static bool write_all(int fd, const uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno != EINTR)
			return false;
		p += done > 0 ? done : 0;
		n -= done > 0 ? (size_t)done : 0;
	}
	return true;
}

static void sum(const uint8_t *p, size_t n, uint8_t ret[SUM_BYTES])
{
	(void)crypto_generichash(ret, SUM_BYTES, p, n, NULL, 0);
}

/* What is damaged, not the user's own or open to others counts as absent. */
static void load(const struct objects *s)
{
	struct stat st;
	OWN_BYTES all = { 0 };
	struct why why = { 0 };
	uint8_t digest[SUM_BYTES];
	OWN_FD fd = openat(s->dir_fd, s->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & (S_IWGRP | S_IWOTH)) != 0 ||
	    file_read_fd(fd, s->name, OBJECTS_BYTES_MAX + SUM_BYTES, &all, &why) < 0 ||
	    all.len < SUM_BYTES)
		return;
	sum(all.at + SUM_BYTES, all.len - SUM_BYTES, digest);
	if (memcmp(digest, all.at, SUM_BYTES) != 0)
		return;
	if (!write_all(s->fd, all.at + SUM_BYTES, all.len - SUM_BYTES))
		(void)!ftruncate(s->fd, 0);
	(void)futimens(fd, NULL); /* used now */
}

void objects_open(const char *path, const struct aot_job_options *o, struct objects *ret)
{
	OWN_FREE char *folder = NULL;
	struct why why = { 0 };
	*ret = (struct objects){ .dir_fd = -1, .fd = -1 };
	if (cache_open("objects", &folder, &ret->dir_fd, &why) < 0)
		return;
	ret->fd = memfd_create("penstock-objects", MFD_CLOEXEC);
	if (ret->fd < 0) {
		objects_close(ret);
		return;
	}
	name_make(path, o, ret->name);
	load(ret);
}

struct entry {
	char name[NAME_MAX + 1];
	struct timespec used;
	uint64_t bytes;
};

static int by_use(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	if (x->used.tv_sec != y->used.tv_sec)
		return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
	return x->used.tv_nsec < y->used.tv_nsec ? -1 : x->used.tv_nsec > y->used.tv_nsec;
}

static size_t entries(DIR *dir, struct entry **ret)
{
	size_t n = 0;
	struct dirent *d;
	while ((d = readdir(dir))) {
		struct stat st;
		struct entry *more = realloc(*ret, (n + 1) * sizeof(**ret));
		if (!more)
			break;
		*ret = more;
		if (fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		more[n].used = st.st_mtim;
		more[n].bytes = (uint64_t)st.st_size;
		(void)snprintf(more[n++].name, sizeof(more->name), "%s", d->d_name);
	}
	return n;
}

static void make_room(int dir_fd)
{
	OWN_FREE struct entry *all = NULL;
	uint64_t bytes = 0;
	OWN_FD fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return;
	fd = -1; /* dir's */
	size_t n = entries(dir, &all);
	for (size_t i = 0; i < n; i++)
		bytes += all[i].bytes;
	if (n > 0)
		qsort(all, n, sizeof(*all), by_use);
	for (size_t i = 0; i < n && bytes > OBJECTS_ALL_BYTES_MAX; i++) {
		(void)unlinkat(dir_fd, all[i].name, 0);
		bytes -= all[i].bytes;
	}
	(void)closedir(dir);
}

void objects_keep(const struct objects *s)
{
	uint8_t digest[SUM_BYTES];
	char fresh[sizeof(s->name) + 16];
	struct why why = { 0 };
	OWN_BYTES all = { 0 };
	if (s->dir_fd < 0 || lseek(s->fd, 0, SEEK_SET) < 0 ||
	    file_read_fd(s->fd, "objects", OBJECTS_BYTES_MAX, &all, &why) < 0 || all.len == 0)
		return;
	sum(all.at, all.len, digest);
	/* Two compiles at once: each has a file of its own until it is whole. */
	(void)snprintf(fresh, sizeof(fresh), "%s.%d", s->name, (int)getpid());
	OWN_FD fd = openat(s->dir_fd, fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			   0600);
	if (fd < 0)
		return;
	if (!write_all(fd, digest, sizeof(digest)) || !write_all(fd, all.at, all.len) ||
	    renameat(s->dir_fd, fresh, s->dir_fd, s->name) < 0)
		(void)unlinkat(s->dir_fd, fresh, 0);
	make_room(s->dir_fd);
}

void objects_close(struct objects *s)
{
	own_fd_close(&s->fd);
	own_fd_close(&s->dir_fd);
	s->fd = s->dir_fd = -1;
}
