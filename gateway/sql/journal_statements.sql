-- SPDX-License-Identifier: Apache-2.0
-- What is run on the journal. Parameters by number, in the order in which journal_write.c and
-- journal_read.c bind them.

-- name: begin
BEGIN IMMEDIATE;
-- name: commit
COMMIT;
-- name: rollback
ROLLBACK;

-- name: event_put
INSERT INTO events (id, state, due, attempts, binding, function, source, packet, digest, arrived, hops,
                    topic, attrs, payload)
VALUES (?1, 0, 0, 0, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11);
-- name: event_finish
UPDATE events SET state = ?2, due = ?3, attempts = ?4, revision = ?5, status = ?6, code = ?7, reason = ?8,
       stack = ?9, finished = ?10, first_effect = ?11, neffects = ?12, output = ?13, trace = ?14
WHERE id = ?1;
-- name: event_settle
UPDATE events SET state = ?2, due = ?3, attempts = 0 WHERE id = ?1 AND state = ?4;
-- name: event_forget
DELETE FROM events WHERE id BETWEEN ?1 AND ?2 AND state IN (1, 3);
-- name: dead_forget
DELETE FROM events WHERE id IN (SELECT id FROM events WHERE state = 2 ORDER BY id LIMIT ?1);
-- name: event_step
SELECT id FROM (SELECT id FROM events WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3) ORDER BY id DESC LIMIT 1;

-- name: effect_put
INSERT INTO effects (id, state, event, revision, position, out, function, topic, payload, qos, retain, hops,
                     packet, created, attrs)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15);
-- name: effect_progress
UPDATE effects SET state = ?2, packet = ?3, reason = ?4 WHERE id = ?1 AND state < 3;
-- name: effect_forget
DELETE FROM effects WHERE id BETWEEN ?1 AND ?2 AND state > 2 AND event <= ?3;
-- name: effect_step
SELECT id FROM (SELECT id FROM effects WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3) ORDER BY id DESC LIMIT 1;

-- name: inbound_put
INSERT INTO inbound (source, packet, bytes) VALUES (?1, ?2, ?3)
ON CONFLICT (source, packet) DO UPDATE SET bytes = ?3;
-- name: inbound_drop
DELETE FROM inbound WHERE source = ?1 AND packet = ?2;
-- name: cursor_put
INSERT INTO cursors (source, name, value) VALUES (?1, ?2, ?3)
ON CONFLICT (source, name) DO UPDATE SET value = ?3;
-- name: cursor_drop
DELETE FROM cursors WHERE source = ?1 AND name = ?2;
-- name: meta_put
INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2;
