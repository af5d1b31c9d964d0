/* SPDX-License-Identifier: Apache-2.0 */
/* A binding as it is kept, and as the event path wants it. */
#ifndef GATEWAY_BINDING_ROW_H
#define GATEWAY_BINDING_ROW_H

#include "gateway/path.h"
#include "gateway/registry.h"

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
