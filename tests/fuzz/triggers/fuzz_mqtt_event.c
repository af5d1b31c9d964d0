/* SPDX-License-Identifier: Apache-2.0 */
/* What a message or a broker says: u8 kind, then 0, 1: a CloudEvent in JSON as 3.1.1 or MQTT 5 has it, opened, and what
 * is in it wrapped again; 2: a CONNACK from its flags on. */
#include <stdlib.h>
#include <string.h>

#include "triggers/mqtt_impl.h"

static void wrap_again(const struct mqtt_unwrapped *u)
{
	static struct mqtt m;
	size_t len;
	const struct trigger_message msg = { .payload = u->payload, .function = "f" };
	char *json = mqtt_wrap(&m, &msg, &len);
	ENSURE(json && len == strlen(json));
	struct mqtt_unwrapped again = { 0 };
	ENSURE(mqtt_unwrap((struct span){ 0 }, 3, (struct span){ (uint8_t *)json, len }, &again));
	mqtt_unwrapped_free(&again);
	free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char type[] = "application/cloudevents+json";
	const struct span json = { (const uint8_t *)type, sizeof(type) - 1 };
	struct mqtt_unwrapped u = { 0 };
	char named[MQTT_ELSEWHERE];
	if (size == 0)
		return 0;
	const struct span rest = { data + 1, size - 1 };
	if (data[0] % 3 == 2) {
		mqtt_connack_seen(rest.at, rest.len);
		mqtt_connack_reference(named);
		ENSURE(strlen(named) < sizeof(named));
	} else if (mqtt_unwrap(json, data[0] % 3 ? 5 : 3, rest, &u)) {
		for (unsigned i = 0; i < u.nattrs; i++)
			ENSURE(u.attrs[i].name.len > 0 || u.attrs[i].value.len <= size);
		wrap_again(&u);
		mqtt_unwrapped_free(&u);
	}
	ENSURE(!u.json && !u.bytes);
	return 0;
}
