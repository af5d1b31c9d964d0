/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for libFuzzer: runs a fuzz target once on each file that is named, or lies in a folder
 * that is named, so that every input that once broke something stays in the tests. Each input is an
 * allocation of its own, where AddressSanitizer sees a read beyond it. Ends with "N inputs".
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct tally {
	unsigned inputs, unreadable;
};

static void replay(struct tally *t, FILE *f)
{
	uint8_t *data = NULL;
	size_t size = 0;
	int c;

	while ((c = getc(f)) != EOF) {
		uint8_t *bigger = realloc(data, size + 1);
		if (!bigger)
			abort();
		data = bigger;
		data[size++] = (uint8_t)c;
	}
	(void)LLVMFuzzerTestOneInput(data, size);
	free(data);
	t->inputs++;
}

static void file(struct tally *t, const char *path)
{
	FILE *f = fopen(path, "re");
	if (!f) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		t->unreadable++;
		return;
	}
	/* Should it crash, this is the last line and names the culprit. */
	fprintf(stderr, "%s\n", path);
	replay(t, f);
	(void)fclose(f);
}

static void folder(struct tally *t, const char *path, DIR *dir)
{
	const struct dirent *e;
	char name[4096];
	while ((e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		file(t, name);
	}
}

int main(int argc, char **argv)
{
	struct tally t = { 0 };

	(void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		if (dir)
			folder(&t, argv[i], dir);
		else
			file(&t, argv[i]);
		if (dir)
			(void)closedir(dir);
	}
	printf("%u inputs\n", t.inputs);
	return t.unreadable ? 1 : 0;
}
