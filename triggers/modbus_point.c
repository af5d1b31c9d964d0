/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/wr.h"
#include "triggers/modbus_impl.h"

enum { UNIT_MOST = 247, UNIT_TCP = 255 };

static const char *const table_names[] = {
	[MODBUS_COIL] = "coil",
	[MODBUS_DISCRETE] = "discrete",
	[MODBUS_HOLDING] = "holding",
	[MODBUS_INPUT] = "input",
};

static const struct {
	const char *name;
	uint8_t count;
	double least, most;
} types[] = {
	[MODBUS_U16] = { "u16", 1, 0, UINT16_MAX },
	[MODBUS_S16] = { "s16", 1, INT16_MIN, INT16_MAX },
	[MODBUS_U32] = { "u32", 2, 0, UINT32_MAX },
	[MODBUS_S32] = { "s32", 2, INT32_MIN, INT32_MAX },
	[MODBUS_F32] = { "f32", 2, -1e300, 1e300 },
};

/* ---- the name of a point ---- */

/* Decimal digits up to the byte `end`, which *at goes behind. */
static bool number_read(const char **at, char end, unsigned long most, unsigned long *ret)
{
	char *stop;
	if (!isdigit((unsigned char)**at) || strspn(*at, "0123456789") > 5)
		return false;
	*ret = strtoul(*at, &stop, 10);
	*at = stop + 1;
	return *stop == end && *ret <= most;
}

static bool table_read(const char **at, enum modbus_table *ret)
{
	size_t n = strcspn(*at, "/");
	for (size_t i = 0; i < ARRAY_LEN(table_names); i++) {
		if (strlen(table_names[i]) != n || strncmp(*at, table_names[i], n) != 0)
			continue;
		*ret = (enum modbus_table)i;
		*at += n + 1;
		return (*at)[-1] == '/';
	}
	return false;
}

static bool name_read(const char *at, struct modbus_point *ret)
{
	unsigned long unit, address;
	if (!number_read(&at, '/', UNIT_TCP, &unit) || (unit > UNIT_MOST && unit != UNIT_TCP) ||
	    !table_read(&at, &ret->table) || !number_read(&at, '\0', UINT16_MAX, &address))
		return false;
	ret->unit = (uint8_t)unit;
	ret->address = (uint16_t)address;
	return true;
}

int modbus_point_read(const char *text, const struct kind_values *options, struct modbus_point *ret,
		      struct why *why)
{
	const char *type = kind_text(options, "type");
	*ret = (struct modbus_point){ .swap = kind_flag(options, "swap") };
	if (!name_read(text, ret))
		return why_set(
			why, -E_INVALID,
			"\"%.80s\" is no Modbus register: expected UNIT/TABLE/ADDRESS, such "
			"as 1/holding/40; UNIT is 0 to 247 or 255, TABLE one of coil, "
			"discrete, holding, input, ADDRESS 0 to 65535 as in the message (40001 "
			"of a manual is 0)",
			text);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (strcmp(types[i].name, type) == 0)
			ret->type = (enum modbus_type)i;
	}
	ret->count = types[ret->type].count;
	if (modbus_is_bit(ret->table) && ret->type != MODBUS_U16)
		return why_set(why, -E_INVALID, "\"%.80s\" is a bit: it has no type %s", text,
			       type);
	if (ret->address + ret->count - 1 > UINT16_MAX)
		return why_set(why, -E_INVALID, "\"%.80s\" of type %s ends behind 65535", text,
			       type);
	return 0;
}

/* ---- values ---- */

double modbus_decode(const struct modbus_point *p, const uint16_t *raw)
{
	if (modbus_is_bit(p->table))
		return raw[0] != 0;
	if (p->type == MODBUS_U16)
		return raw[0];
	if (p->type == MODBUS_S16)
		return (int16_t)raw[0];
	uint32_t both = (uint32_t)raw[p->swap ? 1 : 0] << 16 | raw[p->swap ? 0 : 1];
	if (p->type == MODBUS_U32)
		return both;
	if (p->type == MODBUS_S32)
		return (int32_t)both;
	float f;
	memcpy(&f, &both, sizeof(f));
	return (double)f;
}

void modbus_text(const struct modbus_point *p, double value, char text[MODBUS_VALUE_BYTES])
{
	if (p->type != MODBUS_F32 || modbus_is_bit(p->table)) {
		(void)snprintf(text, MODBUS_VALUE_BYTES, "%.0f", value);
		return;
	}
	for (int digits = 6; digits <= 9; digits++) {
		(void)snprintf(text, MODBUS_VALUE_BYTES, "%.*g", digits, value);
		if (strtof(text, NULL) == (float)value)
			break;
	}
}

static void printable(struct span s, char *to, size_t cap)
{
	size_t n = s.len < cap ? s.len : cap - 1;
	for (size_t i = 0; i < n; i++)
		to[i] = isprint(s.at[i]) ? (char)s.at[i] : '?';
	to[n] = '\0';
}

int modbus_encode(const struct modbus_point *p, struct span value, uint16_t raw[2], struct why *why)
{
	char text[40];
	double n;
	printable(value, text, sizeof(text));
	if (!kind_level_parse(value, &n))
		return why_set(why, -E_INVALID, "\"%s\" is no value of a register: send a number",
			       text);
	if (modbus_is_bit(p->table)) {
		raw[0] = n != 0;
		return n == 0 || n == 1 ? 0
					: why_set(why, -ERANGE, "a coil is 0 or 1, not %s", text);
	}
	if (p->type != MODBUS_F32 && n != floor(n))
		return why_set(why, -ERANGE, "a register of type %s takes whole numbers, not %s",
			       types[p->type].name, text);
	const float f = (float)n; /* beyond f32: infinite */
	if (n < types[p->type].least || n > types[p->type].most || !isfinite(f))
		return why_set(why, -ERANGE, "%s does not fit a register of type %s", text,
			       types[p->type].name);
	uint32_t both;
	if (p->type == MODBUS_F32)
		memcpy(&both, &f, sizeof(both));
	else
		both = (uint32_t)(int64_t)n;
	raw[0] = (uint16_t)both;
	if (p->count == 2) {
		raw[p->swap ? 1 : 0] = (uint16_t)(both >> 16);
		raw[p->swap ? 0 : 1] = (uint16_t)both;
	}
	return 0;
}

/* ---- several at once ---- */

int modbus_point_order(const struct modbus_point *a, const struct modbus_point *b)
{
	if (a->unit != b->unit)
		return a->unit < b->unit ? -1 : 1;
	if (a->table != b->table)
		return a->table < b->table ? -1 : 1;
	return a->address < b->address ? -1 : a->address > b->address;
}

unsigned modbus_merge(const struct modbus_point *const *points, unsigned n,
		      struct modbus_range *ret)
{
	const struct modbus_point *first = points[0];
	const uint32_t most =
		modbus_is_bit(first->table) ? MODBUS_BITS_AT_ONCE : MODBUS_REGISTERS_AT_ONCE;
	uint32_t end = (uint32_t)first->address + first->count;
	unsigned i = 1;
	for (; i < n; i++) {
		const struct modbus_point *p = points[i];
		uint32_t to = (uint32_t)p->address + p->count;
		if (p->unit != first->unit || p->table != first->table || p->address > end ||
		    to - first->address > most)
			break;
		end = to > end ? to : end;
	}
	*ret = (struct modbus_range){ first->unit, first->table, first->address,
				      (uint16_t)(end - first->address) };
	return i;
}
