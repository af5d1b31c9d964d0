/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part that both C forms of the example share: find the members "sensor" and "celsius" of a
 * JSON object and decide. It scans instead of building a tree: values that are not asked for are
 * stepped over, numbers keep the sender's spelling, and nothing is allocated. It does not check
 * that what it steps over is well-formed.
 */
#ifndef EXAMPLE_READING_H
#define EXAMPLE_READING_H

#include <stdbool.h>
#include <string.h>

#define LIMIT_CELSIUS    90
#define LIMIT_TEXT(n)    LIMIT_TEXT_OF(n)
#define LIMIT_TEXT_OF(n) #n

struct text {
	const char *at;
	size_t len;
};

static bool text_is(struct text t, const char *word)
{
	return t.len == strlen(word) && memcmp(t.at, word, t.len) == 0;
}

static size_t skip_space(struct text t, size_t i)
{
	while (i < t.len && strchr(" \t\r\n", t.at[i]) && t.at[i] != '\0')
		i++;
	return i;
}

/* i is at the opening quote; gives the place after the closing one, or 0 when there is none. */
static size_t skip_string(struct text t, size_t i)
{
	for (i++; i < t.len; i++) {
		if (t.at[i] == '\\')
			i++;
		else if (t.at[i] == '"')
			return i + 1;
	}
	return 0;
}

/* The place after the value at i; 0 when it does not end. Brackets are counted, not matched. */
static size_t skip_value(struct text t, size_t i)
{
	size_t depth = 0;

	while (i < t.len) {
		char c = t.at[i];
		if (c == '"') {
			i = skip_string(t, i);
			if (i == 0)
				return 0;
		} else if (depth == 0 && strchr(",}]", c)) {
			return i;
		} else {
			depth += c == '{' || c == '[';
			depth -= c == '}' || c == ']';
			i++;
		}
	}
	return 0;
}

/* The value of a member of the object that t is, without space around it. */
static bool find_member(struct text t, const char *name, struct text *ret_value)
{
	size_t i = skip_space(t, 0);

	if (i == t.len || t.at[i] != '{')
		return false;
	do {
		size_t key = skip_space(t, i + 1);
		size_t colon = key < t.len && t.at[key] == '"' ? skip_string(t, key) : 0;
		if (colon == 0)
			return false;
		struct text found = { t.at + key + 1, colon - key - 2 };
		colon = skip_space(t, colon);
		if (colon == t.len || t.at[colon] != ':')
			return false;
		size_t value = skip_space(t, colon + 1);
		i = skip_value(t, value);
		if (i == 0)
			return false;
		if (text_is(found, name)) {
			while (i > value && strchr(" \t\r\n", t.at[i - 1]))
				i--;
			*ret_value = (struct text){ t.at + value, i - value };
			return true;
		}
	} while (t.at[i] == ',');
	return false;
}

static size_t skip_digits(struct text t, size_t i)
{
	while (i < t.len && t.at[i] >= '0' && t.at[i] <= '9')
		i++;
	return i;
}

/* Good for deciding, not for arithmetic: the last digits of a long number are rounded more than
 * once. (strtod would bring 20 KB of code for numbers wider than a double.) */
static bool parse_number(struct text t, double *ret)
{
	bool negative = t.len > 0 && t.at[0] == '-';
	size_t start = t.len > 0 && (t.at[0] == '-' || t.at[0] == '+');
	size_t point = skip_digits(t, start);
	size_t end = point < t.len && t.at[point] == '.' ? skip_digits(t, point + 1) : point;
	double value = 0;
	int exponent = 0;

	if (end == start || end - start > 300)
		return false;
	for (size_t i = start; i < end; i++)
		if (i != point)
			value = value * 10 + (t.at[i] - '0');
	if (end < t.len && (t.at[end] == 'e' || t.at[end] == 'E')) {
		size_t i = end + 1;
		bool minus = i < t.len && t.at[i] == '-';
		i += i < t.len && (t.at[i] == '-' || t.at[i] == '+');
		end = skip_digits(t, i);
		if (end == i || end - i > 4)
			return false;
		for (; i < end; i++)
			exponent = exponent * 10 + (t.at[i] - '0');
		exponent = minus ? -exponent : exponent;
	}
	size_t decimals =
		point < t.len && t.at[point] == '.' ? skip_digits(t, point + 1) - point - 1 : 0;
	for (exponent -= (int)decimals; exponent > 0; exponent--)
		value *= 10;
	for (; exponent < 0; exponent++)
		value /= 10;
	*ret = negative ? -value : value;
	return end == t.len;
}

struct out {
	char *buf;
	size_t len, cap;
	bool full;
};

static void put(struct out *o, struct text t)
{
	if (o->full || t.len > o->cap - o->len) {
		o->full = true;
		return;
	}
	memcpy(o->buf + o->len, t.at, t.len);
	o->len += t.len;
}

#define WORD(s) ((struct text){ s, sizeof(s) - 1 })

/* Writes the alert that this reading deserves. Returns its length, 0 for none, -1 when the payload
 * is no reading (ret_problem says why). */
static int check_reading(struct text json, char *alert, size_t cap, const char **ret_problem)
{
	struct text sensor, celsius;
	struct out out = { .buf = alert, .cap = cap };
	double value;

	if (!find_member(json, "celsius", &celsius) || !parse_number(celsius, &value)) {
		*ret_problem = "the payload has no number \"celsius\"";
		return -1;
	}
	if (!find_member(json, "sensor", &sensor) || sensor.len < 2 || sensor.at[0] != '"') {
		*ret_problem = "the payload has no string \"sensor\"";
		return -1;
	}
	if (value <= LIMIT_CELSIUS)
		return 0;
	put(&out, WORD("{\"alert\":\"overheat\",\"sensor\":"));
	put(&out, sensor);
	put(&out, WORD(",\"celsius\":"));
	put(&out, celsius);
	put(&out, WORD(",\"limit\":" LIMIT_TEXT(LIMIT_CELSIUS) "}"));
	if (out.full) {
		*ret_problem = "the name of the sensor is too long";
		return -1;
	}
	return (int)out.len;
}

#endif
