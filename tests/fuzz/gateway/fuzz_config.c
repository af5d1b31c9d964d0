/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config c;
	struct why why = { 0 };
	ENSURE(config_load(NULL, &c, &why) == 0);
	int err = config_read("fuzz.conf", (struct span){ data, size }, &c, &why);
	ENSURE((err == 0) == (why.text[0] == '\0'));
	config_fini(&c);
	return 0;
}
