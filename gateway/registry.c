/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the registry: from C to SQL and back. */
#include "gateway/registry.h"

#include <errno.h>
#include <string.h>

#include "gateway/registry_db.h"
#include "proto/manifest.h"
#include "proto/semver.h"

#define U64(x) ((uint64_t)(x))

static uint64_t column_u64(sqlite3_stmt *s, int column)
{
	return (uint64_t)sqlite3_column_int64(s, column);
}

/* One number, from a statement that always gives one row. */
static int one_u64(struct registry *r, sqlite3_stmt *s, uint64_t *ret, struct why *why)
{
	if (sqlite3_step(s) != SQLITE_ROW)
		return registry_fail(r, "count", why);
	*ret = column_u64(s, 0);
	return 0;
}

/* ---- keys ---- */

int registry_key_put(struct registry *r, const struct registry_key *k, struct why *why)
{
	STMT s = registry_stmt(r, S_key_put);
	registry_bind(s, "sbsu", k->id, k->public.key, k->comment, k->trusted_wall_ms);
	int err = registry_run(r, s, "store a key", why);
	return err < 0 ? err : sqlite3_changes(r->db) == 0;
}

static int key_row(sqlite3_stmt *s, registry_key_fn *each, void *arg)
{
	struct registry_key k = {
		.id = registry_text(s, 0),
		.comment = registry_text(s, 2),
		.trusted_wall_ms = column_u64(s, 3),
	};
	const void *public = sqlite3_column_blob(s, 1);
	if (!public || sqlite3_column_bytes(s, 1) != SIG_PUBLIC_BYTES)
		return 0; /* the schema forbids it */
	memcpy(k.public.key, public, SIG_PUBLIC_BYTES);
	return each(arg, &k);
}

int registry_keys(struct registry *r, const char *id, registry_key_fn *each, void *arg,
		  struct why *why)
{
	STMT s = registry_stmt(r, id ? S_key_get : S_key_list);
	if (id)
		registry_bind(s, "s", id);
	int rc, n = 0;
	for (; (rc = sqlite3_step(s)) == SQLITE_ROW; n++) {
		int err = key_row(s, each, arg);
		if (err != 0)
			return err;
	}
	if (rc != SQLITE_DONE)
		return registry_fail(r, "read keys", why);
	return id && n == 0 ? why_set(why, -E_UNKNOWN, "no key %s is trusted here", id) : 0;
}

int registry_key_remove(struct registry *r, const char *id, struct why *why)
{
	STMT s = registry_stmt(r, S_key_remove);
	registry_bind(s, "s", id);
	int err = registry_run(r, s, "remove a key", why);
	if (err == 0 && sqlite3_changes(r->db) == 0)
		err = why_set(why, -E_UNKNOWN, "no key %s is trusted here", id);
	return err;
}

/* ---- functions ---- */

int registry_revision_next(struct registry *r, const char *name, unsigned *ret, struct why *why)
{
	uint64_t next = 0;
	STMT s = registry_stmt(r, S_revision_next);
	registry_bind(s, "s", name);
	int err = one_u64(r, s, &next, why);
	if (err == 0)
		*ret = (unsigned)next;
	return err;
}

static int version_put(struct registry *r, const struct registry_function *f, bool activated,
		       struct why *why)
{
	STMT s = registry_stmt(r, S_version_put);
	registry_bind(s, "susssussuu", f->name, U64(f->revision), f->version, f->hash, f->key_id,
		      U64(f->is_reactor), f->manifest, f->report, f->deployed_wall_ms,
		      U64(activated));
	return registry_run(r, s, "store a version", why);
}

static int rollout_end(struct registry *r, const char *name, unsigned promoted, const char *reason,
		       uint64_t wall_ms, struct why *why)
{
	STMT s = registry_stmt(r, S_rollout_end);
	registry_bind(s, "susu", name, U64(promoted), reason, wall_ms);
	return registry_run(r, s, "end a rollout", why);
}

static int versions_prune(struct registry *r, const char *name, unsigned newest, struct why *why)
{
	if (newest <= REGISTRY_VERSIONS_KEPT)
		return 0;
	STMT s = registry_stmt(r, S_version_prune);
	registry_bind(s, "su", name, U64(newest - REGISTRY_VERSIONS_KEPT));
	return registry_run(r, s, "forget old versions", why);
}

/* The newer one of this and all before it; borrowed from either. */
static const char *version_highest(sqlite3_stmt *s, const char *name, const char *version)
{
	registry_bind(s, "s", name);
	if (sqlite3_step(s) != SQLITE_ROW)
		return version;
	const char *before = registry_text(s, 0);
	return semver_ok(before) && semver_cmp(before, version) > 0 ? before : version;
}

/* Inside a transaction. */
static int function_put(struct registry *r, const struct registry_function *f, struct why *why)
{
	STMT highest = registry_stmt(r, S_function_highest);
	STMT put = registry_stmt(r, S_function_put);
	registry_bind(put, "sus", f->name, U64(f->revision),
		      version_highest(highest, f->name, f->version));
	int err = registry_run(r, put, "store a function", why);
	if (err == 0)
		err = version_put(r, f, true, why);
	if (err == 0)
		err = rollout_end(r, f->name, 0, "another version was deployed",
				  f->deployed_wall_ms, why);
	return err < 0 ? err : versions_prune(r, f->name, f->revision, why);
}

int registry_function_put(struct registry *r, const struct registry_function *f, struct why *why)
{
	int err = registry_begin(r, why);
	return err < 0 ? err : registry_end(r, function_put(r, f, why), why);
}

/* Inside a transaction. */
static int candidate_put(struct registry *r, const struct registry_function *f,
			 const struct registry_rollout *o, struct why *why)
{
	STMT put = registry_stmt(r, S_candidate_put);
	registry_bind(put, "su", f->name, U64(f->revision));
	int err = registry_run(r, put, "store a candidate", why);
	if (err == 0 && sqlite3_changes(r->db) == 0)
		err = why_set(why, -E_UNKNOWN, "no function \"%s\" is deployed", f->name);
	if (err == 0)
		err = version_put(r, f, false, why);
	if (err < 0)
		return err;
	STMT rollout = registry_stmt(r, S_rollout_put);
	registry_bind(rollout, "susuu", f->name, U64(f->revision), o->mode, U64(o->percent),
		      o->started_wall_ms);
	err = registry_run(r, rollout, "store a rollout", why);
	return err < 0 ? err : versions_prune(r, f->name, f->revision, why);
}

int registry_candidate_put(struct registry *r, const struct registry_function *f,
			   const struct registry_rollout *o, struct why *why)
{
	int err = registry_begin(r, why);
	return err < 0 ? err : registry_end(r, candidate_put(r, f, o, why), why);
}

static int version_copy(void *arg, const struct registry_function *f)
{
	(void)snprintf(arg, MANIFEST_VERSION_MAX + 1, "%s", f->version);
	return 0;
}

/* Inside a transaction. */
static int activate(struct registry *r, const char *name, unsigned revision, uint64_t wall_ms,
		    struct why *why)
{
	char version[MANIFEST_VERSION_MAX + 1] = "";
	int err = registry_version(r, name, revision, version_copy, version, why);
	if (err < 0)
		return err;
	STMT highest = registry_stmt(r, S_function_highest);
	STMT s = registry_stmt(r, S_function_activate);
	registry_bind(s, "sus", name, U64(revision), version_highest(highest, name, version));
	err = registry_run(r, s, "activate a version", why);
	if (err == 0) {
		STMT mark = registry_stmt(r, S_version_activated);
		registry_bind(mark, "su", name, U64(revision));
		err = registry_run(r, mark, "activate a version", why);
	}
	return err < 0 ? err
		       : rollout_end(r, name, revision, "another version was activated", wall_ms,
				     why);
}

int registry_activate(struct registry *r, const char *name, unsigned revision, uint64_t wall_ms,
		      struct why *why)
{
	int err = registry_begin(r, why);
	return err < 0 ? err : registry_end(r, activate(r, name, revision, wall_ms, why), why);
}

int registry_rollout_end(struct registry *r, const char *name, const char *reason, uint64_t wall_ms,
			 struct why *why)
{
	return rollout_end(r, name, 0, reason, wall_ms, why);
}

int registry_rollouts(struct registry *r, const char *name, registry_rollout_fn *each, void *arg,
		      struct why *why)
{
	STMT s = registry_stmt(r, name ? S_rollout_get : S_rollout_running);
	if (name)
		registry_bind(s, "s", name);
	int rc;
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		const struct registry_rollout o = {
			.name = registry_text(s, 0),
			.revision = (unsigned)column_u64(s, 1),
			.mode = registry_text(s, 2),
			.percent = (unsigned)column_u64(s, 3),
			.state = registry_text(s, 4),
			.reason = registry_text(s, 5),
			.started_wall_ms = column_u64(s, 6),
			.ended_wall_ms = column_u64(s, 7),
		};
		int err = each(arg, &o);
		if (err != 0)
			return err;
	}
	return rc == SQLITE_DONE ? 0 : registry_fail(r, "read rollouts", why);
}

int registry_function_report(struct registry *r, const char *name, unsigned revision,
			     const char *report, struct why *why)
{
	STMT s = registry_stmt(r, S_version_report);
	registry_bind(s, "sus", name, U64(revision), report);
	return registry_run(r, s, "store a report", why);
}

int registry_function_state(struct registry *r, const char *name, const char *state,
			    const char *reason, struct why *why)
{
	STMT s = registry_stmt(r, S_function_state);
	registry_bind(s, "sss", name, state, reason);
	return registry_run(r, s, "store a state", why);
}

static int functions_walk(struct registry *r, sqlite3_stmt *s, registry_function_fn *each,
			  void *arg, struct why *why)
{
	int rc, n = 0;
	for (; (rc = sqlite3_step(s)) == SQLITE_ROW; n++) {
		const struct registry_function f = {
			.name = registry_text(s, 0),
			.revision = (unsigned)column_u64(s, 1),
			.version = registry_text(s, 2),
			.hash = registry_text(s, 3),
			.key_id = registry_text(s, 4),
			.is_reactor = column_u64(s, 5) != 0,
			.manifest = registry_text(s, 6),
			.report = registry_text(s, 7),
			.deployed_wall_ms = column_u64(s, 8),
			.state = registry_text(s, 9),
			.reason = registry_text(s, 10),
			.highest_version = registry_text(s, 11),
		};
		int err = each(arg, &f);
		if (err != 0)
			return err;
	}
	return rc == SQLITE_DONE ? n : registry_fail(r, "read functions", why);
}

int registry_functions(struct registry *r, const char *name, registry_function_fn *each, void *arg,
		       struct why *why)
{
	STMT s = registry_stmt(r, name ? S_function_get : S_function_list);
	if (name)
		registry_bind(s, "s", name);
	int n = functions_walk(r, s, each, arg, why);
	if (name && n == 0)
		return why_set(why, -E_UNKNOWN, "no function \"%s\" is deployed", name);
	return n < 0 ? n : 0;
}

int registry_versions(struct registry *r, const char *name, registry_function_fn *each, void *arg,
		      struct why *why)
{
	STMT s = registry_stmt(r, S_version_list);
	registry_bind(s, "s", name);
	int n = functions_walk(r, s, each, arg, why);
	return n < 0 ? n : 0;
}

int registry_version(struct registry *r, const char *name, unsigned revision,
		     registry_function_fn *each, void *arg, struct why *why)
{
	STMT s = registry_stmt(r, S_version_get);
	registry_bind(s, "su", name, U64(revision));
	int n = functions_walk(r, s, each, arg, why);
	if (n == 0)
		return why_set(why, -E_UNKNOWN, "function \"%s\" has no revision %u here", name,
			       revision);
	return n < 0 ? n : 0;
}

int registry_version_before(struct registry *r, const char *name, unsigned *ret, struct why *why)
{
	uint64_t before = 0;
	STMT s = registry_stmt(r, S_version_before);
	registry_bind(s, "s", name);
	int err = one_u64(r, s, &before, why);
	if (err == 0 && before == 0)
		err = why_set(why, -E_UNKNOWN, "function \"%s\" has no older version here", name);
	*ret = (unsigned)before;
	return err;
}

/* Inside a transaction. */
static int function_remove(struct registry *r, const char *name, bool with_bindings,
			   struct why *why)
{
	uint64_t bound = 0;
	STMT count = registry_stmt(r, S_binding_count_of);
	registry_bind(count, "s", name);
	int err = one_u64(r, count, &bound, why);
	if (err < 0)
		return err;
	if (bound > 0 && !with_bindings)
		return why_set(why, -EBUSY, "%llu binding%s still name%s function \"%s\"",
			       (unsigned long long)bound, bound == 1 ? "" : "s",
			       bound == 1 ? "s" : "", name);
	STMT unbind = registry_stmt(r, S_binding_remove_of);
	registry_bind(unbind, "s", name);
	err = registry_run(r, unbind, "remove bindings", why);
	if (err < 0)
		return err;
	STMT remove = registry_stmt(r, S_function_remove);
	registry_bind(remove, "s", name);
	err = registry_run(r, remove, "remove a function", why);
	if (err == 0 && sqlite3_changes(r->db) == 0)
		err = why_set(why, -E_UNKNOWN, "no function \"%s\" is deployed", name);
	return err;
}

int registry_function_remove(struct registry *r, const char *name, bool with_bindings,
			     struct why *why)
{
	int err = registry_begin(r, why);
	if (err == 0)
		err = registry_end(r, function_remove(r, name, with_bindings, why), why);
	return err;
}

bool registry_hash_used(struct registry *r, const char *hash)
{
	uint64_t n = 1;
	STMT s = registry_stmt(r, S_hash_used);
	registry_bind(s, "s", hash);
	return one_u64(r, s, &n, NULL) < 0 || n > 0;
}

/* ---- bindings ---- */

int registry_binding_put(struct registry *r, const struct registry_binding *b, uint64_t *ret_id,
			 struct why *why)
{
	STMT s = registry_stmt(r, S_binding_put);
	registry_bind(s,
		      "sssssuuuuus"
		      "suuuss",
		      b->function, b->kind, b->broker, b->filter, b->publish, U64(b->qos),
		      U64(b->publish_qos), U64(b->retain), b->created_wall_ms, U64(b->deadline_ms),
		      b->criticality ? b->criticality : "", b->durability ? b->durability : "",
		      U64(b->retry_max), U64(b->retry_ms), U64(b->ordered),
		      b->options ? b->options : "{}", b->publish_broker ? b->publish_broker : "");
	if (sqlite3_step(s) != SQLITE_DONE) {
		int code = sqlite3_extended_errcode(r->db);
		if (code == SQLITE_CONSTRAINT_UNIQUE)
			return why_set(why, -E_EXISTS, "function \"%s\" is bound to %s %s already",
				       b->function, b->kind, b->filter);
		if (code == SQLITE_CONSTRAINT_FOREIGNKEY)
			return why_set(why, -E_UNKNOWN, "no function \"%s\" is deployed",
				       b->function);
		return registry_fail(r, "store a binding", why);
	}
	*ret_id = (uint64_t)sqlite3_last_insert_rowid(r->db);
	return 0;
}

/* Returns how many there were. */
static int bindings_walk(struct registry *r, sqlite3_stmt *s, registry_binding_fn *each, void *arg,
			 struct why *why)
{
	int rc, n = 0;
	for (; (rc = sqlite3_step(s)) == SQLITE_ROW; n++) {
		const struct registry_binding b = {
			.id = column_u64(s, 0),
			.function = registry_text(s, 1),
			.kind = registry_text(s, 2),
			.broker = registry_text(s, 3),
			.filter = registry_text(s, 4),
			.publish = registry_text(s, 5),
			.qos = (unsigned)column_u64(s, 6),
			.publish_qos = (unsigned)column_u64(s, 7),
			.retain = column_u64(s, 8) != 0,
			.created_wall_ms = column_u64(s, 9),
			.deadline_ms = (unsigned)column_u64(s, 10),
			.criticality = registry_text(s, 11),
			.durability = registry_text(s, 12),
			.retry_max = (unsigned)column_u64(s, 13),
			.retry_ms = (unsigned)column_u64(s, 14),
			.ordered = column_u64(s, 15) != 0,
			.options = registry_text(s, 16),
			.publish_broker = registry_text(s, 17),
		};
		int err = each(arg, &b);
		if (err != 0)
			return err;
	}
	return rc == SQLITE_DONE ? n : registry_fail(r, "read bindings", why);
}

int registry_bindings(struct registry *r, const char *function, registry_binding_fn *each,
		      void *arg, struct why *why)
{
	STMT s = registry_stmt(r, function ? S_binding_list_of : S_binding_list);
	if (function)
		registry_bind(s, "s", function);
	int n = bindings_walk(r, s, each, arg, why);
	return n < 0 ? n : 0;
}

int registry_binding_same(struct registry *r, const struct registry_binding *b,
			  registry_binding_fn *each, void *arg, struct why *why)
{
	STMT s = registry_stmt(r, S_binding_same);
	registry_bind(s, "sssss", b->function, b->kind, b->broker, b->filter,
		      b->options ? b->options : "{}");
	int n = bindings_walk(r, s, each, arg, why);
	return n == 0 ? why_set(why, -E_UNKNOWN, "there is no such binding") : n < 0 ? n : 0;
}

int registry_binding_remove(struct registry *r, uint64_t id, struct why *why)
{
	STMT s = registry_stmt(r, S_binding_remove);
	registry_bind(s, "u", id);
	int err = registry_run(r, s, "remove a binding", why);
	if (err == 0 && sqlite3_changes(r->db) == 0)
		err = why_set(why, -E_UNKNOWN, "there is no binding %llu", (unsigned long long)id);
	return err;
}

int registry_counts(struct registry *r, struct registry_counts *ret, struct why *why)
{
	STMT functions = registry_stmt(r, S_function_count);
	STMT bindings = registry_stmt(r, S_binding_count);
	int err = one_u64(r, functions, &ret->functions, why);
	return err < 0 ? err : one_u64(r, bindings, &ret->bindings, why);
}
