/* SPDX-License-Identifier: Apache-2.0 */
/* The same as a command: stdin to stdout, and its topic to stderr. */
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	char chunk[4096];
	size_t n;

	while ((n = fread(chunk, 1, sizeof(chunk), stdin)) > 0)
		if (fwrite(chunk, 1, n, stdout) != n)
			return 1;
	fprintf(stderr, "topic=%s\n", getenv("MQTT_TOPIC") ? getenv("MQTT_TOPIC") : "");
	return 0;
}
