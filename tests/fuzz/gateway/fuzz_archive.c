/* SPDX-License-Identifier: Apache-2.0 */
/* A backup to be restored. Names that get through are ours, in order, and so is every size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gateway/archive.h"

struct seen {
	uint64_t left;
	char last[ARCHIVE_NAME_MAX + 1];
};

static int begin(void *arg, const char *name, uint64_t bytes, struct why *why)
{
	struct seen *s = arg;
	(void)why;
	ENSURE(s->left == 0 && name[0] != '/' && !strstr(name, "..") &&
	       strlen(name) <= ARCHIVE_NAME_MAX);
	ENSURE(strcmp(name, s->last) != 0);
	s->left = bytes;
	(void)snprintf(s->last, sizeof(s->last), "%s", name);
	return 0;
}

static int data(void *arg, const void *bytes, size_t len, struct why *why)
{
	struct seen *s = arg;
	(void)bytes;
	(void)why;
	ENSURE(len > 0 && len <= s->left);
	s->left -= len;
	return 0;
}

static int end(void *arg, struct why *why)
{
	const struct seen *s = arg;
	(void)why;
	ENSURE(s->left == 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data_, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data_, size_t size)
{
	struct seen seen = { 0 };
	struct why why = { 0 };
	const struct archive_sink sink = { begin, data, end, &seen };
	int fd = memfd_create("archive", MFD_CLOEXEC);
	if (fd < 0 || write(fd, data_, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) < 0)
		abort();
	if (archive_read(fd, &sink, &why) < 0)
		ENSURE(why.text[0] != '\0');
	(void)close(fd);
	return 0;
}
