/* SPDX-License-Identifier: Apache-2.0 */
/* The files that a thread, and what it starts, may still name; what is open already stays usable. */
#ifndef BASE_LANDLOCK_H
#define BASE_LANDLOCK_H

#include <stddef.h>

#include "base/util.h"
#include "base/why.h"

/* From here on only what lies beneath these paths can be opened, to be read or run; nothing can be
 * written, made or removed by name. Paths that do not exist are left out. For the calling thread and
 * its children, for good; PR_SET_NO_NEW_PRIVS comes first. A kernel without Landlock: 0, and nothing
 * has changed; whoever calls has a seccomp filter as well. */
int landlock_enter(const char *const *readable, size_t n, struct why *why) MUST_USE;

#endif
