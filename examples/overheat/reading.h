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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_CELSIUS 90

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

static bool parse_number(struct text t, double *ret)
{
	char digits[32];
	char *end;

	/* strtod would take "nan" and "0x1p3" as well; JSON does not. */
	if (t.len == 0 || t.len >= sizeof(digits))
		return false;
	memcpy(digits, t.at, t.len);
	digits[t.len] = '\0';
	if (strspn(digits, "+-.0123456789eE") != t.len)
		return false;
	*ret = strtod(digits, &end);
	return *end == '\0';
}

/* Writes the alert that this reading deserves. Returns its length, 0 for none, -1 when the payload
 * is no reading (ret_problem says why). */
static int check_reading(struct text json, char *alert, size_t cap, const char **ret_problem)
{
	struct text sensor, celsius;
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
	int n = snprintf(alert, cap,
			 "{\"alert\":\"overheat\",\"sensor\":%.*s,\"celsius\":%.*s,\"limit\":%d}",
			 (int)sensor.len, sensor.at, (int)celsius.len, celsius.at, LIMIT_CELSIUS);
	if (n < 0 || (size_t)n >= cap) {
		*ret_problem = "the name of the sensor is too long";
		return -1;
	}
	return n;
}

#endif
