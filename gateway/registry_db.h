/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the registry: the database handle and its prepared statements. */
#ifndef GATEWAY_REGISTRY_DB_H
#define GATEWAY_REGISTRY_DB_H

#include <sqlite3.h>

#include "gateway/registry.h"

enum registry_sql {
#define SQL(name, text) S_##name,
#include "sql_statements.h"
#undef SQL
	S_COUNT
};

struct registry {
	sqlite3 *db;
	sqlite3_stmt *stmt[S_COUNT];
	char *path;
};

/* A statement ready for binding; it goes back (reset, parameters cleared) at the end of the scope:
 *	STMT s = registry_stmt(r, S_key_get);  */
#define STMT __attribute__((cleanup(registry_stmt_back))) sqlite3_stmt *
sqlite3_stmt *registry_stmt(struct registry *r, enum registry_sql which);
void registry_stmt_back(sqlite3_stmt **s);

/* SQLite's last error as ours. */
int registry_fail(struct registry *r, const char *doing, struct why *why);
/* Binds by a format: 's' const char *, 'u' uint64_t, 'b' const void * of 32 bytes. */
void registry_bind(sqlite3_stmt *s, const char *format, ...);
/* Runs a statement that gives no row; 0 or -EIO. */
int registry_run(struct registry *r, sqlite3_stmt *s, const char *doing, struct why *why) MUST_USE;
const char *registry_text(sqlite3_stmt *s, int column); /* never NULL */

int registry_begin(struct registry *r, struct why *why) MUST_USE;
/* Commits when err is 0, else rolls back; returns the first error. */
int registry_end(struct registry *r, int err, struct why *why) MUST_USE;

#endif
