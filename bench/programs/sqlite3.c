/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite on a database in memory, in the manner of its own speedtest1. SQLITE_OS_OTHER leaves the operating
 * system to us, natively too: there is none, clock and random numbers stand still.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "bench/programs/program.h"

static int no_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
		   int *ret_flags)
{
	(void)vfs, (void)name, (void)file, (void)flags, (void)ret_flags;
	return SQLITE_CANTOPEN;
}

static int no_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	(void)vfs, (void)name, (void)sync;
	return SQLITE_IOERR;
}

static int no_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
	(void)vfs, (void)name, (void)flags;
	*ret = 0;
	return SQLITE_OK;
}

static int same_path(sqlite3_vfs *vfs, const char *name, int n, char *ret)
{
	(void)vfs;
	(void)snprintf(ret, (size_t)n, "%s", name);
	return SQLITE_OK;
}

static int no_randomness(sqlite3_vfs *vfs, int n, char *ret)
{
	(void)vfs;
	memset(ret, 7, (size_t)n);
	return n;
}

static int no_sleep(sqlite3_vfs *vfs, int us)
{
	(void)vfs;
	return us;
}

static int no_time(sqlite3_vfs *vfs, double *ret)
{
	(void)vfs;
	*ret = 2460000.5;
	return SQLITE_OK;
}

int sqlite3_os_init(void)
{
	static sqlite3_vfs vfs = { .iVersion = 1,
				   .szOsFile = sizeof(sqlite3_file),
				   .mxPathname = 64,
				   .zName = "none",
				   .xOpen = no_open,
				   .xDelete = no_delete,
				   .xAccess = no_access,
				   .xFullPathname = same_path,
				   .xRandomness = no_randomness,
				   .xSleep = no_sleep,
				   .xCurrentTime = no_time };
	return sqlite3_vfs_register(&vfs, 1);
}

int sqlite3_os_end(void)
{
	return SQLITE_OK;
}

/* Rows as text, until there is no more room. */
struct text {
	char *at;
	size_t left;
};

static int row(void *arg, int n, char **values, char **names)
{
	struct text *t = arg;
	(void)names;
	for (int i = 0; i < n; i++) {
		int len = snprintf(t->at, t->left, "%s|", values[i] ? values[i] : "null");
		if (len < 0 || (size_t)len >= t->left)
			return 1;
		t->at += len;
		t->left -= (size_t)len;
	}
	return 0;
}

static size_t run(const char *const *sql, uint8_t *out)
{
	struct text t = { (char *)out, PROGRAM_OUT_BYTES };
	sqlite3 *db = NULL;
	int rc = sqlite3_open(":memory:", &db);
	for (; rc == SQLITE_OK && *sql; sql++)
		rc = sqlite3_exec(db, *sql, row, &t, NULL);
	if (rc != SQLITE_OK)
		fprintf(stderr, "%s\n", sqlite3_errmsg(db));
	sqlite3_close(db);
	return rc == SQLITE_OK ? PROGRAM_OUT_BYTES - t.left : 0;
}

#define COUNTED(n) "WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM c WHERE x<" #n ") "
#define READINGS(n)                                                                                \
	COUNTED(n)                                                                                 \
	"INSERT INTO readings SELECT x, 'plant-' || (x * 7919 % 97), (x * 104729) % 10007 / 7.0, " \
	"printf('note %d of %s', x % 50, hex(x * 31)) FROM c"
#define TABLE "CREATE TABLE readings(id INTEGER PRIMARY KEY, plant TEXT, value REAL, note TEXT)"

static size_t write(const uint8_t *in, size_t len, uint8_t *out)
{
	static const char *const sql[] = {
		TABLE,
		"CREATE INDEX by_plant ON readings(plant, value)",
		"BEGIN",
		READINGS(20000),
		"COMMIT",
		"UPDATE readings SET value = value * 2 + 1 WHERE id % 3 = 0",
		"DELETE FROM readings WHERE id % 7 = 0",
		"CREATE INDEX by_note ON readings(note)",
		"SELECT count(*), sum(value), max(note) FROM readings",
		"PRAGMA integrity_check",
		NULL,
	};
	(void)in, (void)len;
	return run(sql, out);
}

static size_t query(const uint8_t *in, size_t len, uint8_t *out)
{
	static const char *const sql[] = {
		TABLE,
		READINGS(12000),
		"SELECT plant, count(*), avg(value), max(value) FROM readings GROUP BY plant ORDER "
		"BY 3 DESC",
		"SELECT count(*) FROM readings WHERE note LIKE '%7 of 3%'",
		"SELECT count(*), sum(a.value - b.value) FROM readings a JOIN readings b ON b.id = "
		"a.id + 97 AND b.plant = a.plant",
		"SELECT id, note FROM readings ORDER BY note DESC, value LIMIT 200",
		"SELECT plant, id, sum(value) OVER (PARTITION BY plant ORDER BY id ROWS 5 "
		"PRECEDING) FROM readings ORDER BY id LIMIT 300",
		"SELECT DISTINCT substr(note, 6, 4) || upper(plant) FROM readings ORDER BY 1 LIMIT "
		"100",
		COUNTED(60000) "SELECT sum(x * x % 17), group_concat(CASE WHEN x % 5000 = 0 THEN x "
			       "END) FROM c",
		NULL,
	};
	(void)in, (void)len;
	return run(sql, out);
}

/* Statement after statement, as an application sends them: parser, planner, code generator. */
static size_t prepare(const uint8_t *in, size_t len, uint8_t *out)
{
	static const char *const tables[] = { TABLE, "CREATE INDEX by_plant ON readings(plant)",
					      NULL };
	struct text t = { (char *)out, PROGRAM_OUT_BYTES };
	sqlite3 *db = NULL;
	int rc = sqlite3_open(":memory:", &db);
	(void)in, (void)len;
	for (size_t i = 0; rc == SQLITE_OK && tables[i]; i++)
		rc = sqlite3_exec(db, tables[i], NULL, NULL, NULL);
	for (int i = 0; rc == SQLITE_OK && i < 3000; i++) {
		char sql[200];
		(void)snprintf(sql, sizeof(sql),
			       "INSERT INTO readings VALUES(%d, 'plant-%d', %d.25, 'it''s %d')", i,
			       i % 13, i * 3, i);
		rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
		(void)snprintf(sql, sizeof(sql),
			       "SELECT note, value FROM readings WHERE plant = 'plant-%d' AND id "
			       ">= %d ORDER BY value",
			       i % 13, i - 20);
		if (rc == SQLITE_OK)
			rc = sqlite3_exec(db, sql, row, &t, NULL);
	}
	sqlite3_close(db);
	return rc == SQLITE_OK ? PROGRAM_OUT_BYTES - t.left : 0;
}

const struct job program_jobs[] = {
	{ "sqlite-write", write, NULL },
	{ "sqlite-query", query, NULL },
	{ "sqlite-sql", prepare, NULL },
	{ 0 },
};
