/* SPDX-License-Identifier: Apache-2.0 */
/* A JSON body, read as POST /bindings reads it. */
#include "gateway/api/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct registry_binding b;
	char options[KIND_OPTIONS_BYTES];
	struct why why = { 0 };
	json_t *body = NULL;
	if (api_binding_read((struct span){ data, size }, &body, &b, options, &why) == 0)
		ENSURE(b.qos <= 2 && b.publish_qos <= 2 && b.function && b.filter);
	else
		ENSURE(why.text[0] != '\0');
	json_decref(body);
	return 0;
}
