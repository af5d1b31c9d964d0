/* SPDX-License-Identifier: Apache-2.0 */
/* `penstock run --replay`: an event of a gateway once more, told what it was told there. */
#ifndef RUNTIME_RUN_REPLAY_H
#define RUNTIME_RUN_REPLAY_H

#include "base/why.h"
#include "proto/kept_event.h"
#include "sandbox/runtime/host.h"

/* All of fd (proto/kept_event.h), which is the process's for good. -errno, -E_INVALID, -E_LIMIT. */
int run_replay_read(int fd, struct kept_event *ret, struct why *why) MUST_USE;
/* h, reset, becomes the host of this event. */
void run_replay_begin(struct host *h, const struct kept_event *e);
/* Says on stderr whether what came of it is the same, and what is not. 0: it is; 1. */
int run_replay_end(const struct host *h, const struct kept_event *e, uint32_t status, int32_t code);

#endif
