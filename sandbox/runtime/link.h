/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an instance can import and export, and who finds it. The host calls are one resolver; a
 * set of named instances (the specification's tests) is another.
 */
#ifndef RUNTIME_LINK_H
#define RUNTIME_LINK_H

#include "base/util.h"
#include "base/why.h"
#include "proto/aot_abi.h"
#include "sandbox/runtime/memory.h"

struct instance;

struct external {
	enum aot_extern kind;
	struct instance *owner; /* NULL: the host's. Must outlive whoever imports from it */
	union {
		/* func.instance NULL: the code is called with the importing instance */
		struct aot_funcref func;
		struct {
			struct aot_table *table;
			struct aot_limits table_limits; /* as declared */
			uint8_t elem_type;
		};
		struct {
			struct memory *memory;
			struct aot_limits memory_limits; /* as declared */
		};
		struct {
			union aot_value *global;
			struct aot_globaltype global_type;
		};
	};
};

struct resolver {
	/* Fills *ret by the import's names and kind. -E_UNKNOWN when there is no such thing; types
	 * are compared by the caller. */
	int (*find)(void *arg, const struct aot_import *want, struct external *ret);
	void *arg;
};

#endif
