/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /dev/piControl0, the process image of a Revolution Pi (driver piControl). One object for all who read or write it.
 *
 * What the driver does, and what follows for us:
 *   - it has no poll(): inputs are sampled. One pread of the whole image is one moment: it holds the driver's lock.
 *   - write() takes any bytes, also of others: a bit or byte goes by KB_SET_VALUE, where the kernel reads, changes and
 *     writes; 16 and 32 bits by a pwrite of exactly those bytes.
 *   - after KB_RESET every name may lie elsewhere. A thread waits for that (KB_WAIT_FOR_EVENT), but the event comes when
 *     the new layout is in force already. So whoever acts on a value asks KB_FIND_VARIABLE first (picontrol_check;
 *     picontrol_write does): config.rsc and driver must agree, or nothing is done.
 *   - while the bridge is reset, everything is -EAGAIN.
 *   - the output watchdog switches off the outputs of ALL modules when nobody wrote by this descriptor for so long, and
 *     when it closes. So it is opt-in, begins with the first output that is set, and is kept up by writing what
 *     is there already. A planned end disarms it first.
 *   - KB_SET_EXPORTED_OUTPUTS is never used: the driver takes a pause after two calls for a crash, and switches off.
 *
 * Any thread, but for new, start and unref of the last.
 */
#ifndef TRIGGERS_PICONTROL_H
#define TRIGGERS_PICONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/picontrol_abi.h"
#include "triggers/pictory.h"

struct picontrol_calls { /* of the system, as it has them; tests put theirs here */
	int (*open)(void *arg, const char *path);
	int (*close)(void *arg, int fd);
	ssize_t (*pread)(void *arg, int fd, void *buf, size_t n, off_t at);
	ssize_t (*pwrite)(void *arg, int fd, const void *buf, size_t n, off_t at);
	int (*ioctl)(void *arg, int fd, unsigned long request, void *argument);
	void *arg;
};

struct picontrol_options {
	const char *device;                  /* "/dev/piControl0"; kept, borrowed */
	const char *config_rsc;              /* "/etc/revpi/config.rsc"; kept, borrowed */
	unsigned watchdog_ms;                /* 0: none */
	const struct picontrol_calls *calls; /* NULL: the system's */
};

struct picontrol;

/* Touches no device. One reference. */
int picontrol_new(const struct picontrol_options *o, struct picontrol **ret,
		  struct why *why) MUST_USE;
/* Looks for the device from now on. A second call does nothing. */
int picontrol_start(struct picontrol *d, struct why *why) MUST_USE;
struct picontrol *picontrol_ref(struct picontrol *d);
void picontrol_unref(struct picontrol *d); /* the last one ends it; NULL is fine */

/* Another number than last time: what was resolved before holds no more. */
uint64_t picontrol_generation(struct picontrol *d);

/* A name, as config.rsc and the driver agree on it. */
struct picontrol_place {
	uint64_t generation;
	char name[PICTORY_NAME_BYTES + 1];
	char device[PICTORY_DEVICE_BYTES + 1];
	enum pictory_area area;
	uint16_t offset;
	uint8_t bit;
	uint8_t bits; /* 1, 8, 16, 32 */
};

/* -EAGAIN: the device is away or being reset; -E_UNKNOWN: no such name; -E_CONFIG: config.rsc is malformed or not what
 * the driver has; -E_UNSUPPORTED: a setting, or a length that is none of those. All with what to do. */
int picontrol_resolve(struct picontrol *d, struct span name, struct picontrol_place *ret,
		      struct why *why) MUST_USE;
/* The whole image at one moment. -EAGAIN: away or being reset. */
int picontrol_read(struct picontrol *d, uint8_t image[PICTORY_IMAGE_BYTES],
		   struct why *why) MUST_USE;
/* Is it still there? -EAGAIN: resolve it anew. */
int picontrol_check(struct picontrol *d, const struct picontrol_place *p, struct why *why) MUST_USE;
/* The bits of p, an output, and no others. value: its low p->bits count. -EAGAIN as above. */
int picontrol_write(struct picontrol *d, const struct picontrol_place *p, uint32_t value,
		    struct why *why) MUST_USE;
/* For the guard: one more descriptor of the open file that picontrol_write uses, the caller's; -1: not open. */
int picontrol_dup(struct picontrol *d);

/* Of an image. */
uint32_t picontrol_value(const uint8_t image[PICTORY_IMAGE_BYTES], const struct picontrol_place *p);

struct picontrol_status {
	bool open;
	char detail[256];       /* why not, and what to do */
	uint64_t resets;        /* that were noticed */
	uint64_t watchdog_late; /* the watchdog was refreshed too late: the driver switched off */
};
void picontrol_status(struct picontrol *d, struct picontrol_status *ret);

#endif
