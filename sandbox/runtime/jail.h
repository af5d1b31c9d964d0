/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Confinement of penstock-sandbox, from before the first byte of a guest runs:
 *	jail_process()	closes descriptors, limits, no new privileges; once, at start
 *	jail_thread()	Landlock without any rule, where the kernel has it, and a seccomp allow
 *			list; each thread for itself, last thing before it works
 * After it a thread can compute, use the descriptors it has, map memory, and receive memfds. It can
 * not open a file or learn whether it exists, make sockets, processes or threads, trace, signal others,
 * or have memory that it can both write and run. dlopen() of a descriptor works (jail.c, open_again).
 * What is left to a guest that has broken out: other guests' memory in this process, and lies to the
 * gateway (tests/attack).
 */
#ifndef RUNTIME_JAIL_H
#define RUNTIME_JAIL_H

#include "base/util.h"
#include "base/why.h"

/* keep[0..n) stay open besides 0, 1 and 2; negative ones mean nothing. */
/* Before it: from then on, path can be opened too, and is that descriptor. NULL: none. */
void jail_name(int fd, const char *path);
int jail_process(const int *keep, size_t n, struct why *why) MUST_USE;
/* -ENOSYS only for seccomp: a kernel without Landlock is fine. */
int jail_thread(struct why *why) MUST_USE;

#endif
