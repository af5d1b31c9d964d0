/* SPDX-License-Identifier: Apache-2.0 */
/* getaddrinfo that can be given up: a name server that does not answer holds a thread for half a minute,
 * and a process that is to end has not got that. */
#ifndef TRIGGERS_RESOLVE_H
#define TRIGGERS_RESOLVE_H

#include <netdb.h>
#include <stdatomic.h>

#include "base/util.h"

/* TCP addresses; 0 or EAI_*, EAI_INTR if *stop was set before there was an answer. Then a thread of its
 * own, which touches nothing of the caller's, waits on for the name server. */
int resolve(const char *host, const char *port, const atomic_bool *stop,
	    struct addrinfo **ret) MUST_USE;

#endif
