/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of kind "gpio": edges of GPIO lines, as the kernel saw and stamped them. Payload "1" or "0", the level after the edge;
 * attributes edge (rising, falling), sequence (the kernel's number of the edge since the line was taken), time_ns
 * (CLOCK_MONOTONIC, the kernel's), and missed where edges were lost before this one. A line that goes with its chip,
 * or is busy, is looked for until it can be had. Bindings of one line share it: each has edges and polarity of its own,
 * bias and debounce are the line's.
 */
#ifndef TRIGGERS_GPIO_H
#define TRIGGERS_GPIO_H

#include "triggers/gpio_line.h"
#include "triggers/output.h"
#include "triggers/trigger.h"

/* o: borrowed while it lives, or NULL */
int gpio_new(const struct gpio_options *o, const struct trigger_sink *sink, struct trigger **ret,
	     struct why *why) MUST_USE;

extern const struct output_ops output_gpio; /* its config: struct gpio_options */

#endif
