/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the state: state.c (reads, what is pending), state_write.c (in the event's transaction). */
#ifndef GATEWAY_STATE_IMPL_H
#define GATEWAY_STATE_IMPL_H

#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>

#include "gateway/journal_impl.h"
#include "gateway/state.h"

enum state_sql {
#define SQL(name, text) S_##name,
#include "sql_state.h"
#undef SQL
	S_COUNT
};

enum { STATE_CHAINS = 256, STATE_EXPIRE_ROWS = 64 };

struct state_change {
	struct state_change *next; /* in its chain, while it is pending */
	uint8_t what;              /* enum ipc_state_what */
	uint64_t expected, version, expires;
	const char *bucket; /* the name in the database; all in state_write.bytes */
	struct span key, value;
};

struct state_store {
	struct journal *journal;
	struct state_limits limits;
	pthread_mutex_t lock; /* reads and what is pending */
	sqlite3 *db;          /* for reads */
	sqlite3_stmt *stmt[S_COUNT];
	uint64_t version; /* the last that was given */
	struct state_change *chain[STATE_CHAINS];

	sqlite3_stmt *writer[S_COUNT]; /* on the journal's connection; the leader's */
	struct journal_op expire;
	atomic_bool expiring;
};

#define STATE_STMT __attribute__((cleanup(state_stmt_back))) sqlite3_stmt *
static inline void state_stmt_back(sqlite3_stmt **s)
{
	(void)sqlite3_reset(*s);
}

int state_prepare(sqlite3 *db, sqlite3_stmt **stmts);
void state_finalize(sqlite3_stmt **stmts);
bool state_same(struct span a, struct span b);
uint64_t state_version_new(struct state_store *s);
bool state_is_there(struct state_store *s, const char *bucket, struct span key);
/* journal_extra.write */
int state_write_all(sqlite3 *db, struct journal_extra *x);

#endif
