/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/load.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int module_new(struct types *types, const struct aot_module *aot, struct module **ret,
		      struct why *why)
{
	if (aot->abi != AOT_ABI_VERSION)
		return why_set(why, -E_INVALID,
			       "native code has ABI version %u, this program has %u: compile the "
			       "function again",
			       aot->abi, AOT_ABI_VERSION);
	struct module *m = calloc(1, sizeof(*m));
	if (!m)
		return why_set(why, -ENOMEM, "no memory for a module");
	m->aot = aot;
	m->types = types;
	m->fd = -1;
	for (; m->ntypes_held < aot->ntypes; m->ntypes_held++) {
		uint32_t i = m->ntypes_held;
		int err = types_ref(types, &aot->types[i], &aot->type_ids[i]);
		if (err < 0) {
			module_free(m);
			return why_set(why, err, "type %u of the module: too many types", i);
		}
	}
	*ret = m;
	return 0;
}

int module_adopt(struct types *types, const struct aot_module *aot, struct module **ret,
		 struct why *why)
{
	return module_new(types, aot, ret, why);
}

static int sealed(int fd, struct why *why)
{
	const int need = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK;
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & need) != need)
		return why_set(why, -E_INVALID,
			       "native code must come in a memfd sealed against change");
	return 0;
}

int module_load(struct types *types, int so_fd, struct module **ret, struct why *why)
{
	char path[48];
	int err = sealed(so_fd, why);
	if (err < 0)
		return err;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", so_fd);
	return module_load_file(types, so_fd, path, ret, why);
}

int module_load_file(struct types *types, int so_fd, const char *path, struct module **ret,
		     struct why *why)
{
	int err = 0;
	void *dl = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!dl)
		return why_set(why, -E_INVALID, "native code cannot be loaded: %s", dlerror());
	const struct aot_module *aot = dlsym(dl, AOT_MODULE_SYMBOL);
	if (!aot)
		err = why_set(why, -E_INVALID, "native code has no symbol " AOT_MODULE_SYMBOL);
	else
		err = module_new(types, aot, ret, why);
	if (err < 0) {
		(void)dlclose(dl);
		return err;
	}
	(*ret)->dl = dl;
	(*ret)->fd = so_fd;
	return 0;
}

void module_free(struct module *m)
{
	if (!m)
		return;
	while (m->ntypes_held > 0)
		types_unref(m->types, m->aot->type_ids[--m->ntypes_held]);
	if (m->dl)
		(void)dlclose(m->dl);
	if (m->fd >= 0)
		(void)close(m->fd);
	free(m);
}

const struct aot_export *module_export(const struct module *m, const char *name,
				       enum aot_extern kind)
{
	size_t len = strlen(name);
	for (uint32_t i = 0; i < m->aot->nexports; i++) {
		const struct aot_export *e = &m->aot->exports[i];
		if (e->kind == kind && e->name_len == len && memcmp(e->name, name, len) == 0)
			return e;
	}
	return NULL;
}

const struct aot_functype *module_func_type(const struct module *m, uint32_t func)
{
	return &m->aot->types[m->aot->func_types[func]];
}

bool module_has_code_at(const struct module *m, uintptr_t pc)
{
	uintptr_t start = (uintptr_t)m->aot->code_start;
	return pc - start < (uintptr_t)m->aot->code_end - start;
}
