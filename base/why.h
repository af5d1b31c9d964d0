/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors: an int, 0 or negative. -errno for what the system refused, -E_... (>= 1000) for what we
 * refuse ourselves. The number is for programs; struct why carries the sentence for people: what,
 * where, and what to do. The first reason wins, because the first is the cause.
 */
#ifndef BASE_WHY_H
#define BASE_WHY_H

#include "base/util.h"

enum {
	E_PROTO = 1000, /* a peer broke the protocol, or bytes are malformed */
	E_LIMIT,        /* a quota or limit of ours was reached */
	E_INVALID,      /* a module or manifest that breaks its specification */
	E_UNSUPPORTED,  /* well-formed, but a feature that is not offered */
	E_SIGNATURE,    /* no signature, or one that does not match the bytes */
	E_TRUST,        /* a good signature by a key that is not trusted */
	E_EXISTS,       /* a name that is taken */
	E_UNKNOWN,      /* a name that nothing has */
	E_TRAP,         /* the guest trapped */
	E_TIME,         /* a time or CPU budget was used up */
	E_CONFIG,       /* a configuration file or option makes no sense */
	E_GONE,         /* the process that should do it is away; try again */
	E_AFTER_LAST,
};

struct why {
	char text[512]; /* empty = no reason given yet; UTF-8, one line, no newline at the end */
};

/* Keeps the first reason and returns err, so: return why_set(why, -EIO, "...", n);
 * w may be NULL. */
int why_set(struct why *w, int err, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* A short constant name for an error number of either range ("ENOENT", "E_LIMIT"). Never NULL. */
const char *why_name(int err);

/* The text of w, or where it is empty the general sentence for err. Never NULL. */
const char *why_text(const struct why *w, int err);

#endif
