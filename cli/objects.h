/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the last compile of a file left, so that the next one compiles only what has changed: one file
 * for each module and set of options in the user's cache (cache.h), with a hash in front that finds
 * damage. Whoever can write there is the user. Without a cache a compile takes longer, that is all:
 * nothing here fails.
 */
#ifndef CLI_OBJECTS_H
#define CLI_OBJECTS_H

#include "proto/aot_job.h"

enum { OBJECTS_BYTES_MAX = 64 << 20, OBJECTS_ALL_BYTES_MAX = 256 << 20 };

struct objects {
	int dir_fd; /* -1: no cache */
	int fd;     /* for aot_job_options.objects_fd */
	char name[2 * 16 + 1];
};

/* o says how the module at path will be compiled. */
void objects_open(const char *path, const struct aot_job_options *o, struct objects *ret);
/* After a compile: keeps what it left; the files that were not used for the longest time go, as many
 * as it takes to stay under OBJECTS_ALL_BYTES_MAX. */
void objects_keep(const struct objects *s);
void objects_close(struct objects *s);

#endif
