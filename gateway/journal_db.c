/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's file: opening, checking, setting aside, migrating, checkpoints; binding parameters. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "gateway/journal_impl.h"
#include "gateway/wall.h"

/* "PNSJ": tells our database from any other file of SQLite. */
enum { JOURNAL_APPLICATION_ID = 0x504e534a, BUSY_MS = 100 };

static const char *const migrations[] = {
#define SQL(version, text) [(version)-1] = (text),
#include "sql_journal_schema.h"
#undef SQL
};
static const char *const writes[W_COUNT] = {
#define SQL(name, text) [W_##name] = (text),
#include "sql_journal_statements.h"
#undef SQL
};
static const char *const queries[Q_COUNT] = {
#define SQL(name, text) [Q_##name] = (text),
#include "sql_journal_queries.h"
#undef SQL
};

/* ---- statements ---- */

int journal_fail(struct journal *j, sqlite3 *db, const char *doing, struct why *why)
{
	int code = sqlite3_errcode(db) & 0xff;
	int err = code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? -E_INVALID
		  : code == SQLITE_FULL                           ? -ENOSPC
								  : -EIO;
	return why_set(why, err, "%s: %s: %s (%s)%s", j->path, doing, sqlite3_errmsg(db),
		       sqlite3_errstr(sqlite3_extended_errcode(db)),
		       err == -ENOSPC ? "; make room on its disk" : "");
}

void journal_stmt_back(sqlite3_stmt **s)
{
	(void)sqlite3_reset(*s);
}

int journal_step(sqlite3_stmt *s)
{
	int code;
	do
		code = sqlite3_step(s);
	while (code == SQLITE_ROW);
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int bind_one(sqlite3_stmt *s, int i, char kind, va_list *ap)
{
	if (kind == 'u')
		return sqlite3_bind_int64(s, i, (sqlite3_int64)va_arg(*ap, uint64_t));
	if (kind == 'i')
		return sqlite3_bind_int(s, i, va_arg(*ap, int));
	if (kind == 's')
		return sqlite3_bind_text(s, i, va_arg(*ap, const char *), -1, SQLITE_STATIC);
	struct span v = va_arg(*ap, struct span);
	if (kind == 't')
		return sqlite3_bind_text64(s, i, v.at ? (const char *)v.at : "", v.len,
					   SQLITE_STATIC, SQLITE_UTF8);
	return sqlite3_bind_blob64(s, i, v.at ? v.at : (const uint8_t *)"", v.len, SQLITE_STATIC);
}

void journal_bind(sqlite3_stmt *s, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	for (int i = 1; format[i - 1] != '\0'; i++)
		ENSURE(bind_one(s, i, format[i - 1], &ap) != SQLITE_MISUSE);
	va_end(ap);
}

static int exec(struct journal *j, sqlite3 *db, const char *sql, struct why *why)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0
								    : journal_fail(j, db, sql, why);
}

/* The first column of the first row, as a number. */
static int ask(struct journal *j, const char *sql, int64_t *ret, struct why *why)
{
	sqlite3_stmt *s = NULL;
	int code = sqlite3_prepare_v2(j->db, sql, -1, &s, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_step(s);
	if (code == SQLITE_ROW)
		*ret = sqlite3_column_int64(s, 0);
	int err = code == SQLITE_ROW || code == SQLITE_DONE ? 0 : journal_fail(j, j->db, sql, why);
	(void)sqlite3_finalize(s);
	return err;
}

/* ---- what state is it in ---- */

/* "" where the system does not say. */
static void boot_id(char ret[64])
{
	OWN_FD fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, ret, 63) : 0;
	ret[n > 0 ? n : 0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
}

static int put_boot(struct journal *j, const char *id, struct why *why)
{
	JSTMT s = j->write[W_meta_put];
	journal_bind(s, "ss", "boot", id);
	return journal_step(s) == SQLITE_OK ? 0 : journal_fail(j, j->db, "note the boot", why);
}

/* Was the machine stopped while the journal was open? Then the disk may hold what nobody wrote. */
static bool machine_went_down(struct journal *j)
{
	sqlite3_stmt *s = NULL;
	char now[64];
	bool down = false;
	boot_id(now);
	if (sqlite3_prepare_v2(j->db, "SELECT value FROM meta WHERE name = 'boot'", -1, &s, NULL) ==
		    SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW) {
		const char *then = (const char *)sqlite3_column_text(s, 0);
		down = then && *then && strcmp(then, now) != 0;
	}
	(void)sqlite3_finalize(s);
	return down;
}

static int check(struct journal *j, struct why *why)
{
	sqlite3_stmt *s = NULL;
	if (j->o.check == CHECK_NEVER || (j->o.check == CHECK_BOOT && !machine_went_down(j)))
		return 0;
	int code = sqlite3_prepare_v2(j->db, "PRAGMA quick_check(1)", -1, &s, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_step(s);
	const char *said = code == SQLITE_ROW ? (const char *)sqlite3_column_text(s, 0) : NULL;
	int err = 0;
	if (!said)
		err = journal_fail(j, j->db, "check", why);
	else if (strcmp(said, "ok") != 0)
		err = why_set(why, -E_INVALID, "%s: %.200s", j->path, said);
	(void)sqlite3_finalize(s);
	return err;
}

static int migrate_one(struct journal *j, long to, struct why *why)
{
	char version[96];
	int err = exec(j, j->db, "BEGIN IMMEDIATE", why);
	if (err < 0)
		return err;
	(void)snprintf(version, sizeof(version),
		       "PRAGMA application_id = %d; PRAGMA user_version = %ld; COMMIT",
		       JOURNAL_APPLICATION_ID, to);
	err = exec(j, j->db, migrations[to - 1], why);
	if (err == 0)
		err = exec(j, j->db, version, why);
	if (err < 0)
		(void)sqlite3_exec(j->db, "ROLLBACK", NULL, NULL, NULL);
	return err;
}

static int migrate(struct journal *j, struct why *why)
{
	int64_t version = 0, application = 0, tables = 0;
	const long newest = (long)ARRAY_LEN(migrations);
	int err = ask(j, "PRAGMA user_version", &version, why);
	if (err == 0)
		err = ask(j, "PRAGMA application_id", &application, why);
	if (err == 0)
		err = ask(j, "SELECT count(*) FROM sqlite_schema", &tables, why);
	if (err < 0)
		return err;
	if (tables > 0 && application != JOURNAL_APPLICATION_ID)
		return why_set(why, -EEXIST, "%s is a database of another program; move it away",
			       j->path);
	if (version > newest)
		return why_set(
			why, -EEXIST,
			"%s has schema %ld, this penstockd knows up to %ld: a newer Penstock "
			"wrote it; install that version again",
			j->path, (long)version, newest);
	while (err == 0 && version < newest)
		err = migrate_one(j, (long)++version, why);
	return err;
}

/* ---- opening ---- */

static int on_wal(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct journal *j = arg;
	(void)db;
	(void)name;
	j->wal_pages = (unsigned)pages;
	return SQLITE_OK;
}

/* Pages of 1 KiB: a commit writes and sums whole pages, an event's row takes half of one. Lone events took
 * 42 us less than with 4 KiB, many were a third faster. A database keeps what it began with. */
static int connect_one(struct journal *j, sqlite3 **ret, int mutex, struct why *why)
{
	if (sqlite3_open_v2(j->path, ret,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW |
				    SQLITE_OPEN_EXRESCODE | mutex,
			    NULL) != SQLITE_OK)
		return journal_fail(j, *ret, "open", why);
	(void)sqlite3_busy_timeout(*ret, BUSY_MS);
	return exec(
		j, *ret,
		"PRAGMA page_size = 1024; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -2048",
		why);
}

static int prepare(struct journal *j, struct why *why)
{
	for (size_t i = 0; i < W_COUNT; i++)
		if (sqlite3_prepare_v3(j->db, writes[i], -1, SQLITE_PREPARE_PERSISTENT,
				       &j->write[i], NULL) != SQLITE_OK)
			return journal_fail(j, j->db, "prepare", why);
	for (size_t i = 0; i < Q_COUNT; i++) {
		sqlite3 *db =
			i == Q_effects_waiting || i == Q_effects_begun ? j->sender : j->reader;
		if (sqlite3_prepare_v3(db, queries[i], -1, SQLITE_PREPARE_PERSISTENT, &j->query[i],
				       NULL) != SQLITE_OK)
			return journal_fail(j, db, "prepare", why);
	}
	return 0;
}

static int count(struct journal *j, struct why *why)
{
	JSTMT s = j->query[Q_counts];
	if (sqlite3_step(s) != SQLITE_ROW)
		return journal_fail(j, j->reader, "count", why);
	atomic_store(&j->open, (uint64_t)sqlite3_column_int64(s, 0));
	atomic_store(&j->dead, (uint64_t)sqlite3_column_int64(s, 1));
	atomic_store(&j->effects, (uint64_t)sqlite3_column_int64(s, 2));
	j->last_id = (uint64_t)sqlite3_column_int64(s, 3);
	j->next_effect = (uint64_t)sqlite3_column_int64(s, 4) + 1;
	atomic_store(&j->bytes,
		     (uint64_t)(sqlite3_column_int64(s, 5) + sqlite3_column_int64(s, 6)));
	return 0;
}

/* For fdatasync, and the names of new files for a power cut. */
static int open_log(struct journal *j, struct why *why)
{
	char name[PATH_MAX];
	(void)snprintf(name, sizeof(name), "%s-wal", j->path);
	j->wal_fd = open(name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	OWN_FD dir = open(j->o.state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (j->wal_fd < 0 || dir < 0 || fsync(dir) < 0)
		return why_set(why, -errno, "%s: %s", name, strerrordesc_np(errno));
	return 0;
}

static int open_all(struct journal *j, struct why *why)
{
	char boot[64];
	int err = connect_one(j, &j->db, SQLITE_OPEN_NOMUTEX, why);
	if (err == 0)
		err = check(j, why);
	if (err == 0)
		err = migrate(j, why);
	if (err == 0)
		err = exec(j, j->db,
			   "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
			   "PRAGMA wal_autocheckpoint = 0",
			   why);
	if (err == 0)
		err = connect_one(j, &j->reader, SQLITE_OPEN_FULLMUTEX, why);
	if (err == 0)
		err = connect_one(j, &j->sender, SQLITE_OPEN_NOMUTEX, why);
	if (err == 0)
		err = connect_one(j, &j->copier, SQLITE_OPEN_NOMUTEX, why);
	if (err == 0)
		err = prepare(j, why);
	if (err == 0)
		err = count(j, why);
	boot_id(boot);
	if (err == 0)
		err = put_boot(j, boot, why);
	(void)sqlite3_wal_hook(j->db, on_wal, j);
	return err == 0 ? open_log(j, why) : err;
}

static int set_aside(struct journal *j, const struct why *reason, struct why *why)
{
	static const char *const part[] = { "", "-wal", "-shm" };
	char when[WALL_TEXT], from[PATH_MAX], to[PATH_MAX], kept[PATH_MAX];
	(void)wall_text(wall_ms(), when);
	(void)snprintf(kept, sizeof(kept), "%s.damaged-%s", j->path, when);
	for (size_t i = 0; i < ARRAY_LEN(part); i++) {
		(void)snprintf(from, sizeof(from), "%s%s", j->path, part[i]);
		(void)snprintf(to, sizeof(to), "%s%s", kept, part[i]);
		if (rename(from, to) < 0 && errno != ENOENT)
			return why_set(why, -errno, "cannot set the damaged journal %s aside: %s",
				       from, strerrordesc_np(errno));
	}
	LOG(LOG_ERR,
	    "the journal is damaged and was set aside; events and messages that waited in it are "
	    "there, not here",
	    F_STR("reason", reason->text), F_STR("kept_as", kept),
	    F_STR("hint", "penstock restore FILE puts a backup in its place; sqlite3 FILE .recover "
			  "reads what can be read"));
	return 0;
}

int journal_db_open(struct journal *j, bool *ret_damaged, struct why *why)
{
	struct why reason = { 0 };
	*ret_damaged = false;
	int err = open_all(j, &reason);
	if (err != -E_INVALID)
		return err < 0 ? why_set(why, err == -EEXIST ? -E_INVALID : err, "%s", reason.text)
			       : 0;
	journal_db_close(j);
	err = set_aside(j, &reason, why);
	*ret_damaged = err == 0;
	return err == 0 ? open_all(j, why) : err;
}

void journal_db_close(struct journal *j)
{
	struct why why = { 0 };
	if (j->write[W_meta_put] && j->wal_fd >= 0)
		(void)!put_boot(j, "", &why);
	for (size_t i = 0; i < W_COUNT; i++)
		(void)sqlite3_finalize(j->write[i]);
	for (size_t i = 0; i < Q_COUNT; i++)
		(void)sqlite3_finalize(j->query[i]);
	memset(j->write, 0, sizeof(j->write));
	memset(j->query, 0, sizeof(j->query));
	(void)sqlite3_close(j->copier);
	(void)sqlite3_close(j->sender);
	(void)sqlite3_close(j->reader);
	(void)sqlite3_close_v2(j->db); /* the last one copies the log into the database */
	j->db = j->reader = j->sender = j->copier = NULL;
	if (j->wal_fd >= 0)
		(void)close(j->wal_fd);
	j->wal_fd = -1;
}

/* PASSIVE: as far as it gets without stopping anybody. The writer begins the log anew by itself when
 * all of it has been copied. */
unsigned journal_checkpoint(struct journal *j)
{
	int pages = 0, copied = 0;
	(void)sqlite3_wal_checkpoint_v2(j->copier, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages,
					&copied);
	return copied > 0 ? (unsigned)copied : 0;
}

uint64_t journal_file_bytes(struct journal *j)
{
	static const char *const part[] = { "", "-wal" };
	uint64_t all = 0;
	for (size_t i = 0; i < ARRAY_LEN(part); i++) {
		char name[PATH_MAX];
		struct stat st;
		(void)snprintf(name, sizeof(name), "%s%s", j->path, part[i]);
		all += stat(name, &st) == 0 ? (uint64_t)st.st_size : 0;
	}
	return all;
}

static uint64_t pragma(struct journal *j, const char *sql)
{
	sqlite3_stmt *s = NULL;
	uint64_t n = 0;
	if (sqlite3_prepare_v2(j->reader, sql, -1, &s, NULL) == SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW)
		n = (uint64_t)sqlite3_column_int64(s, 0);
	(void)sqlite3_finalize(s);
	return n;
}

uint64_t journal_used_bytes(struct journal *j)
{
	uint64_t pages = pragma(j, "PRAGMA page_count"),
		 unused = pragma(j, "PRAGMA freelist_count");
	return (pages - unused) * pragma(j, "PRAGMA page_size");
}
