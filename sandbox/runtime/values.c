/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/values.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool parse_int(const char *text, unsigned bits, uint64_t *ret)
{
	char *end;
	const char *digits = text + (*text == '-' || *text == '+');
	if (*digits < '0' || *digits > '9')
		return false;
	int base = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X') ? 16 : 10;
	errno = 0;
	uint64_t v = strtoull(digits, &end, base);
	uint64_t most = *text == '-' ? UINT64_C(1) << (bits - 1) : UINT64_MAX >> (64 - bits);
	if (errno != 0 || *end != '\0' || v > most)
		return false;
	*ret = *text == '-' ? -v : v;
	return true;
}

/* As it is printed: 0x and 32 digits, the last two of which are byte 0. */
static bool parse_v128(const char *text, uint8_t ret[16])
{
	if (strncmp(text, "0x", 2) != 0 || strlen(text) != 34 ||
	    strspn(text + 2, "0123456789abcdefABCDEF") != 32)
		return false;
	for (size_t i = 0; i < 16; i++) {
		char byte[3] = { text[32 - 2 * i], text[33 - 2 * i] };
		ret[i] = (uint8_t)strtoul(byte, NULL, 16);
	}
	return true;
}

bool value_parse(const char *text, uint8_t type, union aot_value *ret)
{
	uint64_t bits;
	char *end = NULL;
	*ret = (union aot_value){ .u64 = { 0, 0 } };
	switch (type) {
	case AOT_I32:
		if (!parse_int(text, 32, &bits))
			return false;
		ret->i32 = (uint32_t)bits;
		return true;
	case AOT_I64:
		if (!parse_int(text, 64, &bits))
			return false;
		ret->i64 = bits;
		return true;
	case AOT_F32:
		ret->f32 = strtof(text, &end);
		return end != text && *end == '\0';
	case AOT_F64:
		ret->f64 = strtod(text, &end);
		return end != text && *end == '\0';
	case AOT_FUNCREF:
	case AOT_EXTERNREF:
		return strcmp(text, "null") == 0;
	case AOT_V128:
		return parse_v128(text, ret->v128);
	default:
		return false;
	}
}

static void print_float(double v, int digits, struct wr *w)
{
	if (isnan(v))
		wr_str(w, signbit(v) ? "-nan" : "nan");
	else if (isinf(v))
		wr_str(w, v < 0 ? "-inf" : "inf");
	else
		wr_fmt(w, "%.*g", digits, v);
}

/* The fewest digits that give the same value again. */
static void print_f32(float v, struct wr *w)
{
	char text[64];
	int digits = 1;
	for (; digits < 9; digits++) {
		(void)snprintf(text, sizeof(text), "%.*g", digits, (double)v);
		if (strtof(text, NULL) == v)
			break;
	}
	print_float((double)v, digits, w);
}

static void print_f64(double v, struct wr *w)
{
	char text[64];
	int digits = 1;
	for (; digits < 17; digits++) {
		(void)snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	print_float(v, digits, w);
}

void value_print(const union aot_value *v, uint8_t type, struct wr *w)
{
	switch (type) {
	case AOT_I32:
		wr_fmt(w, "%" PRId32, (int32_t)v->i32);
		break;
	case AOT_I64:
		wr_fmt(w, "%" PRId64, (int64_t)v->i64);
		break;
	case AOT_F32:
		print_f32(v->f32, w);
		break;
	case AOT_F64:
		print_f64(v->f64, w);
		break;
	case AOT_FUNCREF:
	case AOT_EXTERNREF:
		wr_str(w, v->ref ? "ref" : "null");
		break;
	default:
		wr_str(w, "0x");
		for (int i = 15; i >= 0; i--)
			wr_fmt(w, "%02x", v->v128[i]);
	}
}
