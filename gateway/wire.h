/* SPDX-License-Identifier: Apache-2.0 */
/* INVOKEs to the sandbox in batches, one system call for many. What comes back: ipc_inbox_recv(). */
#ifndef GATEWAY_WIRE_H
#define GATEWAY_WIRE_H

#include "gateway/flight.h"

enum { WIRE_BATCH = IPC_BATCH };

/* Sends INVOKEs, never blocks. Returns how many went out, or -errno when the first did not. */
int wire_send(int sock, struct flight *const *f, unsigned n) MUST_USE;

#endif
