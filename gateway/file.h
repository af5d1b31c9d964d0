/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the state directory: written whole or not at all, and read as far as they may be long. */
#ifndef GATEWAY_FILE_H
#define GATEWAY_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/rd.h"
#include "base/util.h"
#include "base/why.h"

/* parent/name with this mode, created when it is missing; ready for *at() calls. */
int file_dir(const char *parent, const char *name, mode_t mode, int *ret_fd,
	     struct why *why) MUST_USE;

/* Writes the parts to a temporary name, fsyncs, renames it to name (0600) and fsyncs the directory.
 * -EIO, -ENOSPC, ... with the reason; then name is as it was. Any thread. */
int file_put(int dir_fd, const char *name, const struct span *parts, size_t n,
	     struct why *why) MUST_USE;

/* A memfd with the bytes [at, at + len) of fd, sealed against every change. */
int file_to_memfd(int fd, off_t at, size_t len, const char *memfd_name, int *ret_fd,
		  struct why *why) MUST_USE;
/* The same for one of the caller's that allows it; -EBUSY, -EPERM when somebody stands against it. */
int file_memfd_seal(int fd, const char *memfd_name, struct why *why) MUST_USE;
/* A memfd of these bytes, sealed. */
int file_memfd(struct span bytes, const char *memfd_name, int *ret_fd, struct why *why) MUST_USE;

/* Maps all of it read-only; an empty file gives an empty span. Unmap with file_unmap(). */
int file_map(int fd, size_t most, struct span *ret, struct why *why) MUST_USE;
void file_unmap(struct span s);

#endif
