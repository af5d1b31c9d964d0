/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Symbols for the guest's functions: their own names, made of letters that every tool takes, each
 * once. A name that is taken gets ".INDEX" behind it, and since no name has a dot of its own, that
 * is unique too.
 */
#include "sandbox/compiler/debug.h"

#include <string.h>

enum { SYMBOL_BYTES_MAX = 200 };

/* What the object needs itself, and what LLVM's code generator may call: were a guest's function
 * to have such a name, the call would silently be bound to it. */
static const char *const reserved[] = {
	AOT_MODULE_SYMBOL,
	"__start_" GUEST_SECTION,
	"__stop_" GUEST_SECTION,
	"__start_" DEBUG_SECTION,
	"type_ids",
	"memcpy",
	"memmove",
	"memset",
	"memcmp",
	"bcmp",
	"ceil",
	"ceilf",
	"floor",
	"floorf",
	"trunc",
	"truncf",
	"rint",
	"rintf",
	"nearbyint",
	"nearbyintf",
	"roundeven",
	"roundevenf",
	"sqrt",
	"sqrtf",
	"fabs",
	"fabsf",
	"fmin",
	"fminf",
	"fmax",
	"fmaxf",
	"fmod",
	"fmodf",
	"fminimum",
	"fminimumf",
	"fmaximum",
	"fmaximumf",
	"copysign",
	"copysignf",
	"fma",
	"fmaf",
};

struct set {
	const char **slots;
	size_t mask;
};

/* Whether s was new. The set has more slots than it will ever have members. */
static bool set_add(struct set *set, const char *s)
{
	uint32_t hash = 2166136261u;
	for (const char *p = s; *p; p++)
		hash = (hash ^ (uint8_t)*p) * 16777619u;
	for (size_t i = hash & set->mask;; i = (i + 1) & set->mask) {
		if (!set->slots[i]) {
			set->slots[i] = s;
			return true;
		}
		if (strcmp(set->slots[i], s) == 0)
			return false;
	}
}

static char *sanitised(const struct wasm_func *f, uint32_t index)
{
	char *name = gen_alloc(SYMBOL_BYTES_MAX + 12, 1);
	size_t n = f->name.len < SYMBOL_BYTES_MAX ? f->name.len : SYMBOL_BYTES_MAX;
	for (size_t i = 0; i < n; i++) {
		uint8_t c = f->name.at[i];
		bool fine = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
			    (c >= 'a' && c <= 'z') || c == '_' || c == '$';
		name[i] = fine ? (char)c : '_';
	}
	if (n == 0)
		(void)snprintf(name, 12, "f%u", index);
	return name;
}

char **names_make(const struct wasm_module *m)
{
	size_t nslots = 256;
	while (nslots < 2 * ((size_t)m->nfuncs + ARRAY_LEN(reserved)))
		nslots *= 2;
	struct set set = { gen_alloc(nslots, sizeof(char *)), nslots - 1 };
	for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
		(void)set_add(&set, reserved[i]);
	char **names = gen_alloc(m->nfuncs, sizeof(char *));
	for (uint32_t i = 0; i < m->nfuncs; i++) {
		char *name = sanitised(&m->funcs[i], i);
		size_t len = strlen(name);
		if (!set_add(&set, name))
			(void)snprintf(name + len, SYMBOL_BYTES_MAX + 12 - len, ".%u", i);
		names[i] = name;
	}
	free(set.slots);
	return names;
}

void names_free(char **names, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}
