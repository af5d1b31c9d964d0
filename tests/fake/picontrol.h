/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A piControl of ours, for tests: what the driver does with its process image, with the traps that shared/facts and its
 * source describe. All of it lies in one mapping that several processes may share: unit tests use it in their own
 * process, penstockd through a preloaded library (picontrol_preload.c) or CUSE (picontrol_cuse.c), and picontrol_ctl.c is
 * the plant beside it.
 *
 *   - EAGAIN for everything while the bridge is stopped
 *   - a reset reads config.rsc again, so names may lie elsewhere; then everybody but who reset is told, if they wait
 *   - an output watchdog that runs out, or whose descriptor closes (a process that dies closes it), zeroes the outputs of
 *     EVERY module; so does a pause of more than twice the time between two KB_SET_EXPORTED_OUTPUTS
 *   - write() takes any bytes; an unknown name is EFAULT
 */
#ifndef TESTS_FAKE_PICONTROL_H
#define TESTS_FAKE_PICONTROL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/picontrol_abi.h"

#define KB_SET_EXPORTED_OUTPUTS _IO('K', 18)

enum { FAKE_ENTRIES = 1024, FAKE_MODULES = 16, FAKE_OPENS = 32, FAKE_NOBODY = -1 };

struct fake_entry {
	char name[KB_NAME_BYTES];
	uint16_t address;
	uint8_t bit;
	uint16_t bits;
};

struct fake_pi {
	uint8_t image[KB_IMAGE_BYTES]; /* first: the file itself can be read */
	pthread_mutex_t lock;
	bool running;
	uint32_t event_seq; /* a futex */
	struct fake_entry entry[FAKE_ENTRIES];
	unsigned nentries;
	struct {
		uint16_t at, bytes; /* its outputs */
	} module[FAKE_MODULES];
	unsigned nmodules;
	struct {
		bool used, event;
		pid_t pid;
		uint64_t watchdog_ms, deadline_ns;
	} open[FAKE_OPENS];
	/* of KB_SET_EXPORTED_OUTPUTS */
	uint64_t exported_ns, exported_gap_ns;
	/* what the tests look at */
	uint64_t reads, writes, sets, finds, resets, zeroed, exported;
};

/* path NULL: for this process only. NULL, with errno. */
struct fake_pi *fake_new(const char *path);
struct fake_pi *fake_attach(const char *path);
void fake_free(struct fake_pi *f);

/* picontrol_config.c. As the driver reads it: believes everything. False: no such file, or no JSON. */
bool fake_configure(struct fake_pi *f, const char *config_rsc);

/* System calls: -errno, or what they return. open: a handle. */
int fake_open(struct fake_pi *f);
void fake_close(struct fake_pi *f, int h);
ssize_t fake_pread(struct fake_pi *f, int h, void *buf, size_t n, off_t at);
ssize_t fake_pwrite(struct fake_pi *f, int h, const void *buf, size_t n, off_t at);
int fake_ioctl(struct fake_pi *f, int h, unsigned long request, void *argument);

/* The plant, and who resets. */
void fake_stop(struct fake_pi *f);
void fake_run(struct fake_pi *f);          /* and tells those who wait that there was a reset */
bool fake_event(struct fake_pi *f, int h); /* takes one that waits */
uint32_t fake_get(struct fake_pi *f, const char *name);
void fake_set(struct fake_pi *f, const char *name, uint32_t value);

#endif
