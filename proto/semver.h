/* SPDX-License-Identifier: Apache-2.0 */
/* Versions of functions: Semantic Versioning 2.0.0 (semver.org). */
#ifndef PROTO_SEMVER_H
#define PROTO_SEMVER_H

#include <stdbool.h>

/* MAJOR.MINOR.PATCH[-pre.release][+build], no leading zeros where numbers are compared. */
bool semver_ok(const char *s);

/* Precedence (section 11): negative, 0 or positive as a is older than, as old as, or newer than b;
 * what is built the same way differs only in +build, which does not count. Both are semver_ok(). Numbers
 * may be of any length. */
int semver_cmp(const char *a, const char *b);

#endif
