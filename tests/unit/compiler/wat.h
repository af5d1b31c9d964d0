/* SPDX-License-Identifier: Apache-2.0 */
/* Wasm from text, by wabt's wat2wasm, at test time: a test shows what it tests. */
#ifndef TESTS_COMPILER_WAT_H
#define TESTS_COMPILER_WAT_H

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/own.h"
#include "base/util.h"

/* The bytes, malloc'd. A text that wat2wasm refuses ends the test. */
static void *wat_assemble(const char *text, size_t *ret_len)
{
	OWN_FD in = memfd_create("wat", 0);
	OWN_FD out = memfd_create("wasm", 0);
	char in_path[32], out_path[48];
	ENSURE(write(in, text, strlen(text)) == (ssize_t)strlen(text));
	(void)snprintf(in_path, sizeof(in_path), "/proc/self/fd/%d", in);
	(void)snprintf(out_path, sizeof(out_path), "--output=/proc/self/fd/%d", out);
	pid_t pid = fork();
	if (pid == 0) {
		(void)execlp("wat2wasm", "wat2wasm", "--debug-names", in_path, out_path, NULL);
		fputs("cannot run wat2wasm: install package wabt\n", stderr);
		_exit(127);
	}
	int status;
	ENSURE(waitpid(pid, &status, 0) == pid && status == 0);
	struct stat st;
	ENSURE(fstat(out, &st) == 0);
	*ret_len = (size_t)st.st_size;
	void *bytes = malloc(*ret_len + 1);
	ENSURE(bytes && pread(out, bytes, *ret_len, 0) == st.st_size);
	return bytes;
}

#endif
