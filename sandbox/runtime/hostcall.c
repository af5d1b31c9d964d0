/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/hostcall.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Only addresses are taken here; the parameters are in each row's type. */
#define HOSTCALL(module, name, type, function) void function(void);
#include "sandbox/runtime/hostcall.def"
#undef HOSTCALL

static const struct {
	const char *module, *name, *type;
	void (*code)(void);
} table[] = {
#define HOSTCALL(module, name, type, function) { module, name, type, function },
#include "sandbox/runtime/hostcall.def"
#undef HOSTCALL
};

struct hostcalls {
	struct types *types;
	size_t n; /* types held */
	uint32_t type_ids[ARRAY_LEN(table)];
};

static uint8_t type_code(char c)
{
	return c == 'I' ? AOT_I64 : AOT_I32;
}

static int type_ref(struct types *types, const char *text, uint32_t *ret_id)
{
	uint8_t codes[16];
	struct aot_functype ft = { .types = codes };
	uint32_t n = 0;
	for (const char *c = text; *c; c++) {
		if (*c == ':') {
			ft.nparams = n;
			continue;
		}
		ENSURE(n < sizeof(codes));
		codes[n++] = type_code(*c);
	}
	ft.nresults = n - ft.nparams;
	return types_ref(types, &ft, ret_id);
}

struct hostcalls *hostcalls_new(struct types *types)
{
	struct hostcalls *hc = calloc(1, sizeof(*hc));
	if (!hc)
		return NULL;
	hc->types = types;
	for (; hc->n < ARRAY_LEN(table); hc->n++) {
		if (type_ref(types, table[hc->n].type, &hc->type_ids[hc->n]) < 0) {
			hostcalls_free(hc);
			return NULL;
		}
	}
	return hc;
}

void hostcalls_free(struct hostcalls *hc)
{
	if (!hc)
		return;
	while (hc->n > 0)
		types_unref(hc->types, hc->type_ids[--hc->n]);
	free(hc);
}

static bool named(const char *have, const char *want, uint32_t want_len)
{
	return strlen(have) == want_len && memcmp(have, want, want_len) == 0;
}

static int find(void *arg, const struct aot_import *want, struct external *ret)
{
	const struct hostcalls *hc = arg;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (!named(table[i].module, want->module, want->module_len) ||
		    !named(table[i].name, want->name, want->name_len))
			continue;
		*ret = (struct external){ .kind = AOT_EXT_FUNC };
		ret->func.code = (void *)table[i].code;
		ret->func.type = hc->type_ids[i];
		return 0;
	}
	return -E_UNKNOWN;
}

struct resolver hostcalls_resolver(struct hostcalls *hc)
{
	return (struct resolver){ .find = find, .arg = hc };
}
