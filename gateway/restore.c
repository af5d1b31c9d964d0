/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a backup to a state directory:
 *
 *	state_dir/restore.tmp   what is read and checked; worth nothing
 *	state_dir/restore.new   it is good; from here on things move (backup_unfinished)
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "gateway/archive.h"
#include "gateway/backup_impl.h"
#include "gateway/journal.h"
#include "gateway/registry.h"

static const char tmp_name[] = "restore.tmp", new_name[] = "restore.new";

/* What belongs to the state; the rest (device key, native code, lock) stays. */
static const char *const parts[] = { "registry.db", "registry.db-wal", "registry.db-shm",
				     "journal.db",  "journal.db-wal",  "journal.db-shm",
				     "modules" };

/* ---- files ---- */

/* Two levels, as we make them; never follows a link. */
static void remove_tree(int dir_fd, const char *name, int depth)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (unlinkat(fd, e->d_name, 0) < 0 && depth > 0)
			remove_tree(fd, e->d_name, depth - 1);
	}
	if (dir)
		(void)closedir(dir);
	else
		own_fd_close(&fd);
	(void)unlinkat(dir_fd, name, AT_REMOVEDIR);
}

static int dir_make(int dir_fd, const char *name, struct why *why)
{
	if (mkdirat(dir_fd, name, 0700) < 0)
		return why_set(why, -errno, "%s: %s", name, strerror(errno));
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? why_set(why, -errno, "%s: %s", name, strerror(errno)) : fd;
}

/* By root for the gateway's user: what is new belongs to whom the directory belongs to. */
static void hand_over(int fd, const struct stat *owner)
{
	if (geteuid() == 0)
		(void)!fchown(fd, owner->st_uid, owner->st_gid);
}

/* ---- reading ---- */

struct unpacking {
	int dir_fd, file_fd;
	struct stat owner;
	char name[ARCHIVE_NAME_MAX + 1];
};

static int begin(void *arg, const char *name, uint64_t bytes, struct why *why)
{
	struct unpacking *u = arg;
	(void)bytes;
	(void)snprintf(u->name, sizeof(u->name), "%s", name);
	u->file_fd =
		openat(u->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (u->file_fd < 0)
		return why_set(why, -errno, "%s: %s", name, strerror(errno));
	hand_over(u->file_fd, &u->owner);
	return 0;
}

static int data(void *arg, const void *bytes, size_t len, struct why *why)
{
	struct unpacking *u = arg;
	for (size_t at = 0; at < len;) {
		ssize_t n = write(u->file_fd, (const uint8_t *)bytes + at, len - at);
		if (n < 0 && errno != EINTR)
			return why_set(why, -errno, "writing %s: %s", u->name, strerror(errno));
		at += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int end(void *arg, struct why *why)
{
	struct unpacking *u = arg;
	int err = fsync(u->file_fd) < 0
			  ? why_set(why, -errno, "writing %s: %s", u->name, strerror(errno))
			  : 0;
	own_fd_close(&u->file_fd);
	u->file_fd = -1;
	return err;
}

static int unpack(int state_fd, int archive_fd, struct why *why)
{
	struct unpacking u = { .dir_fd = -1, .file_fd = -1 };
	const struct archive_sink sink = { begin, data, end, &u };
	if (fstat(state_fd, &u.owner) < 0)
		return why_set(why, -errno, "the state directory: %s", strerror(errno));
	remove_tree(state_fd, tmp_name, 2);
	OWN_FD dir = dir_make(state_fd, tmp_name, why);
	if (dir < 0)
		return dir;
	OWN_FD modules = dir_make(dir, "modules", why);
	if (modules < 0)
		return modules;
	hand_over(dir, &u.owner);
	hand_over(modules, &u.owner);
	u.dir_fd = dir;
	int err = archive_read(archive_fd, &sink, why);
	own_fd_close(&u.file_fd);
	if (err == 0 && (fsync(modules) < 0 || fsync(dir) < 0))
		err = why_set(why, -errno, "writing: %s", strerror(errno));
	return err;
}

/* ---- checking ---- */

static int module_is_there(void *arg, const struct registry_function *f)
{
	const char *dir = arg;
	char path[PATH_MAX];
	(void)snprintf(path, sizeof(path), "%s/modules/%s.wasm", dir, f->hash);
	return access(path, R_OK) == 0 ? 0 : -ENOENT;
}

struct versions_check {
	struct registry *r;
	char *dir;
};

static int versions_are_there(void *arg, const struct registry_function *f)
{
	const struct versions_check *c = arg;
	return registry_versions(c->r, f->name, module_is_there, c->dir, NULL);
}

static int schema_text(const char *path, char **ret, struct why *why)
{
	static const char sql[] =
		"SELECT group_concat(type || ' ' || name || ' ' || tbl_name || ' ' || "
		"coalesce(sql, ''), ';') FROM (SELECT * FROM sqlite_schema WHERE name NOT LIKE "
		"'sqlite\\_%' ESCAPE '\\' ORDER BY type, name)";
	sqlite3 *db = NULL;
	sqlite3_stmt *s = NULL;
	int code = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_prepare_v2(db, sql, -1, &s, NULL);
	if (code == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW && sqlite3_column_text(s, 0))
		*ret = strdup((const char *)sqlite3_column_text(s, 0));
	int err = *ret ? 0 : why_set(why, -E_INVALID, "%s: %s", path, sqlite3_errmsg(db));
	(void)sqlite3_finalize(s);
	(void)sqlite3_close(db);
	return err;
}

/* Tables, indexes and nothing else, as this program makes them: a trigger in a backup would run in the gateway. */
static int schema_check(const char *dir, const char *own, const char *name, struct why *why)
{
	char path[PATH_MAX];
	OWN_FREE char *is = NULL;
	OWN_FREE char *wanted = NULL;
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	int err = schema_text(path, &is, why);
	(void)snprintf(path, sizeof(path), "%s/%s", own, name);
	if (err == 0)
		err = schema_text(path, &wanted, why);
	if (err == 0 && strcmp(is, wanted) != 0)
		err = why_set(why, -E_INVALID, "its %s has other tables than a gateway's", name);
	return err;
}

/* As a gateway opens them: damaged, foreign and newer ones are refused, older ones brought up to date. */
static int open_all(const char *dir, bool is_new, struct why *why)
{
	const struct journal_options jo = { .state_dir = dir, .check = CHECK_ALWAYS };
	struct registry *r = NULL;
	struct journal *j = NULL;
	bool damaged = false;
	int err = registry_open(dir, &r, why);
	struct versions_check c = { r, (char *)dir };
	if (err == 0 && !is_new) {
		err = registry_functions(r, NULL, versions_are_there, &c, NULL);
		if (err < 0)
			err = why_set(why, -E_INVALID,
				      "a module that its registry names is missing");
	}
	registry_close(r);
	if (err == 0)
		err = journal_open(&jo, &j, &damaged, why);
	journal_close(j);
	return err == 0 && damaged ? why_set(why, -E_INVALID, "its journal.db is damaged") : err;
}

static int check(const char *state_dir, int state_fd, struct why *why)
{
	static const char *const names[] = { "registry.db", "journal.db" };
	char dir[PATH_MAX], own[PATH_MAX], path[PATH_MAX];
	(void)snprintf(dir, sizeof(dir), "%s/%s", state_dir, tmp_name);
	(void)snprintf(own, sizeof(own), "%s.own", dir);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		if (access(path, F_OK) < 0)
			return why_set(why, -E_INVALID, "it has no %s", names[i]);
	}
	remove_tree(state_fd, "restore.tmp.own", 1);
	if (mkdir(own, 0700) < 0)
		return why_set(why, -errno, "%s: %s", own, strerror(errno));
	int err = open_all(own, true, why);
	if (err == 0)
		err = open_all(dir, false, why);
	for (size_t i = 0; err == 0 && i < ARRAY_LEN(names); i++)
		err = schema_check(dir, own, names[i], why);
	remove_tree(state_fd, "restore.tmp.own", 1);
	return err;
}

/* ---- moving ---- */

static bool is_there(int dir_fd, const char *name)
{
	struct stat st;
	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* All parts that are there. After an error those that moved are back. */
static int move_parts(int from, int to, struct why *why)
{
	size_t moved = 0;
	int err = 0;
	for (; err == 0 && moved < ARRAY_LEN(parts); moved++) {
		if (renameat(from, parts[moved], to, parts[moved]) < 0 && errno != ENOENT)
			err = why_set(why, -errno, "moving %s: %s", parts[moved], strerror(errno));
	}
	while (err < 0 && moved-- > 0)
		(void)renameat(to, parts[moved], from, parts[moved]);
	return err;
}

static int swap(int state_fd, const char *aside, struct why *why)
{
	struct stat owner;
	OWN_FD before = -1;
	if (aside && (before = dir_make(state_fd, aside, why)) < 0)
		return before;
	if (aside && fstat(state_fd, &owner) == 0)
		hand_over(before, &owner);
	OWN_FD fresh = openat(state_fd, new_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fresh < 0)
		return why_set(why, -errno, "%s: %s", new_name, strerror(errno));
	int err = aside ? move_parts(state_fd, before, why) : 0;
	if (err == 0 && (err = move_parts(fresh, state_fd, why)) < 0 && aside)
		(void)!move_parts(before, state_fd, NULL);
	(void)fsync(state_fd);
	return err;
}

/* After this nothing of the backup is missing, or all is as it was. */
static int put_in_place(int state_fd, bool occupied, char **ret_aside, struct why *why)
{
	char aside[64];
	time_t now = time(NULL);
	struct tm tm;
	(void)gmtime_r(&now, &tm);
	(void)strftime(aside, sizeof(aside), "before-restore-%Y%m%dT%H%M%SZ", &tm);
	if (renameat(state_fd, tmp_name, state_fd, new_name) < 0)
		return why_set(why, -errno, "%s: %s", new_name, strerror(errno));
	int err = swap(state_fd, occupied ? aside : NULL, why);
	if (err < 0 && occupied)
		(void)unlinkat(state_fd, aside, AT_REMOVEDIR);
	remove_tree(state_fd, new_name, 2);
	if (err == 0 && occupied)
		*ret_aside = strdup(aside);
	return err;
}

int backup_unfinished(const char *state_dir, struct why *why)
{
	char path[PATH_MAX];
	(void)snprintf(path, sizeof(path), "%s/%s", state_dir, new_name);
	if (access(path, F_OK) < 0)
		return 0;
	return why_set(why, -EEXIST,
		       "%s is left from a restore that was interrupted: run penstock restore FILE "
		       "--force once more (the state of before lies in %s/before-restore-*)",
		       path, state_dir);
}

int backup_restore(const char *state_dir, int archive_fd, bool force, char **ret_aside,
		   struct why *why)
{
	*ret_aside = NULL;
	OWN_FD state_fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (state_fd < 0)
		return why_set(why, -errno, "%s: %s", state_dir, strerror(errno));
	bool occupied = is_there(state_fd, "registry.db") || is_there(state_fd, "journal.db") ||
			is_there(state_fd, "modules");
	if ((occupied || is_there(state_fd, new_name)) && !force)
		return why_set(why, -EEXIST,
			       "%s has the state of a gateway already; with --force that is moved "
			       "aside, not deleted",
			       state_dir);
	int err = unpack(state_fd, archive_fd, why);
	if (err == 0)
		err = check(state_dir, state_fd, why);
	if (err == 0) {
		remove_tree(state_fd, new_name, 2); /* of one that was interrupted */
		err = put_in_place(state_fd, occupied, ret_aside, why);
	}
	remove_tree(state_fd, tmp_name, 2);
	return err;
}
