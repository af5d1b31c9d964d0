/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/spec/value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LANES_MAX = 16 };

/* How a value is written: one lane, or the lanes of a v128. */
struct shape {
	const char *name;
	uint8_t type;  /* of a scalar; 0: only a lane */
	uint8_t bytes; /* of a lane */
	uint64_t nan,
		quiet; /* floats: sign removed, a canonical NaN; the bits of an arithmetic one */
};

static const struct shape shapes[] = {
	{ "i8", 0, 1, 0, 0 },
	{ "i16", 0, 2, 0, 0 },
	{ "i32", AOT_I32, 4, 0, 0 },
	{ "i64", AOT_I64, 8, 0, 0 },
	{ "f32", AOT_F32, 4, UINT64_C(0x7fffffff), UINT64_C(0x7fc00000) },
	{ "f64", AOT_F64, 8, UINT64_C(0x7fffffffffffffff), UINT64_C(0x7ff8000000000000) },
};

static const char *member(const json_t *j, const char *name)
{
	const char *s = json_string_value(json_object_get(j, name));
	return s ? s : "";
}

static const struct shape *shape_of(const json_t *j)
{
	const char *name = member(j, "type");
	if (strcmp(name, "v128") == 0)
		name = member(j, "lane_type");
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
		if (strcmp(shapes[i].name, name) == 0)
			return &shapes[i];
	return NULL;
}

static uint8_t type_of(const json_t *j)
{
	const char *name = member(j, "type");
	const struct shape *s = shape_of(j);
	if (strcmp(name, "v128") == 0)
		return AOT_V128;
	if (strcmp(name, "funcref") == 0)
		return AOT_FUNCREF;
	if (strcmp(name, "externref") == 0)
		return AOT_EXTERNREF;
	return s ? s->type : 0;
}

static bool number(const char *text, uint64_t *ret)
{
	char *end;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return errno == 0 && end != text && *end == '\0';
}

/* Fills in the texts of the lanes; 0 when they are not what the shape needs. */
static size_t lanes_of(const json_t *j, const struct shape *s, const char *lanes[LANES_MAX])
{
	const json_t *value = json_object_get(j, "value");
	size_t n = json_is_array(value) ? json_array_size(value) : 1;
	if (!s || n > LANES_MAX || (json_is_array(value) && n * s->bytes != LANES_MAX))
		return 0;
	for (size_t i = 0; i < n; i++) {
		lanes[i] =
			json_string_value(json_is_array(value) ? json_array_get(value, i) : value);
		if (!lanes[i])
			return 0;
	}
	return n;
}

/* The guest must not see NULL where the host gave 0. */
static bool parse_externref(const char *text, union aot_value *ret)
{
	uint64_t n;
	*ret = (union aot_value){ .ref = NULL };
	if (strcmp(text, "null") == 0)
		return true;
	if (!number(text, &n))
		return false;
	ret->ref = (void *)(uintptr_t)(n + 1);
	return true;
}

bool spec_value_parse(const json_t *j, uint8_t *ret_type, union aot_value *ret)
{
	const char *lanes[LANES_MAX];
	*ret_type = type_of(j);
	*ret = (union aot_value){ .u64 = { 0, 0 } };
	if (*ret_type == AOT_EXTERNREF)
		return parse_externref(member(j, "value"), ret);
	if (*ret_type == AOT_FUNCREF)
		return strcmp(member(j, "value"), "null") == 0;
	const struct shape *s = shape_of(j);
	size_t n = lanes_of(j, s, lanes);
	for (size_t i = 0; i < n; i++) {
		uint64_t bits;
		if (!number(lanes[i], &bits))
			return false;
		memcpy(ret->v128 + i * s->bytes, &bits, s->bytes); /* little endian, as Wasm */
	}
	return *ret_type != 0 && n > 0;
}

static bool lane_matches(const struct shape *s, const char *want, uint64_t got)
{
	uint64_t bits;
	if (s->nan != 0 && strcmp(want, "nan:canonical") == 0)
		return (got & s->nan) == s->quiet;
	if (s->nan != 0 && strcmp(want, "nan:arithmetic") == 0)
		return (got & s->quiet) == s->quiet;
	return number(want, &bits) && got == bits;
}

bool spec_value_matches(const json_t *want, uint8_t type, const union aot_value *got)
{
	const char *lanes[LANES_MAX];
	union aot_value v;
	uint8_t t;
	if (type != type_of(want))
		return false;
	if (type == AOT_EXTERNREF || type == AOT_FUNCREF)
		/* (ref.func) without a number is any function */
		return json_object_get(want, "value")
			       ? spec_value_parse(want, &t, &v) && v.ref == got->ref
			       : got->ref != NULL;
	const struct shape *s = shape_of(want);
	size_t n = lanes_of(want, s, lanes);
	for (size_t i = 0; i < n; i++) {
		uint64_t bits = 0;
		memcpy(&bits, got->v128 + i * s->bytes, s->bytes);
		if (!lane_matches(s, lanes[i], bits))
			return false;
	}
	return n > 0;
}

static void lane_text(const struct shape *s, const char *text, struct wr *w)
{
	uint64_t bits;
	if (number(text, &bits))
		wr_fmt(w, " 0x%0*" PRIx64, 2 * s->bytes, bits);
	else
		wr_fmt(w, " %s", text);
}

void spec_value_want(const json_t *want, struct wr *w)
{
	const char *lanes[LANES_MAX];
	const struct shape *s = shape_of(want);
	size_t n = lanes_of(want, s, lanes);
	wr_str(w, member(want, "type"));
	if (!s)
		wr_fmt(w, " %s", json_object_get(want, "value") ? member(want, "value") : "any");
	for (size_t i = 0; i < n; i++)
		lane_text(s, lanes[i], w);
}

static void v128_text(const union aot_value *v, const struct shape *s, struct wr *w)
{
	wr_str(w, "v128");
	for (size_t i = 0; i < sizeof(v->v128); i += s->bytes) {
		uint64_t bits = 0;
		memcpy(&bits, v->v128 + i, s->bytes);
		wr_fmt(w, " 0x%0*" PRIx64, 2 * s->bytes, bits);
	}
}

void spec_value_got(uint8_t type, const union aot_value *got, const json_t *want, struct wr *w)
{
	const struct shape *s = want ? shape_of(want) : NULL;
	switch (type) {
	case AOT_I32:
	case AOT_F32:
		wr_fmt(w, "%s 0x%08" PRIx32, type == AOT_I32 ? "i32" : "f32", got->i32);
		break;
	case AOT_I64:
	case AOT_F64:
		wr_fmt(w, "%s 0x%016" PRIx64, type == AOT_I64 ? "i64" : "f64", got->i64);
		break;
	case AOT_V128:
		v128_text(got, s ? s : &shapes[0], w);
		break;
	case AOT_EXTERNREF:
		if (got->ref) {
			wr_fmt(w, "externref %ju", (uintmax_t)(uintptr_t)got->ref - 1);
			break;
		}
		__attribute__((fallthrough));
	default:
		wr_fmt(w, "%s %s", type == AOT_FUNCREF ? "funcref" : "externref",
		       got->ref ? "of a function" : "null");
	}
}
