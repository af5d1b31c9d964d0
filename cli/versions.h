/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_VERSIONS_H
#define CLI_VERSIONS_H

#include <jansson.h>
#include <stdio.h>

/* A function's candidate, or its last one, and how it did; nothing when it never had one. */
void rollout_print(FILE *out, const json_t *function);

#endif
