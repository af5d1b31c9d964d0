/* SPDX-License-Identifier: Apache-2.0 */
/* Answers each request with the 256 bytes that nginx has in a file. */
#include <penstock.h>

static const char answer[256] = "{\"pump\":\"p-4\",\"state\":\"running\",\"note\":\"";

PENSTOCK_ON_EVENT int on_event(void)
{
	char text[sizeof(answer)];
	__builtin_memset(text, '.', sizeof(text));
	__builtin_memcpy(text, answer, __builtin_strlen(answer));
	__builtin_memcpy(text + sizeof(text) - 2, "\"}", 2);
	return penstock_emit("", text, sizeof(text));
}
