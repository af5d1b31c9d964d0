/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proto/guard_action.h"

/* verb, output, value, offset, "x", then a count of bytes */
static const uint8_t good[] = { 2, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0,   0, 0,   0,  0,
				0, 7, 0, 0, 0, 0, 0, 0, 0, 1, 'x', 2, 'o', 'n' };

static void what_is_put_is_parsed(void **state)
{
	uint8_t room[GUARD_MESSAGE_MAX];
	struct guard_action got;
	struct why why = { 0 };
	struct guard_action a = {
		.verb = GUARD_WRITE, .output = 5, .fd = 9, .offset = 7, .length = 2, .name = "x"
	};
	(void)state;
	memcpy(a.bytes, "on", 2);
	struct wr w = wr_into(room, sizeof(room));
	assert_true(guard_put(&w, &a));
	assert_int_equal(w.len, sizeof(good));
	assert_memory_equal(room, good, sizeof(good));
	assert_int_equal(guard_parse((struct span){ room, w.len }, 9, &got, &why), 0);
	assert_memory_equal(&got, &a, sizeof(a));
}

static void the_longest_fits(void **state)
{
	uint8_t room[GUARD_MESSAGE_MAX];
	struct guard_action a = { .verb = GUARD_SEND,
				  .output = GUARD_OUTPUTS_MAX - 1,
				  .length = GUARD_BYTES_MAX };
	(void)state;
	memset(a.name, 'n', GUARD_NAME_MAX);
	struct wr w = wr_into(room, sizeof(room));
	assert_true(guard_put(&w, &a));
	assert_int_equal(w.len, GUARD_MESSAGE_MAX);
}

/* One byte of the good one is another; and whether a descriptor came. */
static void what_is_malformed_is_refused(void **state)
{
	static const struct {
		size_t at;
		uint8_t byte;
		int fd;
		const char *reason;
	} bad[] = {
		{ 0, GUARD_VERBS, 3, "verb" },
		{ 3, 1, 3, "verb" },
		{ 4, GUARD_OUTPUTS_MAX, 3, "output" },
		{ 7, 0xff, 3, "output" },
		{ 8, 1, 3, "value" },      /* a write has none */
		{ 23, 0x80, 3, "offset" }, /* below 0 for pwrite */
		{ 24, 2, 3, "message" },   /* the name takes the count */
		{ 24, 255, 3, "message" },
		{ 26, 1, 3, "message" }, /* a byte is left */
		{ 26, 3, 3, "message" },
		{ 26, 255, 3, "message" },
		{ 0, GUARD_WRITE, -1, "without" },
		{ 0, GUARD_FORGET, 3, "bytes" },
		{ 0, GUARD_BYE, -1, "bytes" },
		{ 0, GUARD_GPIO, 3, "bytes" },
		{ 0, GUARD_PICTL, 3, "bytes" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		uint8_t m[sizeof(good)];
		struct guard_action a;
		struct why why = { 0 };
		memcpy(m, good, sizeof(good));
		m[bad[i].at] = bad[i].byte;
		assert_int_equal(guard_parse((struct span){ m, sizeof(m) }, bad[i].fd, &a, &why),
				 -E_PROTO);
		if (!strstr(why.text, bad[i].reason))
			fail_msg("row %zu: \"%s\"", i, why.text);
	}
	for (size_t n = 0; n < sizeof(good); n++) {
		struct guard_action a;
		assert_int_equal(guard_parse((struct span){ good, n }, 3, &a, NULL), -E_PROTO);
	}
}

static void what_is_no_action_is_not_put(void **state)
{
	static const struct guard_action bad[] = {
		{ .verb = GUARD_VERBS, .fd = -1 },
		{ .verb = GUARD_WRITE, .fd = -1, .length = 1 },
		{ .verb = GUARD_WRITE, .fd = 3 },
		{ .verb = GUARD_WRITE, .fd = 3, .length = GUARD_BYTES_MAX + 1 },
		{ .verb = GUARD_GPIO, .fd = 3, .value = 2 },
		{ .verb = GUARD_FORGET, .fd = 3 },
		{ .verb = GUARD_FORGET, .fd = -1, .output = GUARD_OUTPUTS_MAX },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		uint8_t room[GUARD_MESSAGE_MAX];
		struct wr w = wr_into(room, sizeof(room));
		assert_false(guard_put(&w, &bad[i]));
		assert_int_equal(w.len, 0);
	}
}

int main(void)
{
	const struct CMUnitTest rules[] = {
		cmocka_unit_test(what_is_put_is_parsed),
		cmocka_unit_test(the_longest_fits),
		cmocka_unit_test(what_is_malformed_is_refused),
		cmocka_unit_test(what_is_no_action_is_not_put),
	};
	return cmocka_run_group_tests(rules, NULL, NULL);
}
