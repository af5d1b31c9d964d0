/* SPDX-License-Identifier: Apache-2.0 */
/* A binding as people write it (JSON, doc/API.md), as it is kept, and as the event path wants it. */
#ifndef GATEWAY_BINDING_READ_H
#define GATEWAY_BINDING_READ_H

#include "gateway/path.h"
#include "gateway/registry.h"
#include "proto/kinds.h"

/* j: an object; what is not in the table is an error. ret's strings live as long as j and options, where the
 * canonical ones are written. -EINVAL, -E_INVALID, -E_UNSUPPORTED */
int binding_read(json_t *j, struct registry_binding *ret, char options[KIND_OPTIONS_BYTES],
		 struct why *why) MUST_USE;

/* Its strings are b's. */
static inline struct path_binding path_binding_of(const struct registry_binding *b)
{
	return (struct path_binding){
		.id = b->id,
		.function = b->function,
		.kind = b->kind,
		.broker = b->broker,
		.filter = b->filter,
		.options = b->options,
		.publish = b->publish,
		.publish_broker = b->publish_broker,
		.qos = b->qos,
		.publish_qos = b->publish_qos,
		.retain = b->retain,
		.deadline_ms = b->deadline_ms,
		.criticality = b->criticality,
		.durability = b->durability,
		.retry_max = b->retry_max,
		.retry_ms = b->retry_ms,
		.ordered = b->ordered,
	};
}

#endif
