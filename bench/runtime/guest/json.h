/* SPDX-License-Identifier: Apache-2.0 */
/* Parse, convert, build: the work of json.c, shared with the native comparison. */
#ifndef BENCH_GUEST_JSON_H
#define BENCH_GUEST_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct json_reading {
	const char *sensor;
	size_t sensor_len;
	double fahrenheit;
	int64_t time;
};

struct json_in {
	const char *at, *end;
};

static bool json_skip(struct json_in *in, char c)
{
	while (in->at < in->end && (*in->at == ' ' || *in->at == '\t' || *in->at == '\n'))
		in->at++;
	if (in->at == in->end || *in->at != c)
		return false;
	in->at++;
	return true;
}

static bool json_string(struct json_in *in, const char **ret, size_t *ret_len)
{
	if (!json_skip(in, '"'))
		return false;
	*ret = in->at;
	while (in->at < in->end && *in->at != '"')
		in->at += *in->at == '\\' ? 2 : 1;
	*ret_len = (size_t)(in->at - *ret);
	return json_skip(in, '"');
}

static double json_number(struct json_in *in)
{
	double v = 0, scale = 1;
	bool minus = json_skip(in, '-'), point = false;
	for (; in->at < in->end; in->at++) {
		if (*in->at == '.') {
			point = true;
			continue;
		}
		if (*in->at < '0' || *in->at > '9')
			break;
		v = v * 10 + (*in->at - '0');
		scale *= point ? 10 : 1;
	}
	return (minus ? -v : v) / scale;
}

static bool json_parse(struct json_in *in, struct json_reading *r)
{
	if (!json_skip(in, '{'))
		return false;
	do {
		const char *key;
		size_t len;
		if (!json_string(in, &key, &len) || !json_skip(in, ':'))
			return false;
		if (len == 6 && memcmp(key, "sensor", 6) == 0) {
			if (!json_string(in, &r->sensor, &r->sensor_len))
				return false;
		} else if (len == 10 && memcmp(key, "fahrenheit", 10) == 0) {
			r->fahrenheit = json_number(in);
		} else if (len == 4 && memcmp(key, "time", 4) == 0) {
			r->time = (int64_t)json_number(in);
		} else {
			return false;
		}
	} while (json_skip(in, ','));
	return json_skip(in, '}');
}

static char *json_put(char *to, const char *text, size_t len)
{
	memcpy(to, text, len);
	return to + len;
}

static char *json_put_int(char *to, int64_t v, int digits)
{
	char text[24];
	int n = 0;
	if (v < 0)
		*to++ = '-';
	for (uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v; u > 0 || n < digits; u /= 10)
		text[n++] = (char)('0' + u % 10);
	while (n > 0)
		*to++ = text[--n];
	return to;
}

/* The length of what it built, or -1. */
static int json_convert(const char *from, size_t len, char *out, size_t cap)
{
	struct json_in in = { from, from + len };
	struct json_reading r = { 0 };
	if (!json_parse(&in, &r) || r.sensor_len + 80 > cap)
		return -1;
	int64_t hundredths = (int64_t)((r.fahrenheit - 32) * 500 / 9);
	char *to = out;
	to = json_put(to, "{\"sensor\":\"", 11);
	to = json_put(to, r.sensor, r.sensor_len);
	to = json_put(to, "\",\"celsius\":", 12);
	to = json_put_int(to, hundredths / 100, 1);
	*to++ = '.';
	to = json_put_int(to, (hundredths < 0 ? -hundredths : hundredths) % 100, 2);
	to = json_put(to, ",\"time\":", 8);
	to = json_put_int(to, r.time, 1);
	*to++ = '}';
	return (int)(to - out);
}

#endif
