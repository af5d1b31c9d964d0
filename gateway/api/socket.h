/* SPDX-License-Identifier: Apache-2.0 */
/* The place of the unix socket, before it is listened on. */
#ifndef GATEWAY_API_SOCKET_H
#define GATEWAY_API_SOCKET_H

#include "base/util.h"
#include "base/why.h"

/* A socket file without a listener is left from a crash, and goes; with one it is a gateway: -EADDRINUSE. */
int api_socket_clear(const char *path, struct why *why) MUST_USE;

#endif
