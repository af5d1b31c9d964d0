/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for libFuzzer: runs a fuzz target once on each file that is named, so that every input
 * that once broke something stays in the tests. Each input lies at the end of its own allocation,
 * where AddressSanitizer sees a read beyond it.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
	FILE *f = fopen(path, "re");
	uint8_t *data = NULL;
	size_t size = 0;
	int c;

	if (!f) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	while ((c = getc(f)) != EOF) {
		uint8_t *bigger = realloc(data, size + 1);
		if (!bigger)
			abort();
		data = bigger;
		data[size++] = (uint8_t)c;
	}
	fclose(f);
	/* Should it crash, this is the last line and names the culprit. */
	fprintf(stderr, "%s\n", path);
	(void)LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 0;
}

int main(int argc, char **argv)
{
	int bad = 0;

	(void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++)
		bad |= replay(argv[i]);
	return bad;
}
