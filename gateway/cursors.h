/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where sources are with what they report (proto/event.h, cursor): in memory for this run, and in the journal
 * for the next one, written in one transaction with the event that moved it. Without a journal this run is all.
 *
 * Threads: any. Around the event that moves a cursor:
 *	cursors_begin, then the event's rows are put, then cursors_end.
 */
#ifndef GATEWAY_CURSORS_H
#define GATEWAY_CURSORS_H

#include "gateway/journal.h"

struct cursors;
struct cursor_step;

/* j is borrowed, or NULL. Learns what earlier runs left. */
int cursors_new(struct journal *j, struct cursors **ret, struct why *why) MUST_USE;
void cursors_free(struct cursors *c); /* when the journal has told the end of all that was put */

/* Copies what is needed, so that the end cannot fail, and keeps the journal from committing in between.
 * -E_LIMIT: a name or value of more than EVENT_CURSOR_BYTES; -ENOMEM. Then there is no end. */
int cursors_begin(struct cursors *c, const char *source, struct span name, struct span value,
		  struct cursor_step **ret) MUST_USE;
/* happened: the event's rows were put; else the cursor stays. Commits. */
void cursors_end(struct cursors *c, struct cursor_step *s, bool happened);

/* As trigger_sink.cursor. */
size_t cursors_get(struct cursors *c, const char *source, struct span name, void *ret, size_t cap);
/* Those of a source, in no order. each must not call anything here. */
typedef void cursors_fn(void *arg, struct span name, struct span value);
void cursors_each(struct cursors *c, const char *source, cursors_fn *each, void *arg);
void cursors_forget(struct cursors *c, const char *source, struct span name);

/* ---- in the journal: journal_write.c, journal_read.c ---- */

/* drop: it is forgotten */
struct journal_cursor {
	struct journal_op op;
	struct span source, name, value;
	bool drop;
};
void journal_cursor_put(struct journal *j, struct journal_cursor *c);
typedef int journal_cursor_fn(void *arg, struct span source, struct span name, struct span value);
int journal_cursors(struct journal *j, journal_cursor_fn *each, void *arg,
		    struct why *why) MUST_USE;

#endif
