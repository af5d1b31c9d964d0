/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backup of a running gateway, and the way back. In it (archive.h): the registry (functions, bindings, whom
 * the gateway trusts), the journal with state, outbox and events, and the modules. Not in it: the device's key
 * and native code, which are worth nothing on another device and are made again from the modules; and the
 * configuration, which is the operator's.
 *
 * The databases are copied by SQLite in one reading transaction each, beside which writers go on; the journal
 * first, so that each event's binding and function are there, but for those removed in between.
 */
#ifndef GATEWAY_BACKUP_H
#define GATEWAY_BACKUP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/util.h"
#include "base/why.h"

/* On a thread of its own. done: on the loop's; fd is an unlinked file, at its beginning, and the callee's.
 * One at a time: the caller sees to it. */
typedef void backup_done(void *arg, int err, const char *reason, int fd, uint64_t bytes);
int backup_start(uv_loop_t *loop, const char *state_dir, backup_done *done, void *arg,
		 struct why *why) MUST_USE;
/* What a crash left of one. */
void backup_sweep(const char *state_dir);

/* Offline: the caller has the lock of state_dir. What is in it already is refused (-EEXIST), or with force
 * moved to state_dir/before-restore-TIME, named in *ret_aside (malloc'd). The archive is checked as a whole,
 * and opened as a gateway would, before anything is moved; after an error all is as it was. */
int backup_restore(const char *state_dir, int archive_fd, bool force, char **ret_aside,
		   struct why *why) MUST_USE;
/* -EEXIST with what to do: a restore was killed while it moved things. */
int backup_unfinished(const char *state_dir, struct why *why) MUST_USE;

#endif
