/* SPDX-License-Identifier: Apache-2.0 */
/* Emits what a change of an input says, as JSON: {"name":"I_1","value":1,"edge":"rising","change":0,...} */
#include <penstock.h>

static char out[512];
static uint32_t len;

static void put(const char *s)
{
	for (; *s && len < sizeof(out); s++)
		out[len++] = *s;
}

static void put_attr(const char *before, const char *name, const char *otherwise)
{
	char value[128];
	int n = penstock_attr(name, value, sizeof(value) - 1);

	value[n > 0 && n < (int)sizeof(value) ? n : 0] = '\0';
	put(before);
	put(value[0] ? value : otherwise);
}

PENSTOCK_ON_EVENT int on_event(void)
{
	char value[24] = { 0 };

	len = 0;
	if (penstock_payload(value, sizeof(value) - 1) < 1)
		return 1;
	put_attr("{\"name\":\"", "topic", "");
	put("\",\"value\":");
	put(value);
	put_attr(",\"edge\":\"", "edge", "");
	put_attr("\",\"previous\":", "previous", "null");
	put_attr(",\"change\":", "change", "null");
	put_attr(",\"restarted\":", "restarted", "0");
	put_attr(",\"missed\":", "missed", "0");
	put_attr(",\"bits\":", "bits", "0");
	put_attr(",\"device\":\"", "device", "");
	put_attr("\",\"type\":\"", "type", "");
	put("\"}");
	return penstock_emit("", out, len);
}
