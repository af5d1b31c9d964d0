/* SPDX-License-Identifier: Apache-2.0 */
/* Emits what an edge's event says, as JSON: {"level":1,"edge":"rising","sequence":7,"missed":0,"type":"..."} */
#include <penstock.h>

static char out[512];
static uint32_t len;

static void put(const char *s)
{
	for (; *s && len < sizeof(out); s++)
		out[len++] = *s;
}

static void put_attr(const char *name, const char *otherwise)
{
	char value[128];
	int n = penstock_attr(name, value, sizeof(value) - 1);

	value[n > 0 && n < (int)sizeof(value) ? n : 0] = '\0';
	put(value[0] ? value : otherwise);
}

PENSTOCK_ON_EVENT int on_event(void)
{
	char level[8] = { 0 };

	len = 0;
	if (penstock_payload(level, sizeof(level) - 1) != 1)
		return 1;
	put("{\"level\":");
	put(level);
	put(",\"edge\":\"");
	put_attr("edge", "");
	put("\",\"sequence\":");
	put_attr("sequence", "0");
	put(",\"time_ns\":");
	put_attr("time_ns", "0");
	put(",\"missed\":");
	put_attr("missed", "0");
	put(",\"type\":\"");
	put_attr("type", "");
	put("\"}");
	return penstock_emit("", out, len);
}
