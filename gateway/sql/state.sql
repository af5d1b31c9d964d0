-- SPDX-License-Identifier: Apache-2.0
-- What functions remember: tables `state` and `buckets` of journal_schema.sql. Parameters by number, in the
-- order in which state.c binds them. A row that has expired is as good as gone: ?now decides.

-- name: get
SELECT version, value FROM state WHERE bucket = ?1 AND key = ?2 AND (expires = 0 OR expires > ?3);
-- name: names
SELECT key FROM state WHERE bucket = ?1 AND key >= ?2 AND key > ?3 AND (expires = 0 OR expires > ?4)
ORDER BY key;
-- name: size
SELECT length(key) + length(value) FROM state WHERE bucket = ?1 AND key = ?2;
-- name: put
INSERT INTO state (bucket, key, value, version, expires) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (bucket, key) DO UPDATE SET value = ?3, version = ?4, expires = ?5;
-- name: drop
DELETE FROM state WHERE bucket = ?1 AND key = ?2;
-- name: bucket_get
SELECT version, keys, bytes FROM buckets WHERE bucket = ?1;
-- name: bucket_put
INSERT INTO buckets (bucket, version, keys, bytes) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (bucket) DO UPDATE SET version = ?2, keys = ?3, bytes = ?4;
-- name: bucket_list
SELECT bucket, keys, bytes FROM buckets WHERE keys > 0 ORDER BY bucket;
-- name: bucket_drop
DELETE FROM state WHERE bucket = ?1;
-- name: expired
SELECT bucket, key FROM state WHERE expires > 0 AND expires <= ?1 LIMIT ?2;
-- name: highest
SELECT max(coalesce((SELECT max(version) FROM state), 0), coalesce((SELECT max(version) FROM buckets), 0));
