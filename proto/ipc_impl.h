/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the messages: ipc.c (fields), ipc_check.c. */
#ifndef PROTO_IPC_IMPL_H
#define PROTO_IPC_IMPL_H

#include "proto/ipc.h"

/* All fields were there; are they what they may be? 0 or -E_PROTO. */
int ipc_check(const struct ipc_msg *m, struct why *why) MUST_USE;
int ipc_effects_check(struct span list, uint32_t count, struct why *why) MUST_USE;

#endif
