-- SPDX-License-Identifier: Apache-2.0
-- The registry: who is trusted, what is deployed, what is bound to what.
-- Each piece brings the database from user_version N-1 to N, in one transaction. A piece that was
-- released is never edited; what changes is a new piece at the end.

-- name: 1
-- Times are milliseconds since 1970 in UTC. `hash` is the SHA-256 of the uploaded bytes in hex; the
-- bytes themselves lie in modules/HASH.wasm (gateway/store.h argues why).
CREATE TABLE keys (
	id         TEXT PRIMARY KEY,
	public     BLOB NOT NULL CHECK (length(public) = 32),
	comment    TEXT NOT NULL,
	trusted_at INTEGER NOT NULL
) STRICT;
CREATE TABLE functions (
	name     TEXT PRIMARY KEY,
	revision INTEGER NOT NULL,
	state    TEXT NOT NULL CHECK (state IN ('active', 'failed')),
	reason   TEXT NOT NULL
) STRICT;
-- key_id is no reference: functions outlive the trust in their key.
CREATE TABLE versions (
	name        TEXT NOT NULL REFERENCES functions (name) ON DELETE CASCADE,
	revision    INTEGER NOT NULL,
	version     TEXT NOT NULL,
	hash        TEXT NOT NULL CHECK (length(hash) = 64),
	key_id      TEXT NOT NULL,
	reactor     INTEGER NOT NULL,
	manifest    TEXT NOT NULL,
	report      TEXT NOT NULL,
	deployed_at INTEGER NOT NULL,
	PRIMARY KEY (name, revision)
) STRICT;
CREATE INDEX versions_by_hash ON versions (hash);
-- AUTOINCREMENT: the id of a removed binding is never given again, so an old bookmark or script
-- cannot remove another one.
CREATE TABLE bindings (
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	function    TEXT NOT NULL REFERENCES functions (name),
	kind        TEXT NOT NULL,
	broker      TEXT NOT NULL,
	filter      TEXT NOT NULL,
	publish     TEXT NOT NULL,
	qos         INTEGER NOT NULL,
	publish_qos INTEGER NOT NULL,
	retain      INTEGER NOT NULL,
	created_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX bindings_by_function ON bindings (function);

-- name: 2
-- The same binding twice runs every event twice. Of those that are there the oldest stays.
DELETE FROM bindings
WHERE id NOT IN (SELECT min(id) FROM bindings GROUP BY function, kind, broker, filter);
CREATE UNIQUE INDEX bindings_once ON bindings (function, kind, broker, filter);

-- name: 3
-- The active revision is no longer always the newest one: after a rollback, or beside a candidate.
-- highest, highest_version: the newest revision ever given, the newest version that was ever active;
-- they outlive their rows, so that neither is given or taken again by mistake.
ALTER TABLE functions ADD COLUMN highest INTEGER NOT NULL DEFAULT 0;
ALTER TABLE functions ADD COLUMN highest_version TEXT NOT NULL DEFAULT '0.0.0';
UPDATE functions SET highest = revision, highest_version = coalesce(
	(SELECT version FROM versions v WHERE v.name = functions.name AND v.revision = functions.revision),
	'0.0.0');
-- A candidate beside the active revision: the last one of each function, with how it ended.
CREATE TABLE rollouts (
	name       TEXT PRIMARY KEY REFERENCES functions (name) ON DELETE CASCADE,
	revision   INTEGER NOT NULL,
	mode       TEXT NOT NULL CHECK (mode IN ('canary', 'shadow')),
	percent    INTEGER NOT NULL CHECK (percent BETWEEN 1 AND 100),
	state      TEXT NOT NULL CHECK (state IN ('running', 'promoted', 'ended')),
	reason     TEXT NOT NULL,
	started_at INTEGER NOT NULL,
	ended_at   INTEGER NOT NULL
) STRICT;

-- name: 4
-- 0 and '': as the function's manifest has it.
ALTER TABLE bindings ADD COLUMN deadline_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE bindings ADD COLUMN criticality TEXT NOT NULL DEFAULT ''
	CHECK (criticality IN ('', 'low', 'normal', 'high'));

-- name: 5
-- What the journal does with the events of a binding; durability '': journal.durability.
ALTER TABLE bindings ADD COLUMN durability TEXT NOT NULL DEFAULT ''
	CHECK (durability IN ('', 'off', 'process', 'power'));
ALTER TABLE bindings ADD COLUMN retry_max INTEGER NOT NULL DEFAULT 3;
ALTER TABLE bindings ADD COLUMN retry_ms INTEGER NOT NULL DEFAULT 1000;
ALTER TABLE bindings ADD COLUMN ordered INTEGER NOT NULL DEFAULT 0;

-- name: 6
-- Whether a version was ever the active one: a rollback does not go to a candidate that was withdrawn.
ALTER TABLE versions ADD COLUMN activated INTEGER NOT NULL DEFAULT 1;

-- name: 7
-- Bindings of things that are no broker: canonical options (proto/kinds.h), which are a part of what they
-- listen to; and the broker that their messages go to, '': that of their events, or "default".
ALTER TABLE bindings ADD COLUMN options TEXT NOT NULL DEFAULT '{}';
ALTER TABLE bindings ADD COLUMN publish_broker TEXT NOT NULL DEFAULT '';
DROP INDEX bindings_once;
CREATE UNIQUE INDEX bindings_once ON bindings (function, kind, broker, filter, options);
