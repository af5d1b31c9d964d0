/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of kind "sensor": channels of the kernel's industrial I/O sensors, by the device's name (or label), sampled. A
 * channel is a file of the device: in_illuminance_input is the value; of in_temp_raw the value is
 * (raw + in_temp_offset) * in_temp_scale. Units are the kernel's (Documentation/ABI/testing/sysfs-bus-iio: lux,
 * thousandths of a degree Celsius). Payload: the number as text; attributes time_ns (CLOCK_MONOTONIC) and missed.
 */
#ifndef TRIGGERS_IIO_H
#define TRIGGERS_IIO_H

#include "triggers/trigger.h"

/* dir: /sys/bus/iio/devices, or NULL for that; borrowed while it lives */
int iio_new(const char *dir, const struct trigger_sink *sink, struct trigger **ret,
	    struct why *why) MUST_USE;

#endif
