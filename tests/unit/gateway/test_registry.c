/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/gateway/scratch.h"

#include <errno.h>
#include <sqlite3.h>

#include "gateway/registry.h"

static struct registry *open_ok(const char *dir)
{
	struct registry *r = NULL;
	struct why why = { 0 };
	if (registry_open(dir, &r, &why) != 0)
		fail_msg("%s", why.text);
	return r;
}

static void sql(const char *dir, const char *text)
{
	sqlite3 *db;
	assert_int_equal(sqlite3_open(scratch_path(dir, "registry.db"), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void refused(const char *dir, int err, const char *word)
{
	struct registry *r = NULL;
	struct why why = { 0 };
	assert_int_equal(registry_open(dir, &r, &why), err);
	assert_null(r);
	if (!strstr(why.text, word))
		fail_msg("\"%s\" does not say \"%s\"", why.text, word);
}

static const char hash[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static struct registry_function function(const char *name, unsigned revision)
{
	return (struct registry_function){
		.name = name,
		.version = "1.2.3",
		.revision = revision,
		.hash = hash,
		.key_id = "aabbccddeeff001122334455",
		.is_reactor = true,
		.manifest = "{\"name\":\"x\"}",
		.report = "{}",
		.deployed_wall_ms = 1700000000123,
	};
}

static int count(void *arg, const struct registry_function *f)
{
	(void)f;
	++*(int *)arg;
	return 0;
}

static int check_function(void *arg, const struct registry_function *f)
{
	const struct registry_function *want = arg;
	assert_string_equal(f->name, want->name);
	assert_string_equal(f->version, want->version);
	assert_int_equal(f->revision, want->revision);
	assert_string_equal(f->hash, want->hash);
	assert_string_equal(f->key_id, want->key_id);
	assert_string_equal(f->manifest, want->manifest);
	assert_string_equal(f->report, want->report);
	assert_true(f->is_reactor);
	assert_true(f->deployed_wall_ms == want->deployed_wall_ms);
	assert_string_equal(f->state, "active");
	return 0;
}

static int check_key(void *arg, const struct registry_key *k)
{
	const struct registry_key *want = arg;
	assert_string_equal(k->id, want->id);
	assert_string_equal(k->comment, want->comment);
	assert_memory_equal(&k->public, &want->public, sizeof(k->public));
	assert_true(k->trusted_wall_ms == want->trusted_wall_ms);
	return 0;
}

static int check_binding(void *arg, const struct registry_binding *b)
{
	const struct registry_binding *want = arg;
	assert_true(b->id == want->id);
	assert_string_equal(b->function, want->function);
	assert_string_equal(b->filter, want->filter);
	assert_string_equal(b->publish, want->publish);
	assert_string_equal(b->broker, want->broker);
	assert_int_equal(b->qos, want->qos);
	assert_int_equal(b->publish_qos, want->publish_qos);
	assert_true(b->retain);
	assert_int_equal(b->deadline_ms, want->deadline_ms);
	assert_string_equal(b->criticality, want->criticality);
	return 0;
}

static void a_reopened_registry_has_everything(void **state)
{
	struct registry_key k = { .id = "k1", .comment = "it's \"mine\"", .trusted_wall_ms = 5 };
	struct registry_function f = function("overheat", 1);
	struct registry_binding b = { .function = "overheat",
				      .kind = "mqtt",
				      .broker = "default",
				      .filter = "a/+/b",
				      .publish = "c/{1}",
				      .qos = 2,
				      .publish_qos = 1,
				      .retain = true,
				      .deadline_ms = 20,
				      .criticality = "high" };
	struct registry_counts counts;
	struct registry *r = open_ok(*state);
	memset(&k.public, 0xa5, sizeof(k.public));
	assert_int_equal(registry_key_put(r, &k, NULL), 0);
	assert_int_equal(registry_key_put(r, &k, NULL), 1);
	assert_int_equal(registry_function_put(r, &f, NULL), 0);
	assert_int_equal(registry_binding_put(r, &b, &b.id, NULL), 0);
	registry_close(r);

	r = open_ok(*state);
	assert_int_equal(registry_keys(r, "k1", check_key, &k, NULL), 0);
	assert_int_equal(registry_functions(r, "overheat", check_function, &f, NULL), 0);
	assert_int_equal(registry_bindings(r, NULL, check_binding, &b, NULL), 0);
	assert_int_equal(registry_counts(r, &counts, NULL), 0);
	assert_true(counts.functions == 1 && counts.bindings == 1);
	registry_close(r);
}

static void a_name_that_nothing_has_is_unknown(void **state)
{
	struct registry *r = open_ok(*state);
	struct registry_binding b = {
		.function = "no", .kind = "mqtt", .broker = "", .filter = "", .publish = ""
	};
	int n = 0;
	assert_int_equal(registry_functions(r, "no", count, &n, NULL), -E_UNKNOWN);
	assert_int_equal(registry_function_remove(r, "no", true, NULL), -E_UNKNOWN);
	assert_int_equal(registry_key_remove(r, "no", NULL), -E_UNKNOWN);
	assert_int_equal(registry_binding_remove(r, 1, NULL), -E_UNKNOWN);
	assert_int_equal(registry_binding_put(r, &b, &b.id, NULL), -E_UNKNOWN);
	registry_close(r);
}

static void old_versions_are_forgotten_and_revisions_go_on(void **state)
{
	struct registry *r = open_ok(*state);
	unsigned next = 0;
	int n = 0;
	for (unsigned i = 1; i <= REGISTRY_VERSIONS_KEPT + 5; i++) {
		struct registry_function f = function("f", i);
		assert_int_equal(registry_revision_next(r, "f", &next, NULL), 0);
		assert_int_equal(next, i);
		assert_int_equal(registry_function_put(r, &f, NULL), 0);
	}
	assert_int_equal(registry_versions(r, "f", count, &n, NULL), 0);
	assert_int_equal(n, REGISTRY_VERSIONS_KEPT);
	assert_true(registry_hash_used(r, hash));
	assert_int_equal(registry_function_remove(r, "f", false, NULL), 0);
	assert_false(registry_hash_used(r, hash));
	registry_close(r);
}

static int copy_function(void *arg, const struct registry_function *f)
{
	struct registry_function *got = arg;
	got->revision = f->revision;
	(void)snprintf((char *)got->version, 32, "%s", f->version);
	(void)snprintf((char *)got->highest_version, 32, "%s", f->highest_version);
	return 0;
}

static void active_is(struct registry *r, unsigned revision, const char *version,
		      const char *highest)
{
	char texts[2][32];
	struct registry_function got = { .version = texts[0], .highest_version = texts[1] };
	assert_int_equal(registry_functions(r, "f", copy_function, &got, NULL), 0);
	assert_int_equal(got.revision, revision);
	assert_string_equal(got.version, version);
	assert_string_equal(got.highest_version, highest);
}

static void after_a_rollback_revisions_and_the_highest_version_go_on(void **state)
{
	struct registry *r = open_ok(*state);
	struct registry_function f = function("f", 1);
	unsigned n = 0;
	assert_int_equal(registry_version_before(r, "f", &n, NULL), -E_UNKNOWN);
	assert_int_equal(registry_function_put(r, &f, NULL), 0);
	assert_int_equal(registry_version_before(r, "f", &n, NULL), -E_UNKNOWN);
	f.revision = 2;
	f.version = "1.10.0";
	assert_int_equal(registry_function_put(r, &f, NULL), 0);
	active_is(r, 2, "1.10.0", "1.10.0");
	assert_int_equal(registry_version_before(r, "f", &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_int_equal(registry_activate(r, "f", 1, 5, NULL), 0);
	active_is(r, 1, "1.2.3", "1.10.0");
	assert_int_equal(registry_activate(r, "f", 7, 5, NULL), -E_UNKNOWN);
	active_is(r, 1, "1.2.3", "1.10.0");
	assert_int_equal(registry_revision_next(r, "f", &n, NULL), 0);
	assert_int_equal(n, 3);
	f.revision = 3;
	f.version = "1.9.0"; /* an operator may do that; the highest stays */
	assert_int_equal(registry_function_put(r, &f, NULL), 0);
	active_is(r, 3, "1.9.0", "1.10.0");
	registry_close(r);
}

static const struct registry_rollout canary = { .mode = "canary",
						.percent = 10,
						.started_wall_ms = 9 };

static void active_and_candidate_outlive_ten_deploys(void **state)
{
	struct registry *r = open_ok(*state);
	struct registry_function f = function("f", 1);
	int n = 0;
	assert_int_equal(registry_candidate_put(r, &f, &canary, NULL), -E_UNKNOWN);
	assert_int_equal(registry_function_put(r, &f, NULL), 0);
	for (f.revision = 2; f.revision <= REGISTRY_VERSIONS_KEPT + 5; f.revision++)
		assert_int_equal(registry_candidate_put(r, &f, &canary, NULL), 0);
	active_is(r, 1, "1.2.3", "1.2.3");
	assert_int_equal(registry_versions(r, "f", count, &n, NULL), 0);
	assert_int_equal(n, REGISTRY_VERSIONS_KEPT + 1);
	registry_close(r);
}

static void a_rollback_passes_over_what_was_never_active(void **state)
{
	struct registry *r = open_ok(*state);
	struct registry_function f = function("f", 1);
	unsigned n = 0;
	assert_int_equal(registry_function_put(r, &f, NULL), 0);
	f.revision = 2;
	assert_int_equal(registry_candidate_put(r, &f, &canary, NULL), 0);
	assert_int_equal(registry_rollout_end(r, "f", "it failed", 6, NULL), 0);
	f.revision = 3;
	assert_int_equal(registry_function_put(r, &f, NULL), 0);
	assert_int_equal(registry_version_before(r, "f", &n, NULL), 0);
	assert_int_equal(n, 1);
	f.revision = 4;
	assert_int_equal(registry_candidate_put(r, &f, &canary, NULL), 0);
	assert_int_equal(registry_activate(r, "f", 4, 7, NULL), 0); /* promoted */
	f.revision = 5;
	assert_int_equal(registry_function_put(r, &f, NULL), 0);
	assert_int_equal(registry_version_before(r, "f", &n, NULL), 0);
	assert_int_equal(n, 4);
	registry_close(r);
}

static int copy_rollout(void *arg, const struct registry_rollout *o)
{
	(void)snprintf(arg, 128, "%s %u %s %u %s: %s", o->name, o->revision, o->mode, o->percent,
		       o->state, o->reason);
	return 0;
}

static void rollout_is(struct registry *r, const char *want)
{
	char text[128] = "";
	assert_int_equal(registry_rollouts(r, "f", copy_rollout, text, NULL), 0);
	assert_string_equal(text, want);
}

static void a_rollout_ends_with_what_becomes_active(void **state)
{
	struct registry *r = open_ok(*state);
	struct registry_function f = function("f", 1);
	assert_int_equal(registry_function_put(r, &f, NULL), 0);
	rollout_is(r, "");
	f.revision = 2;
	assert_int_equal(registry_candidate_put(r, &f, &canary, NULL), 0);
	rollout_is(r, "f 2 canary 10 running: ");
	assert_int_equal(registry_activate(r, "f", 2, 5, NULL), 0);
	rollout_is(r, "f 2 canary 10 promoted: ");
	f.revision = 3;
	assert_int_equal(registry_candidate_put(r, &f, &canary, NULL), 0);
	assert_int_equal(registry_rollout_end(r, "f", "it failed", 6, NULL), 0);
	rollout_is(r, "f 3 canary 10 ended: it failed");
	assert_int_equal(registry_rollout_end(r, "f", "again", 7, NULL), 0);
	rollout_is(r, "f 3 canary 10 ended: it failed");
	f.revision = 4;
	assert_int_equal(registry_candidate_put(r, &f, &canary, NULL), 0);
	f.revision = 5;
	assert_int_equal(registry_function_put(r, &f, NULL), 0);
	rollout_is(r, "f 4 canary 10 ended: another version was deployed");
	assert_int_equal(registry_function_remove(r, "f", false, NULL), 0);
	rollout_is(r, "");
	registry_close(r);
}

static void a_bound_function_is_removed_only_with_its_bindings(void **state)
{
	struct registry *r = open_ok(*state);
	struct registry_function f = function("f", 1);
	struct registry_binding b = {
		.function = "f", .kind = "mqtt", .broker = "default", .filter = "a", .publish = ""
	};
	struct registry_counts counts;
	uint64_t first;
	assert_int_equal(registry_function_put(r, &f, NULL), 0);
	assert_int_equal(registry_binding_put(r, &b, &first, NULL), 0);
	assert_int_equal(registry_function_remove(r, "f", false, NULL), -EBUSY);
	assert_int_equal(registry_function_remove(r, "f", true, NULL), 0);
	assert_int_equal(registry_counts(r, &counts, NULL), 0);
	assert_true(counts.functions == 0 && counts.bindings == 0);
	/* and its number is not given again */
	assert_int_equal(registry_function_put(r, &f, NULL), 0);
	assert_int_equal(registry_binding_put(r, &b, &b.id, NULL), 0);
	assert_true(b.id > first);
	registry_close(r);
}

static int id_take(void *arg, const struct registry_binding *b)
{
	*(uint64_t *)arg = b->id;
	return 0;
}

static void a_function_is_bound_to_a_filter_once(void **state)
{
	struct registry *r = open_ok(*state);
	struct registry_function f = function("f", 1);
	struct registry_binding b = {
		.function = "f", .kind = "mqtt", .broker = "default", .filter = "a", .publish = ""
	};
	uint64_t first = 0, other = 0, found = 0;
	assert_int_equal(registry_function_put(r, &f, NULL), 0);
	assert_int_equal(registry_binding_same(r, &b, id_take, &found, NULL), -E_UNKNOWN);
	assert_int_equal(registry_binding_put(r, &b, &first, NULL), 0);
	b.publish = "elsewhere";
	assert_int_equal(registry_binding_put(r, &b, &other, NULL), -E_EXISTS);
	assert_int_equal(registry_binding_same(r, &b, id_take, &found, NULL), 0);
	assert_true(found == first);
	b.broker = "other";
	assert_int_equal(registry_binding_put(r, &b, &other, NULL), 0);
	registry_close(r);
}

static const char *const pieces[] = {
#define SQL(version, text) [(version)-1] = (text),
#include "sql_schema.h"
#undef SQL
};

static void a_registry_of_before_is_brought_to_this_schema(void **state)
{
	struct registry_counts counts;
	struct registry_function f = function("f", 3);
	unsigned next = 0;
	sql(*state, pieces[0]);
	sql(*state,
	    "PRAGMA application_id = 0x504e5354; PRAGMA user_version = 1;"
	    "INSERT INTO functions VALUES ('f', 3, 'active', '');"
	    "INSERT INTO versions VALUES ('f', 3, '1.2.3', "
	    "'0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef',"
	    "'aabbccddeeff001122334455', 1, '{\"name\":\"x\"}', '{}', 1700000000123);"
	    "INSERT INTO bindings VALUES (1,'f','mqtt','default','a','',1,1,0,0),"
	    "(2,'f','mqtt','default','a','x',1,1,0,0),(3,'f','mqtt','default','b','',1,1,0,0)");
	struct registry *r = open_ok(*state);
	assert_int_equal(registry_counts(r, &counts, NULL), 0);
	assert_int_equal(counts.bindings, 2); /* the same one twice is once now */
	assert_int_equal(registry_functions(r, "f", check_function, &f, NULL), 0);
	assert_int_equal(registry_revision_next(r, "f", &next, NULL), 0);
	assert_int_equal(next, 4);
	registry_close(r);
}

static void a_failed_put_changes_nothing(void **state)
{
	struct registry *r = open_ok(*state);
	struct registry_function f = function("f", 1);
	unsigned next = 0;
	assert_int_equal(registry_function_put(r, &f, NULL), 0);
	f.revision = 2;
	f.hash = "short"; /* the schema refuses it after `functions` was written */
	assert_int_equal(registry_function_put(r, &f, NULL), -EIO);
	assert_int_equal(registry_revision_next(r, "f", &next, NULL), 0);
	assert_int_equal(next, 2);
	registry_close(r);
}

static void a_newer_schema_is_refused_and_untouched(void **state)
{
	registry_close(open_ok(*state));
	sql(*state, "PRAGMA user_version = 99");
	refused(*state, -E_INVALID, "newer");
	refused(*state, -E_INVALID, "schema 99");
}

static void the_database_of_another_program_is_refused(void **state)
{
	sql(*state, "CREATE TABLE keys (a)");
	refused(*state, -E_INVALID, "another program");
}

static void a_file_that_is_no_database_is_refused(void **state)
{
	char junk[8192];
	memset(junk, 'x', sizeof(junk));
	scratch_write(scratch_path(*state, "registry.db"), junk, sizeof(junk));
	refused(*state, -E_INVALID, "damaged");
}

/* Each page of a real database in turn is overwritten: refused or still readable, never a crash. */
static void damage_anywhere_is_found_or_harmless(void **state)
{
	static char whole[256 << 10], hurt[256 << 10];
	const char *path = scratch_path(*state, "registry.db");
	struct registry *r = open_ok(*state);
	unsigned found = 0, pages = 0;
	int n = 0;
	for (unsigned i = 1; i < 9; i++) {
		struct registry_function f = function("f", i);
		assert_int_equal(registry_function_put(r, &f, NULL), 0);
	}
	registry_close(r);
	size_t len = scratch_read(path, whole, sizeof(whole));
	for (size_t at = 0; at < len; at += 4096, pages++) {
		memcpy(hurt, whole, len);
		memset(hurt + at, 0xa5, 4096);
		(void)unlink(scratch_path(*state, "registry.db-wal"));
		scratch_write(path, hurt, len);
		r = NULL;
		if (registry_open(*state, &r, NULL) < 0)
			found++;
		else
			(void)registry_functions(r, NULL, count, &n, NULL);
		registry_close(r);
	}
	assert_true(pages > 5 && found >= pages - 1);
}

static void a_read_only_place_is_refused_with_the_reason(void **state)
{
	(void)state;
	refused("/proc/nowhere", -EIO, "registry.db");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_new, scratch_free)
	const struct CMUnitTest tests[] = {
		TEST(a_reopened_registry_has_everything),
		TEST(a_name_that_nothing_has_is_unknown),
		TEST(old_versions_are_forgotten_and_revisions_go_on),
		TEST(a_bound_function_is_removed_only_with_its_bindings),
		TEST(a_function_is_bound_to_a_filter_once),
		TEST(a_registry_of_before_is_brought_to_this_schema),
		TEST(after_a_rollback_revisions_and_the_highest_version_go_on),
		TEST(active_and_candidate_outlive_ten_deploys),
		TEST(a_rollback_passes_over_what_was_never_active),
		TEST(a_rollout_ends_with_what_becomes_active),
		TEST(a_failed_put_changes_nothing),
		TEST(a_newer_schema_is_refused_and_untouched),
		TEST(the_database_of_another_program_is_refused),
		TEST(a_file_that_is_no_database_is_refused),
		TEST(damage_anywhere_is_found_or_harmless),
		TEST(a_read_only_place_is_refused_with_the_reason),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
