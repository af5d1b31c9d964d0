/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "gateway/archive.h"
#include "gateway/backup_impl.h"
#include "gateway/wall.h"

enum { BUSY_MS = 10000, TRIES = 3, NICE = 10 };

struct backup {
	char *state_dir;
	backup_done *done;
	void *arg;
	uv_thread_t thread;
	uv_async_t async;
	int fd, err;
	uint64_t bytes;
	struct why why;
};

static const char copies_dir[] = "backup.tmp";
static const char *const databases[] = { "registry.db", "journal.db" };

static void path_put(char ret[PATH_MAX], const char *dir, const char *sub, const char *name)
{
	(void)snprintf(ret, PATH_MAX, "%s/%s%s%s", dir, sub, *sub ? "/" : "", name);
}

void backup_sweep(const char *state_dir)
{
	char path[PATH_MAX];
	for (size_t i = 0; i < ARRAY_LEN(databases); i++) {
		char with[64];
		(void)snprintf(with, sizeof(with), "%s-journal", databases[i]);
		path_put(path, state_dir, copies_dir, databases[i]);
		(void)unlink(path);
		path_put(path, state_dir, copies_dir, with);
		(void)unlink(path);
	}
	path_put(path, state_dir, "", copies_dir);
	(void)rmdir(path);
}

/* ---- on the thread ---- */

static int copy_database(const char *state_dir, const char *name, struct why *why)
{
	char from[PATH_MAX], to[PATH_MAX];
	sqlite3 *db = NULL;
	sqlite3_stmt *s = NULL;
	path_put(from, state_dir, "", name);
	path_put(to, state_dir, copies_dir, name);
	(void)unlink(to);
	int code = sqlite3_open_v2(from, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (code == SQLITE_OK)
		(void)sqlite3_busy_timeout(db, BUSY_MS);
	if (code == SQLITE_OK)
		code = sqlite3_prepare_v2(db, "VACUUM INTO ?1", -1, &s, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_bind_text(s, 1, to, -1, SQLITE_STATIC);
	if (code == SQLITE_OK)
		code = sqlite3_step(s);
	int err = code == SQLITE_DONE ? 0
				      : why_set(why, (code & 0xff) == SQLITE_FULL ? -ENOSPC : -EIO,
						"copying %s: %s", from, sqlite3_errmsg(db));
	(void)sqlite3_finalize(s);
	(void)sqlite3_close(db);
	return err;
}

static int add_file(struct archive_out *o, const char *path, const char *name, struct why *why)
{
	struct stat st;
	OWN_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return why_set(why, -errno, "%s: %s", path, strerror(errno));
	return archive_add(o, name, fd, (uint64_t)st.st_size, why);
}

/* The modules that the copied registry names. -ENOENT: one was removed since. */
static int add_modules(const struct backup *b, struct archive_out *o, struct why *why)
{
	char path[PATH_MAX], name[ARCHIVE_NAME_MAX];
	sqlite3 *db = NULL;
	sqlite3_stmt *s = NULL;
	int err = 0;
	path_put(path, b->state_dir, copies_dir, databases[0]);
	int code = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_prepare_v2(db, "SELECT DISTINCT hash FROM versions ORDER BY hash",
					  -1, &s, NULL);
	while (code == SQLITE_OK && err == 0 && (code = sqlite3_step(s)) == SQLITE_ROW) {
		code = SQLITE_OK;
		(void)snprintf(name, sizeof(name), "modules/%s.wasm",
			       (const char *)sqlite3_column_text(s, 0));
		path_put(path, b->state_dir, "", name);
		err = add_file(o, path, name, why);
	}
	if (err == 0 && code != SQLITE_DONE)
		err = why_set(why, -EIO, "reading %s: %s", path, sqlite3_errmsg(db));
	(void)sqlite3_finalize(s);
	(void)sqlite3_close(db);
	return err;
}

static int write_archive(struct backup *b, int fd, struct why *why)
{
	struct archive_out o = { .fd = fd, .mtime_s = wall_ms() / 1000 };
	char path[PATH_MAX];
	int err = 0;
	for (size_t i = 0; err == 0 && i < ARRAY_LEN(databases); i++) {
		path_put(path, b->state_dir, copies_dir, databases[i]);
		err = add_file(&o, path, databases[i], why);
	}
	if (err == 0)
		err = add_modules(b, &o, why);
	if (err == 0)
		err = archive_finish(&o, why);
	archive_fini(&o);
	return err;
}

/* An unlinked file of the state directory's disk. */
static int scratch_open(const char *state_dir, struct why *why)
{
	char path[PATH_MAX];
	int fd = open(state_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	path_put(path, state_dir, copies_dir, "archive");
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return why_set(why, -errno, "%s: %s", path, strerror(errno));
	(void)unlink(path);
	return fd;
}

static int try_once(struct backup *b, struct why *why)
{
	char path[PATH_MAX];
	struct stat st;
	path_put(path, b->state_dir, "", copies_dir);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return why_set(why, -errno, "%s: %s", path, strerror(errno));
	int err = copy_database(b->state_dir, databases[1], why);
	if (err == 0)
		err = copy_database(b->state_dir, databases[0], why);
	if (err < 0)
		return err;
	OWN_FD fd = scratch_open(b->state_dir, why);
	if (fd < 0)
		return fd;
	err = write_archive(b, fd, why);
	if (err == 0 && (fstat(fd, &st) < 0 || lseek(fd, 0, SEEK_SET) < 0))
		err = why_set(why, -errno, "the backup: %s", strerror(errno));
	if (err < 0)
		return err;
	b->bytes = (uint64_t)st.st_size;
	b->fd = fd_steal(&fd);
	return 0;
}

/* A function that is removed meanwhile takes its module along: then once more. */
int backup_make(const char *state_dir, int *ret_fd, uint64_t *ret_bytes, struct why *why)
{
	struct backup b = { .state_dir = (char *)state_dir, .fd = -1 };
	int err = -ENOENT;
	for (int i = 0; i < TRIES && err == -ENOENT; i++) {
		b.why = (struct why){ 0 };
		backup_sweep(state_dir);
		err = try_once(&b, &b.why);
	}
	backup_sweep(state_dir);
	*ret_fd = b.fd;
	*ret_bytes = b.bytes;
	return err < 0 ? why_set(why, err, "%s", why_text(&b.why, err)) : 0;
}

/* Events go first. */
static void run(void *arg)
{
	struct backup *b = arg;
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	b->err = backup_make(b->state_dir, &b->fd, &b->bytes, &b->why);
	(void)uv_async_send(&b->async);
}

/* ---- on the loop ---- */

static void closed(uv_handle_t *h)
{
	struct backup *b = h->data;
	free(b->state_dir);
	free(b);
}

static void finished(uv_async_t *async)
{
	struct backup *b = async->data;
	(void)uv_thread_join(&b->thread);
	b->done(b->arg, b->err, b->err < 0 ? why_text(&b->why, b->err) : NULL, b->fd, b->bytes);
	uv_close((uv_handle_t *)async, closed);
}

int backup_start(uv_loop_t *loop, const char *state_dir, backup_done *done, void *arg,
		 struct why *why)
{
	struct backup *b = calloc(1, sizeof(*b));
	if (!b || !(b->state_dir = strdup(state_dir))) {
		free(b);
		return why_set(why, -ENOMEM, "out of memory");
	}
	b->done = done;
	b->arg = arg;
	b->fd = -1;
	b->async.data = b;
	int err = uv_async_init(loop, &b->async, finished);
	if (err == 0 && (err = uv_thread_create(&b->thread, run, b)) < 0)
		uv_close((uv_handle_t *)&b->async, closed);
	return err < 0 ? why_set(why, err, "a thread for the backup: %s", uv_strerror(err)) : 0;
}
