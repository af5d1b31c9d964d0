/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "triggers/modbus_impl.h"

static int point(const char *text, const char *options, struct modbus_point *ret, struct why *why)
{
	struct kind_values v;
	assert_int_equal(
		kind_values_read(KIND_INPUT, "modbus",
				 (struct span){ (const uint8_t *)options, strlen(options) }, &v,
				 why),
		0);
	int err = modbus_point_read(text, &v, ret, why);
	kind_values_free(&v);
	return err;
}

static void a_point_is_unit_table_address(void **state)
{
	static const struct {
		const char *text, *options;
		bool ok;
		uint8_t unit;
		enum modbus_table table;
		uint16_t address;
		uint8_t count;
	} row[] = {
		{ "1/holding/40", "{}", true, 1, MODBUS_HOLDING, 40, 1 },
		{ "0/input/0", "{}", true, 0, MODBUS_INPUT, 0, 1 },
		{ "247/coil/65535", "{}", true, 247, MODBUS_COIL, 65535, 1 },
		{ "255/discrete/3", "{}", true, 255, MODBUS_DISCRETE, 3, 1 },
		{ "1/holding/65534", "{\"type\":\"f32\"}", true, 1, MODBUS_HOLDING, 65534, 2 },
		{ "1/holding/65535", "{\"type\":\"u32\"}", false, 0, 0, 0, 0 },
		{ "1/coil/1", "{\"type\":\"u32\"}", false, 0, 0, 0, 0 },
		{ "248/holding/1", "{}", false, 0, 0, 0, 0 },
		{ "256/holding/1", "{}", false, 0, 0, 0, 0 },
		{ "1/holding/65536", "{}", false, 0, 0, 0, 0 },
		{ "1/holding/99999999999999999999", "{}", false, 0, 0, 0, 0 },
		{ "1/holdings/1", "{}", false, 0, 0, 0, 0 },
		{ "1/hold/1", "{}", false, 0, 0, 0, 0 },
		{ "1/holding", "{}", false, 0, 0, 0, 0 },
		{ "1/holding/", "{}", false, 0, 0, 0, 0 },
		{ "1/holding/1/", "{}", false, 0, 0, 0, 0 },
		{ "1/holding/1/2", "{}", false, 0, 0, 0, 0 },
		{ "/holding/1", "{}", false, 0, 0, 0, 0 },
		{ "-1/holding/1", "{}", false, 0, 0, 0, 0 },
		{ "1/holding/0x10", "{}", false, 0, 0, 0, 0 },
		{ "1", "{}", false, 0, 0, 0, 0 },
		{ "", "{}", false, 0, 0, 0, 0 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct modbus_point p;
		struct why why = { 0 };
		assert_int_equal(point(row[i].text, row[i].options, &p, &why),
				 row[i].ok ? 0 : -E_INVALID);
		assert_true((why.text[0] == '\0') == row[i].ok);
		if (!row[i].ok)
			continue;
		assert_int_equal(p.unit, row[i].unit);
		assert_int_equal(p.table, row[i].table);
		assert_int_equal(p.address, row[i].address);
		assert_int_equal(p.count, row[i].count);
	}
}

/* Both ways: what was read, written again, is the same registers. */
static void values_are_what_their_type_says(void **state)
{
	static const struct {
		enum modbus_type type;
		bool swap;
		uint16_t raw[2];
		const char *text;
	} row[] = {
		{ MODBUS_U16, false, { 65535 }, "65535" },
		{ MODBUS_S16, false, { 65535 }, "-1" },
		{ MODBUS_S16, false, { 0x8000 }, "-32768" },
		{ MODBUS_U32, false, { 1, 2 }, "65538" },
		{ MODBUS_U32, true, { 1, 2 }, "131073" },
		{ MODBUS_U32, false, { 0xffff, 0xffff }, "4294967295" },
		{ MODBUS_S32, false, { 0xffff, 0xffff }, "-1" },
		{ MODBUS_S32, true, { 0, 0x8000 }, "-2147483648" },
		{ MODBUS_F32, false, { 0x41ac, 0 }, "21.5" },
		{ MODBUS_F32, true, { 0, 0x41ac }, "21.5" },
		{ MODBUS_F32, false, { 0x3dcc, 0xcccd }, "0.1" },
		{ MODBUS_F32, false, { 0x7f7f, 0xffff }, "3.4028235e+38" },
		{ MODBUS_F32, false, { 0x0000, 0x0001 }, "1.4013e-45" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		const bool two = row[i].type >= MODBUS_U32;
		const struct modbus_point p = { .table = MODBUS_HOLDING,
						.type = row[i].type,
						.count = two ? 2 : 1,
						.swap = row[i].swap };
		char text[MODBUS_VALUE_BYTES];
		uint16_t raw[2] = { 0 };
		struct why why = { 0 };
		modbus_text(&p, modbus_decode(&p, row[i].raw), text);
		assert_string_equal(text, row[i].text);
		assert_int_equal(modbus_encode(&p,
					       (struct span){ (const uint8_t *)text, strlen(text) },
					       raw, &why),
				 0);
		assert_int_equal(raw[0], row[i].raw[0]);
		assert_int_equal(raw[1], row[i].raw[1]);
	}
}

static void what_does_not_fit_is_refused_not_cut(void **state)
{
	static const struct {
		enum modbus_table table;
		enum modbus_type type;
		const char *text;
		int err;
	} row[] = {
		{ MODBUS_HOLDING, MODBUS_U16, "65536", -ERANGE },
		{ MODBUS_HOLDING, MODBUS_U16, "-1", -ERANGE },
		{ MODBUS_HOLDING, MODBUS_U16, "1.5", -ERANGE },
		{ MODBUS_HOLDING, MODBUS_S16, "32768", -ERANGE },
		{ MODBUS_HOLDING, MODBUS_U32, "4294967296", -ERANGE },
		{ MODBUS_HOLDING, MODBUS_S32, "-2147483649", -ERANGE },
		{ MODBUS_HOLDING, MODBUS_F32, "1e39", -ERANGE },
		{ MODBUS_HOLDING, MODBUS_F32, "warm", -E_INVALID },
		{ MODBUS_HOLDING, MODBUS_U16, "", -E_INVALID },
		{ MODBUS_COIL, MODBUS_U16, "2", -ERANGE },
		{ MODBUS_COIL, MODBUS_U16, "0.5", -ERANGE },
		{ MODBUS_COIL, MODBUS_U16, "on", 0 },
		{ MODBUS_COIL, MODBUS_U16, "0", 0 },
		{ MODBUS_HOLDING, MODBUS_U16, "65535", 0 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		const struct modbus_point p = { .table = row[i].table,
						.type = row[i].type,
						.count = row[i].type >= MODBUS_U32 ? 2 : 1 };
		const struct span text = { (const uint8_t *)row[i].text, strlen(row[i].text) };
		uint16_t raw[2];
		struct why why = { 0 };
		assert_int_equal(modbus_encode(&p, text, raw, &why), row[i].err);
		assert_true((why.text[0] != '\0') == (row[i].err != 0));
	}
}

#define AT(unit_, table_, address_, count_)                                                        \
	{                                                                                          \
		.unit = (unit_), .table = (table_), .address = (address_), .count = (count_)       \
	}

static void neighbours_become_one_request(void **state)
{
	static const struct {
		struct modbus_point p[4];
		unsigned n, merged;
		uint16_t address, count;
	} row[] = {
		/* touching */
		{ { AT(1, MODBUS_HOLDING, 40, 1), AT(1, MODBUS_HOLDING, 41, 2),
		    AT(1, MODBUS_HOLDING, 43, 1) },
		  3,
		  3,
		  40,
		  4 },
		/* the same twice, and inside another */
		{ { AT(1, MODBUS_HOLDING, 40, 2), AT(1, MODBUS_HOLDING, 40, 1),
		    AT(1, MODBUS_HOLDING, 41, 1) },
		  3,
		  3,
		  40,
		  2 },
		/* a gap, which the server may not have */
		{ { AT(1, MODBUS_HOLDING, 40, 1), AT(1, MODBUS_HOLDING, 42, 1) }, 2, 1, 40, 1 },
		/* another table, another unit */
		{ { AT(1, MODBUS_HOLDING, 40, 1), AT(1, MODBUS_INPUT, 41, 1) }, 2, 1, 40, 1 },
		{ { AT(1, MODBUS_HOLDING, 40, 1), AT(2, MODBUS_HOLDING, 41, 1) }, 2, 1, 40, 1 },
		/* up to the end */
		{ { AT(1, MODBUS_HOLDING, 65533, 1), AT(1, MODBUS_HOLDING, 65534, 2) },
		  2,
		  2,
		  65533,
		  3 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		const struct modbus_point *points[4];
		struct modbus_range r;
		for (unsigned k = 0; k < 4; k++)
			points[k] = &row[i].p[k];
		assert_int_equal(modbus_merge(points, row[i].n, &r), row[i].merged);
		assert_int_equal(r.address, row[i].address);
		assert_int_equal(r.count, row[i].count);
	}
}

static void no_request_asks_for_more_than_modbus_allows(void **state)
{
	enum { MANY = 4500 };
	static struct modbus_point p[MANY];
	static const struct modbus_point *points[MANY];
	(void)state;
	for (unsigned table = MODBUS_COIL; table <= MODBUS_HOLDING; table += MODBUS_HOLDING) {
		const unsigned most = table == MODBUS_COIL ? 2000 : 125;
		unsigned at = 0;
		for (unsigned i = 0; i < MANY; i++) {
			p[i] = (struct modbus_point){
				.unit = 1, .table = table, .address = (uint16_t)i, .count = 1
			};
			points[i] = &p[i];
		}
		while (at < MANY) {
			struct modbus_range r;
			unsigned n = modbus_merge(points + at, MANY - at, &r);
			assert_int_equal(r.count, n);
			assert_true(n == most || at + n == MANY);
			at += n;
		}
	}
}

static void a_url_is_tcp_or_a_serial_line(void **state)
{
	static const struct {
		const char *url;
		bool ok, tcp;
		const char *host, *port;
		int baud;
		char parity;
		int data, stop;
	} row[] = {
		{ "tcp://10.0.0.5", true, true, "10.0.0.5", "502", 0, 0, 0, 0 },
		{ "tcp://plc-1.example:1502", true, true, "plc-1.example", "1502", 0, 0, 0, 0 },
		{ "tcp://[fe80::1%eth0]:502", true, true, "fe80::1%eth0", "502", 0, 0, 0, 0 },
		{ "tcp://[::1]", true, true, "::1", "502", 0, 0, 0, 0 },
		{ "rtu:/dev/ttyUSB0", true, false, "/dev/ttyUSB0", "", 19200, 'E', 8, 1 },
		{ "rtu:/dev/ttyUSB0?baud=9600&parity=n&stop=2&data=7", true, false, "/dev/ttyUSB0",
		  "", 9600, 'N', 7, 2 },
		{ "rtu:/dev/serial/by-id/x?parity=O", true, false, "/dev/serial/by-id/x", "", 19200,
		  'O', 8, 1 },
		{ "", false, false, "", "", 0, 0, 0, 0 },
		{ "tcp://", false, false, "", "", 0, 0, 0, 0 },
		{ "tcp://host:0", false, false, "", "", 0, 0, 0, 0 },
		{ "tcp://host:65536", false, false, "", "", 0, 0, 0, 0 },
		{ "tcp://host:", false, false, "", "", 0, 0, 0, 0 },
		{ "tcp://host/", false, false, "", "", 0, 0, 0, 0 },
		{ "tcp://ho st", false, false, "", "", 0, 0, 0, 0 },
		{ "tcp://[::1", false, false, "", "", 0, 0, 0, 0 },
		{ "http://host", false, false, "", "", 0, 0, 0, 0 },
		{ "rtu:ttyUSB0", false, false, "", "", 0, 0, 0, 0 },
		{ "rtu:/dev/ttyUSB0?baud=12345", false, false, "", "", 0, 0, 0, 0 },
		{ "rtu:/dev/ttyUSB0?parity=X", false, false, "", "", 0, 0, 0, 0 },
		{ "rtu:/dev/ttyUSB0?parity=", false, false, "", "", 0, 0, 0, 0 },
		{ "rtu:/dev/ttyUSB0?stop=3", false, false, "", "", 0, 0, 0, 0 },
		{ "rtu:/dev/ttyUSB0?speed=9600", false, false, "", "", 0, 0, 0, 0 },
		{ "rtu:/dev/ttyUSB0?", false, false, "", "", 0, 0, 0, 0 },
		{ "rtu:/dev/ttyUSB0?baud=9600&", false, false, "", "", 0, 0, 0, 0 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct modbus_url u;
		struct why why = { 0 };
		int err = modbus_url_read(row[i].url, &u, &why);
		if ((err == 0) != row[i].ok)
			fail_msg("%s: %d", row[i].url, err);
		assert_true((why.text[0] == '\0') == row[i].ok);
		if (!row[i].ok)
			continue;
		assert_int_equal(u.tcp, row[i].tcp);
		assert_string_equal(u.host, row[i].host);
		assert_string_equal(u.port, row[i].port);
		assert_int_equal(u.baud, row[i].baud);
		assert_int_equal(u.parity, row[i].parity);
		assert_int_equal(u.data, row[i].data);
		assert_int_equal(u.stop, row[i].stop);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_point_is_unit_table_address),
		cmocka_unit_test(values_are_what_their_type_says),
		cmocka_unit_test(what_does_not_fit_is_refused_not_cut),
		cmocka_unit_test(neighbours_become_one_request),
		cmocka_unit_test(no_request_asks_for_more_than_modbus_allows),
		cmocka_unit_test(a_url_is_tcp_or_a_serial_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
