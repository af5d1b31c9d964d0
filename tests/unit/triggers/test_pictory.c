/* SPDX-License-Identifier: Apache-2.0 */
/* config.rsc: names, places, and what is wrong with a file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "triggers/pictory.h"

static struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

static void names_stand_for_bits_of_the_image(void **state)
{
	static const struct {
		const char *name, *device;
		enum pictory_area area;
		unsigned offset, bit, bits;
	} row[] = {
		{ "RevPiStatus", "RevPi Connect, position 0", PICTORY_INPUT, 0, 0, 8 },
		{ "RevPiLED", "RevPi Connect, position 0", PICTORY_OUTPUT, 6, 0, 8 },
		{ "I_1", "RevPi DIO, position 32", PICTORY_INPUT, 11, 0, 1 },
		{ "notaus_ok", "RevPi DIO, position 32", PICTORY_INPUT, 11, 2, 1 },
		/* bit 13 of a word is bit 5 of its second byte */
		{ "I_14", "RevPi DIO, position 32", PICTORY_INPUT, 12, 5, 1 },
		{ "O_14", "RevPi DIO, position 32", PICTORY_OUTPUT, 82, 5, 1 },
		{ "Counter_1", "RevPi DIO, position 32", PICTORY_INPUT, 17, 0, 32 },
		{ "OutputValue_1", "RevPi AIO, position 33", PICTORY_OUTPUT, 170, 0, 16 },
		{ "InputMode_1", "RevPi DIO, position 32", PICTORY_MEMORY, 0, 0, 0 },
	};
	struct pictory *p;
	struct why why = { 0 };
	(void)state;
	if (pictory_load("tests/fake/config.rsc", &p, &why) < 0)
		fail_msg("%s", why.text);
	assert_int_equal(pictory_count(p), 21);
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		const struct pictory_variable *v = pictory_find(p, text(row[i].name));
		assert_non_null(v);
		assert_string_equal(v->name, row[i].name);
		assert_string_equal(v->device, row[i].device);
		assert_int_equal(v->area, row[i].area);
		assert_int_equal(v->offset, row[i].offset);
		assert_int_equal(v->bit, row[i].bit);
		assert_int_equal(v->bits, row[i].bits);
	}
	assert_null(pictory_find(p, text("i_1")));
	assert_null(pictory_find(p, (struct span){ (const uint8_t *)"I_1", 4 }));
	assert_null(pictory_find(p, (struct span){ NULL, 0 }));
	pictory_free(p);
}

#define DEVICE(members) "{\"Devices\":[{\"position\":0,\"offset\":0}," members "]}"
#define INPUT(entry)    DEVICE("{\"position\":32,\"offset\":4000,\"inp\":{\"7\":" entry "}}")

static void what_does_not_fit_is_told_with_file_place_and_reason(void **state)
{
	static const struct {
		const char *json, *place, *reason;
	} row[] = {
		{ "", "c.rsc:1:", "PiCtory" },
		{ "{\"Devices\":[\n  {\"position\":}\n]}", "c.rsc:2:", "save the configuration" },
		{ "{\"Devices\":[],\"Devices\":[]}", "c.rsc:1:", "duplicate" },
		{ "[]", "c.rsc: ", "Devices" },
		{ "{}", "c.rsc: ", "Devices" },
		{ "{\"Devices\":{}}", "c.rsc: ", "list" },
		{ DEVICE("7"), "Devices[1]: ", "expected an object" },
		{ DEVICE("{\"position\":1}"), "Devices[1]: ", "`offset`" },
		{ DEVICE("{\"position\":1,\"offset\":4096}"), "Devices[1]: ", "below 4096" },
		{ DEVICE("{\"position\":1,\"offset\":-1}"), "Devices[1]: ", "`offset`" },
		{ DEVICE("{\"position\":1,\"offset\":\"0x10\"}"), "Devices[1]: ", "`offset`" },
		{ DEVICE("{\"position\":256,\"offset\":0}"), "Devices[1]: ", "`position`" },
		{ DEVICE("{\"position\":1,\"offset\":0,\"out\":7}"), "Devices[1]: ", "`out`" },
		{ INPUT("[]"), "Devices[1].inp[\"7\"]: ", "list of 8" },
		{ INPUT("[\"\",0,8,0,0,0,\"\",0]"), "Devices[1].inp[\"7\"]: ", "name" },
		{ INPUT("[7,0,8,0,0,0,\"\",0]"), "Devices[1].inp[\"7\"]: ", "name" },
		{ INPUT("[\"a\\nb\",0,8,0,0,0,\"\",0]"), "Devices[1].inp[\"7\"]: ", "name" },
		{ INPUT("[\"x\",0,0,0,0,0,\"\",0]"), "Devices[1].inp[\"7\"]: ", "length" },
		{ INPUT("[\"x\",0,7,0,0,0,\"\",0]"), "Devices[1].inp[\"7\"]: ", "length" },
		{ INPUT("[\"x\",0,\"8 \",0,0,0,\"\",0]"), "Devices[1].inp[\"7\"]: ", "length" },
		{ INPUT("[\"x\",0,8,\"99999999999\",0,0,\"\",0]"),
		  "Devices[1].inp[\"7\"]: ", "offset" },
		{ INPUT("[\"x\",0,1,0,0,0,\"\",\"\"]"), "Devices[1].inp[\"7\"]: ", "bit" },
		{ INPUT("[\"x\",0,8,96,0,0,\"\",0]"),
		  "Devices[1].inp[\"7\"]: ", "beyond the 4096" },
		{ INPUT("[\"x\",0,32,93,0,0,\"\",0]"), "Devices[1].inp[\"7\"]: ", "beyond" },
		{ INPUT("[\"x\",0,1,95,0,0,\"\",8]"), "Devices[1].inp[\"7\"]: ", "beyond" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct pictory *p;
		struct why why = { 0 };
		assert_int_equal(pictory_parse("c.rsc", text(row[i].json), &p, &why), -E_CONFIG);
		if (strncmp(why.text, "c.rsc:", 6) != 0 || !strstr(why.text, row[i].place) ||
		    !strstr(why.text, row[i].reason))
			fail_msg("%s: \"%s\"", row[i].json, why.text);
	}
}

static void the_last_bits_of_the_image_can_be_named(void **state)
{
	static const char *const row[] = {
		INPUT("[\"x\",0,8,95,0,0,\"\",0]"),
		INPUT("[\"x\",0,1,95,0,0,\"\",7]"),
		INPUT("[\"x\",0,\"32\",\"92\",0,0,\"\",\"\"]"),
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct pictory *p;
		struct why why = { 0 };
		if (pictory_parse("c.rsc", text(row[i]), &p, &why) < 0)
			fail_msg("%s: %s", row[i], why.text);
		assert_int_equal(pictory_count(p), 1);
		pictory_free(p);
	}
}

static void a_name_of_two_things_is_refused_with_both(void **state)
{
	struct pictory *p;
	struct why why = { 0 };
	(void)state;
	assert_int_equal(
		pictory_parse("c.rsc",
			      text("{\"Devices\":["
				   "{\"position\":32,\"offset\":0,\"bmk\":\"left\",\"inp\":{\"0\":"
				   "[\"door\",0,1,0,0,0,\"\",0]}},"
				   "{\"position\":33,\"offset\":9,\"bmk\":\"right\",\"out\":{\"0\":"
				   "[\"door\",0,1,0,0,0,\"\",0]}}]}"),
			      &p, &why),
		-E_CONFIG);
	assert_non_null(strstr(why.text, "\"door\""));
	assert_non_null(strstr(why.text, "left, position 32"));
	assert_non_null(strstr(why.text, "right, position 33"));
	assert_non_null(strstr(why.text, "another name in PiCtory"));
}

static void settings_may_hold_what_they_like(void **state)
{
	struct pictory *p;
	struct why why = { 0 };
	(void)state;
	if (pictory_parse("c.rsc",
			  text("{\"Devices\":[{\"position\":1,\"offset\":0,\"mem\":{\"0\":"
			       "[\"host\",\"plc.local\",\"text\",null,0,0,\"\",0]}}]}"),
			  &p, &why) < 0)
		fail_msg("%s", why.text);
	assert_int_equal(pictory_at(p, 0)->area, PICTORY_MEMORY);
	pictory_free(p);
}

static void more_names_than_any_box_has_are_refused(void **state)
{
	char *json = malloc(2 << 20), *at = json;
	struct pictory *p;
	struct why why = { 0 };
	(void)state;
	at += sprintf(at, "{\"Devices\":[{\"position\":1,\"offset\":0,\"inp\":{");
	for (int i = 0; i <= PICTORY_VARIABLES_MAX; i++)
		at += sprintf(at, "%s\"%d\":[\"n%d\",0,1,0,0,0,\"\",0]", i ? "," : "", i, i);
	at += sprintf(at, "}}]}");
	assert_int_equal(pictory_parse("c.rsc", text(json), &p, &why), -E_CONFIG);
	assert_non_null(strstr(why.text, "more than 16384 names"));
	free(json);
}

static void a_file_that_is_not_there_says_what_to_do(void **state)
{
	struct pictory *p;
	struct why why = { 0 };
	(void)state;
	assert_true(pictory_load("/no/such/config.rsc", &p, &why) < 0);
	assert_non_null(strstr(why.text, "/no/such/config.rsc"));
	assert_non_null(strstr(why.text, "PiCtory"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_stand_for_bits_of_the_image),
		cmocka_unit_test(what_does_not_fit_is_told_with_file_place_and_reason),
		cmocka_unit_test(the_last_bits_of_the_image_can_be_named),
		cmocka_unit_test(a_name_of_two_things_is_refused_with_both),
		cmocka_unit_test(settings_may_hold_what_they_like),
		cmocka_unit_test(more_names_than_any_box_has_are_refused),
		cmocka_unit_test(a_file_that_is_not_there_says_what_to_do),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
