/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loaded function: its module, the image that every event begins from, its limits, and its
 * instances that wait for an event. Not thread-safe: the caller holds the serve lock, except for
 * function_open() and function_instance(), which do the slow work on what only they see.
 */
#ifndef RUNTIME_FUNCTION_H
#define RUNTIME_FUNCTION_H

#include <stdatomic.h>

#include "proto/ipc.h"
#include "sandbox/runtime/hostcall.h"
#include "sandbox/runtime/image.h"
#include "sandbox/runtime/instance.h"
#include "sandbox/runtime/line.h"

/* Idle ones that a function keeps for its next events; those beyond were for a rush. */
enum { FUNCTION_IDLE_MAX = 64 };

struct function {
	struct function *next; /* in the table of functions */
	uint32_t handle;
	bool is_reactor, ready, dying;
	atomic_bool quick; /* its last event took no time to speak of */
	struct module *module;
	struct image *image;
	struct instance_limits limits;
	uint32_t output_bytes;
	uint64_t cpu_ns, wall_ns;
	uint32_t concurrency, host_calls; /* as in struct ipc_load */
	_Atomic uint64_t run_ns;          /* what an event takes: a moving mean; 0 = not known */
	char *name;                       /* malloc'd, NUL-terminated */
	uint8_t *strings;                 /* malloc'd: env, then args */
	struct span env, args;
	uint32_t entry;        /* function index of _start or on_event */
	struct instance *idle; /* most recently used first: its memory is warm */
	atomic_uint nidle;     /* also read without the lock */
	unsigned ninstances;   /* idle or with a job */
	unsigned njobs;
	struct line waiting; /* for an instance */
};

struct loader {
	struct types *types;
	struct hostcalls *hostcalls;
};

/* Loads the module, checks imports and entry point, makes a first populated instance, which goes
 * to *ret_first. Takes so_fd over on success. */
int function_open(const struct loader *ld, const struct ipc_load *m, int so_fd,
		  struct function **ret, struct instance **ret_first, struct why *why) MUST_USE;
/* All instances must be idle. NULL is fine. */
void function_close(struct function *f);
/* One more instance like the image. */
int function_instance(const struct loader *ld, const struct function *f, struct instance **ret,
		      struct why *why) MUST_USE;

struct instance *function_take_idle(struct function *f); /* NULL = none */
void function_put_idle(struct function *f, struct instance *in);

#endif
