/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files in and out. */
#ifndef CLI_FILE_H
#define CLI_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/rd.h"
#include "base/why.h"

enum { FILE_MODULE_MAX = 64 << 20, FILE_KEY_MAX = 16 << 10 };

struct bytes {
	uint8_t *at; /* malloc'd */
	size_t len;
};

void bytes_fini(struct bytes *b);
#define OWN_BYTES __attribute__((cleanup(bytes_fini))) struct bytes

static inline struct span bytes_span(const struct bytes *b)
{
	return (struct span){ b->at, b->len };
}

/* All of a file ("-": stdin), at most `most` bytes. */
int file_read(const char *path, size_t most, struct bytes *ret, struct why *why) MUST_USE;
/* The same of an open descriptor; name for messages. */
int file_read_fd(int fd, const char *name, size_t most, struct bytes *ret,
		 struct why *why) MUST_USE;

/* A new file; -EEXIST when there is one and it may not be replaced. Replacing is atomic: the old
 * content stays until the new one is complete. */
enum file_mode { FILE_NEW, FILE_REPLACE };
int file_write(const char *path, struct span content, enum file_mode how, mode_t mode,
	       struct why *why) MUST_USE;

#endif
