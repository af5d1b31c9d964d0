/* SPDX-License-Identifier: Apache-2.0 */
/* The linker, a program of its own with resource limits: object in, shared object out. */
#ifndef COMPILER_LINK_H
#define COMPILER_LINK_H

#include <stdbool.h>

#include "base/why.h"
#include "sandbox/compiler/jail.h"

/* Links the objects in object_fd (a memfd with an archive of them) and writes to out_fd; both are borrowed. 0; -ENOENT: no
 * linker is installed; -E_TIME, -E_LIMIT: a limit was reached; -EIO with the linker's own words. */
int link_shared(int object_fd, int out_fd, bool is_x86, bool keep_debug,
		const struct jail_limits *limits, struct why *why) MUST_USE;

#endif
