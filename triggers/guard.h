/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penstock-guard: a process that does nothing but wait for penstockd to die, and then brings the outputs to
 * their safe state. It holds descriptors that it was given (SCM_RIGHTS over SOCK_SEQPACKET), knows no paths, parses
 * nothing but this message, and is jailed. The end of the socket without GUARD_BYE is the death.
 */
#ifndef TRIGGERS_GUARD_H
#define TRIGGERS_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/why.h"

enum { GUARD_OUTPUTS_MAX = 64, GUARD_BYTES_MAX = 64 };

enum guard_verb {
	GUARD_FORGET, /* this output has no action any more */
	GUARD_GPIO,   /* GPIO_V2_LINE_SET_VALUES on fd: bits = value */
	GUARD_WRITE,  /* pwrite(fd, bytes, length, offset) */
	GUARD_PICTL,  /* KB_SET_VALUE on fd: bytes is a struct SPIValue */
	GUARD_SEND,   /* send(fd, bytes, length): one Modbus request on a connection that is open */
	GUARD_BYE,    /* a planned end: nothing is to be done */
};

struct guard_action {
	uint32_t verb;
	uint32_t output; /* below GUARD_OUTPUTS_MAX: a later one replaces an earlier one */
	int fd;          /* borrowed; -1: none */
	uint64_t value, offset;
	uint32_t length;
	uint8_t bytes[GUARD_BYTES_MAX];
};

struct guard;

/* Starts program (penstock-guard, absolute). */
int guard_start(const char *program, struct guard **ret, struct why *why) MUST_USE;
/* -E_GONE: it has died; the caller may start another and tell it everything again. */
int guard_tell(struct guard *g, const struct guard_action *a, struct why *why) MUST_USE;
/* bye: a planned end. Waits for it. NULL is fine. */
void guard_stop(struct guard *g, bool bye);

#endif
