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
