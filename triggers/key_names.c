/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/key_names.h"

#include <ctype.h>
#include <linux/input-event-codes.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

static const struct {
	const char *name;
	unsigned code;
} names[] = {
#include "key_names_rows.h"
};

int key_code(const char *name)
{
	char *end;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(names[i].name, name) == 0)
			return (int)names[i].code;
	}
	if (!isdigit((unsigned char)name[0]) || strlen(name) > 4)
		return -1;
	long n = strtol(name, &end, 10);
	return *end == '\0' && n < KEY_CNT ? (int)n : -1;
}

const char *key_name(unsigned code)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (names[i].code == code)
			return names[i].name;
	}
	return NULL;
}
