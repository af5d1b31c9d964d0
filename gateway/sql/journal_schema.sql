-- SPDX-License-Identifier: Apache-2.0
-- The journal: what happened, what is to happen because of it, what functions remember.
-- STATE_DIR/journal.db, apart from the registry: the registry is written by people and synced at each
-- write, this by every event (doc/adr/0008). Pieces as in schema.sql: a released one is never edited.

-- name: 1
-- One row for each event and binding: what runs, is finished and is counted is that pair.
-- id       the event's id, higher than any before it
-- state    0 open (waiting, running, or between two attempts), 1 done, 2 dead letter, 3 dropped by the operator
-- due      wall clock ms of the next attempt; 0: now. Only while open
-- packet   the MQTT packet identifier it came with, and digest of topic and payload: how a redelivery is
--          recognised (journal.h). 0: its source has none
-- attrs    u32 count, then the list of ipc_attr; with payload it is all that the function got
-- revision, status, code, reason, stack, finished: of the last attempt
-- effects  first row of it in `effects`, and how many
-- output   what the function wanted: u32 reply length, reply, list of ipc_effect
-- trace    what else it read: clocks, random bytes, state (for replay)
CREATE TABLE events (
	id       INTEGER PRIMARY KEY,
	state    INTEGER NOT NULL,
	due      INTEGER NOT NULL,
	attempts INTEGER NOT NULL,
	binding  INTEGER NOT NULL,
	function TEXT NOT NULL,
	source   TEXT NOT NULL,
	packet   INTEGER NOT NULL,
	digest   INTEGER NOT NULL,
	arrived  INTEGER NOT NULL,
	hops     INTEGER NOT NULL,
	topic    BLOB NOT NULL,
	attrs    BLOB NOT NULL,
	payload  BLOB NOT NULL,
	revision INTEGER,
	status   INTEGER,
	code     INTEGER,
	reason   TEXT,
	stack    TEXT,
	finished INTEGER,
	first_effect INTEGER,
	neffects INTEGER,
	output   BLOB,
	trace    BLOB
) STRICT;
CREATE INDEX events_open ON events (due, id) WHERE state = 0;
CREATE INDEX events_dead ON events (id) WHERE state = 2;

-- What is to reach the far side, in the order of id for each way out.
-- state    0 to be sent, 1 sent with this packet identifier (QoS 2), 2 received there and not to be sent again
--          (PUBREC came), 3 delivered, 4 dropped (reason)
-- packet   MQTT packet identifier, kept over restarts while state is 1 or 2
CREATE TABLE effects (
	id       INTEGER PRIMARY KEY,
	state    INTEGER NOT NULL,
	event    INTEGER NOT NULL,
	revision INTEGER NOT NULL,
	position INTEGER NOT NULL,
	out      TEXT NOT NULL,
	function TEXT NOT NULL,
	topic    BLOB NOT NULL,
	payload  BLOB NOT NULL,
	qos      INTEGER NOT NULL,
	retain   INTEGER NOT NULL,
	hops     INTEGER NOT NULL,
	packet   INTEGER NOT NULL,
	created  INTEGER NOT NULL,
	reason   TEXT
) STRICT;
CREATE INDEX effects_open ON effects (out, id) WHERE state < 3;

-- QoS 2 messages that came and whose PUBREL did not: the packet identifier is taken. bytes: what Paho
-- wants back (3.1.1: the whole PUBLISH, because it delivers at PUBREL).
CREATE TABLE inbound (
	source TEXT NOT NULL,
	packet INTEGER NOT NULL,
	bytes  BLOB NOT NULL,
	PRIMARY KEY (source, packet)
) STRICT, WITHOUT ROWID;

-- What functions remember. bucket: "NAME" of a shared one, or "=FUNCTION" of a private one.
-- expires  wall clock ms, 0 = never
CREATE TABLE state (
	bucket  TEXT NOT NULL,
	key     BLOB NOT NULL,
	value   BLOB NOT NULL,
	version INTEGER NOT NULL,
	expires INTEGER NOT NULL,
	PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;
-- What a bucket holds. version: of the last change in it.
CREATE TABLE buckets (
	bucket  TEXT PRIMARY KEY,
	version INTEGER NOT NULL,
	keys    INTEGER NOT NULL,
	bytes   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- boot: boot_id of the machine that last had the journal open; "" after a clean close.
CREATE TABLE meta (
	name  TEXT PRIMARY KEY,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX state_expires ON state (expires) WHERE expires > 0;

-- name: 2
-- Where sources are with what they report (gateway/cursors.h), in the transaction of the event that moved it.
CREATE TABLE cursors (
	source TEXT NOT NULL,
	name   BLOB NOT NULL,
	value  BLOB NOT NULL,
	PRIMARY KEY (source, name)
) STRICT, WITHOUT ROWID;

-- name: 3
-- attrs: of the message, a list of ipc_attr (proto/message_attrs.h)
ALTER TABLE effects ADD COLUMN attrs BLOB NOT NULL DEFAULT x'';
