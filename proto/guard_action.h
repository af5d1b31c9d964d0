/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What penstockd tells penstock-guard: for each output the one thing to do when penstockd is dead. A message is
 *	verb u32, output u32, value u64, offset u64, name (u8 length), bytes (u8 length)
 * and the descriptor, of verbs that have one, beside it (SCM_RIGHTS).
 */
#ifndef PROTO_GUARD_ACTION_H
#define PROTO_GUARD_ACTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rd.h"
#include "base/why.h"
#include "base/wr.h"

enum {
	GUARD_OUTPUTS_MAX = 64,
	GUARD_BYTES_MAX = 64,
	GUARD_NAME_MAX = 63,
	GUARD_MESSAGE_MAX = 4 + 4 + 8 + 8 + 1 + GUARD_NAME_MAX + 1 + GUARD_BYTES_MAX,
};

enum guard_verb {
	GUARD_FORGET, /* this output has no action any more */
	GUARD_GPIO,   /* GPIO_V2_LINE_SET_VALUES on fd, a request of one line: bits = value */
	GUARD_WRITE,  /* pwrite(fd, bytes, length, offset) */
	/* On fd, a piControl: bytes is a struct kb_variable, of which the guard looks up the name and sets those bits to
	 * value: after a reset of the driver they may lie elsewhere than when this was sent. */
	GUARD_PICTL,
	GUARD_SEND, /* send(fd, bytes, length), of a serial line write: one Modbus request on a connection that is open */
	GUARD_BYE,  /* a planned end: nothing is to be done */
	GUARD_VERBS
};

struct guard_action {
	uint32_t verb;
	uint32_t output; /* below GUARD_OUTPUTS_MAX: a later one replaces an earlier one */
	int fd;          /* borrowed; -1: none */
	uint64_t value, offset;
	uint32_t length;
	uint8_t bytes[GUARD_BYTES_MAX];
	char name[GUARD_NAME_MAX + 1]; /* for the log; triggers/outputs.c fills it in */
};

/* False: it is none (guard_parse says why). */
bool guard_put(struct wr *w, const struct guard_action *a) MUST_USE;
/* fd: what came beside it, or -1; borrowed. -E_PROTO: verb, output, lengths, a descriptor too many or none. */
int guard_parse(struct span message, int fd, struct guard_action *ret, struct why *why) MUST_USE;

#endif
