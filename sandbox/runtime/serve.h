/* SPDX-License-Identifier: Apache-2.0 */
/* `penstock-sandbox serve`: functions for the gateway, over proto/ipc.h. */
#ifndef RUNTIME_SERVE_H
#define RUNTIME_SERVE_H

#include <stdint.h>

#include "base/util.h"
#include "base/why.h"
#include "sandbox/runtime/sched.h"

enum { SERVE_WORKERS_MAX = 64, SERVE_SPIN_US_MAX = 1000 };

struct serve_options {
	int sock;
	unsigned workers;
	unsigned slots; /* instances at a time, fewer if there is less room; 0 = as many as fit */
	enum sched_policy policy;
	unsigned
		spin_us; /* how long to look for the next message before sleeping, if any is likely */
};

/* Returns only when it could not start: -errno with the reason. Else the process ends, with 0 when
 * the gateway said QUIT or went away, 70 when it broke the protocol. */
int serve(const struct serve_options *o, struct why *why) MUST_USE;

#endif
