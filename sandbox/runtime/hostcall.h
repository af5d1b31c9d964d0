/* SPDX-License-Identifier: Apache-2.0 */
/* The functions that guests can import (hostcall.def), as a resolver for linking. */
#ifndef RUNTIME_HOSTCALL_H
#define RUNTIME_HOSTCALL_H

#include "sandbox/runtime/link.h"
#include "sandbox/runtime/types.h"

struct hostcalls;

struct hostcalls *hostcalls_new(struct types *types) MUST_USE; /* NULL = out of memory */
void hostcalls_free(struct hostcalls *hc);
struct resolver hostcalls_resolver(struct hostcalls *hc);

#endif
