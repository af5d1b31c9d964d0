/* SPDX-License-Identifier: Apache-2.0 */
/* User properties of what we publish with MQTT 5: how many functions led to it (mqtt_hops.c), and, of an
 * effect, the attributes of a CloudEvent in binary mode, whose id tells a repetition. */
#include <stdlib.h>
#include <string.h>

#include "base/wr.h"
#include "triggers/mqtt_impl.h"

enum { HEAD_BYTES = 5 }; /* property, length of name, length of value */

static void add(MQTTProperties *to, const char *name, const char *value)
{
	int names = (int)strlen(name), values = (int)strlen(value);
	to->array[to->count++] = (MQTTProperty){
		.identifier = MQTTPROPERTY_CODE_USER_PROPERTY,
		.value.data = { names, (char *)name },
		.value.value = { values, (char *)value },
	};
	to->length += HEAD_BYTES + names + values;
}

MQTTProperties *mqtt_props_of(struct mqtt_props *p, const struct trigger_message *msg)
{
	p->list = (MQTTProperties){ .array = p->array, .max_count = MQTT_PROPS_MAX };
	if (msg->hops > 0) {
		(void)snprintf(p->hops, sizeof(p->hops), "%u", msg->hops);
		add(&p->list, mqtt_hops_name, p->hops);
	}
	if (msg->id) {
		add(&p->list, "specversion", "1.0");
		add(&p->list, "id", msg->id);
		add(&p->list, "source", msg->source ? msg->source : "penstock");
		add(&p->list, "type", "io.penstock.effect");
	}
	return &p->list;
}

uint8_t *mqtt_props_bytes(const struct trigger_message *msg, size_t *ret_len)
{
	struct mqtt_props p;
	const MQTTProperties *list = mqtt_props_of(&p, msg);
	uint8_t *bytes = malloc((size_t)list->length + 1);
	struct wr w = wr_into(bytes, bytes ? (size_t)list->length : 0);
	for (int i = 0; bytes && i < list->count; i++) {
		const MQTTLenString *const part[] = { &list->array[i].value.data,
						      &list->array[i].value.value };
		wr_u8(&w, MQTTPROPERTY_CODE_USER_PROPERTY);
		for (size_t k = 0; k < ARRAY_LEN(part); k++) {
			wr_u8(&w, (uint8_t)(part[k]->len >> 8));
			wr_u8(&w, (uint8_t)part[k]->len);
			wr_bytes(&w, part[k]->data, (size_t)part[k]->len);
		}
	}
	*ret_len = w.len;
	return bytes;
}
