/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, checking and migrating the registry's database, and running statements on it. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "gateway/registry_db.h"

/* "PNST": tells our database from any other file of SQLite. */
enum { REGISTRY_APPLICATION_ID = 0x504e5354 };

static const char *const migrations[] = {
#define SQL(version, text) [(version)-1] = (text),
#include "sql_schema.h"
#undef SQL
};

static const char *const statements[S_COUNT] = {
#define SQL(name, text) [S_##name] = (text),
#include "sql_statements.h"
#undef SQL
};

int registry_fail(struct registry *r, const char *doing, struct why *why)
{
	int code = sqlite3_errcode(r->db) & 0xff; /* without the extension */
	if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
		return why_set(why, -E_INVALID,
			       "%s is damaged (%s); put a backup in its place (penstock restore "
			       "FILE --force), or move it away and deploy and bind again",
			       r->path, sqlite3_errmsg(r->db));
	return why_set(why, code == SQLITE_FULL ? -ENOSPC : -EIO, "%s: %s: %s (%s)", r->path, doing,
		       sqlite3_errmsg(r->db), sqlite3_errstr(sqlite3_extended_errcode(r->db)));
}

sqlite3_stmt *registry_stmt(struct registry *r, enum registry_sql which)
{
	return r->stmt[which];
}

void registry_stmt_back(sqlite3_stmt **s)
{
	(void)sqlite3_reset(*s);
	(void)sqlite3_clear_bindings(*s);
}

void registry_bind(sqlite3_stmt *s, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	for (int i = 1; format[i - 1] != '\0'; i++) {
		int rc = SQLITE_MISUSE;
		switch (format[i - 1]) {
		case 's':
			rc = sqlite3_bind_text(s, i, va_arg(ap, const char *), -1, SQLITE_STATIC);
			break;
		case 'u':
			rc = sqlite3_bind_int64(s, i, (sqlite3_int64)va_arg(ap, uint64_t));
			break;
		case 'b':
			rc = sqlite3_bind_blob(s, i, va_arg(ap, const void *), SIG_PUBLIC_BYTES,
					       SQLITE_STATIC);
			break;
		}
		ENSURE(rc == SQLITE_OK); /* static text binds without allocating */
	}
	va_end(ap);
}

int registry_run(struct registry *r, sqlite3_stmt *s, const char *doing, struct why *why)
{
	return sqlite3_step(s) == SQLITE_DONE ? 0 : registry_fail(r, doing, why);
}

const char *registry_text(sqlite3_stmt *s, int column)
{
	const char *text = (const char *)sqlite3_column_text(s, column);
	return text ? text : "";
}

int registry_begin(struct registry *r, struct why *why)
{
	STMT s = registry_stmt(r, S_begin);
	return registry_run(r, s, "begin", why);
}

int registry_end(struct registry *r, int err, struct why *why)
{
	if (err == 0) {
		STMT s = registry_stmt(r, S_commit);
		err = registry_run(r, s, "commit", why);
	}
	if (err != 0 && !sqlite3_get_autocommit(r->db)) {
		STMT s = registry_stmt(r, S_rollback);
		(void)sqlite3_step(s);
	}
	return err;
}

static int exec(struct registry *r, const char *sql, const char *doing, struct why *why)
{
	return sqlite3_exec(r->db, sql, NULL, NULL, NULL) == SQLITE_OK
		       ? 0
		       : registry_fail(r, doing, why);
}

static int take_int(void *arg, int n, char **values, char **names)
{
	(void)names;
	*(long *)arg = n > 0 && values[0] ? strtol(values[0], NULL, 10) : -1;
	return 0;
}

static int pragma_int(struct registry *r, const char *sql, long *ret, struct why *why)
{
	return sqlite3_exec(r->db, sql, take_int, ret, NULL) == SQLITE_OK
		       ? 0
		       : registry_fail(r, sql, why);
}

/* The first complaint of quick_check; "ok" is none. */
static int take_complaint(void *arg, int n, char **values, char **names)
{
	struct why *complaint = (struct why *)arg;
	(void)names;
	if (n > 0 && values[0] && strcmp(values[0], "ok") != 0)
		(void)why_set(complaint, 0, "%s", values[0]);
	return 0;
}

static int check(struct registry *r, struct why *why)
{
	struct why complaint = { 0 };
	if (sqlite3_exec(r->db, "PRAGMA quick_check(1)", take_complaint, &complaint, NULL) !=
	    SQLITE_OK)
		return registry_fail(r, "check", why);
	if (complaint.text[0] == '\0')
		return 0;
	return why_set(why, -E_INVALID,
		       "%s is damaged (%.200s); restore it from a backup, or move it away and "
		       "deploy and bind again",
		       r->path, complaint.text);
}

static int migrate_one(struct registry *r, long to, struct why *why)
{
	char version[96];
	int err = exec(r, "BEGIN IMMEDIATE", "begin", why);
	if (err < 0)
		return err;
	(void)snprintf(version, sizeof(version),
		       "PRAGMA application_id = %d; PRAGMA user_version = %ld; COMMIT",
		       REGISTRY_APPLICATION_ID, to);
	err = exec(r, migrations[to - 1], "migrate", why);
	if (err == 0)
		err = exec(r, version, "migrate", why);
	if (err < 0)
		(void)sqlite3_exec(r->db, "ROLLBACK", NULL, NULL, NULL);
	return err;
}

static int migrate(struct registry *r, struct why *why)
{
	long version = 0, application = 0, tables = 0;
	const long newest = (long)ARRAY_LEN(migrations);
	int err = pragma_int(r, "PRAGMA user_version", &version, why);
	if (err == 0)
		err = pragma_int(r, "PRAGMA application_id", &application, why);
	if (err == 0)
		err = pragma_int(r, "SELECT count(*) FROM sqlite_schema", &tables, why);
	if (err < 0)
		return err;
	if (tables > 0 && application != REGISTRY_APPLICATION_ID)
		return why_set(why, -E_INVALID,
			       "%s is a database of another program; move it away, or choose "
			       "another state_dir",
			       r->path);
	if (version > newest)
		return why_set(why, -E_INVALID,
			       "%s has schema %ld, this penstockd knows up to %ld: a newer "
			       "Penstock wrote it; install that version again, or restore a backup "
			       "from before the upgrade",
			       r->path, version, newest);
	while (err == 0 && version < newest)
		err = migrate_one(r, ++version, why);
	return err;
}

static int prepare(struct registry *r, struct why *why)
{
	for (size_t i = 0; i < S_COUNT; i++)
		if (sqlite3_prepare_v3(r->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
				       &r->stmt[i], NULL) != SQLITE_OK)
			return registry_fail(r, "prepare", why);
	return 0;
}

static int open_all(struct registry *r, struct why *why)
{
	if (sqlite3_open_v2(r->path, &r->db,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW |
				    SQLITE_OPEN_EXRESCODE,
			    NULL) != SQLITE_OK)
		return registry_fail(r, "open", why);
	/* Nobody else has this file open: the state directory is locked. */
	int err = exec(r, "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF", "open", why);
	if (err == 0)
		err = check(r, why);
	if (err == 0) /* newer or foreign: refused before WAL mode would touch the file */
		err = migrate(r, why);
	if (err == 0)
		err = exec(r, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", "open", why);
	if (err == 0)
		err = prepare(r, why);
	return err;
}

int registry_open(const char *state_dir, struct registry **ret, struct why *why)
{
	struct registry *r = calloc(1, sizeof(*r));
	if (!r || asprintf(&r->path, "%s/registry.db", state_dir) < 0) {
		free(r);
		return why_set(why, -ENOMEM, "out of memory");
	}
	int err = open_all(r, why);
	if (err < 0) {
		registry_close(r);
		return err;
	}
	*ret = r;
	return 0;
}

void registry_close(struct registry *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < S_COUNT; i++)
		(void)sqlite3_finalize(r->stmt[i]);
	(void)sqlite3_close(r->db);
	free(r->path);
	free(r);
}
