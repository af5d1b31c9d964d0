/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process that compiles foreign code may use: its memory, the CPU time given, and the
 * descriptors it already has. No files, no network, no programs, no other process.
 */
#ifndef COMPILER_JAIL_H
#define COMPILER_JAIL_H

#include "base/why.h"

struct jail_limits {
	unsigned cpu_seconds; /* then SIGXCPU */
	unsigned memory_mb;   /* address space, and the largest file written */
};

/* For the linker, which has to be executed and to open its libraries: the same limits, a filter that
 * refuses (EPERM) what it does not need, and by name only the system's programs and libraries can be
 * opened, where the kernel has Landlock: not the device key, not another module. */
int jail_linker(const struct jail_limits *l, struct why *why) MUST_USE;

/* The limits and the system call filter; it cannot be undone. What is not allowed kills the process
 * by SIGSYS. Everything that LLVM opens must have been opened (target_open). */
int jail_enter(const struct jail_limits *l, struct why *why) MUST_USE;

#endif
