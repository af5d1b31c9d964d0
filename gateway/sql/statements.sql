-- SPDX-License-Identifier: Apache-2.0
-- Every statement that penstockd runs on its registry. Parameters by number, in the order in which
-- registry.c binds them.

-- name: begin
BEGIN IMMEDIATE;
-- name: commit
COMMIT;
-- name: rollback
ROLLBACK;

-- name: key_put
INSERT INTO keys (id, public, comment, trusted_at) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (id) DO NOTHING;
-- name: key_list
SELECT id, public, comment, trusted_at FROM keys ORDER BY trusted_at, id;
-- name: key_get
SELECT id, public, comment, trusted_at FROM keys WHERE id = ?1;
-- name: key_remove
DELETE FROM keys WHERE id = ?1;

-- name: function_put
INSERT INTO functions (name, revision, state, reason, highest, highest_version)
VALUES (?1, ?2, 'active', '', ?2, ?3)
ON CONFLICT (name) DO UPDATE
SET revision = ?2, state = 'active', reason = '', highest = ?2, highest_version = ?3;
-- name: function_highest
SELECT highest_version FROM functions WHERE name = ?1;
-- name: function_activate
UPDATE functions SET revision = ?2, state = 'active', reason = '', highest_version = ?3
WHERE name = ?1;
-- name: candidate_put
UPDATE functions SET highest = ?2 WHERE name = ?1;
-- name: version_put
INSERT INTO versions (name, revision, version, hash, key_id, reactor, manifest, report, deployed_at, activated)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10);
-- name: version_activated
UPDATE versions SET activated = 1 WHERE name = ?1 AND revision = ?2;
-- name: version_prune
DELETE FROM versions WHERE name = ?1 AND revision <= ?2
AND revision NOT IN (SELECT revision FROM functions WHERE name = ?1)
AND revision NOT IN (SELECT revision FROM rollouts WHERE name = ?1 AND state = 'running');
-- name: version_report
UPDATE versions SET report = ?3 WHERE name = ?1 AND revision = ?2;
-- name: function_state
UPDATE functions SET state = ?2, reason = ?3 WHERE name = ?1;
-- name: function_remove
DELETE FROM functions WHERE name = ?1;
-- name: function_count
SELECT count(*) FROM functions;
-- name: revision_next
SELECT coalesce(max(highest), 0) + 1 FROM functions WHERE name = ?1;
-- name: function_list
SELECT f.name, f.revision, v.version, v.hash, v.key_id, v.reactor, v.manifest, v.report,
       v.deployed_at, f.state, f.reason, f.highest_version
FROM functions f JOIN versions v ON v.name = f.name AND v.revision = f.revision ORDER BY f.name;
-- name: function_get
SELECT f.name, f.revision, v.version, v.hash, v.key_id, v.reactor, v.manifest, v.report,
       v.deployed_at, f.state, f.reason, f.highest_version
FROM functions f JOIN versions v ON v.name = f.name AND v.revision = f.revision WHERE f.name = ?1;
-- name: version_list
SELECT v.name, v.revision, v.version, v.hash, v.key_id, v.reactor, v.manifest, v.report,
       v.deployed_at, iif(f.revision = v.revision, f.state, 'inactive'), f.reason,
       f.highest_version
FROM versions v JOIN functions f ON f.name = v.name WHERE v.name = ?1 ORDER BY v.revision DESC;
-- name: version_get
SELECT v.name, v.revision, v.version, v.hash, v.key_id, v.reactor, v.manifest, v.report,
       v.deployed_at, iif(f.revision = v.revision, f.state, 'inactive'), f.reason,
       f.highest_version
FROM versions v JOIN functions f ON f.name = v.name WHERE v.name = ?1 AND v.revision = ?2;
-- name: version_before
SELECT coalesce(max(v.revision), 0)
FROM versions v JOIN functions f ON f.name = v.name
WHERE v.name = ?1 AND v.revision < f.revision AND v.activated;
-- name: hash_used
SELECT count(*) FROM versions WHERE hash = ?1;

-- name: rollout_put
INSERT OR REPLACE INTO rollouts
       (name, revision, mode, percent, state, reason, started_at, ended_at)
VALUES (?1, ?2, ?3, ?4, 'running', '', ?5, 0);
-- name: rollout_end
UPDATE rollouts SET state = iif(revision = ?2, 'promoted', 'ended'),
       reason = iif(revision = ?2, '', ?3), ended_at = ?4
WHERE name = ?1 AND state = 'running';
-- name: rollout_get
SELECT name, revision, mode, percent, state, reason, started_at, ended_at
FROM rollouts WHERE name = ?1;
-- name: rollout_running
SELECT name, revision, mode, percent, state, reason, started_at, ended_at
FROM rollouts WHERE state = 'running';

-- name: binding_put
INSERT INTO bindings (function, kind, broker, filter, publish, qos, publish_qos, retain, created_at,
                      deadline_ms, criticality, durability, retry_max, retry_ms, ordered, options,
                      publish_broker)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17);
-- name: binding_list
SELECT id, function, kind, broker, filter, publish, qos, publish_qos, retain, created_at, deadline_ms,
       criticality, durability, retry_max, retry_ms, ordered, options, publish_broker
FROM bindings ORDER BY id;
-- name: binding_list_of
SELECT id, function, kind, broker, filter, publish, qos, publish_qos, retain, created_at, deadline_ms,
       criticality, durability, retry_max, retry_ms, ordered, options, publish_broker
FROM bindings WHERE function = ?1 ORDER BY id;
-- name: binding_same
SELECT id, function, kind, broker, filter, publish, qos, publish_qos, retain, created_at, deadline_ms,
       criticality, durability, retry_max, retry_ms, ordered, options, publish_broker
FROM bindings WHERE function = ?1 AND kind = ?2 AND broker = ?3 AND filter = ?4 AND options = ?5;
-- name: binding_remove
DELETE FROM bindings WHERE id = ?1;
-- name: binding_remove_of
DELETE FROM bindings WHERE function = ?1;
-- name: binding_count
SELECT count(*) FROM bindings;
-- name: binding_count_of
SELECT count(*) FROM bindings WHERE function = ?1;
