-- SPDX-License-Identifier: Apache-2.0
-- What is asked of the journal, on the reading connection. Columns in the order of journal_read.c.

-- name: events
SELECT id, due, binding, arrived, finished, digest, first_effect, state, attempts, revision, status, neffects,
       code, packet, hops, function, source, reason, stack, topic, attrs, payload, output, trace
FROM events
WHERE (?1 IS NULL OR function = ?1) AND (?2 < 0 OR state = ?2) AND (?3 = 0 OR id = ?3)
  AND arrived >= ?4 AND (?5 = 0 OR id < ?5)
ORDER BY id DESC LIMIT ?6;
-- name: event
SELECT id, due, binding, arrived, finished, digest, first_effect, state, attempts, revision, status, neffects,
       code, packet, hops, function, source, reason, stack, topic, attrs, payload, output, trace
FROM events WHERE id = ?1;
-- name: dead
SELECT id, due, binding, arrived, finished, digest, first_effect, state, attempts, revision, status, neffects,
       code, packet, hops, function, source, reason, stack, topic, attrs, payload, output, trace
FROM events WHERE state = 2 AND (?1 IS NULL OR function = ?1) AND (?2 = 0 OR id < ?2) ORDER BY id DESC LIMIT ?3;
-- name: due
SELECT id, due, binding, arrived, finished, digest, first_effect, state, attempts, revision, status, neffects,
       code, packet, hops, function, source, reason, stack, topic, attrs, payload, output, trace
FROM events INDEXED BY events_open WHERE state = 0 AND due <= ?1 AND (due, id) > (?2, ?3)
ORDER BY due, id LIMIT ?4;
-- name: due_heads
SELECT id, due, binding, arrived, finished, digest, first_effect, state, attempts, revision, status, neffects,
       code, packet, hops, function, source, '', '', topic, x'', x'', x'', x''
FROM events INDEXED BY events_open WHERE state = 0 AND (due, id) > (?1, ?2) ORDER BY due, id LIMIT ?3;
-- name: recent
SELECT id, due, binding, arrived, finished, digest, first_effect, state, attempts, revision, status, neffects,
       code, packet, hops, function, source, reason, stack, topic, attrs, x'', x'', x''
FROM events WHERE packet > 0 AND source = ?1 ORDER BY id DESC LIMIT ?2;
-- name: effects_of
SELECT id, state, event, revision, position, out, function, topic, payload, qos, retain, hops, packet, created, reason, attrs
FROM effects WHERE id >= ?1 AND id < ?1 + ?2 ORDER BY id;
-- name: effects_waiting
SELECT id, state, event, revision, position, out, function, topic, payload, qos, retain, hops, packet, created, reason, attrs
FROM effects INDEXED BY effects_open WHERE out = ?1 AND id > ?2 AND state < 3 AND state = 0 ORDER BY id LIMIT ?3;
-- name: effects_begun
SELECT id, state, event, revision, position, out, function, topic, payload, qos, retain, hops, packet, created, reason, attrs
FROM effects INDEXED BY effects_open WHERE out = ?1 AND id > ?2 AND state < 3 AND state > 0 ORDER BY id LIMIT ?3;
-- name: inbounds
SELECT packet, bytes FROM inbound WHERE source = ?1;
-- name: cursors
SELECT source, name, value FROM cursors;
-- name: counts
SELECT (SELECT count(*) FROM events WHERE state = 0), (SELECT count(*) FROM events WHERE state = 2),
       (SELECT count(*) FROM effects WHERE state < 3), (SELECT coalesce(max(id), 0) FROM events),
       (SELECT coalesce(max(id), 0) FROM effects),
       (SELECT coalesce(sum(length(payload) + length(attrs) + length(topic)), 0) FROM events WHERE state = 0),
       (SELECT coalesce(sum(length(payload) + length(topic) + length(attrs)), 0) FROM effects WHERE state < 3);
