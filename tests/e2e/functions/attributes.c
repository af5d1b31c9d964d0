/* SPDX-License-Identifier: Apache-2.0 */
/* Answers on the binding's topic: "set" with attributes, "bad" with the codes of attributes that nobody may set, or, to
 * a list of names, with what the event has under each of them. */
#include <penstock.h>
#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static char payload[512], answer[4096], value[4096];

static int set(void)
{
	const struct penstock_attribute a[] = {
		penstock_attribute("datacontenttype", "text/y"),
		penstock_attribute("responsetopic", "answer/to"),
		penstock_attribute("correlationdata", "a-z"),
		penstock_attribute("expiry", "60"),
		penstock_attribute("payloadformat", "1"),
		penstock_attribute("colour", "blue"),
		penstock_attribute("type", "my.type"),
	};

	return penstock_emit_with("", "set", 3, a, COUNT(a));
}

static int bad(void)
{
	static struct penstock_attribute many[33];
	const struct penstock_attribute one[] = {
		penstock_attribute("id", "1"),
		penstock_attribute("penstock-hops", "0"),
		penstock_attribute("expiry", "soon"),
		penstock_attribute("responsetopic", "a/#"),
	};
	int n = 0;

	for (unsigned i = 0; i < COUNT(many); i++)
		many[i] = penstock_attribute("x", "y");
	for (unsigned i = 0; i < COUNT(one); i++)
		n += sprintf(answer + n, "%d ", penstock_emit_with("", "x", 1, one + i, 1));
	n += sprintf(answer + n, "%d ", penstock_emit_with("", "x", 1, many, 33));
	n += sprintf(answer + n, "%d ",
		     penstock_emit_with("", "x", 1, (struct penstock_attribute *)0xfffffff0, 2));
	n += sprintf(answer + n, "0");
	return penstock_emit("", answer, (uint32_t)n);
}

PENSTOCK_ON_EVENT int on_event(void)
{
	int n = penstock_payload(payload, sizeof(payload) - 1), len = 0;

	payload[n < (int)sizeof(payload) ? n : 0] = '\0';
	if (strcmp(payload, "set") == 0)
		return set();
	if (strcmp(payload, "bad") == 0)
		return bad();
	for (char *name = strtok(payload, " "); name; name = strtok(NULL, " ")) {
		n = penstock_attr(name, value, sizeof(value));
		len += sprintf(answer + len, "%s=%.*s;", name, n > 0 ? n : 0, value);
	}
	return penstock_emit("", answer, (uint32_t)len);
}
