/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/wr.h"
#include "sandbox/runtime/state.h"

static struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

static bool put(struct state *s, const char *key, const char *value)
{
	return state_change(s, text("b"), text(key), IPC_STATE_PUT, text(value), 0);
}

static bool del(struct state *s, const char *key)
{
	return state_change(s, text("b"), text(key), IPC_STATE_DELETE, text(""), 0);
}

/* The list as text: "read k@3; put k@any=v; ..." */
static void leaving(const struct state *s, char *ret, size_t cap)
{
	static const char *const what[] = { "read", "put", "delete", "listed" };
	static uint8_t list[IPC_STATE_BYTES];
	struct wr w = wr_into(list, sizeof(list));
	struct ipc_state_op o;
	state_put(s, &w);
	assert_true(wr_ok(&w));
	assert_int_equal(w.len, s->leaving);
	struct rd r = rd_from(list, w.len);
	size_t n = 0;
	*ret = '\0';
	while (ipc_state_next(&r, &o)) {
		char version[24] = "any";
		if (o.version != IPC_STATE_ANY)
			(void)snprintf(version, sizeof(version), "%llu",
				       (unsigned long long)o.version);
		n += (size_t)snprintf(ret + n, cap - n, "%s %.*s@%s", what[o.what], (int)o.key.len,
				      (const char *)o.key.at, version);
		if (o.what == IPC_STATE_PUT)
			n += (size_t)snprintf(ret + n, cap - n, "=%.*s", (int)o.value.len,
					      (const char *)o.value.at);
		n += (size_t)snprintf(ret + n, cap - n, "; ");
	}
	assert_true(rd_done(&r));
}

#define LEAVES(s, want)                                                                            \
	do {                                                                                       \
		char got_[512];                                                                    \
		leaving(s, got_, sizeof(got_));                                                    \
		assert_string_equal(got_, want);                                                   \
	} while (0)

static void an_event_sees_its_own_changes_and_keeps_the_version_that_it_read(void **state)
{
	struct state s = { 0 };
	(void)state;
	assert_null(state_find(&s, text("b"), text("n")));
	struct state_entry *e = state_read(&s, text("b"), text("n"), 7, text("41"));
	assert_true(e && e->there);
	assert_true(put(&s, "n", "42"));
	e = state_find(&s, text("b"), text("n"));
	assert_memory_equal(state_span(&s, e->value).at, "42", 2);
	LEAVES(&s, "put n@7=42; ");
	assert_true(del(&s, "n"));
	assert_false(state_find(&s, text("b"), text("n"))->there);
	LEAVES(&s, "delete n@7; ");
	assert_true(put(&s, "x", "1")); /* never read */
	e = state_read(&s, text("b"), text("y"), 0, (struct span){ 0 });
	assert_false(e->there);
	assert_null(state_find(&s, text("other"), text("x")));
	LEAVES(&s, "delete n@7; put x@any=1; read y@0; ");
	state_reset(&s);
	assert_null(state_find(&s, text("b"), text("n")));
	LEAVES(&s, "");
	state_fini(&s);
}

static struct span names(const char *const *list, size_t n, bool more)
{
	static uint8_t buf[4096];
	struct wr w = wr_into(buf, sizeof(buf));
	for (size_t i = 0; i < n; i++) {
		wr_u16(&w, (uint16_t)strlen(list[i]));
		wr_str(&w, list[i]);
	}
	if (more)
		wr_u16(&w, 0);
	assert_true(wr_ok(&w));
	return (struct span){ buf, w.len };
}

/* All names behind `after`, one by one; asks for the second page when the first is used up. */
static void list(struct state *s, const char *prefix, struct span second, char *ret)
{
	uint8_t after[64];
	size_t len = 0;
	struct span name;
	*ret = '\0';
	for (;;) {
		if (!state_next(s, text("b"), text(prefix), (struct span){ after, len }, &name)) {
			uint8_t behind[64];
			memcpy(behind, name.at, name.len);
			assert_true(state_page(s, text("b"), text(prefix),
					       (struct span){ behind, name.len }, 9, second));
			continue;
		}
		if (!name.at)
			return;
		(void)snprintf(ret + strlen(ret), 32, "%.*s ", (int)name.len,
			       (const char *)name.at);
		memcpy(after, name.at, name.len);
		len = name.len;
	}
}

static void names_come_in_order_with_the_events_own_changes_over_pages(void **state)
{
	static const char *const first[] = { "p/a", "p/c", "p/e" };
	static const char *const second[] = { "p/f", "p/g" };
	struct state s = { 0 };
	char got[256];
	(void)state;
	assert_true(put(&s, "p/b", "1"));
	assert_true(put(&s, "p/fa", "1")); /* lies behind what the first page says */
	assert_true(put(&s, "q", "1"));
	assert_true(del(&s, "p/c"));
	assert_true(del(&s, "p/e"));
	assert_true(state_page(&s, text("b"), text("p/"), text(""), 9, names(first, 3, true)));
	assert_true(s.page_more);
	list(&s, "p/", names(second, 2, false), got);
	assert_string_equal(got, "p/a p/b p/f p/fa p/g ");
	/* a list of another prefix or bucket is not answered from this page */
	struct span name;
	assert_false(state_next(&s, text("b"), text("q"), text(""), &name));
	assert_false(state_next(&s, text("c"), text("p/"), text(""), &name));
	state_fini(&s);
}

static void a_whole_page_of_deleted_names_is_passed(void **state)
{
	static const char *const first[] = { "a", "b" };
	struct state s = { 0 };
	struct span name;
	(void)state;
	assert_true(del(&s, "a") && del(&s, "b"));
	assert_true(state_page(&s, text("b"), text(""), text(""), 9, names(first, 2, true)));
	assert_false(state_next(&s, text("b"), text(""), text(""), &name));
	assert_int_equal(name.len, 1); /* go on behind "b", not from the beginning again */
	assert_memory_equal(name.at, "b", 1);
	state_fini(&s);
}

static void a_cut_page_ends_the_list(void **state)
{
	static const uint8_t cut[] = { 1, 0, 'a', 9, 0, 'b' };
	struct state s = { 0 };
	struct span name;
	(void)state;
	assert_true(state_page(&s, text("b"), text(""), text(""), 1,
			       (struct span){ cut, sizeof(cut) }));
	assert_true(state_next(&s, text("b"), text(""), text(""), &name));
	assert_true(name.len == 1 && state_next(&s, text("b"), text(""), name, &name));
	assert_null(name.at);
	state_fini(&s);
}

static void every_bound_is_kept_and_a_refused_change_changes_nothing(void **state)
{
	static uint8_t big[IPC_STATE_VALUE_MAX];
	struct state s = { 0 };
	char key[16];
	unsigned n = 0;
	(void)state;
	while (put(&s, (snprintf(key, sizeof(key), "%u", n), key), ""))
		n++;
	assert_int_equal(n, IPC_STATE_OPS_MAX);
	state_reset(&s);
	assert_true(state_change(&s, text("b"), text("1"), IPC_STATE_PUT,
				 (struct span){ big, sizeof(big) }, 0));
	assert_false(state_change(&s, text("b"), text("2"), IPC_STATE_PUT,
				  (struct span){ big, sizeof(big) }, 0));
	assert_null(state_find(&s, text("b"), text("2")));
	assert_true(put(&s, "1", "small again"));
	assert_true(state_change(&s, text("b"), text("2"), IPC_STATE_PUT,
				 (struct span){ big, sizeof(big) }, 0));
	assert_true(s.leaving <= IPC_STATE_BYTES);
	state_reset(&s);
	for (n = 0; state_read(&s, text("b"), text((snprintf(key, sizeof(key), "%u", n), key)), 1,
			       (struct span){ big, sizeof(big) });)
		n++;
	assert_in_range(n, 4, STATE_MEMORY_MAX / sizeof(big));
	state_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_sees_its_own_changes_and_keeps_the_version_that_it_read),
		cmocka_unit_test(names_come_in_order_with_the_events_own_changes_over_pages),
		cmocka_unit_test(a_whole_page_of_deleted_names_is_passed),
		cmocka_unit_test(a_cut_page_ends_the_list),
		cmocka_unit_test(every_bound_is_kept_and_a_refused_change_changes_nothing),
	};
	return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
