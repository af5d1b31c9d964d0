/* SPDX-License-Identifier: Apache-2.0 */
/* [output.NAME] and [binding.NAME] */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/config_things.h"

static int read_text(const char *text, struct config *c, struct why *why)
{
	assert_int_equal(config_load(NULL, c, why), 0);
	int err =
		config_read("t.conf", (struct span){ (const uint8_t *)text, strlen(text) }, c, why);
	return err < 0 ? err : config_things_finish(c, why);
}

static void mistakes_name_file_line_and_reason(void **state)
{
	static const struct {
		const char *text, *reason;
	} row[] = {
		{ "[output.lamp]\nline = x\n",
		  "t.conf:2: [output.lamp] says not what it is: it needs "
		  "one of gpio, io, led, modbus" },
		{ "[output.lamp]\ngpio = a\nled = b\n", "has gpio and led, it is one of them" },
		{ "[output.lamp]\ngpio = a\nedge = both\n",
		  "t.conf:2: unknown key \"edge\" in [output.lamp]" },
		{ "[output.lamp]\ngpio = a\nsafe = 2\n", "option safe of gpio is \"2\"" },
		{ "[output.lamp]\ngpio = a\ngpio = b\n", "t.conf:3: gpio has a value already" },
		{ "[output.Lamp]\ngpio = a\n", "t.conf:2: [output.Lamp]: the name is" },
		{ "[output.a.b]\ngpio = a\n", "the name is" },
		{ "[binding.x]\nmqtt = a/#\n", "[binding.x]: function is missing" },
		{ "[binding.x]\nfunction = f\n", "it needs one of mqtt, gpio" },
		{ "[binding.x]\nfunction = f\nmqtt = a\nqos = 3\n", "`qos` is 3" },
		{ "[binding.x]\nfunction = f\nmqtt = a\nqos = high\n", "expected a whole number" },
		{ "[binding.x]\nfunction = f\nmqtt = a\nretain = often\n", "expected yes or no" },
		{ "[binding.x]\nfunction = f\nmqtt = a\nedge = both\n",
		  "edge is no key of a binding to mqtt" },
		{ "[binding.x]\nfunction = f\nmqtt = a\ngpio = b\n", "has mqtt and gpio" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct config c;
		struct why why = { 0 };
		assert_int_equal(read_text(row[i].text, &c, &why), -E_CONFIG);
		if (!strstr(why.text, row[i].reason))
			fail_msg("row %zu: \"%s\" lacks \"%s\"", i, why.text, row[i].reason);
		config_fini(&c);
	}
}

static void outputs_have_kind_target_and_options(void **state)
{
	struct config c;
	struct why why = { 0 };
	(void)state;
	assert_int_equal(read_text("[output.lamp]\ngpio = GPIO27\nsafe = keep\nactive_low = yes\n"
				   "[output.fan]\nmodbus = plc/1/coil/3\n",
				   &c, &why),
			 0);
	assert_int_equal(c.noutputs, 2);
	assert_string_equal(c.outputs[0].name, "lamp");
	assert_string_equal(c.outputs[0].kind, "gpio");
	assert_string_equal(c.outputs[0].target, "GPIO27");
	assert_string_equal(c.outputs[0].options, "{\"active_low\":true,\"safe\":\"keep\"}");
	assert_string_equal(c.outputs[1].target, "plc/1/coil/3");
	assert_string_equal(c.outputs[1].options, "{}");
	config_fini(&c);
}

static void a_binding_has_the_same_number_wherever_it_stands(void **state)
{
	struct config a, b;
	struct why why = { 0 };
	(void)state;
	assert_int_equal(read_text("[binding.one]\nfunction = f\nsensor = d/c\nevery = 5s\n"
				   "deadband = 0.5\n[binding.two]\nfunction = g\nevery = 5s\n",
				   &a, &why),
			 0);
	assert_int_equal(read_text("[binding.two]\nfunction = g\nevery = 5s\n", &b, &why), 0);
	assert_int_equal(a.nbindings, 2);
	assert_string_equal(a.bindings[0].row.kind, "sensor");
	assert_string_equal(a.bindings[0].row.filter, "d/c");
	assert_string_equal(a.bindings[0].row.options, "{\"every\":5000,\"deadband\":0.5}");
	assert_string_equal(a.bindings[1].row.kind, "every");
	assert_string_equal(a.bindings[1].row.filter, "5s");
	assert_string_equal(a.bindings[1].place, "t.conf:7");
	assert_true(a.bindings[1].row.id == b.bindings[0].row.id);
	assert_true(a.bindings[0].row.id != a.bindings[1].row.id);
	assert_true(a.bindings[0].row.id >= CONFIG_BINDING_IDS);
	config_fini(&a);
	config_fini(&b);
}

static void note(void *arg, const char *section, const char *key)
{
	char *all = arg;
	(void)strcat(strcat(strcat(strcat(all, section), "."), key), " ");
}

static void what_differs_between_two_configurations_is_named(void **state)
{
	struct config a, b;
	struct why why = { 0 };
	char all[200] = "";
	(void)state;
	assert_int_equal(read_text("[mqtt]\nurl = tcp://a\n[output.x]\nled = a\n", &a, &why), 0);
	assert_int_equal(read_text("[gateway]\nlog_level = debug\n[limits]\nqueue_events = 7\n"
				   "[mqtt]\nurl = tcp://b\n[mqtt.two]\n[output.x]\nled = b\n",
				   &b, &why),
			 0);
	config_changes(&a, &a, note, all);
	assert_string_equal(all, "");
	config_changes(&a, &b, note, all);
	assert_string_equal(all, "gateway.log_level limits.queue_events mqtt.default output.x ");
	config_fini(&a);
	config_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mistakes_name_file_line_and_reason),
		cmocka_unit_test(outputs_have_kind_target_and_options),
		cmocka_unit_test(a_binding_has_the_same_number_wherever_it_stands),
		cmocka_unit_test(what_differs_between_two_configurations_is_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
