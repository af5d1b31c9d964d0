/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outside of a Wasm module: header and the sequence of sections, by id and size, contents
 * unread. ONE walk of sections for signer, verifier, manifest reader and decoder, so that they can
 * never see different modules (facts: wasmsign2's two paths disagreed).
 */
#ifndef PROTO_ENVELOPE_H
#define PROTO_ENVELOPE_H

#include <stdbool.h>

#include "base/rd.h"
#include "base/why.h"

enum { ENVELOPE_HEADER_BYTES = 8 }; /* 00 61 73 6d 01 00 00 00, pinned */

struct section {
	uint8_t id;
	size_t offset;       /* of the id byte in the module */
	struct span payload; /* a custom section's: after its name */
	struct span name;    /* custom sections only (id 0) */
};

struct envelope {
	struct span module;
	struct rd rest;
};

/* Checks the header. -E_INVALID with a reason for anything but a core module of version 1 (a
 * component is named as such). */
int envelope_open(struct envelope *e, const void *bytes, size_t len, struct why *why) MUST_USE;
/* 1 and the next section, 0 at the end, -E_INVALID with offset and reason. Order and repetition of
 * known sections are the decoder's business. */
int envelope_next(struct envelope *e, struct section *ret, struct why *why) MUST_USE;

#endif
