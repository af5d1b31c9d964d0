/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/gateway/scratch.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/state.h"

struct bench {
	struct journal *j;
	struct state_store *s;
};

static struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

static void open_all(struct bench *b, const char *dir)
{
	const struct journal_options o = { .state_dir = dir,
					   .quota_bytes = 1 << 20,
					   .quota_rows = 1000,
					   .keep_bytes = 1 << 20,
					   .keep_s = 100 };
	const struct state_limits l = { .bytes = 1000, .keys = 10 };
	struct why why = { 0 };
	bool damaged;
	if (journal_open(&o, &b->j, &damaged, &why) != 0 || state_open(b->j, &l, &b->s, &why) != 0)
		fail_msg("%s", why.text);
}

static void close_all(struct bench *b)
{
	state_stop(b->s);
	journal_close(b->j);
	state_free(b->s);
}

/* ---- what an event does ---- */

struct ops {
	uint8_t list[4096];
	struct wr w;
	uint32_t n;
};

static void op(struct ops *o, enum ipc_state_what what, const char *bucket, const char *key,
	       uint64_t version, const char *value)
{
	if (o->n == 0)
		o->w = wr_into(o->list, sizeof(o->list));
	const struct ipc_state_op one = { .what = (uint8_t)what,
					  .version = version,
					  .bucket = text(bucket),
					  .key = text(key),
					  .value = text(value) };
	ipc_state_put(&o->w, &one);
	o->n++;
}

struct finish {
	struct journal_finish f;
	struct state_write *w;
	int err;
	atomic_bool over; /* another thread may lead the commit */
};

static void on_finished(struct journal_op *jop, int err)
{
	struct finish *f = CONTAINER_OF(jop, struct finish, f.op);
	f->err = err;
	f->over = true;
}

static void begin(struct bench *b, struct finish *f, const struct ops *o)
{
	struct why why = { 0 };
	*f = (struct finish){ 0 };
	assert_int_equal(
		state_plan(b->s, "f", (struct span){ o->list, o->w.len }, o->n, &f->w, &why), 0);
	f->f.extras = &f->w->extra;
	f->f.op.done = on_finished;
}

/* 0, -EAGAIN (conflict) or -ENOSPC (quota). */
static int end(struct bench *b, struct finish *f)
{
	journal_finish_put(b->j, &f->f);
	journal_commit(b->j);
	assert_true(f->over);
	int err = f->w->conflict ? -EAGAIN : f->w->full ? -ENOSPC : f->err;
	assert_true((f->err == 0) == (err == 0));
	state_done(f->w);
	return err;
}

static int commit(struct bench *b, const struct ops *o)
{
	struct finish f;
	begin(b, &f, o);
	return end(b, &f);
}

static struct ipc_state_tell ask(struct bench *b, const char *function, const char *bucket,
				 const char *key, bool granted)
{
	static uint8_t packet[IPC_PACKET_BYTES];
	struct wr w = wr_into(packet, sizeof(packet));
	const struct ipc_state_ask q = { .ticket = 5, .bucket = text(bucket), .key = text(key) };
	struct ipc_msg m;
	struct why why = { 0 };
	state_answer(b->s, function, &q, granted, &w);
	assert_int_equal(ipc_parse(IPC_GATEWAY, packet, w.len, &m, &why), 0);
	assert_int_equal(m.tell.ticket, 5);
	return m.tell;
}

static void value_is(struct bench *b, const char *key, const char *want)
{
	const struct ipc_state_tell t = ask(b, "f", "", key, true);
	if (!want) {
		assert_int_equal(t.err, -E_UNKNOWN);
		assert_int_equal(t.version, 0);
		return;
	}
	assert_int_equal(t.err, 0);
	assert_int_equal(t.value.len, strlen(want));
	assert_memory_equal(t.value.at, want, t.value.len);
}

static void names_are(struct bench *b, const char *prefix, const char *after, uint32_t most,
		      const char *want)
{
	static uint8_t packet[IPC_PACKET_BYTES];
	char got[256] = "";
	struct wr w = wr_into(packet, sizeof(packet));
	const struct ipc_state_ask q = { .list = 1,
					 .most = most,
					 .key = text(prefix),
					 .after = text(after),
					 .bucket = text("") };
	struct ipc_msg m;
	state_answer(b->s, "f", &q, true, &w);
	assert_int_equal(ipc_parse(IPC_GATEWAY, packet, w.len, &m, NULL), 0);
	struct rd r = rd_from(m.tell.value.at, m.tell.value.len);
	while (r.left > 0) {
		const struct span name = rd_span(&r, rd_u16(&r));
		assert_true(rd_ok(&r));
		(void)snprintf(got + strlen(got), 40, "%.*s ", name.len ? (int)name.len : 1,
			       name.len ? (const char *)name.at : "+");
	}
	assert_string_equal(got, want);
}

/* ---- rules ---- */

static void what_is_put_is_there_after_a_restart_and_belongs_to_its_function(void **state)
{
	struct bench b;
	struct ops o = { .n = 0 };
	open_all(&b, *state);
	value_is(&b, "n", NULL);
	op(&o, IPC_STATE_PUT, "", "n", IPC_STATE_ANY, "41");
	op(&o, IPC_STATE_PUT, "shared", "s", IPC_STATE_ANY, "1");
	assert_int_equal(commit(&b, &o), 0);
	value_is(&b, "n", "41");
	assert_int_equal(ask(&b, "g", "", "n", true).err, -E_UNKNOWN);
	assert_int_equal(ask(&b, "g", "shared", "s", true).err, 0);
	assert_int_equal(ask(&b, "g", "shared", "s", false).err, -E_TRUST);
	assert_int_equal(ask(&b, "g", "=f", "n", true).err, -E_TRUST); /* no way around it */
	close_all(&b);
	open_all(&b, *state);
	value_is(&b, "n", "41");
	struct ops del = { .n = 0 };
	op(&del, IPC_STATE_DELETE, "", "n", IPC_STATE_ANY, "");
	assert_int_equal(commit(&b, &del), 0);
	value_is(&b, "n", NULL);
	close_all(&b);
}

static void who_read_what_has_changed_writes_nothing(void **state)
{
	static const struct {
		enum ipc_state_what what;
		const char *key;
	} reads[] = {
		{ IPC_STATE_READ, "a" },    /* changed */
		{ IPC_STATE_READ, "gone" }, /* deleted */
		{ IPC_STATE_READ, "new" },  /* was not there */
		{ IPC_STATE_PUT, "a" },     { IPC_STATE_DELETE, "gone" }, { IPC_STATE_LISTED, "" },
	};
	for (size_t i = 0; i < ARRAY_LEN(reads); i++) {
		struct bench b;
		char dir[256];
		(void)snprintf(dir, sizeof(dir), "%s/%zu", (char *)*state, i);
		assert_int_equal(mkdir(dir, 0700), 0);
		struct ops first = { .n = 0 }, other = { .n = 0 }, mine = { .n = 0 };
		open_all(&b, dir);
		op(&first, IPC_STATE_PUT, "", "a", IPC_STATE_ANY, "1");
		op(&first, IPC_STATE_PUT, "", "gone", IPC_STATE_ANY, "1");
		assert_int_equal(commit(&b, &first), 0);
		uint64_t version = reads[i].what == IPC_STATE_LISTED
					   ? 2
					   : ask(&b, "f", "", reads[i].key, true).version;
		op(&mine, IPC_STATE_PUT, "", "other", IPC_STATE_ANY, "x");
		op(&mine, reads[i].what, "", reads[i].key, version, "");
		assert_int_equal(commit(&b, &mine), 0); /* nothing has changed yet */
		op(&other, IPC_STATE_PUT, "", "a", IPC_STATE_ANY, "2");
		op(&other, IPC_STATE_DELETE, "", "gone", IPC_STATE_ANY, "");
		op(&other, IPC_STATE_PUT, "", "new", IPC_STATE_ANY, "2");
		op(&other, IPC_STATE_PUT, "", "other", IPC_STATE_ANY, "theirs");
		assert_int_equal(commit(&b, &other), 0);
		assert_int_equal(commit(&b, &mine), -EAGAIN);
		value_is(&b, "other", "theirs");
		value_is(&b, "a", "2");
		close_all(&b);
	}
}

static void what_is_on_its_way_is_seen_and_is_taken_back_when_it_fails(void **state)
{
	struct bench b;
	struct finish first, second;
	struct ops one = { .n = 0 }, two = { .n = 0 };
	open_all(&b, *state);
	op(&one, IPC_STATE_PUT, "", "n", 0, "1");
	begin(&b, &first, &one);
	const struct ipc_state_tell seen = ask(&b, "f", "", "n", true);
	assert_true(seen.err == 0 && seen.value.at[0] == '1');
	op(&two, IPC_STATE_PUT, "", "n", seen.version, "2");
	begin(&b, &second, &two);
	assert_int_equal(end(&b, &first), 0);
	assert_int_equal(end(&b, &second), 0); /* in this order it agrees */
	value_is(&b, "n", "2");
	struct ops late = { .n = 0 };
	op(&late, IPC_STATE_PUT, "", "n", seen.version, "3");
	begin(&b, &first, &late);
	assert_int_equal(ask(&b, "f", "", "n", true).value.at[0], '3');
	assert_int_equal(end(&b, &first), -EAGAIN);
	value_is(&b, "n", "2");
	close_all(&b);
}

static void names_come_in_pages(void **state)
{
	struct bench b;
	struct ops o = { .n = 0 };
	open_all(&b, *state);
	op(&o, IPC_STATE_PUT, "", "p/a", IPC_STATE_ANY, "");
	op(&o, IPC_STATE_PUT, "", "p/b", IPC_STATE_ANY, "");
	op(&o, IPC_STATE_PUT, "", "p/c", IPC_STATE_ANY, "");
	op(&o, IPC_STATE_PUT, "", "q", IPC_STATE_ANY, "");
	op(&o, IPC_STATE_PUT, "x", "p/d", IPC_STATE_ANY, "");
	assert_int_equal(commit(&b, &o), 0);
	names_are(&b, "p/", "", 1000, "p/a p/b p/c ");
	names_are(&b, "", "p/b", 1000, "p/c q ");
	names_are(&b, "p/", "", 12, "p/a p/b + ");
	names_are(&b, "p/", "p/b", 12, "p/c ");
	names_are(&b, "r", "", 1000, "");
	close_all(&b);
}

static void a_bucket_keeps_its_quota_and_what_expires_makes_room(void **state)
{
	struct bench b;
	struct ops o = { .n = 0 };
	char key[8], big[1001];
	open_all(&b, *state);
	for (int i = 0; i < 10; i++) {
		(void)snprintf(key, sizeof(key), "%d", i);
		op(&o, IPC_STATE_PUT, "", key, IPC_STATE_ANY, "v");
	}
	assert_int_equal(commit(&b, &o), 0);
	struct ops eleventh = { .n = 0 }, same = { .n = 0 }, large = { .n = 0 }, ttl = { .n = 0 };
	op(&eleventh, IPC_STATE_PUT, "", "x", IPC_STATE_ANY, "v");
	assert_int_equal(commit(&b, &eleventh), -ENOSPC);
	op(&same, IPC_STATE_PUT, "", "3", IPC_STATE_ANY, "w"); /* instead of another value */
	assert_int_equal(commit(&b, &same), 0);
	memset(big, 'b', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	op(&large, IPC_STATE_PUT, "", "3", IPC_STATE_ANY, big);
	assert_int_equal(commit(&b, &large), -ENOSPC);
	value_is(&b, "3", "w");
	const struct ipc_state_op soon = { .what = IPC_STATE_PUT,
					   .version = IPC_STATE_ANY,
					   .ttl_ms = 30,
					   .key = text("3"),
					   .value = text("soon") };
	ttl.w = wr_into(ttl.list, sizeof(ttl.list));
	ipc_state_put(&ttl.w, &soon);
	ttl.n = 1;
	assert_int_equal(commit(&b, &ttl), 0);
	value_is(&b, "3", "soon");
	(void)usleep(40000);
	value_is(&b, "3", NULL);
	assert_int_equal(commit(&b, &eleventh), -ENOSPC); /* its row is still there */
	state_tick(b.s);
	journal_tick(b.j);
	assert_int_equal(commit(&b, &eleventh), 0);
	close_all(&b);
}

static int row_count(void *arg, struct span key, struct span value)
{
	(void)key;
	(void)value;
	++*(int *)arg;
	return 0;
}

static int rows_of(struct bench *b, const char *bucket, const char *prefix, unsigned limit)
{
	int n = 0;
	assert_int_equal(
		state_list(b->s, bucket, text(prefix), text(""), limit, row_count, &n, NULL), 0);
	return n;
}

static int bucket_print(void *arg, const char *bucket, uint64_t keys, uint64_t bytes)
{
	(void)snprintf((char *)arg + strlen(arg), 32, "%s %llu %llu; ", bucket,
		       (unsigned long long)keys, (unsigned long long)bytes);
	return 0;
}

static void people_see_and_remove_it(void **state)
{
	struct bench b;
	struct ops o = { .n = 0 };
	char buckets[128] = "";
	open_all(&b, *state);
	op(&o, IPC_STATE_PUT, "", "p/a", IPC_STATE_ANY, "1");
	op(&o, IPC_STATE_PUT, "", "p/b", IPC_STATE_ANY, "22");
	op(&o, IPC_STATE_PUT, "", "q", IPC_STATE_ANY, "");
	op(&o, IPC_STATE_PUT, "x", "y", IPC_STATE_ANY, "");
	assert_int_equal(commit(&b, &o), 0);
	assert_int_equal(rows_of(&b, "=f", "", 10), 3);
	assert_int_equal(rows_of(&b, "=f", "p/", 10), 2);
	assert_int_equal(rows_of(&b, "=f", "", 2), 2);
	assert_int_equal(state_buckets(b.s, bucket_print, buckets, NULL), 0);
	assert_string_equal(buckets, "=f 3 10; x 1 1; ");
	assert_int_equal(state_drop(b.s, "=f", text("p/a"), NULL), 0);
	assert_int_equal(state_drop(b.s, "=f", text("p/a"), NULL), -E_UNKNOWN);
	value_is(&b, "p/a", NULL);
	assert_int_equal(state_drop(b.s, "=f", (struct span){ 0 }, NULL), 0);
	assert_int_equal(state_drop(b.s, "=f", (struct span){ 0 }, NULL), -E_UNKNOWN);
	assert_int_equal(rows_of(&b, "=f", "", 10), 0);
	buckets[0] = '\0';
	assert_int_equal(state_buckets(b.s, bucket_print, buckets, NULL), 0);
	assert_string_equal(buckets, "x 1 1; ");
	close_all(&b);
}

static void too_many_buckets_are_refused(void **state)
{
	struct bench b;
	struct ops o = { .n = 0 };
	struct state_write *w;
	struct why why = { 0 };
	char bucket[8];
	open_all(&b, *state);
	for (int i = 0; i <= STATE_BUCKETS_MAX; i++) {
		(void)snprintf(bucket, sizeof(bucket), "b%d", i);
		op(&o, IPC_STATE_PUT, bucket, "k", IPC_STATE_ANY, "v");
	}
	assert_int_equal(state_plan(b.s, "f", (struct span){ o.list, o.w.len }, o.n, &w, &why),
			 -E_LIMIT);
	assert_null(w);
	value_is(&b, "k", NULL);
	close_all(&b);
}

/* ---- two at once ---- */

enum { ROUNDS = 500 };

static void *count_up(void *arg)
{
	struct bench *b = arg;
	for (int i = 0; i < ROUNDS;) {
		uint8_t packet[256];
		struct wr w = wr_into(packet, sizeof(packet));
		struct ops o = { .n = 0 };
		struct ipc_msg m;
		const struct ipc_state_ask q = { .key = text("n") };
		char value[16] = "0";
		state_answer(b->s, "f", &q, true, &w);
		if (ipc_parse(IPC_GATEWAY, packet, w.len, &m, NULL) != 0)
			abort();
		if (m.tell.err == 0)
			(void)snprintf(value, sizeof(value), "%.*s", (int)m.tell.value.len,
				       (const char *)m.tell.value.at);
		(void)snprintf(value, sizeof(value), "%d", atoi(value) + 1);
		op(&o, IPC_STATE_PUT, "", "n", m.tell.version, value);
		struct finish f = { 0 };
		if (state_plan(b->s, "f", (struct span){ o.list, o.w.len }, o.n, &f.w, NULL) != 0)
			abort();
		f.f.extras = &f.w->extra;
		f.f.op.done = on_finished;
		journal_finish_put(b->j, &f.f);
		struct journal_ticket t = journal_ticket(b->j);
		journal_commit(b->j);
		while (!journal_durable(b->j, t))
			(void)usleep(50);
		while (!f.over)
			(void)usleep(50);
		i += f.err == 0;
		state_done(f.w);
	}
	return NULL;
}

static void two_counters_at_once_lose_no_count(void **state)
{
	struct bench b;
	pthread_t t[2];
	char want[16];
	open_all(&b, *state);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, count_up, &b), 0);
	for (int i = 0; i < 2; i++)
		(void)pthread_join(t[i], NULL);
	(void)snprintf(want, sizeof(want), "%d", 2 * ROUNDS);
	value_is(&b, "n", want);
	close_all(&b);
}

static void one_key_cannot_be_changed_twice_in_one_event(void **state)
{
	struct bench b;
	struct ops put = { 0 }, twice = { 0 };
	struct state_write *w;
	struct why why = { 0 };
	open_all(&b, *state);
	op(&put, IPC_STATE_PUT, "", "a", IPC_STATE_ANY, "1");
	assert_int_equal(commit(&b, &put), 0);
	op(&twice, IPC_STATE_DELETE, "", "a", IPC_STATE_ANY, "");
	op(&twice, IPC_STATE_DELETE, "", "a", IPC_STATE_ANY, "");
	assert_int_equal(
		state_plan(b.s, "f", (struct span){ twice.list, twice.w.len }, twice.n, &w, &why),
		-E_INVALID);
	value_is(&b, "a", "1"); /* and nothing is pending */
	close_all(&b);
}

/* Who listed the empty bucket must not take the next change for the removal. */
static void what_an_operator_removes_has_a_version_of_its_own(void **state)
{
	static uint8_t packet[IPC_PACKET_BYTES];
	struct bench b;
	struct ops put = { 0 }, other = { 0 }, listed = { 0 };
	struct finish f;
	struct why why = { 0 };
	struct wr w = wr_into(packet, sizeof(packet));
	const struct ipc_state_ask q = { .list = 1, .most = 100 };
	struct ipc_msg m;
	open_all(&b, *state);
	op(&put, IPC_STATE_PUT, "", "a", IPC_STATE_ANY, "1");
	assert_int_equal(commit(&b, &put), 0);
	op(&other, IPC_STATE_PUT, "", "b", IPC_STATE_ANY, "2");
	begin(&b, &f, &other);
	assert_int_equal(state_drop(b.s, "=f", (struct span){ 0 }, &why), 0);
	state_answer(b.s, "f", &q, true, &w);
	assert_int_equal(ipc_parse(IPC_GATEWAY, packet, w.len, &m, &why), 0);
	assert_int_equal(end(&b, &f), 0);
	op(&listed, IPC_STATE_LISTED, "", "", m.tell.version, "");
	assert_int_equal(commit(&b, &listed), -EAGAIN);
	close_all(&b);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_new, scratch_free)
	const struct CMUnitTest tests[] = {
		TEST(what_is_put_is_there_after_a_restart_and_belongs_to_its_function),
		TEST(who_read_what_has_changed_writes_nothing),
		TEST(what_is_on_its_way_is_seen_and_is_taken_back_when_it_fails),
		TEST(names_come_in_pages),
		TEST(a_bucket_keeps_its_quota_and_what_expires_makes_room),
		TEST(people_see_and_remove_it),
		TEST(too_many_buckets_are_refused),
		TEST(one_key_cannot_be_changed_twice_in_one_event),
		TEST(what_an_operator_removes_has_a_version_of_its_own),
		TEST(two_counters_at_once_lose_no_count),
	};
	return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
