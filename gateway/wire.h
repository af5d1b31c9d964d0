/* SPDX-License-Identifier: Apache-2.0 */
/* Packets to and from the sandbox in batches: one system call for many (proto/ipc.h has the single
 * ones). */
#ifndef GATEWAY_WIRE_H
#define GATEWAY_WIRE_H

#include "gateway/flight.h"

enum { WIRE_BATCH = 16 };

struct wire; /* receive buffers for a batch, 1 MiB of address space */

struct wire_packet {
	const uint8_t *bytes; /* in the wire, until the next wire_recv */
	size_t len;
	int fd;  /* the caller's, or -1 */
	int err; /* -E_PROTO: cut, or with more than one descriptor; else 0 */
};

struct wire *wire_new(void) MUST_USE; /* NULL = out of memory */
void wire_free(struct wire *w);

/* Never blocks. Returns how many packets came, 0 at the far side's end, -EAGAIN, or another -errno. */
int wire_recv(struct wire *w, int sock, struct wire_packet ret[WIRE_BATCH]) MUST_USE;

/* Sends INVOKEs, never blocks. Returns how many went out, or -errno when the first did not. */
int wire_send(int sock, struct flight *const *f, unsigned n) MUST_USE;

#endif
