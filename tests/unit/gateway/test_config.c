/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/config.h"

static int read_text(const char *text, struct config *c, struct why *why)
{
	assert_int_equal(config_load(NULL, c, why), 0);
	struct span s = { (const uint8_t *)text, strlen(text) };
	return config_read("t.conf", s, c, why);
}

static void mistakes_name_file_line_and_reason(void **state)
{
	static const struct {
		const char *text, *reason;
	} row[] = {
		{ "[gateway]\nstate_dri = /x\n",
		  "t.conf:2: unknown key \"state_dri\" in [gateway]" },
		{ "\n\n[gatway]\na = b\n", "t.conf:4: unknown section [gatway]" },
		{ "a = b\n", "t.conf:1: a stands before the first [section]" },
		{ "[limits]\nqueue_events = many\n",
		  "t.conf:2: queue_events = \"many\": expected a "
		  "whole number" },
		{ "[limits]\nqueue_events = 0\n", "t.conf:2: queue_events = 0: must be from 1 to" },
		{ "[limits]\nqueue_events = -1\n", "expected a whole number" },
		{ "[limits]\nqueue_events = 99999999999999999999\n", "expected a whole number" },
		{ "[limits]\npayload_bytes = 17MiB\n", "payload_bytes = 17MiB: must be from" },
		{ "[limits]\npayload_bytes = 1XB\n", "expected a size" },
		{ "[limits]\nqueue_bytes = 18446744073709551615G\n", "expected a size" },
		{ "[gateway]\nstate_dir = relative/path\n", "expected an absolute path" },
		{ "[gateway]\nstate_dir =\n", "state_dir must not be empty" },
		{ "[gateway]\nlog_level = loud\n", "expected error, warning" },
		{ "[mqtt]\nurl = mqtt://x\n", "expected tcp://HOST:PORT" },
		{ "[mqtt]\nurl = tcp://x:0\n", "expected tcp://HOST:PORT" },
		{ "[mqtt]\nurl = tcp://x:65536\n", "expected tcp://HOST:PORT" },
		{ "[mqtt]\nurl = tcp://\n", "expected tcp://HOST:PORT" },
		{ "[mqtt]\nverify = maybe\n", "expected yes or no" },
		{ "[mqtt]\nversion = 6\n", "must be from 3 to 5" },
		{ "[mqtt.Bad Name]\nurl = tcp://x\n", "a broker's name is" },
		{ "[mqtt]\nurl = tcp://x\nurl = tcp://y\n", "t.conf:3: url has a value already" },
		{ "[modbus]\nurl = tcp://x\n", "t.conf:2: unknown section [modbus]" },
		{ "[modbus.Bad Name]\nurl = tcp://x\n", "[modbus.Bad Name]: a name is" },
		{ "[modbus.plc]\ntimeout_ms = 2001\n", "must be from 10 to 2000" },
		{ "[gateway]\nnonsense\n", "t.conf:2: expected [section], key = value" },
		{ "[gateway\n", "t.conf:1: expected [section]" },
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

static void defaults_are_those_of_the_header(void **state)
{
	struct config c;
	struct why why = { 0 };
	(void)state;
	assert_int_equal(config_load(NULL, &c, &why), 0);
	assert_string_equal(c.state_dir, "/var/lib/penstock");
	assert_string_equal(c.log_level, "info");
	assert_int_equal(c.queue_events, 4096);
	assert_int_equal(c.queue_bytes, 64 << 20);
	assert_int_equal(c.payload_bytes, 1 << 20);
	assert_int_equal(c.spin_us, 100);
	assert_int_equal(c.nbrokers, 0);
	config_fini(&c);
}

static void values_are_taken(void **state)
{
	struct config c;
	struct why why = { 0 };
	(void)state;
	assert_int_equal(read_text("; comment\n[limits]\npayload_bytes = 512KiB\nqueue_events=7\n"
				   "[mqtt]\nurl = ssl://[::1]:8883\nverify = off\nversion = 3\n"
				   "[mqtt.plant-2]\nurl = tcp://10.0.0.2\nusername = u\n",
				   &c, &why),
			 0);
	assert_int_equal(c.payload_bytes, 512 << 10);
	assert_int_equal(c.queue_events, 7);
	assert_int_equal(c.nbrokers, 2);
	assert_string_equal(c.brokers[0].name, "default");
	assert_false(c.brokers[0].verify);
	assert_int_equal(c.brokers[0].version, 3);
	assert_string_equal(c.brokers[1].name, "plant-2");
	assert_string_equal(c.brokers[1].username, "u");
	assert_int_equal(c.brokers[1].version, 5);
	config_fini(&c);
}

static void a_line_that_is_too_long_is_an_error_not_two_lines(void **state)
{
	char text[4000];
	struct config c;
	struct why why = { 0 };
	(void)state;
	int n = snprintf(text, sizeof(text), "[mqtt]\nusername = ");
	memset(text + n, 'x', 3000);
	text[n + 3000] = '\0';
	assert_int_equal(read_text(text, &c, &why), -E_CONFIG);
	assert_non_null(strstr(why.text, "t.conf:2: the line is longer"));
	config_fini(&c);
}

static void put(const char *dir, const char *name, const char *text)
{
	char path[512];
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	(void)fputs(text, f);
	(void)fclose(f);
}

static void conf_d_comes_after_in_name_order(void **state)
{
	char dir[] = "/tmp/penstock-config-XXXXXX", sub[64], main_file[64];
	struct config c;
	struct why why = { 0 };
	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(sub, sizeof(sub), "%s/conf.d", dir);
	(void)snprintf(main_file, sizeof(main_file), "%s/main.conf", dir);
	assert_int_equal(mkdir(sub, 0700), 0);
	put(dir, "main.conf", "[limits]\nqueue_events = 10\nqueue_per_function = 5\n");
	put(sub, "20-b.conf", "[limits]\nqueue_events = 30\n");
	put(sub, "10-a.conf", "[limits]\nqueue_events = 20\n[mqtt]\nurl = tcp://h\n");
	put(sub, "README", "not read\n");
	put(sub, ".30-hidden.conf", "nor this\n");
	assert_int_equal(config_load(main_file, &c, &why), 0);
	assert_int_equal(c.queue_events, 30);
	assert_int_equal(c.queue_per_function, 5);
	assert_non_null(strstr(c.brokers[0].client_id, "-default"));
	config_fini(&c);
	put(sub, "20-b.conf", "[limits]\n\nqueue_event = 30\n");
	assert_int_equal(config_load(main_file, &c, &why), -E_CONFIG);
	assert_non_null(strstr(why.text, "/conf.d/20-b.conf:3: unknown key"));
	put(sub, "20-b.conf", "[mqtt]\ncert_file = /c\n");
	why.text[0] = '\0';
	assert_int_equal(config_load(main_file, &c, &why), -E_CONFIG);
	assert_non_null(strstr(why.text, "belong together"));
	const char *const names[] = { "conf.d/20-b.conf", "conf.d/10-a.conf", "conf.d/README",
				      "conf.d/.30-hidden.conf", "main.conf" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char path[512];
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)unlink(path);
	}
	(void)rmdir(sub);
	(void)rmdir(dir);
}

static void modbus_servers_have_names_and_a_url_that_is_checked(void **state)
{
	struct config c;
	struct why why = { 0 };
	char path[] = "/tmp/penstock-config-XXXXXX";
	static const struct {
		const char *text, *reason;
	} row[] = {
		{ "[modbus.a]\nurl = tcp://10.0.0.5\n[modbus.b]\nurl = rtu:/dev/ttyUSB0\n", NULL },
		{ "[modbus.a]\nurl = udp://10.0.0.5\n", "[modbus.a] url = \"udp://10.0.0.5\"" },
		{ "[modbus.a]\ntimeout_ms = 100\n", "[modbus.a] url = \"\": it is missing" },
	};
	(void)state;
	int fd = mkstemp(path);
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		why.text[0] = '\0';
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, row[i].text, strlen(row[i].text), 0),
				 strlen(row[i].text));
		assert_int_equal(config_load(path, &c, &why), row[i].reason ? -E_CONFIG : 0);
		if (row[i].reason) {
			assert_non_null(strstr(why.text, row[i].reason));
			continue;
		}
		assert_int_equal(c.nmodbus, 2);
		assert_string_equal(c.modbus[1].name, "b");
		assert_string_equal(c.modbus[1].url, "rtu:/dev/ttyUSB0");
		assert_int_equal(c.modbus[1].timeout_ms, 500);
		config_fini(&c);
	}
	(void)close(fd);
	(void)unlink(path);
}

static void a_missing_file_says_which(void **state)
{
	struct config c;
	struct why why = { 0 };
	(void)state;
	assert_int_equal(config_load("/nowhere/x.conf", &c, &why), -ENOENT);
	assert_non_null(strstr(why.text, "/nowhere/x.conf"));
}

static void a_file_that_cannot_be_read_is_found_by_the_check(void **state)
{
	struct config c;
	struct why why = { 0 };
	(void)state;
	assert_int_equal(read_text("[mqtt.x]\nca_file = /dev/null\n", &c, &why), 0);
	assert_int_equal(config_check_files(&c, &why), 0);
	config_fini(&c);
	assert_int_equal(
		read_text("[mqtt.x]\nca_file = /dev/null\npassword_file = /no/where\n", &c, &why),
		0);
	assert_int_equal(config_check_files(&c, &why), -E_CONFIG);
	assert_string_equal(why.text,
			    "[mqtt.x] password_file = /no/where: No such file or directory");
	config_fini(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mistakes_name_file_line_and_reason),
		cmocka_unit_test(defaults_are_those_of_the_header),
		cmocka_unit_test(values_are_taken),
		cmocka_unit_test(a_line_that_is_too_long_is_an_error_not_two_lines),
		cmocka_unit_test(conf_d_comes_after_in_name_order),
		cmocka_unit_test(modbus_servers_have_names_and_a_url_that_is_checked),
		cmocka_unit_test(a_missing_file_says_which),
		cmocka_unit_test(a_file_that_cannot_be_read_is_found_by_the_check),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
