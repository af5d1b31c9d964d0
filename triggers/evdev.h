/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of kind "key": buttons and keys of input devices, found by the device's name, never by its number. A press has
 * payload "1", a release "0"; attributes key, code, edge (rising, falling), time_ns (CLOCK_MONOTONIC, the
 * kernel's), and missed where events were lost before this one. Autorepeat never counts. A device that goes is looked
 * for until it is back; keys that were down then count as released.
 */
#ifndef TRIGGERS_EVDEV_H
#define TRIGGERS_EVDEV_H

#include "triggers/trigger.h"

enum { EVDEV_KEY_BYTES = 96 }; /* a bit for each key that the kernel knows */

struct evdev_sys { /* what tests replace; each 0 or -errno, open: a descriptor that does not block */
	int (*open)(void *arg, const char *path);
	int (*keys)(void *arg, int fd, uint8_t keys[EVDEV_KEY_BYTES]); /* that it has */
	int (*down)(void *arg, int fd, uint8_t down[EVDEV_KEY_BYTES]); /* that are pressed */
	int (*grab)(void *arg, int fd, bool grab);
	void *arg;
};

struct evdev_options {         /* NULL, and members that are NULL: the system's */
	const char *dev_dir;   /* /dev/input: event3 */
	const char *class_dir; /* /sys/class/input: event3/device/name */
	const struct evdev_sys *sys;
};

int evdev_new(const struct evdev_options *o, const struct trigger_sink *sink, struct trigger **ret,
	      struct why *why) MUST_USE;

#endif
