/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One compile on the loop: starts penstock-aot, watches the process through a pidfd, kills it when
 * its wall clock limit is over. Nothing blocks. Loop thread only.
 */
#ifndef GATEWAY_COMPILE_H
#define GATEWAY_COMPILE_H

#include <stdint.h>
#include <uv.h>

#include "base/util.h"
#include "base/why.h"

struct compile;

struct compile_result {
	int err;               /* 0, or as aot_job_finish() and -E_TIME */
	const struct why *why; /* of err */
	int so_fd;             /* sealed; the receiver's; -1 on error */
	char *report;          /* malloc'd JSON; the receiver's; NULL on error */
	uint64_t wall_ms;
};

/* Called once, later, never inside compile_start; the compile is gone then. */
typedef void compile_done(void *arg, const struct compile_result *r);

/* The descriptors are borrowed until done. objects_fd: of --objects (proto/aot_job.h), or -1. */
int compile_start(uv_loop_t *loop, int wasm_fd, int objects_fd, compile_done *done, void *arg,
		  struct compile **ret, struct why *why) MUST_USE;
/* Kills it; done is not called any more. NULL is fine. */
void compile_cancel(struct compile *c);

#endif
