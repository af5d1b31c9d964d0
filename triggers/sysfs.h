/* SPDX-License-Identifier: Apache-2.0 */
/* Small files with one value in them, as the kernel has them in /sys. */
#ifndef TRIGGERS_SYSFS_H
#define TRIGGERS_SYSFS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/util.h"

/* Its text from the beginning, without blanks and line ends behind it. -E2BIG: it has cap bytes or more; -errno */
int sysfs_read_fd(int fd, char *buf, size_t cap) MUST_USE;
/* dir: a descriptor, or AT_FDCWD. */
int sysfs_read(int dir, const char *name, char *buf, size_t cap) MUST_USE;
/* A name that stays inside its directory: no slash, not "." or "..", 1 to 255 bytes. */
bool sysfs_name_ok(const char *name);

#endif
