/* SPDX-License-Identifier: Apache-2.0 */
/* What penstock-guard holds: for each output one action, and the descriptor for it. */
#ifndef GUARD_ACT_H
#define GUARD_ACT_H

#include "proto/guard_action.h"

struct acts {
	struct guard_action of[GUARD_OUTPUTS_MAX]; /* FORGET: none. Their descriptors are ours */
};

void acts_init(struct acts *all);
/* Takes a->fd, and closes what it replaces. */
void acts_put(struct acts *all, const struct guard_action *a);
/* Does all, in the order of the outputs, a line of log for each; none keeps the others from being tried. One whose
 * device is busy (-EAGAIN) is tried again for most of a second. */
void acts_do(struct acts *all);

#endif
