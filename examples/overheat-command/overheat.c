/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overheat, as a C command: the payload is stdin, the alert is stdout, an exit code other than 0
 * fails the event. It needs nothing of Penstock and can be tried in a shell:
 *
 *	echo '{"sensor":"boiler-1","celsius":93.4}' | penstock run overheat-command.wasm
 */
#include <stdio.h>

#include "../overheat/reading.h"

int main(void)
{
	char json[1024 + 1], alert[256];
	const char *problem;

	size_t len = fread(json, 1, sizeof(json), stdin);
	if (len == sizeof(json)) {
		fputs("the payload is longer than 1024 bytes\n", stderr);
		return 1;
	}
	int n = check_reading((struct text){ json, len }, alert, sizeof(alert), &problem);
	if (n < 0) {
		fprintf(stderr, "%s\n", problem);
		return 1;
	}
	return fwrite(alert, 1, (size_t)n, stdout) == (size_t)n ? 0 : 1;
}
