/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fake/picontrol.h"

static unsigned number(const json_t *j)
{
	return json_is_string(j) ? (unsigned)strtoul(json_string_value(j), NULL, 10)
				 : (unsigned)json_integer_value(j);
}

static void area(struct fake_pi *f, const json_t *device, const char *name, bool outputs)
{
	const json_t *all = json_object_get(device, name);
	unsigned base = number(json_object_get(device, "offset")), least = UINT16_MAX, end = 0;
	const char *key;
	json_t *e;
	json_object_foreach((json_t *)(uintptr_t)all, key, e)
	{
		unsigned bits = number(json_array_get(e, 2));
		unsigned bit = bits == 1 ? number(json_array_get(e, 7)) : 0;
		unsigned at = base + number(json_array_get(e, 3)) + bit / 8;
		if (f->nentries == FAKE_ENTRIES)
			return;
		struct fake_entry *to = &f->entry[f->nentries++];
		(void)snprintf(to->name, sizeof(to->name), "%s",
			       json_string_value(json_array_get(e, 0)));
		to->address = (uint16_t)at;
		to->bit = bit % 8;
		to->bits = (uint16_t)bits;
		least = at < least ? at : least;
		end = at + (bits + 7) / 8 > end ? at + (bits + 7) / 8 : end;
	}
	if (outputs && end > least && f->nmodules < FAKE_MODULES) {
		f->module[f->nmodules].at = (uint16_t)least;
		f->module[f->nmodules++].bytes = (uint16_t)(end - least);
	}
}

bool fake_configure(struct fake_pi *f, const char *config_rsc)
{
	json_error_t e;
	json_t *root = json_load_file(config_rsc, 0, &e);
	const json_t *devices = json_object_get(root, "Devices");
	(void)pthread_mutex_lock(&f->lock);
	f->nentries = f->nmodules = 0;
	for (size_t i = 0; i < json_array_size(devices); i++) {
		const json_t *d = json_array_get(devices, i);
		area(f, d, "inp", false);
		area(f, d, "out", true);
		area(f, d, "mem", false);
	}
	(void)pthread_mutex_unlock(&f->lock);
	json_decref(root);
	return root != NULL;
}
