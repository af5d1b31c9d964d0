/* SPDX-License-Identifier: Apache-2.0 */
/* Inside picontrol: picontrol.c (calls, names, values), picontrol_watch.c (its threads: reset, watchdog). */
#ifndef TRIGGERS_PICONTROL_IMPL_H
#define TRIGGERS_PICONTROL_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "triggers/picontrol.h"

#define PICONTROL_RESETTING                                                                        \
	"%.100s: the bridge is being reset, or does not run; it goes on by itself (piTest -d "     \
	"shows the modules)"

struct picontrol {
	struct picontrol_options o;
	struct picontrol_calls calls;
	atomic_uint refs;
	_Atomic uint64_t generation;
	pthread_mutex_t lock; /* the rest */
	pthread_cond_t wake;
	pthread_t watcher, keeper;
	bool has_watcher, watcher_gone, has_keeper, stop;
	int fd;         /* for reading and writing; the watcher opens and closes it */
	int event_fd;   /* the watcher's, which waits in it */
	bool broken;    /* fd is to be opened anew */
	bool resetting; /* the last call said so */
	char away[256]; /* why there is no fd */
	struct pictory *config;
	struct stat config_stat; /* of the file that it was read from */
	uint64_t resets;
	/* watchdog */
	bool armed;
	uint64_t refreshed_ns;
	struct picontrol_place own; /* an output of ours, whose value is written again */
	uint64_t watchdog_late;
};

/* With the lock. -EAGAIN: it goes by; else -err. */
int picontrol_refused(struct picontrol *d, const char *what, int err, struct why *why) MUST_USE;
/* Where the driver has this name. -ENOENT: nowhere. */
int picontrol_find(struct picontrol *d, const char *name, struct kb_variable *ret,
		   struct why *why) MUST_USE;
int picontrol_put(struct picontrol *d, const struct picontrol_place *p, uint32_t value,
		  struct why *why) MUST_USE;
/* Before an output is written: the watchdog, if there is to be one, runs from here on. */
int picontrol_arm(struct picontrol *d, const struct picontrol_place *p, struct why *why) MUST_USE;
void picontrol_kick(struct picontrol *d); /* the watcher out of its system call */
void picontrol_stop(struct picontrol *d); /* without the lock */

#endif
