/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outputs of kind "led": lamps and buzzers of the kernel's LED class, by name. The value is a whole number from
 * 0 to the lamp's own max_brightness, or "on" (that), "off". What the kernel would show there itself (its
 * LED trigger) is switched off when the lamp is taken.
 */
#ifndef TRIGGERS_LED_H
#define TRIGGERS_LED_H

#include "triggers/output.h"

struct led_config {      /* what open() gets as config; NULL: the defaults */
	const char *dir; /* /sys/class/leds */
};

extern const struct output_ops output_led;

#endif
