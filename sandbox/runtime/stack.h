/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's stack: mapped, with an unreadable guard below. It belongs to one instance for as long
 * as that lives, so switching functions costs no system call. */
#ifndef RUNTIME_STACK_H
#define RUNTIME_STACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"
#include "base/why.h"

enum {
	STACK_GUARD_BYTES = 256 << 10, /* a multiple of every page size (64 KiB) */
	STACK_BYTES_MIN = 64 << 10,
	STACK_KEEP_BYTES = 128 << 10,
	STACK_BYTES_MAX = 64 << 20,
	STACK_BYTES_DEFAULT = 8 << 20, /* of `run`: as natively */
};

struct stack {
	uint8_t *
		map; /* guard, then usable; NULL = none; in its memory's reservation if there is one */
	uint8_t *low; /* first usable byte */
	size_t bytes; /* usable: what the guest may have + AOT_STACK_RESERVE_BYTES */
};

/* What a stack takes of address space. guest_bytes: for frames of the guest, between the limits
 * above. -E_LIMIT. */
int stack_map_bytes(uint32_t guest_bytes, size_t *ret, struct why *why) MUST_USE;
/* In a piece of the address space that is mapped PROT_NONE, and stays the caller's. -ENOMEM. */
int stack_init(struct stack *s, uint8_t *map, size_t map_bytes, struct why *why) MUST_USE;
void stack_fini(struct stack *s);

void *stack_top(const struct stack *s);
/* The lowest address at which a frame of a guest may start. */
uintptr_t stack_limit(const struct stack *s);
bool stack_has_guard_at(const struct stack *s, uintptr_t address);
/* The frames on it were abandoned: forget what a sanitizer knows of them. */
void stack_forget(const struct stack *s);
/* Gives back what lies deeper than most calls get. */
void stack_trim(const struct stack *s);

#endif
