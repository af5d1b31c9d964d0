/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the outbox: outbox.c (rows from plan to delivery), outbox_load.c (from disk, time, begin and end). */
#ifndef GATEWAY_OUTBOX_IMPL_H
#define GATEWAY_OUTBOX_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "gateway/outbox.h"
#include "triggers/limiter.h"

enum { BUCKETS = 1024, SOURCE_BYTES = 160 };

struct row {
	struct journal_effect e; /* its spans lie in bytes */
	struct row *next;
	bool noted; /* QoS 2: its packet identifier is in the journal, or is on the way there */
	bool ready; /* it may be sent */
	uint8_t bytes[];
};

struct way {
	struct outbox *box;
	struct trigger *trigger;
	const char *out;
	pthread_mutex_t lock;
	struct row *line, **line_last;
	unsigned in_line;
	struct row *planned;
	struct row *sent[BUCKETS];
	bool exact;       /* outbox_exact */
	uint64_t last_id; /* highest that was ever in memory */
	bool on_disk;     /* there are more behind last_id */
	_Atomic uint64_t waiting, waiting_bytes, n_sent;
	_Atomic uint64_t delivered, dropped_quota, dropped_age, refused;
};

struct outbox {
	struct outbox_options o;
	struct journal *journal;
	struct way ways[OUTBOX_WAYS_MAX];
	unsigned nways;
	atomic_bool stopped;
	pthread_mutex_t load_lock; /* one reader of open effects at a time */
	struct limiter drops;
};

struct way *outbox_way_of(struct outbox *o, const struct trigger *t);
/* The rest is called with the way's lock held. */
uint64_t outbox_size_of(const struct row *r);
struct row *outbox_row_of(const struct way *w, const struct journal_effect *e) MUST_USE;
struct trigger_message outbox_message_of(const struct row *r, char id[EFFECT_ID_BYTES],
					 char source[SOURCE_BYTES]);
void outbox_line_add(struct way *w, struct row *r);
struct row *outbox_line_take(struct way *w);
void outbox_sent_add(struct way *w, struct row *r);
void outbox_lost(struct way *w, struct row *r, _Atomic uint64_t *counter, const char *reason);
void outbox_pump(struct way *w);
void outbox_load(struct way *w); /* more rows, if there are and there is room */

#endif
