/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loaded modules: the shared object that penstock-aot made, its ABI checked, its types known to the
 * process. The object is sealed and ours (proto/aot_abi.h, "Trust"), so its descriptor is believed.
 */
#ifndef RUNTIME_LOAD_H
#define RUNTIME_LOAD_H

#include "base/util.h"
#include "base/why.h"
#include "proto/aot_abi.h"
#include "sandbox/runtime/types.h"

struct module {
	const struct aot_module *aot;
	struct types *types; /* borrowed */
	uint32_t ntypes_held;
	void *dl;
	/* Kept open for as long as it is loaded: dlopen() knows objects by the path
	 * /proc/self/fd/N, so N must not come to mean another object meanwhile. */
	int fd;
};

/* Takes over so_fd on success: a memfd sealed against writing, growing and shrinking.
 * -E_INVALID (not sealed, not a module, another ABI version), -ENOMEM, -errno. */
int module_load(struct types *types, int so_fd, struct module **ret, struct why *why) MUST_USE;
/* The same for the file at path, which the user's own command has written: debuggers and profilers
 * find it by that name. It need not be sealed. */
int module_load_file(struct types *types, int so_fd, const char *path, struct module **ret,
		     struct why *why) MUST_USE;
/* The same for a descriptor that is part of this program; borrowed. */
int module_adopt(struct types *types, const struct aot_module *aot, struct module **ret,
		 struct why *why) MUST_USE;
void module_free(struct module *m);

/* NULL when there is no such export of that kind. */
const struct aot_export *module_export(const struct module *m, const char *name,
				       enum aot_extern kind);
/* The signature of a function by index. */
const struct aot_functype *module_func_type(const struct module *m, uint32_t func);
bool module_has_code_at(const struct module *m, uintptr_t pc);

#endif
