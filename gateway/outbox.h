/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What functions want published, between the commit that decided it and the far side's acknowledgement:
 * rows of `effects` (gateway/sql/journal_schema.sql), for each way out in the order of their ids, so in
 * order per topic. The first OUTBOX_LOADED of a way out are in memory, the rest are rows only; they
 * survive restarts, and a broker that is away for days.
 *
 * Effect ids. EVENT.FUNCTION@REVISION.POSITION, the same at each attempt and after each crash: MQTT 5 user
 * property and CloudEvents id (proto/event.h has its source). Who gets one twice can tell.
 *
 * QoS 2, nothing twice. The packet identifier is in the row before PUBLISH goes out (reserved before
 * the commit when the way is free, else by a commit of its own), PUBREC is in the row before PUBREL goes
 * out. So after a crash the exchange goes on where it was, on the same session, by the rules of MQTT 5
 * section 4.3.3; the rows are what Paho's persistence is asked for (triggers/mqtt_session.c). If the broker
 * lost the session, all that is not delivered is published anew: lost is worse than twice.
 *
 * Quota: bytes and rows of what is not delivered, for all ways out. At the quota, by [outbox] full:
 *   refuse       events that would be new are not taken (their source keeps them, journal.h)
 *   drop_oldest  the oldest not yet sent go, each counted and logged
 *   and [outbox] max_age_s: older ones go, whether there is room or not. 0 = never
 *
 * Threads: outbox_plan and outbox_committed from any; acknowledged, writable from the trigger's; the rest
 * from the loop's.
 */
#ifndef GATEWAY_OUTBOX_H
#define GATEWAY_OUTBOX_H

#include "gateway/journal.h"
#include "triggers/trigger.h"

enum { OUTBOX_LOADED = 1024, OUTBOX_WAYS_MAX = 40, EFFECT_ID_BYTES = 128 };

enum outbox_full { OUTBOX_REFUSE, OUTBOX_DROP_OLDEST };

struct outbox;

struct outbox_options {
	uint64_t quota_bytes, quota_rows;
	uint64_t max_age_s;
	enum outbox_full full;
};

int outbox_new(const struct outbox_options *o, struct journal *j, struct outbox **ret,
	       struct why *why) MUST_USE;
/* Nothing is sent any more. */
void outbox_stop(struct outbox *o);
/* After the triggers' threads are gone, and what was noted in the journal (journal_quiesce). */
void outbox_free(struct outbox *o);

/* A way out, before it is started; out and t live as long as the outbox. Loads what is open. */
int outbox_attach(struct outbox *o, const char *out, struct trigger *t, struct why *why) MUST_USE;

/* Of this way, that a message is delivered is noted in the transaction which the caller of outbox_acknowledged
 * holds open (journal_hold), not when there is time. */
void outbox_exact(struct outbox *o, struct trigger *t);

/* What is to be published by an event, each by the way that it names: copies n messages, reserves packet
 * identifiers where that can be done. The result goes to journal_finish.effects; NULL: out of memory. */
struct outbox_batch {
	struct journal_effect **effects;
	unsigned n;
};
int outbox_plan(struct outbox *o, const struct trigger_message *m, unsigned n, uint64_t event,
		unsigned revision, const char *function, struct outbox_batch *ret) MUST_USE;
/* May an event come that will want to publish? 0, or -E_LIMIT with [outbox] full = refuse. */
int outbox_admit(struct outbox *o, struct why *why) MUST_USE;
/* The transaction is through: they go out, in the order of the commits. err: they are forgotten. */
void outbox_committed(struct outbox *o, struct outbox_batch *b, int err);
/* It was not even put. */
void outbox_batch_free(struct outbox *o, struct outbox_batch *b);

/* The far side has it, or refuses it for good (reason). */
void outbox_acknowledged(struct outbox *o, uint64_t effect, const char *refused);
/* QoS 2: PUBREC came; PUBREL waits for the next ticket of the journal. */
void outbox_received(struct outbox *o, uint64_t effect);
/* The far side lost it: it is sent anew. */
void outbox_again(struct outbox *o, uint64_t effect);
/* The trigger can take messages (again). */
void outbox_writable(struct outbox *o, struct trigger *way);

void outbox_tick(struct outbox *o); /* age, quota; loop thread */

/* "1234.overheat@3.0" */
void effect_id_text(const struct journal_effect *e, char ret[EFFECT_ID_BYTES]);

struct outbox_status {
	uint64_t waiting, waiting_bytes, sent; /* rows */
	uint64_t delivered, dropped_quota, dropped_age, refused_by_far_side;
	uint64_t oldest_wall_ms; /* 0: none */
	bool on_disk;            /* more than are counted here wait in the journal */
};
void outbox_status(struct outbox *o, struct trigger *way, struct outbox_status *ret);

#endif
