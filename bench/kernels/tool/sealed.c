/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sealed FILE.so PROGRAM [ARGUMENT...]: becomes PROGRAM, with descriptor 3 a sealed memory file of
 * FILE.so's bytes. Such a one penstock-sandbox wants, so that what was compiled cannot change.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "proto/ipc.h"

enum { SO_FD = 3, USAGE = 64, FAILED = 70 };

static int failed(const char *what, const char *name, int err)
{
	(void)fprintf(stderr, "sealed: %s %s: %s\n", what, name, strerror(err));
	return FAILED;
}

int main(int argc, char **argv)
{
	struct stat st;
	if (argc < 3) {
		(void)fputs("usage: sealed FILE.so PROGRAM [ARGUMENT...]\n", stderr);
		return USAGE;
	}
	OWN_FD file = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (file < 0 || fstat(file, &st) < 0)
		return failed("open", argv[1], errno);
	void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, file, 0);
	if (bytes == MAP_FAILED)
		return failed("read", argv[1], errno);
	const struct span all = { bytes, (size_t)st.st_size };
	int fd = ipc_memfd("kernels", &all, 1);
	if (fd < 0)
		return failed("memory for", argv[1], -fd);
	/* dup2 of a descriptor to itself would keep FD_CLOEXEC. */
	if (fd == SO_FD ? fcntl(fd, F_SETFD, 0) < 0 : dup2(fd, SO_FD) < 0)
		return failed("dup2", argv[1], errno);
	(void)execv(argv[2], argv + 2);
	return failed("run", argv[2], errno);
}
