/* SPDX-License-Identifier: Apache-2.0 */
/* Inside: backup.c, restore.c. */
#ifndef GATEWAY_BACKUP_IMPL_H
#define GATEWAY_BACKUP_IMPL_H

#include "gateway/backup.h"

/* What backup_start does, on the calling thread. */
int backup_make(const char *state_dir, int *ret_fd, uint64_t *ret_bytes, struct why *why) MUST_USE;

#endif
