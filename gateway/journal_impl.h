/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the journal: journal.c (queue, group commit, sync), journal_db.c (the file), journal_write.c and
 * journal_read.c (statements). */
#ifndef GATEWAY_JOURNAL_IMPL_H
#define GATEWAY_JOURNAL_IMPL_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "gateway/journal.h"

enum journal_sql {
#define SQL(name, text) W_##name,
#include "sql_journal_statements.h"
#undef SQL
	W_COUNT
};
enum journal_query_sql {
#define SQL(name, text) Q_##name,
#include "sql_journal_queries.h"
#undef SQL
	Q_COUNT
};

enum { JOURNAL_ROW_BYTES = 200 }; /* what a row costs besides its bytes, for the quota */

struct journal {
	struct journal_options o;
	char *path;
	/* The sender is the outbox's, whose threads must not read a snapshot that the loop's thread has
	 * open on the reader: what was committed since would not be there, and not be looked for again. */
	sqlite3 *db, *reader, *sender, *copier;
	sqlite3_stmt *write[W_COUNT], *query[Q_COUNT];
	int wal_fd;

	pthread_mutex_t lock; /* the queue */
	struct journal_op *first, **last;
	struct journal_op *lazy_first, **lazy_last;
	unsigned lazy;        /* in the second queue */
	bool touches_effects; /* something in the first does */
	/* Of the last put, of the last that is not lazy, and of the last that wants a sync. */
	uint64_t seq, eager_seq, power_seq;
	unsigned eager;    /* in the queue and not lazy */
	int holders;       /* nothing is taken out of it now */
	bool sent_away;    /* somebody wanted to meanwhile */
	uint64_t eager_ns; /* since when there are */
	bool (*linger)(void *arg);
	void *linger_arg;
	bool leading, failing;
	unsigned failures;        /* in a row; the leader's */
	pthread_cond_t idle;      /* nobody is leading any more */
	struct journal_op forget; /* the tick's */
	atomic_bool forgetting;
	unsigned dead_gone; /* by its transaction */
	char reason[256];
	void (*on_durable)(void *arg);
	void *on_durable_arg;

	atomic_bool awaited; /* somebody asked for a ticket in vain */
	_Atomic uint64_t committed, synced;
	_Atomic uint64_t open, dead, effects, bytes; /* rows; bytes of what is open */
	_Atomic uint64_t commits, operations, syncs, refused, duplicates;
	uint64_t last_id;              /* of an event; the leader's */
	uint64_t next_effect;          /* the leader's */
	_Atomic uint64_t forget_below; /* retention: events that are over and below this id go */
	/* The leader's: where the next step goes on, among events and effects, and up to which event all
	 * that were over are gone. */
	uint64_t forget_event, forget_effect, forgotten;
	unsigned wal_pages; /* the leader's, after its last commit */

	pthread_mutex_t sync_lock;
	pthread_cond_t sync_wake;
	struct journal_op *sync_first, **sync_last;
	uint64_t sync_wanted;  /* committed up to here, to be synced */
	unsigned copied_pages; /* of the log, by the last checkpoint */
	bool checkpoint, sync_stop, has_thread;
	pthread_t thread;
};

/* journal_db.c */
int journal_db_open(struct journal *j, bool *ret_damaged, struct why *why) MUST_USE;
void journal_db_close(struct journal *j);
/* SQLite's last words about db. */
int journal_fail(struct journal *j, sqlite3 *db, const char *doing, struct why *why);
/* A statement on the writing connection; resets itself at the end of the scope. */
#define JSTMT __attribute__((cleanup(journal_stmt_back))) sqlite3_stmt *
void journal_stmt_back(sqlite3_stmt **s);
/* 'u' uint64_t, 'i' int, 't' struct span as text, 'b' struct span as blob, 's' const char *, may
 * be NULL */
void journal_bind(sqlite3_stmt *s, const char *format, ...);
/* Runs it to its end: an SQLite code, 0 = done. */
int journal_step(sqlite3_stmt *s);

/* Copies the log into the database, as far as it was committed, without stopping the writer; the
 * journal's thread. Returns how many of its pages are there now. */
unsigned journal_checkpoint(struct journal *j);
uint64_t journal_file_bytes(struct journal *j);
uint64_t journal_used_bytes(struct journal *j); /* without free pages; loop thread */

/* journal_write.c: on the writing connection, in a transaction */
int journal_forget(struct journal *j, unsigned rows);
/* The oldest dead letters above their number; dead_gone says how many went. */
int journal_forget_dead(struct journal *j, unsigned rows);
uint64_t journal_forget_bound(struct journal *j); /* loop thread */

#endif
