/* SPDX-License-Identifier: Apache-2.0 */
/* Two lines: the url of a server, or a register and the value for it. What is written into registers reads as it was. */
#include <string.h>

#include "triggers/modbus_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const types[] = { "u16", "s16", "u32", "s32", "f32" };
	char first[512], options[32], text[MODBUS_VALUE_BYTES];
	const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
	const size_t n = end ? (size_t)(end - data) : size;
	struct modbus_url url;
	struct modbus_point p;
	struct kind_values v;
	uint16_t raw[2] = { 0 }, again[2] = { 0 };
	if (n >= sizeof(first) || n == 0)
		return 0;
	memcpy(first, data, n);
	first[n] = '\0';
	(void)!modbus_url_read(first, &url, NULL);
	int len = snprintf(options, sizeof(options), "{\"type\":\"%s\"}", types[data[0] % 5]);
	const struct span o = { (const uint8_t *)options, (size_t)len };
	if (kind_values_read(KIND_INPUT, "modbus", o, &v, NULL) < 0)
		return 0;
	int err = modbus_point_read(first + 1, &v, &p, NULL);
	kind_values_free(&v);
	const struct span value = { end ? end + 1 : data, end ? size - n - 1 : 0 };
	if (err < 0 || modbus_encode(&p, value, raw, NULL) < 0)
		return 0;
	modbus_text(&p, modbus_decode(&p, raw), text);
	const struct span back = { (const uint8_t *)text, strlen(text) };
	ENSURE(modbus_encode(&p, back, again, NULL) == 0);
	ENSURE(raw[0] == again[0] && raw[1] == again[1]);
	return 0;
}
