/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is this message one that we have? For QoS 1, where the protocol leaves it open.
 *
 * A redelivery has the DUP flag and its packet identifier, but so has a message that we never saw because the
 * connection broke, under an identifier that was used before. So a message is the same as one of the last
 * DEDUPE_WINDOW of its source only if DUP, identifier and a digest of topic and payload agree; and from a
 * broker that was seen to use identifiers again within that window, only within DEDUPE_DOUBT_MS: later
 * it has had our acknowledgement, and equal readings are common. (Seen: within one connection. A broker that
 * was killed and restored may count from an earlier number, which says nothing about its ways.)
 * Most brokers count through all 65535, and with those a redelivery is recognised at any time, also when
 * the broker forgot what we acknowledged.
 *
 * So for a repetition to run twice a broker has to do one of four things:
 *   1. send it again without DUP, which MQTT 5 forbids (3.3.1.1) and mosquitto 2.0.11 does, restored from what it
 *      saved before it had sent it, or as another message: another identifier,
 *      as after it lost the session that had the first;
 *   2. send DEDUPE_WINDOW other messages of QoS 1 between the two. With MQTT 5 it may have RECEIVE_MAXIMUM
 *      (256) without our acknowledgement; with 3.1.1 it is its own window (20 in mosquitto). One that was killed
 *      repeats what it forgot that we acknowledged: thousands, when it was busy;
 *   3. use identifiers again within that window, and take longer than DEDUPE_DOUBT_MS to repeat;
 *   4. change topic or payload.
 * What it costs the other way: two messages that are equal in all this, from a broker that sets DUP where it
 * must not, are one.
 *
 * Threads: one at a time.
 */
#ifndef GATEWAY_DEDUPE_H
#define GATEWAY_DEDUPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rd.h"
#include "base/util.h"

enum { DEDUPE_WINDOW = 16384, DEDUPE_DOUBT_MS = 2000 };

struct dedupe;

struct dedupe *dedupe_new(void) MUST_USE; /* NULL: no memory */
void dedupe_free(struct dedupe *d);

uint64_t dedupe_digest(struct span topic, struct span payload);
/* Was it here? connection: a number of its own for each; 0 for what is remembered from an earlier run. */
bool dedupe_is_repeated(struct dedupe *d, uint32_t connection, uint16_t packet, bool dup,
			uint64_t digest, uint64_t now_ms);
void dedupe_add(struct dedupe *d, uint32_t connection, uint16_t packet, uint64_t digest,
		uint64_t now_ms);

#endif
