/* SPDX-License-Identifier: Apache-2.0 */
/* A penstock-sandbox of one's own, for benchmarks: everything as penstockd does it, but for one thread. */
#ifndef BENCH_SCHED_PEER_H
#define BENCH_SCHED_PEER_H

#include <sys/types.h>

#include "proto/ipc.h"

struct peer {
	int sock;
	pid_t pid;
	uint64_t next_event;
	uint8_t packet[IPC_PACKET_BYTES];
};

uint64_t peer_now_ns(void);
/* program: penstock-sandbox. Ends this process with a message when it cannot. */
void peer_start(struct peer *p, const char *program, unsigned workers, bool fifo);
void peer_stop(struct peer *p);
/* A file as a sealed memfd, the caller's. */
int peer_sealed(const char *path);
/* so: a compiled module by name; load->function is its handle. */
void peer_load(struct peer *p, const char *so, const struct ipc_load *load);
/* Returns the event's number. */
uint64_t peer_invoke(struct peer *p, uint32_t function, uint32_t rounds, uint64_t deadline_ns);
/* The next result, waited for until then; false: none came. */
bool peer_result(struct peer *p, uint64_t until_ns, struct ipc_result *ret);
/* How many rounds of burn.c take a millisecond of processor time. */
uint32_t peer_rounds_per_ms(struct peer *p, uint32_t function);

#endif
