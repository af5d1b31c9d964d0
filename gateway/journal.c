/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of operations, the group commit, and the thread that syncs and checkpoints. */
#include "gateway/journal_impl.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

enum {
	/* 16 MB of log: the thread copies into the database what has come since it last did. A page that was
	 * written ten times is copied once. */
	CHECKPOINT_PAGES = 16000,
	/* The log begins anew when all of it has been copied and the next commit comes. Where one
	 * comes while it is copied, each time, commits wait for the last bit of it. */
	LOG_PAGES_MOST = 4 * CHECKPOINT_PAGES,
	FORGET_ROWS = 256, /* per tick */
	/* With so many events and messages under way nobody is alone: a commit waits for others, up to
	 * that many operations and that long. */
	LINGER_ROWS = 16,
	LINGER_OPERATIONS = 128,
	LINGER_NS = 1000 * 1000,
	LAZY_MOST = 64, /* before they are written with whatever comes */
};

static uint64_t now_ns(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- the queue ---- */

void journal_put(struct journal *j, struct journal_op *op)
{
	op->next = NULL;
	op->err = 0;
	(void)pthread_mutex_lock(&j->lock);
	op->seq = ++j->seq;
	op->power |= op->exact && (j->o.power || j->power_seq > 0);
	if (op->power)
		j->power_seq = op->seq;
	if (op->lazy) {
		j->lazy++;
		*j->lazy_last = op;
		j->lazy_last = &op->next;
	} else {
		if (j->eager++ == 0 && j->linger)
			j->eager_ns = now_ns();
		j->eager_seq = op->seq;
		j->touches_effects |= op->effects > 0;
		*j->last = op;
		j->last = &op->next;
	}
	(void)pthread_mutex_unlock(&j->lock);
}

struct journal_ticket journal_ticket(struct journal *j)
{
	(void)pthread_mutex_lock(&j->lock);
	struct journal_ticket t = { j->eager_seq, j->power_seq };
	(void)pthread_mutex_unlock(&j->lock);
	return t;
}

static bool reached(struct journal *j, struct journal_ticket t)
{
	return atomic_load(&j->committed) >= t.seq && atomic_load(&j->synced) >= t.power;
}

bool journal_durable(struct journal *j, struct journal_ticket t)
{
	if (reached(j, t))
		return true;
	atomic_store(&j->awaited, true); /* and look again: it may have come to pass in between */
	return reached(j, t);
}

void journal_on_durable(struct journal *j, void (*fn)(void *arg), void *arg)
{
	j->on_durable = fn;
	j->on_durable_arg = arg;
}

static void tell_waiters(struct journal *j)
{
	if (atomic_load(&j->awaited) && atomic_exchange(&j->awaited, false) && j->on_durable)
		j->on_durable(j->on_durable_arg);
}

/* ---- one transaction ---- */

static int run(struct journal *j, enum journal_sql which)
{
	JSTMT s = j->write[which];
	return journal_step(s);
}

/* The statement's own fault, upon which SQLite undoes the statement and the transaction goes on. */
static bool its_own_fault(int code)
{
	code &= 0xff;
	return code == SQLITE_TOOBIG || code == SQLITE_CONSTRAINT || code == SQLITE_MISMATCH ||
	       code == SQLITE_RANGE;
}

/* What is to be forgotten goes with what comes, so that neither piles up nor stalls. */
static int write_all(struct journal *j, struct journal_op *list)
{
	int code = run(j, W_begin);
	unsigned n = 0;
	for (struct journal_op *op = list; op && code == SQLITE_OK; op = op->next, n++) {
		int mine = op->write(j, op);
		/* Anew each time: what was refused before a rollback may be written after it. */
		op->err = its_own_fault(mine) ? -E_INVALID : 0;
		if (op->err == 0)
			code = mine;
	}
	if (code == SQLITE_OK && atomic_load(&j->forget_below) > 0)
		code = journal_forget(j, n);
	if (code == SQLITE_OK)
		code = run(j, W_commit);
	return code;
}

/* A log that is copied begins anew within the room that it has: it may be what has filled the disk. The thread
 * tries less and less often, for an attempt in vain writes, too. */
static void make_room(struct journal *j)
{
	(void)pthread_mutex_lock(&j->sync_lock);
	j->checkpoint = true;
	(void)pthread_cond_signal(&j->sync_wake);
	(void)pthread_mutex_unlock(&j->sync_lock);
}

static void failed(struct journal *j)
{
	struct why why = { 0 };
	int err = journal_fail(j, j->db, "commit", &why);
	if (!sqlite3_get_autocommit(j->db))
		(void)run(j, W_rollback);
	(void)pthread_mutex_lock(&j->lock);
	j->failures = j->failing ? j->failures + 1 : 1;
	j->failing = true;
	(void)snprintf(j->reason, sizeof(j->reason), "%s", why_text(&why, err));
	(void)pthread_mutex_unlock(&j->lock);
	if (j->failures == 1)
		LOG(LOG_ERR, "the journal cannot be written; nothing is acknowledged until it can",
		    F_STR("reason", why_text(&why, err)), F_ERR(err));
	if ((j->failures & (j->failures - 1)) == 0)
		make_room(j);
}

static void done_all(struct journal_op *list)
{
	for (struct journal_op *op = list, *next; op; op = next) {
		next = op->next; /* it may be gone after done */
		if (op->done)
			op->done(op, op->err);
	}
}

/* Those that want a sync go to the thread; the others are done. */
static struct journal_op *hand_to_sync(struct journal *j, struct journal_op *list, uint64_t seq)
{
	struct journal_op *rest = NULL, **last = &rest;
	bool any = false;
	(void)pthread_mutex_lock(&j->sync_lock);
	while (list) {
		struct journal_op *op = list;
		list = op->next;
		op->next = NULL;
		struct journal_op ***to = op->power ? &j->sync_last : &last;
		**to = op;
		*to = &op->next;
		any |= op->power;
	}
	if (any)
		j->sync_wanted = seq;
	if (j->wal_pages < j->copied_pages)
		j->copied_pages = 0; /* the log began anew */
	j->checkpoint |= j->wal_pages - j->copied_pages > CHECKPOINT_PAGES;
	if (any || j->checkpoint)
		(void)pthread_cond_signal(&j->sync_wake);
	(void)pthread_mutex_unlock(&j->sync_lock);
	return rest;
}

static void add(_Atomic uint64_t *to, int64_t n)
{
	if (n != 0)
		atomic_fetch_add(to, (uint64_t)n);
}

static void count_all(struct journal *j, const struct journal_op *list)
{
	uint64_t n = 0;
	for (; list; list = list->next, n++) {
		if (list->err < 0)
			continue;
		add(&j->bytes, list->bytes);
		add(&j->open, list->open);
		add(&j->dead, list->dead);
		add(&j->effects, list->effects);
	}
	atomic_fetch_add(&j->commits, 1);
	atomic_fetch_add(&j->operations, n);
}

/* Leader: false = it failed, and the list is in the queue again. */
static bool commit_list(struct journal *j, struct journal_op *list, struct journal_op **last,
			uint64_t seq)
{
	if (write_all(j, list) != SQLITE_OK) {
		failed(j);
		(void)pthread_mutex_lock(&j->lock);
		*last = j->first;
		if (!j->first)
			j->last = last;
		j->first = list;
		j->eager++; /* at least: so that the tick finds it */
		(void)pthread_mutex_unlock(&j->lock);
		return false;
	}
	count_all(j, list);
	list = hand_to_sync(j, list, seq);
	atomic_store(&j->committed, seq);
	done_all(list);
	tell_waiters(j);
	return true;
}

/* What is lazy is a delivered effect, or retention: it goes with what writes to the pages of effects anyway,
 * behind it. lock held */
static struct journal_op *take_all(struct journal *j, bool forced, struct journal_op ***ret_last)
{
	struct journal_op *list = j->first;
	*ret_last = list ? j->last : &list;
	if (j->lazy > 0 && (forced || j->touches_effects || j->lazy >= LAZY_MOST)) {
		**ret_last = j->lazy_first;
		*ret_last = j->lazy_last;
		j->lazy_first = NULL;
		j->lazy_last = &j->lazy_first;
		j->lazy = 0;
	}
	j->first = NULL;
	j->last = &j->first;
	j->eager = 0;
	j->touches_effects = false;
	return list;
}

/* lock held; forced: also what is lazy */
static void lead(struct journal *j, bool forced)
{
	j->leading = true;
	while ((j->eager > 0 || (forced && (j->first || j->lazy > 0))) && j->holders == 0) {
		struct journal_op **last, *list = take_all(j, forced, &last);
		uint64_t seq = j->eager_seq;
		(void)pthread_mutex_unlock(&j->lock);
		bool ok = commit_list(j, list, last, seq);
		(void)pthread_mutex_lock(&j->lock);
		if (ok && j->failing)
			LOG(LOG_NOTE, "the journal can be written again");
		j->failing = !ok;
		if (!ok)
			break;
	}
	j->leading = false;
	j->sent_away |= j->holders > 0 && j->eager > 0;
	(void)pthread_cond_signal(&j->idle);
}

/* lock held */
static bool may_linger(struct journal *j)
{
	return j->linger && j->eager < LINGER_OPERATIONS &&
	       atomic_load(&j->open) + atomic_load(&j->effects) >= LINGER_ROWS &&
	       now_ns() - j->eager_ns < LINGER_NS && j->linger(j->linger_arg);
}

void journal_on_linger(struct journal *j, bool (*fn)(void *arg), void *arg)
{
	j->linger = fn;
	j->linger_arg = arg;
}

/* Who wanted to commit meanwhile has gone, and would not be back before the tick. */
void journal_hold(struct journal *j, bool on)
{
	(void)pthread_mutex_lock(&j->lock);
	j->holders += on ? 1 : -1;
	if (j->holders == 0 && j->sent_away && !j->leading && !j->failing)
		lead(j, false);
	j->sent_away &= j->holders > 0;
	(void)pthread_mutex_unlock(&j->lock);
}

void journal_commit(struct journal *j)
{
	(void)pthread_mutex_lock(&j->lock);
	j->sent_away |= j->holders > 0;
	if (!j->leading && !j->failing && j->eager > 0 && !may_linger(j))
		lead(j, false);
	(void)pthread_mutex_unlock(&j->lock);
}

void journal_quiesce(struct journal *j)
{
	(void)pthread_mutex_lock(&j->lock);
	while (j->leading) /* the journal's thread, which copies */
		(void)pthread_cond_wait(&j->idle, &j->lock);
	lead(j, true);
	struct journal_op **last, *list = take_all(j, true, &last);
	(void)pthread_mutex_unlock(&j->lock);
	for (struct journal_op *op = list; op; op = op->next)
		op->err = -E_GONE;
	done_all(list);
}

/* ---- time ---- */

static int write_forget(struct journal *j, struct journal_op *op)
{
	(void)op;
	j->dead_gone = 0;
	int code = journal_forget_dead(j, FORGET_ROWS);
	return code == SQLITE_OK ? journal_forget(j, FORGET_ROWS) : code;
}

static void forgotten(struct journal_op *op, int err)
{
	struct journal *j = CONTAINER_OF(op, struct journal, forget);
	if (err == 0 && j->dead_gone > 0) {
		atomic_fetch_sub(&j->dead, j->dead_gone);
		LOG(LOG_WARN, "the oldest dead letters were forgotten, for there are too many",
		    F_U64("forgotten", j->dead_gone), F_U64("kept", j->o.dead_rows));
	}
	atomic_store(&j->forgetting, false);
}

void journal_tick(struct journal *j)
{
	atomic_store(&j->forget_below, journal_forget_bound(j));
	if (!atomic_exchange(&j->forgetting, true)) {
		j->forget = (struct journal_op){ .write = write_forget,
						 .done = forgotten,
						 .lazy = true };
		journal_put(j, &j->forget);
	}
	(void)pthread_mutex_lock(&j->lock);
	if (!j->leading)
		lead(j, true);
	(void)pthread_mutex_unlock(&j->lock);
}

/* ---- the thread ---- */

static void sync_once(struct journal *j, struct journal_op *list, uint64_t wanted)
{
	if (fdatasync(j->wal_fd) < 0) {
		/* What the kernel could not write it has marked clean: the only honest answer is to stop,
		 * and to start from what the disk has. */
		LOG(LOG_ERR,
		    "cannot sync the journal; ending, so that nothing is acknowledged that "
		    "is not on the disk",
		    F_STR("file", j->path), F_STR("reason", strerrordesc_np(errno)));
		abort();
	}
	atomic_fetch_add(&j->syncs, 1);
	atomic_store(&j->synced, wanted);
	done_all(list);
	tell_waiters(j);
}

/* In the place of a leader, so that nobody writes: what is left of the log, and then it can begin anew. */
static void copy_the_rest(struct journal *j)
{
	(void)pthread_mutex_lock(&j->lock);
	while (j->leading)
		(void)pthread_cond_wait(&j->idle, &j->lock);
	j->leading = true;
	(void)pthread_mutex_unlock(&j->lock);
	(void)journal_checkpoint(j);
	(void)pthread_mutex_lock(&j->lock);
	if (j->failing) {
		j->leading = false;
		(void)pthread_cond_signal(&j->idle);
	} else {
		lead(j, false); /* what came meanwhile */
	}
	(void)pthread_mutex_unlock(&j->lock);
}

static void copy_log(struct journal *j)
{
	unsigned copied = journal_checkpoint(j);
	if (copied > LOG_PAGES_MOST)
		copy_the_rest(j);
	(void)pthread_mutex_lock(&j->sync_lock);
	j->copied_pages = copied;
	(void)pthread_mutex_unlock(&j->sync_lock);
}

static void *sync_thread(void *arg)
{
	struct journal *j = arg;
	(void)pthread_mutex_lock(&j->sync_lock);
	for (;;) {
		while (!j->sync_stop && !j->checkpoint && !j->sync_first)
			(void)pthread_cond_wait(&j->sync_wake, &j->sync_lock);
		struct journal_op *list = j->sync_first;
		uint64_t wanted = j->sync_wanted;
		bool checkpoint = j->checkpoint;
		bool stop = j->sync_stop;
		j->sync_first = NULL;
		j->sync_last = &j->sync_first;
		j->checkpoint = false;
		(void)pthread_mutex_unlock(&j->sync_lock);
		if (list)
			sync_once(j, list, wanted);
		if (checkpoint)
			copy_log(j);
		if (stop && !list)
			return NULL;
		(void)pthread_mutex_lock(&j->sync_lock);
	}
}

static void stop_thread(struct journal *j)
{
	if (!j->has_thread)
		return;
	(void)pthread_mutex_lock(&j->sync_lock);
	j->sync_stop = true;
	(void)pthread_cond_signal(&j->sync_wake);
	(void)pthread_mutex_unlock(&j->sync_lock);
	(void)pthread_join(j->thread, NULL);
}

/* ---- admission and status ---- */

int journal_admit(struct journal *j, uint64_t bytes, struct why *why)
{
	uint64_t rows = atomic_load(&j->open) + atomic_load(&j->effects);
	uint64_t all = atomic_load(&j->bytes) + rows * JOURNAL_ROW_BYTES + bytes;
	int err = 0;
	(void)pthread_mutex_lock(&j->lock);
	if (j->failing)
		err = why_set(why, -EIO, "%s", j->reason);
	(void)pthread_mutex_unlock(&j->lock);
	if (err == 0 && (rows >= j->o.quota_rows || all > j->o.quota_bytes))
		err = why_set(why, -E_LIMIT,
			      "the journal is full (journal.bytes, journal.rows): %llu events and "
			      "messages wait in it",
			      (unsigned long long)rows);
	if (err < 0)
		atomic_fetch_add(&j->refused, 1);
	return err;
}

void journal_load(struct journal *j, struct journal_status *ret)
{
	*ret = (struct journal_status){ .open = atomic_load(&j->open),
					.dead = atomic_load(&j->dead),
					.effects = atomic_load(&j->effects),
					.open_bytes = atomic_load(&j->bytes) };
}

void journal_status(struct journal *j, struct journal_status *ret)
{
	*ret = (struct journal_status){ .state = "ok" };
	(void)pthread_mutex_lock(&j->lock);
	if (j->failing) {
		ret->state = "failing";
		(void)snprintf(ret->reason, sizeof(ret->reason), "%s", j->reason);
	}
	(void)pthread_mutex_unlock(&j->lock);
	ret->open = atomic_load(&j->open);
	ret->dead = atomic_load(&j->dead);
	ret->effects = atomic_load(&j->effects);
	ret->open_bytes = atomic_load(&j->bytes);
	ret->file_bytes = journal_file_bytes(j);
	ret->commits = atomic_load(&j->commits);
	ret->operations = atomic_load(&j->operations);
	ret->syncs = atomic_load(&j->syncs);
	ret->refused = atomic_load(&j->refused);
	ret->duplicates = atomic_load(&j->duplicates);
}

void journal_count_duplicate(struct journal *j)
{
	atomic_fetch_add(&j->duplicates, 1);
}

uint64_t journal_last_id(struct journal *j)
{
	return j->last_id;
}

struct sqlite3 *journal_reader(struct journal *j)
{
	return j->reader;
}

/* ---- begin and end ---- */

int journal_open(const struct journal_options *o, struct journal **ret, bool *ret_damaged,
		 struct why *why)
{
	struct journal *j = calloc(1, sizeof(*j));
	if (!j || asprintf(&j->path, "%s/journal.db", o->state_dir) < 0) {
		free(j);
		return why_set(why, -ENOMEM, "out of memory");
	}
	j->o = *o;
	j->wal_fd = -1;
	j->last = &j->first;
	j->lazy_last = &j->lazy_first;
	j->sync_last = &j->sync_first;
	(void)pthread_mutex_init(&j->lock, NULL);
	(void)pthread_mutex_init(&j->sync_lock, NULL);
	(void)pthread_cond_init(&j->sync_wake, NULL);
	(void)pthread_cond_init(&j->idle, NULL);
	int err = journal_db_open(j, ret_damaged, why);
	if (err == 0) {
		err = -pthread_create(&j->thread, NULL, sync_thread, j);
		j->has_thread = err == 0;
	}
	if (err < 0) {
		journal_close(j);
		return why_set(why, err, "the journal: %s", strerrordesc_np(-err));
	}
	(void)pthread_setname_np(j->thread, "journal");
	*ret = j;
	return 0;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	if (j->has_thread)
		journal_quiesce(j);
	stop_thread(j);
	journal_db_close(j);
	(void)pthread_cond_destroy(&j->idle);
	(void)pthread_cond_destroy(&j->sync_wake);
	(void)pthread_mutex_destroy(&j->sync_lock);
	(void)pthread_mutex_destroy(&j->lock);
	free(j->path);
	free(j);
}
