/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts the events of each topic, in state, and says how many: "TOPIC COUNT PAYLOAD". Payload "list": all
 * counters. Payload "fail": counts and then fails, which must count nothing.
 */
#include <penstock.h>

static char text[4096];

static int append_number(char *to, unsigned n)
{
	char digits[12];
	int len = 0;

	do
		digits[len++] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	for (int i = 0; i < len; i++)
		to[i] = digits[len - 1 - i];
	return len;
}

static int list(void)
{
	char after[512], key[512];
	int len = 0, after_len = 0, n;

	while ((n = penstock_state_next_n("", 0, "", 0, after, (uint32_t)after_len, key,
					  sizeof(key))) > 0) {
		unsigned count = 0;
		if (len + n + 16 > (int)sizeof(text) ||
		    penstock_state_get_n("", 0, key, (uint32_t)n, &count, sizeof(count)) != 4)
			return 2;
		__builtin_memcpy(text + len, key, (size_t)n);
		len += n;
		text[len++] = '=';
		len += append_number(text + len, count);
		text[len++] = ' ';
		__builtin_memcpy(after, key, (size_t)n);
		after_len = n;
	}
	return n == PENSTOCK_ENOENT ? penstock_emit("", text, (uint32_t)len) : 3;
}

PENSTOCK_ON_EVENT int on_event(void)
{
	char topic[256], payload[256];
	int len = penstock_attr("topic", topic, sizeof(topic));
	int payload_len = penstock_payload(payload, sizeof(payload));
	unsigned count = 0;

	if (len <= 0 || len > (int)sizeof(topic) || payload_len < 0 ||
	    payload_len > (int)sizeof(payload))
		return 1;
	if (payload_len == 4 && __builtin_memcmp(payload, "list", 4) == 0)
		return list();
	int got = penstock_state_get_n("", 0, topic, (uint32_t)len, &count, sizeof(count));
	if (got != 4 && got != PENSTOCK_ENOENT)
		return 4;
	count++;
	if (penstock_state_put_n("", 0, topic, (uint32_t)len, &count, sizeof(count), 0) != 0)
		return 5;
	if (payload_len == 4 && __builtin_memcmp(payload, "fail", 4) == 0)
		return 6;
	__builtin_memcpy(text, topic, (size_t)len);
	text[len++] = ' ';
	len += append_number(text + len, count);
	text[len++] = ' ';
	__builtin_memcpy(text + len, payload, (size_t)payload_len);
	return penstock_emit("", text, (uint32_t)(len + payload_len));
}
