/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is measured of one function: times in three stages, processor time, memory, outcomes,
 * deadlines, refusals by reason. Written by whichever thread takes an answer, a few atomic additions
 * each; read by the loop.
 */
#ifndef GATEWAY_METRICS_H
#define GATEWAY_METRICS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/wr.h"
#include "gateway/admission.h"
#include "gateway/histogram.h"
#include "proto/ipc.h"

enum metrics_stage {
	METRICS_QUEUE,       /* from its arrival to a worker that takes it */
	METRICS_INSTANTIATE, /* from there until the guest runs */
	METRICS_RUN,         /* the guest's own, without sleep */
	METRICS_STAGES
};

struct metrics {
	struct histogram stage[METRICS_STAGES];
	_Atomic uint64_t outcome[IPC_STATUS_COUNT];
	_Atomic uint64_t cpu_ns;
	_Atomic uint64_t late;         /* answered after the deadline, or stopped by it */
	_Atomic uint32_t memory_bytes; /* the most that an event had */
	_Atomic uint64_t refused[REFUSALS];
};

/* An answer of the sandbox. before_ns: how long it lay in the gateway's own queue. */
void metrics_result(struct metrics *m, const struct ipc_result *r, uint64_t before_ns, bool late);
static inline void metrics_refused(struct metrics *m, enum refusal why)
{
	atomic_fetch_add_explicit(&m->refused[why], 1, memory_order_relaxed);
}

/* {outcomes, refused, cpu_s, memory_bytes, deadline_misses, queue, instantiate, run: {count, mean_us, p50_us,
 * p99_us, p999_us}} */
json_t *metrics_json(const struct metrics *m);
/* {queue, run: as above, deadline_misses, refused} */
json_t *metrics_json_short(const struct metrics *m);
/* Prometheus' text format, version 0.0.4: HELP and TYPE once (metrics_text_head), then the lines of each
 * function; grouped by metric, as the format wants, so it is called once for each of them. */
enum { METRICS_TEXT_GROUPS = 6 };
void metrics_text_head(struct wr *w, unsigned group);
void metrics_text(struct wr *w, unsigned group, const char *function, const struct metrics *m);

#endif
