/* SPDX-License-Identifier: Apache-2.0 */
/* A reference that its function gives back when it returns (base/own.h). */
#ifndef PROTO_OWN_JSON_H
#define PROTO_OWN_JSON_H

#include <jansson.h>

static inline void own_json(json_t **p)
{
	json_decref(*p);
}

#define OWN_JSON __attribute__((cleanup(own_json))) json_t

#endif
