/* SPDX-License-Identifier: Apache-2.0 */
/* Timers as sources of events. */
#include "gateway/path_impl.h"
#include "triggers/timer.h"

int path_timer_input(struct path *p, const char *name, const struct trigger_sink *sink,
		     struct trigger **ret, struct why *why)
{
	(void)p;
	return timer_new(name, &(struct timer_options){ 0 }, sink, ret, why);
}
