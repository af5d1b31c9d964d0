/* SPDX-License-Identifier: Apache-2.0 */
/* What came of an event, what it was told, and an event of both: as kept, as compared, as damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/kept_event.h"

static struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

/* Lists in rooms of their own, so that several outcomes live at a time. */
struct made {
	struct outcome o;
	uint8_t effects[512], state[512];
};

struct wanted {
	uint32_t status;
	int32_t code;
	const char *reply;
	struct ipc_effect effects[2];
	struct ipc_state_op state[3];
};

static void make(struct made *m, const struct wanted *w)
{
	struct wr e = wr_into(m->effects, sizeof(m->effects));
	struct wr s = wr_into(m->state, sizeof(m->state));
	for (unsigned i = 0; i < 2 && w->effects[i].topic.at; i++)
		ipc_effect_put(&e, &w->effects[i]);
	for (unsigned i = 0; i < 3 && w->state[i].key.at; i++)
		ipc_state_put(&s, &w->state[i]);
	assert_true(wr_ok(&e) && wr_ok(&s));
	m->o = (struct outcome){ .status = w->status,
				 .code = w->code,
				 .reply = text(w->reply),
				 .effects = { m->effects, e.len },
				 .state = { m->state, s.len } };
}

#define MESSAGE(t, p)                                                                              \
	{                                                                                          \
		.topic = { (const uint8_t *)(t), sizeof(t) - 1 }, .payload = {                     \
			(const uint8_t *)(p),                                                      \
			sizeof(p) - 1                                                              \
		}                                                                                  \
	}
#define PUT(k, v)                                                                                  \
	{                                                                                          \
		.what = IPC_STATE_PUT, .key = { (const uint8_t *)(k), sizeof(k) - 1 }, .value = {  \
			(const uint8_t *)(v),                                                      \
			sizeof(v) - 1                                                              \
		}                                                                                  \
	}
#define READ(k)                                                                                    \
	{                                                                                          \
		.what = IPC_STATE_READ, .version = 7,                                              \
		.key = {(const uint8_t *)(k),                                                      \
			sizeof(k) - 1 }                                                            \
	}

static const struct wanted usual = { .reply = "r",
				     .effects = { MESSAGE("a/b", "1"), MESSAGE("", "2") },
				     .state = { PUT("k", "v") } };

static void note(void *arg, const char *what, struct span then, struct span now)
{
	char *all = arg;
	size_t len = strlen(all);
	(void)snprintf(all + len, 3 * OUTCOME_SHOWN - len, "%s[%.*s|%.*s]", what,
		       then.at ? (int)then.len : 1, then.at ? (const char *)then.at : "-",
		       now.at ? (int)now.len : 1, now.at ? (const char *)now.at : "-");
}

static void each_difference_is_named_with_both_sides(void **state)
{
	static const struct {
		struct wanted then, now;
		const char *said;
	} row[] = {
		{ { .reply = "" }, { .reply = "" }, "" },
		{ { .reply = "a" }, { .reply = "b" }, "reply[a|b]" },
		{ { .reply = "", .status = IPC_FAILED, .code = 7 },
		  { .reply = "x" },
		  "status[failed|ok]code[7|0]" },
		{ { .reply = "x", .status = IPC_TRAPPED },
		  { .reply = "y", .status = IPC_TRAPPED },
		  "" },
		{ { .reply = "", .effects = { MESSAGE("t", "1"), MESSAGE("t", "2") } },
		  { .reply = "", .effects = { MESSAGE("t", "1"), MESSAGE("", "2") } },
		  "message 2[t: 2|(the binding's topic): 2]" },
		{ { .reply = "", .effects = { MESSAGE("t", "1") } },
		  { .reply = "" },
		  "message 1[t: 1|-]" },
		{ { .reply = "", .effects = { MESSAGE("t", "1") } },
		  { .reply = "",
		    .effects = { { .qos = 1,
				   .retain = 1,
				   .topic = { (const uint8_t *)"t", 1 },
				   .payload = { (const uint8_t *)"1", 1 } } } },
		  "message 1[t: 1|t (QoS 1) (retained): 1]" },
		{ { .reply = "",
		    .effects = { { .topic = { (const uint8_t *)"t", 1 },
				   .attrs = { (const uint8_t *)"\1\0a\1\0\0\0x", 8 } } } },
		  { .reply = "", .effects = { MESSAGE("t", "") } },
		  "message 1[t a=x: |t: ]" },
		{ { .reply = "", .state = { READ("x"), PUT("k", "1") } },
		  { .reply = "", .state = { PUT("k", "2"), READ("y") } },
		  "state 1[put k: 1|put k: 2]" },
		{ { .reply = "", .state = { READ("x") } }, { .reply = "" }, "" },
		{ { .reply = "" },
		  { .reply = "",
		    .state = { { .what = IPC_STATE_DELETE,
				 .bucket = { (const uint8_t *)"b", 1 },
				 .key = { (const uint8_t *)"k", 1 } } } },
		  "state 1[-|delete b/k]" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct made then, now;
		char said[3 * OUTCOME_SHOWN] = "";
		make(&then, &row[i].then);
		make(&now, &row[i].now);
		unsigned n = outcome_compare(&then.o, &now.o, note, said);
		if (strcmp(said, row[i].said) != 0 || (n == 0) != (said[0] == '\0'))
			fail_msg("row %zu: %u: %s", i, n, said);
	}
}

static void what_is_long_is_shown_in_part(void **state)
{
	static char big[OUTCOME_SHOWN + 500];
	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	struct made then, now;
	char said[3 * OUTCOME_SHOWN] = "";
	make(&then, &(struct wanted){ .reply = big });
	make(&now, &(struct wanted){ .reply = "" });
	assert_int_equal(outcome_compare(&then.o, &now.o, note, said), 1);
	assert_int_equal(strlen(said), strlen("reply[|]") + OUTCOME_SHOWN);
}

static void what_was_put_is_parsed_and_nothing_else(void **state)
{
	struct made m;
	struct outcome back;
	uint8_t buf[1024];
	char said[3 * OUTCOME_SHOWN] = "";
	(void)state;
	make(&m, &usual);
	struct wr w = wr_into(buf, outcome_bytes_most(&m.o));
	outcome_put(&w, &m.o);
	assert_true(wr_ok(&w));
	back = m.o;
	assert_true(outcome_parse((struct span){ buf, w.len }, &back));
	assert_int_equal(outcome_compare(&m.o, &back, note, said), 0);
	unsigned taken = 0;
	for (size_t n = 0; n < w.len; n++)
		taken += outcome_parse((struct span){ buf, n }, &back);
	assert_int_equal(taken, 1); /* where only the changes of state are cut off */
}

/* ---- told ---- */

static size_t told_make(uint8_t *buf, size_t cap, uint8_t cut)
{
	struct wr w = wr_into(buf, cap);
	uint8_t ask[128], tell[128];
	struct wr a = wr_into(ask, sizeof(ask)), t = wr_into(tell, sizeof(tell));
	assert_true(ipc_put_state_ask(
		&a, &(struct ipc_state_ask){ .event = 1, .ticket = 5, .key = text("k") }));
	assert_true(ipc_put_state_tell(
		&t, &(struct ipc_state_tell){ .ticket = 5, .version = 9, .value = text("v") }));
	wr_u16(&w, 9);
	wr_bytes(&w, "C\0\0\0\0\0\0\0\1", 9);
	wr_u8(&w, cut);
	wr_u32(&w, (uint32_t)a.len);
	wr_bytes(&w, ask, a.len);
	wr_u32(&w, (uint32_t)t.len);
	wr_bytes(&w, tell, t.len);
	assert_true(wr_ok(&w));
	return w.len;
}

static void a_question_of_then_has_the_answer_of_then(void **state)
{
	uint8_t buf[512];
	struct told t;
	struct ipc_state_tell tell;
	(void)state;
	size_t len = told_make(buf, sizeof(buf), 0);
	assert_int_equal(told_parse((struct span){ buf, len }, &t), 0);
	assert_int_equal(t.trace.len, 9);
	assert_true(told_find(
		&t, &(struct ipc_state_ask){ .event = 2, .ticket = 77, .key = text("k") }, &tell));
	assert_int_equal(tell.version, 9);
	assert_memory_equal(tell.value.at, "v", 1);
	assert_false(told_find(&t, &(struct ipc_state_ask){ .key = text("l") }, &tell));
	assert_false(told_find(&t, &(struct ipc_state_ask){ .list = 1, .key = text("k") }, &tell));
	for (size_t n = len; n-- > 12;) /* cut short: no answer, and no harm */
		if (told_parse((struct span){ buf, n }, &t) == 0)
			assert_false(
				told_find(&t, &(struct ipc_state_ask){ .key = text("k") }, &tell));
}

static void what_is_not_all_there_is_not_repeated(void **state)
{
	uint8_t buf[512];
	struct told t;
	(void)state;
	size_t len = told_make(buf, sizeof(buf), 1);
	assert_int_equal(told_parse((struct span){ buf, len }, &t), -E_LIMIT);
	assert_int_equal(told_parse((struct span){ buf, 5 }, &t), -E_INVALID);
	assert_int_equal(told_parse((struct span){ NULL, 0 }, &t), 0);
}

/* ---- an exported event ---- */

static void an_event_is_taken_whole_or_not_at_all(void **state)
{
	struct made m;
	uint8_t told[512], attrs[64], output[1024], buf[4096];
	struct kept_event e, back;
	struct why why = { 0 };
	(void)state;
	make(&m, &usual);
	struct wr a = wr_into(attrs, sizeof(attrs)), o = wr_into(output, sizeof(output));
	ipc_attr_put(&a, &(struct ipc_attr){ text("topic"), text("a/b") });
	outcome_put(&o, &m.o);
	e = (struct kept_event){ .attrs = { attrs, a.len },
				 .payload = text("p"),
				 .trace = { told, told_make(told, sizeof(told), 0) },
				 .output = { output, o.len },
				 .outcome = { .status = IPC_FAILED, .code = -3 } };
	struct wr w = wr_into(buf, kept_event_bytes(&e));
	kept_event_put(&w, &e);
	assert_true(wr_ok(&w));
	assert_int_equal(w.len, kept_event_bytes(&e));
	assert_int_equal(kept_event_parse((struct span){ buf, w.len }, &back, &why), 0);
	assert_int_equal(back.outcome.status, IPC_FAILED);
	assert_int_equal(back.outcome.code, -3);
	assert_int_equal(back.told.trace.len, 9);
	for (size_t n = 0; n < w.len; n++)
		assert_int_equal(kept_event_parse((struct span){ buf, n }, &back, NULL),
				 -E_INVALID);
	buf[0] = IPC_STATUS_COUNT;
	assert_int_equal(kept_event_parse((struct span){ buf, w.len }, &back, &why), -E_INVALID);
	assert_non_null(strstr(why.text, "status"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_difference_is_named_with_both_sides),
		cmocka_unit_test(what_is_long_is_shown_in_part),
		cmocka_unit_test(what_was_put_is_parsed_and_nothing_else),
		cmocka_unit_test(a_question_of_then_has_the_answer_of_then),
		cmocka_unit_test(what_is_not_all_there_is_not_repeated),
		cmocka_unit_test(an_event_is_taken_whole_or_not_at_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
