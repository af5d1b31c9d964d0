/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's cache: $XDG_CACHE_HOME/penstock, else ~/.cache/penstock. What lies in it is run, so it
 * is used only where nobody but the user can write.
 */
#ifndef CLI_CACHE_H
#define CLI_CACHE_H

#include "base/why.h"

/* The path of a file in the folder `kind`, which is made; its name is the last part of `like`, with
 * its ending replaced. malloc'd. -E_CONFIG: no home, or a folder that others may write to. */
int cache_path(const char *kind, const char *like, const char *ending, char **ret_path,
	       struct why *why) MUST_USE;
/* The folder itself, opened. */
int cache_open(const char *kind, char **ret_path, int *ret_fd, struct why *why) MUST_USE;

#endif
