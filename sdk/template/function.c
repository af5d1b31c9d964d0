/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A function to start from: logs what came, answers with its length.
 *
 *	clang-19 --target=wasm32-wasi -O2 -I../include -c function.c
 *	clang-19 --target=wasm32-wasi -mexec-model=reactor -o function.wasm function.o
 *	penstock sign --key author.key --manifest manifest.json -o signed.wasm function.wasm
 */
#include <penstock.h>
#include <stdio.h>

PENSTOCK_ON_EVENT int on_event(void)
{
	char topic[128], text[4096], answer[64];

	int topic_len = penstock_attr("topic", topic, sizeof(topic));
	int len = penstock_payload(text, sizeof(text));
	if (topic_len < 0 || len < 0)
		return 1;
	penstock_log_n(PENSTOCK_INFO, topic,
		       topic_len < (int)sizeof(topic) ? (uint32_t)topic_len : sizeof(topic));
	int n = snprintf(answer, sizeof(answer), "{\"bytes\":%d}", len);
	return penstock_emit("", answer, (uint32_t)n);
}
