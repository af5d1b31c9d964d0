/* SPDX-License-Identifier: Apache-2.0 */
/* A manifest as people see it before they grant it. */
#ifndef PROTO_MANIFEST_SHEET_H
#define PROTO_MANIFEST_SHEET_H

#include <jansson.h>

#include "proto/manifest.h"

/* The permission sheet of doc/API.md: what it asks for, with every default filled in. A new
 * reference; NULL when out of memory. */
json_t *manifest_sheet(const struct manifest *m);

#endif
